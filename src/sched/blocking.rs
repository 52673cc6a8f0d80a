//! Giving the processor up, and machines of one's own.

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
        if self.has_work() {
            self.wake_one();
        }
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

/// Ties the running green thread to the OS thread it is on, until [`unpin`]; nests. `false` off
/// green threads, where there is nothing to tie.
pub(crate) fn pin() -> bool {
    let Some(me) = current_green() else { return false };
    let entered = enter(me);
    let pins = me.pins.get();
    me.pins.set(pins + 1);
    if me.pinned_to.get().is_null() {
        me.pinned_to.set(std::ptr::from_ref(entered.machine).cast());
        entered.machine.locked.set(Some(std::ptr::NonNull::from(me)));
    }
    entered.leave();
    true
}

/// Ends one [`pin`].
pub(crate) fn unpin() {
    let Some(me) = current_green() else { return };
    let entered = enter(me);
    let pins = me.pins.get() - 1;
    me.pins.set(pins);
    if pins == 0 {
        me.pinned_to.set(std::ptr::null());
        entered.machine.locked.set(None);
    }
    entered.leave();
}
