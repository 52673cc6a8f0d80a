//! Deadlines on the runtime's clock.

cfg_if::cfg_if! {
    if #[cfg(loom)] {
        /// Models let deadlines pass by a thread of their own.
        pub(crate) fn has_passed(deadline_ns: u64) -> bool {
            deadline_ns == 0
        }
    } else {
        use crate::sched;
        use crate::sys::clock::now_ns;
        use std::time::{Duration, Instant};

        /// Whether a deadline is over.
        pub(crate) fn has_passed(deadline_ns: u64) -> bool {
            now_ns() >= deadline_ns
        }

        /// The deadline `timeout` from now, or an earlier one of `time::timeout`.
        pub(crate) fn after(timeout: Duration) -> Option<u64> {
            let timeout_ns = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
            inherit(now_ns().checked_add(timeout_ns))
        }

        /// The deadline `when`, or an earlier one of `time::timeout`.
        pub(crate) fn at(when: Instant) -> Option<u64> {
            inherit(ns_of(when))
        }

        /// An instant on the runtime's clock: never earlier than the instant, and later by the
        /// time between two readings of the clock at most. `None`: beyond the clock's end.
        pub(crate) fn ns_of(when: Instant) -> Option<u64> {
            let left = when.saturating_duration_since(Instant::now());
            now_ns().checked_add(u64::try_from(left.as_nanos()).ok()?)
        }

        fn inherit(deadline_ns: Option<u64>) -> Option<u64> {
            deadline_ns.into_iter().chain(sched::deadline_ns()).min()
        }
    }
}
