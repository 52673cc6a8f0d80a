//! Waiting and waking: what every blocking operation is made of.
//!
//! [`wait`] opens an episode of the running thread's wait word, lets the caller tell the wakers
//! its [`Token`], and returns when one of them has claimed it. [`wake`] claims a token and makes
//! the thread runnable. Both work on green threads and on OS threads, in any mixture: an OS
//! thread sleeps in the kernel.

use super::enter::{current_green, enter};
use super::shared::Shared;
use crate::green::join::Finished;
use crate::green::wait::{Claim, Outcome, Sequence};
use crate::green::{Green, Kind, Reason, Token};
use crate::machine::Post;
use crate::primitive::tls;
use crate::processor::run_queue::Line;
use crate::sys::clock::now_ns;
use crate::sys::futex;
use std::ptr::NonNull;

/// Waits until a waker claims the token that `announce` is given, or until `deadline_ns` on the
/// monotonic clock.
///
/// `announce` returns whether there is something to wait for; `false` promises that nobody has
/// kept the token, and counts as woken. It runs before the thread leaves its stack, so wakers may
/// be faster than the wait; it must not wait itself.
///
/// # Switches
pub(crate) fn wait(
    reason: Reason,
    deadline_ns: Option<u64>,
    announce: impl FnOnce(Token) -> bool,
) -> Outcome {
    let me = current_or_adopt();
    let sequence = me.wait.begin();
    if !announce(me.token(sequence)) {
        me.wait.abandon();
        return Outcome::Woken;
    }
    match me.kind.get() {
        Kind::Green => wait_green(me, sequence, reason, deadline_ns),
        Kind::Thread => wait_thread(me, sequence, reason, deadline_ns),
    }
}

/// A green thread waits: arms its deadline, leaves its stack.
fn wait_green(
    me: &'static Green,
    sequence: Sequence,
    reason: Reason,
    deadline_ns: Option<u64>,
) -> Outcome {
    let mut entered = enter(me);
    let since_ns = entered.processor.map_or(0, |processor| processor.clock_ns());
    let alarm = deadline_ns.map(|deadline_ns| entered.arm(deadline_ns, me.token(sequence)));
    if !me.wait.is_claimed() {
        me.set_waiting(reason, since_ns);
        if let Some(processor) = entered.processor {
            processor.counters.parks.bump();
        }
        entered = entered.switch_away(me, Post::Park(NonNull::from(me)));
    }
    entered.leave();
    let outcome = me.wait.finish().unwrap_or_else(|| {
        crate::primitive::abort::rt_abort!("sched: a green thread was resumed without an outcome")
    });
    if let Some(alarm) = alarm
        && outcome != Outcome::Deadline
    {
        alarm.cancel();
    }
    outcome
}

/// An OS thread waits: commits, and sleeps in the kernel until the word says otherwise.
fn wait_thread(
    me: &'static Green,
    sequence: Sequence,
    reason: Reason,
    deadline_ns: Option<u64>,
) -> Outcome {
    me.set_waiting(reason, 0);
    let _committed = me.wait.commit_asleep();
    loop {
        if let Some(outcome) = me.wait.finish() {
            me.set_phase(crate::green::Phase::Running);
            return outcome;
        }
        let (word, value) = me.wait.futex();
        if !crate::green::wait::WaitWord::is_asleep_value(value) {
            continue;
        }
        if futex::wait(word, value, deadline_ns) == futex::Waited::Deadline {
            let _ = me.wait.claim(sequence, Outcome::Deadline);
        }
    }
}

/// Tries to end the wait that `token` names; whether this waker was the one.
///
/// Harmless when the wait is long over.
#[inline]
pub(crate) fn wake(token: Token, outcome: Outcome) -> bool {
    claim(token, outcome).map(Claimed::resume).is_some()
}

/// As [`wake`] in two steps: the wait is over, and its thread is told when the caller says so.
///
/// A waker that finds the token under a lock claims it there, and resumes the thread when it has
/// given the lock back. NOTE: the thread may notice by itself before that.
#[inline(always)]
pub(crate) fn claim(token: Token, outcome: Outcome) -> Option<Claimed> {
    match token.claim(outcome) {
        Claim::Lost => None,
        claim => Some(Claimed { token, claim }),
    }
}

