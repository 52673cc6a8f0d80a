//! Letting others run.
//!
//! With a processor, a yield goes behind everything that waits. Without one (*detached*: the
//! monitor took it), the green thread goes on alone on its machine, beside the processors, and a
//! yield is the kernel's: it has shown that it computes for long, and would only lose the next
//! processor again. It queues for a processor again when it parks, or once it has shown
//! [`SHORT_BURSTS`] short bursts in a row.

use super::enter::{Entered, current_green, enter};
use crate::green::Green;
use crate::machine::Post;
use crate::sys::clock::now_ns;
use std::ptr::NonNull;

/// How many short bursts in a row make a detached green thread an ordinary one again.
const SHORT_BURSTS: u32 = 8;
/// What a short burst is.
const SHORT_BURST_NS: u64 = 1_000_000;

/// Lets others run; on an OS thread, the kernel's yield.
///
/// # Switches
#[inline]
pub(crate) fn yield_now() {
    let Some(me) = current_green() else { return std::thread::yield_now() };
    let entered = enter(me);
    match entered.processor {
        Some(processor) => {
            if processor.queue.is_empty() && entered.is_alone() {
                return entered.leave();
            }
            entered.switch_away(me, Post::Requeue(NonNull::from(me))).leave();
        }
        None => yield_detached(entered, me),
    }
}

impl Entered<'_> {
    /// Whether there is nothing to yield to; counts as a turn, so that timers fire.
    #[inline]
    fn is_alone(&self) -> bool {
        let Some(processor) = self.processor else { return false };
        let tick = processor.next_tick();
        if tick.is_multiple_of(super::find::POLL_INTERVAL) {
            self.for_call().poll(processor);
        }
        processor.queue.is_empty() && self.shared.injectors.is_empty()
    }
}

#[cold]
fn yield_detached(entered: Entered<'_>, me: &'static Green) {
    let machine = entered.machine;
    let burst_ns = now_ns().saturating_sub(machine.burst_start_ns.get());
    let bursts = if burst_ns < SHORT_BURST_NS { machine.bursts.get() + 1 } else { 0 };
    machine.bursts.set(bursts);
    if bursts >= SHORT_BURSTS {
        return entered.switch_away(me, Post::Requeue(NonNull::from(me))).leave();
    }
    entered.leave();
    std::thread::yield_now();
    machine.burst_start_ns.set(now_ns());
}
