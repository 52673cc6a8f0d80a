//! Sleeping, intervals, and timeouts that the waits inside inherit.
//!
//! All of it works on green threads and on OS threads. Times are those of the monotonic clock, in
//! nanoseconds, and are not rounded: a wait never ends early, and how late it ends is up to what
//! else runs.
//!
//! # A timeout is a deadline of the thread
//! [`timeout`] notes a deadline in the header of the running thread and calls its closure on the
//! same thread: nothing is spawned, nothing is cancelled from outside, and the closure ends by
//! itself, because what it waits for reports the deadline. What follows from it:
//! - **Nesting**: the earlier deadline holds; the outer one is back when the inner call returns,
//!   also by a panic, which goes through.
//! - **`spawn` does not inherit.** A spawned thread may outlive the call, may be joined by somebody
//!   under another deadline or by nobody, and would fail at a deadline that no line of its own
//!   mentions. Who wants it hands [`deadline`] over and calls `timeout` there.
//! - **What cannot report a deadline ignores it**: `lock`, `recv`, `join`, `sleep`, an interval's
//!   tick, the end of a scope. Their `_timeout` and `_until` forms end at the earlier deadline.

mod interval;

pub use interval::{Interval, MissedTickBehavior, interval, interval_at};

use crate::sched;
use crate::sys::clock;
use std::time::{Duration, Instant};

/// Blocks the running thread, green or not, for at least `duration`; never less.
///
/// The deadline is kept in nanoseconds; how late it is depends on what else runs. A duration too
/// long to add to the clock (584 years) sleeps for ever. Zero yields. A [`timeout`] around it does
/// not shorten it.
///
/// # Examples
/// ```
/// use std::time::{Duration, Instant};
/// let start = Instant::now();
/// gthread::run(|| gthread::sleep(Duration::from_micros(50)));
/// assert!(start.elapsed() >= Duration::from_micros(50));
/// ```
pub fn sleep(duration: Duration) {
    if duration.is_zero() {
        return sched::yield_now();
    }
    sched::sleep_until(clock::deadline_after(duration));
}

/// Blocks the running thread, green or not, until `deadline`; yields if it has passed.
pub fn sleep_until(deadline: Instant) {
    sleep(deadline.saturating_duration_since(Instant::now()));
}

/// Calls `f`, and gives everything in it that waits for input or output at most `duration` in all.
///
/// What waits past the deadline returns an error of the kind [`TimedOut`], and so does every such
/// wait after it until `f` returns; with a `duration` of zero it has passed from the start. Nested
/// timeouts: the earlier deadline holds. Waits of this crate with a timeout or deadline of their
/// own (`park_timeout`, `join_timeout`, …) end at the earlier of the two; those that cannot report
/// it (`lock`, `recv`, `join`, `sleep`) are not affected, nor is computing, nor what `f` spawns.
/// The [module](self) says why.
///
/// # Examples
/// ```
/// use gthread::time::timeout;
/// use std::time::Duration;
/// let parked = gthread::spawn(gthread::park);
/// let handle = timeout(Duration::from_millis(1), || parked.join_timeout(Duration::from_secs(60)));
/// handle.expect_err("it parks").thread().unpark();
/// ```
///
/// # Panics
/// If `f` panics, with its payload.
///
/// [`TimedOut`]: std::io::ErrorKind::TimedOut
pub fn timeout<R>(duration: Duration, f: impl FnOnce() -> R) -> R {
    sched::with_deadline(clock::deadline_after(duration), f)
}

/// The deadline of the innermost [`timeout`] around the caller, if there is one.
///
/// One that has passed is told as the present moment or an earlier one.
pub fn deadline() -> Option<Instant> {
    let left_ns = sched::deadline_ns()?.saturating_sub(clock::now_ns());
    Instant::now().checked_add(Duration::from_nanos(left_ns))
}