/// A wait that [`claim`] has ended, and whose thread has not been told yet.
#[derive(Debug)]
#[must_use = "the thread waits until it is resumed"]
pub(crate) struct Claimed {
    token: Token,
    claim: Claim,
}

impl Claimed {
    /// Makes the thread runnable.
    #[inline(always)]
    pub(crate) fn resume(self) {
        match self.claim {
            Claim::Lost | Claim::Early => {}
            Claim::Wake => self.token.wake_thread(),
            Claim::Resume => resume(self.token.green),
        }
    }
}

/// Makes a thread runnable whose wait the caller has claimed, from user code.
fn resume(green: NonNull<Green>) {
    // SAFETY: TypeStable; its wait is claimed by the caller, so it has not finished.
    let runtime = unsafe { green.as_ref() }.runtime.get();
    match current_green() {
        Some(me) if me.runtime.get() == runtime => {
            let entered = enter(me);
            entered.ready(green);
            entered.leave();
        }
        _ => ready_elsewhere(green),
    }
}

/// As [`resume`], for a green thread of another runtime; anywhere.
pub(crate) fn ready_elsewhere(green: NonNull<Green>) {
    // SAFETY: TypeStable; its wait is claimed by the caller, so it has not finished.
    let header = unsafe { green.as_ref() };
    // SAFETY: it has not finished, so its runtime lives now.
    let shared = unsafe { Shared::of(header) };
    // SAFETY: it lives now; the count keeps it alive until the wake below is done, by when the
    // green thread may long have ended.
    let shared = unsafe { super::retain(shared) };
    shared.inject(Line::Ready, green);
}

/// The header of the running thread; an OS thread gets one at its first wait.
pub(crate) fn current_or_adopt() -> &'static Green {
    crate::green::current().unwrap_or_else(adopt)
}

/// As [`current_or_adopt`], for a handle: an OS thread's header is given the thread's name.
///
/// Not at its first wait, because `std` panics when it is asked for the name of a thread whose
/// thread-locals are gone.
///
/// # Panics
/// As `std::thread::current`, if the OS thread gets its header here, in such a late destructor.
pub(crate) fn current_for_handle() -> &'static Green {
    let me = current_or_adopt();
    let is_adopted = me.kind.get() == Kind::Thread && me.runtime.get().is_null();
    if is_adopted
        && me.name().is_none()
        && !tls::is_thread_exiting()
        && let Some(name) = std::thread::current().name()
    {
        // SAFETY: only handles read it, which are made by this thread, here, after its name is set.
        // A name that `std` has not told once it never tells.
        unsafe { me.set_name(Some(std::sync::Arc::from(name))) };
    }
    me
}

/// Gives the running OS thread a header.
#[cold]
fn adopt() -> &'static Green {
    let Some(green) = crate::green::arena::take() else {
        crate::primitive::abort::rt_abort!("green: no memory for the header of an OS thread")
    };
    // SAFETY: taken from the arena, so it is ours alone, and type-stable.
    let header: &'static Green = unsafe { &*green.as_ptr() };
    header.kind.set(Kind::Thread);
    header.id.set(crate::processor::Processor::next_id_global());
    // In a thread that ends already the header may be lost to reuse; it serves as well.
    let _is_returned = tls::at_thread_exit(abandon);
    header.set_phase(crate::green::Phase::Running);
    // Last: from here on the dump may look at it.
    header.join.reset(1);
    tls::set_current(green.as_ptr().cast());
    header
}

/// The OS thread ends: its own reference goes, and with the last one the header.
fn abandon(green: *const ()) {
    let Some(green) = NonNull::new(green.cast_mut().cast::<Green>()) else { return };
    // SAFETY: TypeStable; the thread's own reference is given up here, once.
    let header = unsafe { green.as_ref() };
    tls::set_current(std::ptr::null());
    if header.join.finish() == Finished::Free {
        header.clear();
        crate::green::arena::give(green);
    }
}

/// Sleeps until `deadline_ns` on the monotonic clock; `u64::MAX`: for ever.
///
/// # Switches
pub(crate) fn sleep_until(deadline_ns: u64) {
    if deadline_ns <= now_ns() {
        return super::yield_now();
    }
    wait(Reason::Sleep, Some(deadline_ns), |_| true);
}
