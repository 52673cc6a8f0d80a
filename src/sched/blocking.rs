//! Giving the processor up.

use super::enter::{current_green, enter};
use super::shared::Shared;
use crate::processor::Processor;

impl Shared {
    /// Passes on a processor that the caller holds and no longer wants.
    pub(super) fn release(&self, processor: &Processor) {
        if !processor.queue.is_empty() || self.has_work() {
            self.idle.force_searching();
            return self.grant(processor);
        }
        self.idle.retire(processor.index, false);
        self.see_to_idle();
    }

    /// After [`Idle::retire`](super::idle::Idle::retire) by a caller that does not go to sleep on
    /// the list of spare machines: looks at every source again, and at the earliest deadline,
    /// which somebody has to sleep until (README, Timekeeper), and at the poller, in which somebody
    /// has to sleep (README, Poller).
    fn see_to_idle(&self) {
        if self.has_work() || self.wants_sleeper() {
            self.wake_one();
        }
    }

    /// Whether the earliest deadline or the poller needs a machine that sleeps by it, and has none.
    pub(super) fn wants_sleeper(&self) -> bool {
        let earliest = self.next_deadline_ns();
        (earliest != u64::MAX && self.timekeeper.must_wake(earliest)) || self.is_poller_alone()
    }

    /// Monitor: empties the caches of idle processors, so that their stacks can be trimmed;
    /// whether there were any.
    pub(super) fn flush_idle(&self) -> bool {
        let claimed: Vec<u32> = std::iter::from_fn(|| self.idle.claim()).collect();
        for &index in &claimed {
            let processor = &self.processors[index as usize];
            processor.headers.flush();
            // SAFETY: claimed: the monitor holds the processor.
            unsafe { processor.stacks() }.flush();
        }
        for &index in &claimed {
            self.idle.retire(index, false);
        }
        // Who wanted to wake somebody meanwhile found no processor, and a machine that went to
        // sleep covered no deadline.
        self.see_to_idle();
        !claimed.is_empty()
    }
}

/// Runs `f`, having given the processor up: `f` may block its OS thread for as long as it likes.
///
/// Off green threads `f` is simply called.
pub(crate) fn blocking<T>(f: impl FnOnce() -> T) -> T {
    if let Some(me) = current_green() {
        let entered = enter(me);
        if let Some(processor) = entered.processor {
            entered.machine.detach();
            entered.machine.bursts.set(0);
            entered.machine.burst_start_ns.set(processor.clock_ns());
            entered.shared.release(processor);
        }
        entered.leave();
    }
    f()
}
