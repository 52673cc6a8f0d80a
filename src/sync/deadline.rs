//! The deadlines of waits that have one: their own, or the inherited one if that is earlier.

use crate::sched;
use crate::sys::clock;
use std::time::{Duration, Instant};

/// The deadline of a wait of at most `timeout`.
pub(super) fn after(timeout: Duration) -> u64 {
    sched::earlier_deadline_ns(clock::deadline_after(timeout))
}

/// The deadline of a wait until `deadline`.
pub(super) fn at(deadline: Instant) -> u64 {
    after(deadline.saturating_duration_since(Instant::now()))
}
