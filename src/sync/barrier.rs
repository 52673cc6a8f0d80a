//! `Barrier`: the raw barrier with its size.

use super::deadline;
use super::raw_barrier::{Passed, RawBarrier};
use std::fmt;
use std::time::{Duration, Instant};

/// Lets a number of threads wait for each other: names and semantics of `std::sync::Barrier`.
///
/// It blocks the running thread, green or not, and may be used again and again.
///
/// # Examples
/// ```
/// use gthread::sync::Barrier;
/// let barrier = Barrier::new(3);
/// let leaders = gthread::scope(|scope| {
///     let threads: Vec<_> = (0..3).map(|_| scope.spawn(|| barrier.wait().is_leader())).collect();
///     threads.into_iter().filter_map(|thread| thread.join().ok()).filter(|leads| *leads).count()
/// });
/// assert_eq!(leaders, 1);
/// ```
pub struct Barrier {
    wanted: usize,
    raw: RawBarrier,
}

/// What a thread learns that has waited at a [`Barrier`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierWaitResult(bool);

impl BarrierWaitResult {
    /// Whether this is the one thread of its generation that came last.
    pub fn is_leader(&self) -> bool {
        self.0
    }
}

impl Barrier {
    /// A barrier for so many threads; 0 is 1.
    pub const fn new(threads: usize) -> Self {
        Self { wanted: threads, raw: RawBarrier::empty() }
    }

    /// Blocks the running thread until so many threads wait.
    ///
    /// O(threads) for the last one, which wakes the others.
    pub fn wait(&self) -> BarrierWaitResult {
        loop {
            if let Some(result) = self.wait_by(None) {
                return result;
            }
        }
    }

    /// As [`wait`](Barrier::wait), for at most `timeout`; inside a
    /// [`time::timeout`](crate::time::timeout) until the earlier of the two. `None`: the others
    /// were not there by then, and this thread does not count as having come.
    pub fn wait_timeout(&self, timeout: Duration) -> Option<BarrierWaitResult> {
        self.wait_by(Some(deadline::after(timeout)))
    }

    /// As [`wait_timeout`](Barrier::wait_timeout), until `deadline`.
    pub fn wait_until(&self, deadline: Instant) -> Option<BarrierWaitResult> {
        self.wait_by(Some(deadline::at(deadline)))
    }

    fn wait_by(&self, deadline_ns: Option<u64>) -> Option<BarrierWaitResult> {
        let passed = self.raw.wait(self.wanted, deadline_ns)?;
        Some(BarrierWaitResult(passed == Passed::Leader))
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier").field("threads", &self.wanted).finish_non_exhaustive()
    }
}
