//! OS threads that stand in for green threads (`RuntimeBuilder::os_threads`).
//!
//! A stand-in lives as a green thread does: closure, destructors of thread-locals, and only then
//! its end, which its joiner and the count of the runtime see (JoinAfterExit). So that the end
//! comes after the destructors, it is itself one: of a thread-specific key, which libc runs when
//! all thread-locals of Rust and C++ are gone.
//!
//! 1. The body runs; then [`end_with_thread`] arms the key with what the end needs.
//! 2. libc runs the destructors of thread-locals, then those of keys, round by round. Ours arms
//!    itself again in the first round: other keys' destructors have had a whole one before it.
//! 3. In the second round it gives the header up. The round is not a later one, because in its
//!    last one a sanitizer takes down what it keeps of the thread.
//!
//! After step 3 the OS thread is still there for a moment. The runtime keeps it to join
//! ([`StandIns`]), and nobody else joins it: shutting down waits for its true end.

use super::shared::Shared;
use crate::green::join::Finished;
use crate::green::wait::Outcome;
use crate::green::{Green, Phase};
use crate::primitive::lock::{Lock, Rank};
use crate::primitive::tls;
use crate::sys::thread::Joinable;
use crate::sys::{clock, thread_end};
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// From how many kept OS threads on those that have ended are looked for at each start.
const PRUNE_MIN: usize = 64;
/// How long a look at threads that are about to end waits before it looks again: at first, and at
/// most.
const PAUSE_MIN: Duration = Duration::from_micros(20);
const PAUSE_MAX: Duration = Duration::from_millis(1);

/// The OS threads of one runtime that have not been joined.
#[derive(Debug)]
pub(crate) struct StandIns(Lock<Kept>);

#[derive(Debug)]
struct Kept {
    threads: Vec<Joinable>,
    /// When to look next for threads that have ended: at so many.
    prune_at: usize,
}

/// What the end of a stand-in needs.
struct End {
    header: NonNull<Green>,
    /// Keeps the runtime alive, as machines do (Inv. RuntimeOutlives).
    shared: Arc<Shared>,
    /// Whether the first round of destructors has passed.
    is_second_round: bool,
}

impl StandIns {
    /// None.
    pub(super) fn new() -> Self {
        Self(Lock::new(Rank(16), Kept { threads: Vec::new(), prune_at: PRUNE_MIN }))
    }

    /// Keeps a thread to join, and joins those that have ended.
    fn keep(&self, thread: std::thread::JoinHandle<()>) {
        let mut kept = self.0.lock();
        kept.threads.push(Joinable::from(thread));
        if kept.threads.len() >= kept.prune_at {
            kept.join_ended();
            kept.prune_at = PRUNE_MIN.max(2 * kept.threads.len());
        }
    }

    /// Whether threads other than the caller are left, after joining those that have ended.
    fn is_any_left(&self) -> bool {
        let mut kept = self.0.lock();
        kept.join_ended();
        kept.threads.iter().any(|thread| !thread.is_caller())
    }

    /// Waits for the true end of all threads but the caller, or until the deadline. They have
    /// given up their green threads, or are about to.
    pub(super) fn join_all(&self, deadline_ns: Option<u64>) {
        let mut pause = PAUSE_MIN;
        super::blocking(|| {
            while self.is_any_left()
                && deadline_ns.is_none_or(|deadline| clock::now_ns() < deadline)
            {
                // NOTE: looks again and again, because `pthread_join` knows one joiner and, in
                // POSIX, no deadline; what is left of these threads is short.
                std::thread::sleep(pause);
                pause = PAUSE_MAX.min(2 * pause);
            }
        });
    }
}

impl Kept {
    fn join_ended(&mut self) {
        let threads = std::mem::take(&mut self.threads);
        self.threads = threads.into_iter().filter_map(|thread| thread.try_join().err()).collect();
    }
}

impl Shared {
    /// Starts the OS thread that stands in for a green thread, to run `body` on it.
    ///
    /// # Errors
    /// The kernel's; the closure of the green thread has not been touched then.
    pub(crate) fn start_stand_in(
        &self,
        header: NonNull<Green>,
        builder: std::thread::Builder,
        body: fn(&Green),
    ) -> std::io::Result<()> {
        /// A header on its way to its thread.
        struct Travelling(NonNull<Green>);
        // SAFETY: the header is handed to the one thread that runs its body.
        unsafe impl Send for Travelling {}
        let header = Travelling(header);
        // SAFETY: the spawner has a handle of the runtime, or is one of its green threads, which
        // keep it alive.
        let shared = unsafe { super::retain(self) };
        let thread = builder.spawn(move || {
            let travelling = header;
            run(travelling.0, shared, body);
        })?;
        self.stand_ins.keep(thread);
        Ok(())
    }
}

/// The body of a stand-in's OS thread.
fn run(header: NonNull<Green>, shared: Arc<Shared>, body: fn(&Green)) {
    // SAFETY: the header has not finished: its own reference is given up by its end.
    let green = unsafe { header.as_ref() };
    tls::set_current(header.as_ptr().cast());
    green.set_phase(Phase::Running);
    body(green);
    green.set_phase(Phase::Exiting);
    end_with_thread(End { header, shared, is_second_round: false });
}

/// Lets the green thread end when the destructors of the OS thread's thread-locals have run; at
/// once where the process has no key left for that.
fn end_with_thread(end: End) {
    static KEY: OnceLock<Option<thread_end::Key>> = OnceLock::new();
    let key = *KEY.get_or_init(|| thread_end::key(in_key_destructor));
    let boxed = Box::into_raw(Box::new(end));
    if !key.is_some_and(|key| thread_end::set(key, boxed.cast())) {
        // SAFETY: made above, and the key has not got it.
        finish(*unsafe { Box::from_raw(boxed) });
    }
}

/// The destructor of the key.
unsafe extern "C" fn in_key_destructor(value: *mut c_void) {
    // SAFETY: the value is a box of this type, made by `end_with_thread`, and libc has forgotten it.
    let end = unsafe { Box::from_raw(value.cast::<End>()) };
    if end.is_second_round {
        finish(*end);
    } else {
        end_with_thread(End { is_second_round: true, ..*end });
    }
}

/// The end of the green thread: gives up its reference and tells its joiner.
fn finish(end: End) {
    let End { header, shared, .. } = end;
    tls::set_current(std::ptr::null());
    if super::fork::in_child() {
        // The runtime, its counts and whoever joins stayed behind in the parent.
        std::mem::forget(shared);
        return;
    }
    // SAFETY: the thread's own reference is given up below.
    let green = unsafe { header.as_ref() };
    shared.external.finished.add_shared(1);
    match green.join.finish() {
        Finished::Done => {}
        Finished::Free => super::free_header(header),
        Finished::WakeJoiner => {
            let token = green.joiner.get();
            if green.join.release() {
                super::free_header(header);
            }
            if let Some(token) = token {
                super::wake(token, Outcome::Woken);
            }
        }
    }
    shared.note_end();
}
