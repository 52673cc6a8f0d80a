//! Handles of threads, and what a thread does to itself.

use crate::green::Reason;
use crate::green::wait::Outcome;
use crate::green::{Green, ThreadId};
use crate::sched;
use crate::sys::clock;
use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::time::Duration;

/// A handle of a thread: a green thread, or an OS thread that uses this crate.
///
/// Cheap to clone. A handle that outlives its thread keeps 320 bytes.
pub struct Thread {
    header: NonNull<Green>,
}

// SAFETY: a handle reaches only what the Fields table of `green` lets anyone reach: the permit,
// the wait word, and fields that are constant while it holds its reference.
unsafe impl Send for Thread {}
// SAFETY: as above.
unsafe impl Sync for Thread {}

impl Thread {
    /// Takes over a reference that somebody counted.
    pub(super) fn from_reference(header: NonNull<Green>) -> Self {
        Self { header }
    }

    pub(super) fn header(&self) -> &Green {
        // SAFETY: the handle's reference keeps the header in this life.
        unsafe { self.header.as_ref() }
    }

    /// Its name, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.header().name()
    }

    /// Its number.
    pub fn id(&self) -> ThreadId {
        ThreadId::new(self.header().id.get())
    }

    /// Gives it the token that [`park`] waits for: wakes it, or makes its next `park` return at
    /// once. Many tokens before one `park` are one.
    ///
    /// Never blocks. Costs some 50 ns on the same processor, a system call where a sleeping
    /// machine has to be woken.
    pub fn unpark(&self) {
        if let Some(sequence) = self.header().permit.give() {
            sched::wake(self.header().token(sequence), Outcome::Woken);
        }
    }
}

impl Clone for Thread {
    fn clone(&self) -> Self {
        self.header().join.retain();
        Self { header: self.header }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        if self.header().join.release() {
            sched::free_header(self.header);
        }
    }
}

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Thread").field("id", &self.id()).field("name", &self.name()).finish()
    }
}

/// A handle of the running thread, green or not.
///
/// # Panics
/// Where `std::thread::current` does: on an OS thread that comes to use this crate only in a
/// destructor that runs when its thread-locals are gone, as those of thread-specific keys do. To
/// wait there is fine.
pub fn current() -> Thread {
    let header = sched::current_for_handle();
    header.join.retain();
    Thread { header: NonNull::from(header) }
}

/// Lets other green threads run; on an OS thread, the kernel's yield.
///
/// The caller goes behind everything that waits for its processor.
///
/// # Examples
/// ```
/// gthread::run(|| {
///     let other = gthread::spawn(|| ());
///     while !other.is_finished() {
///         gthread::yield_now();
///     }
/// });
/// ```
#[inline]
pub fn yield_now() {
    sched::yield_now();
}

/// Blocks the running thread, green or not, until it is given a token by [`Thread::unpark`].
///
/// Takes the token. Unlike `std::thread::park` it does not return spuriously, but callers should
/// look at their condition all the same: a token may be left from an earlier wait.
pub fn park() {
    park_until(None);
}

/// As [`park`], for at most `timeout`; inside a [`time::timeout`](crate::time::timeout) until the
/// earlier of the two.
pub fn park_timeout(timeout: Duration) {
    park_until(Some(sched::earlier_deadline_ns(clock::deadline_after(timeout))));
}

fn park_until(deadline_ns: Option<u64>) {
    let me = sched::current_or_adopt();
    if me.permit.take() {
        return;
    }
    sched::wait(Reason::Park, deadline_ns, |token| me.permit.announce(token.sequence));
    me.permit.retract();
}

/// Runs `f`, which is about to block its OS thread, having handed the processor to others at once.
///
/// Without it the monitor notices a blocking call by itself, after some 0.2 ms. Off green threads
/// `f` is simply called.
///
/// # Examples
/// ```
/// let text = gthread::run(|| gthread::blocking(|| std::fs::read_to_string("Cargo.toml")));
/// assert!(text.is_ok());
/// ```
pub fn blocking<T>(f: impl FnOnce() -> T) -> T {
    sched::blocking(f)
}

/// Ties the running green thread to the OS thread it is on, as long as the guard lives.
///
/// For values that belong to the kernel thread: a namespace, a scheduling class, a GL context, an
/// io_uring with a single issuer. (For a signal mask it happens by itself: a green thread whose mask
/// differs from the one it began with is tied until it has put that back.) Nests. While tied, parking and waking cost a hand-over between
/// OS threads. On an OS thread the guard does nothing.
///
/// When the last guard is dropped, and when a green thread that is tied ends, the OS thread gets its
/// first signal mask back and goes to others. Whatever else was changed about it (priority, CPUs,
/// namespaces) is for the caller to put back.
///
/// One OS thread is always left for the green threads that are not tied; where there is only one,
/// another one is started first, which blocks the green thread meanwhile.
///
/// The guard stays with its green thread:
/// ```compile_fail,E0277
/// let guard = gthread::pin_to_machine();
/// gthread::spawn(move || drop(guard));
/// ```
///
/// # Panics
/// If no OS thread would be left for the others, and the system or the limit of 10,000 for a runtime
/// permits no further one. [`Builder::pinned`](crate::Builder::pinned) has an error for it.
#[track_caller]
pub fn pin_to_machine() -> Pinned {
    match sched::pin() {
        Ok(is_green) => Pinned { is_green, _not_send: PhantomData },
        Err(error) => panic!("failed to tie a green thread to its OS thread: {error}"),
    }
}

/// Keeps a green thread on its OS thread; see [`pin_to_machine`].
#[derive(Debug)]
#[must_use = "the green thread is tied only while the guard lives"]
pub struct Pinned {
    is_green: bool,
    _not_send: PhantomData<*const ()>,
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if self.is_green {
            sched::unpin();
        }
    }
}
