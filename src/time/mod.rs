//! Timeouts, intervals and sleeping.

use crate::sched;
use crate::sys::clock;
use std::time::{Duration, Instant};

/// Runs `f`, and gives everything in it that waits for input or output at most `duration` in all.
///
/// What waits past the deadline returns an error of the kind [`TimedOut`], and so does every such
/// wait after it until `f` returns. Nested timeouts: the earlier deadline holds. Waits of this
/// crate with a timeout or deadline of their own end at the earlier of the two; those that cannot
/// report it (`lock`, `recv`, `join`, `sleep`) are not affected, nor is computing.
///
/// [`TimedOut`]: std::io::ErrorKind::TimedOut
pub fn timeout<R>(duration: Duration, f: impl FnOnce() -> R) -> R {
    let duration_ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    sched::with_deadline(clock::now_ns().saturating_add(duration_ns), f)
}

/// The deadline of the innermost [`timeout`] around the caller, if there is one.
pub fn deadline() -> Option<Instant> {
    let left_ns = sched::deadline_ns()?.saturating_sub(clock::now_ns());
    Instant::now().checked_add(Duration::from_nanos(left_ns))
}

#[cfg(test)]
mod tests {
    use super::{deadline, timeout};
    use std::time::Duration;

    #[test]
    fn the_earlier_deadline_holds_and_is_put_back() {
        assert_eq!(deadline(), None);
        timeout(Duration::from_secs(5), || {
            let outer = deadline();
            timeout(Duration::from_secs(50), || assert!(deadline() < outer.map(|d| d + SECOND)));
            timeout(Duration::from_secs(1), || assert!(deadline() < outer));
            assert!(deadline() > outer.map(|d| d - SECOND));
        });
        assert_eq!(deadline(), None);
    }

    const SECOND: Duration = Duration::from_secs(1);
}
