//! Counters with one writer: plain additions, summed by whoever reads.

use crate::primitive::atomic::{AtomicU64, Ordering};

/// One counter. [`Counter::bump`] is for its one writer, [`Counter::add_shared`] for many.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds one; only the one writer may.
    #[inline(always)]
    pub(crate) fn bump(&self) {
        // ORDERING: Relaxed; the only writer reads its own value.
        let value = self.0.load(Ordering::Relaxed);
        // ORDERING: Release; pairs with the Acquire in `get`: who has seen a green thread's end
        // counted has seen what it counted before (the drain of `sched::shutdown`).
        self.0.store(value + 1, Ordering::Release);
    }

    /// Adds `n` where there are many writers.
    pub(crate) fn add_shared(&self, n: u64) {
        // ORDERING: Release; pairs with the Acquire in `get`, as above.
        self.0.fetch_add(n, Ordering::Release);
    }

    /// The value.
    pub(crate) fn get(&self) -> u64 {
        // ORDERING: Acquire; pairs with the Release in `bump`.
        self.0.load(Ordering::Acquire)
    }
}

/// What is counted: per processor, and once for those who hold none.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Green threads spawned.
    pub(crate) spawned: Counter,
    /// Green threads that have ended.
    pub(crate) finished: Counter,
    /// Switches to a green thread.
    pub(crate) switches: Counter,
    /// Parks that left the stack.
    pub(crate) parks: Counter,
    /// Green threads taken from other processors' queues (batches count once).
    pub(crate) steals: Counter,
    /// Times a machine went looking and found nothing anywhere.
    pub(crate) retires: Counter,
    /// Times the clock and the timers were looked at.
    pub(crate) polls: Counter,
    /// Timers that fired.
    pub(crate) timers: Counter,
    /// Machines that were woken with a processor.
    pub(crate) wakes: Counter,
}
