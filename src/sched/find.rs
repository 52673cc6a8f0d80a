//! Where the next green thread comes from, in order.
//!
//! | # | source | on a green thread's stack | on the machine's |
//! |---|---|---|---|
//! | 1 | due timers, every [`POLL_INTERVAL`] turns | yes | yes, always |
//! | 2 | the injectors, every [`FAIRNESS_INTERVAL`] turns | yes | yes |
//! | 3 | the oldest fresh one, every `OLDEST_INTERVAL_NS` | asks for the root | yes |
//! | 4 | urgent lane, next slot, ready and fresh by turns, each from its injector when empty | yes | yes |
//! | 5 | due timers of others; half of another's queue | – | while searching |
//! | 6 | another's next slot, once it is old | – | while searching |
//!
//! Stealing pins crossbeam-epoch, which keeps a record in thread-locals: so it happens on the
//! machine's own stack and thread pointer only.

use super::enter::Entered;
use crate::arch;
use crate::green::Green;
use crate::green::wait::{Claim, Outcome};
use crate::own_tls;
use crate::processor::Processor;
use crate::processor::run_queue::Runnable;
use crate::sys::clock::now_ns;
use std::ptr::NonNull;

/// Every so many turns the clock is read and due timers fire.
pub(crate) const POLL_INTERVAL: u32 = 16;
/// Every so many turns the injector goes first: Go's 61, a prime.
pub(crate) const FAIRNESS_INTERVAL: u32 = 61;
/// How often a searching machine looks at every victim.
const STEAL_ROUNDS: u32 = 4;

impl Entered<'_> {
    /// The next green thread of this processor; on any stack. `None`: ask the root.
    #[inline(always)]
    pub(super) fn next_local(&self, processor: &Processor) -> Option<NonNull<Green>> {
        let tick = processor.next_tick();
        if tick.is_multiple_of(POLL_INTERVAL) {
            self.for_call().poll(processor);
        }
        if tick.is_multiple_of(FAIRNESS_INTERVAL)
            && !self.shared.injectors.is_empty()
            && let Some(green) = self.shared.injectors.take_one()
        {
            return self.runnable_here(green.0);
        }
        if processor.is_oldest_due() {
            return None;
        }
        let green = self.take(processor)?;
        self.look_ahead(processor);
        self.runnable_here(green.0)
    }

    /// Asks for the lines of the cache that the switches after this one will touch: of the next
    /// in the backlog all of them, of the one behind it the header that says where they are.
    /// Where nothing is kept there is nothing to know: a deque does not say what it will give.
    #[inline(always)]
    fn look_ahead(&self, processor: &Processor) {
        let (ready, fresh) = processor.queue.upcoming();
        if let Some(next) = ready {
            // SAFETY: it is in the backlog, so the right to run it is the holder's (OwnerLinks).
            let next = unsafe { next.as_ref() };
            if let Some(behind) = next.link.get() {
                arch::prefetch(behind.addr().get());
            }
            // SAFETY: nobody resumes it but the holder, who is here.
            unsafe { &*next.context.get() }.prefetch();
            let thread_pointer = next.thread_pointer.get();
            own_tls::prefetch(thread_pointer);
            arch::prefetch(thread_pointer.wrapping_add_signed(self.shared.tls_offset));
        }
        if let Some(next) = fresh {
            let address = next.addr().get();
            [0, 64, 128].into_iter().for_each(|line| arch::prefetch(address + line));
        }
    }

    /// Filters out what only the root can run: a green thread pinned to another machine.
    #[inline(always)]
    fn runnable_here(&self, green: NonNull<Green>) -> Option<NonNull<Green>> {
        // SAFETY: it was popped, so this machine owns the right to run it.
        if unsafe { green.as_ref() }.is_pinned() {
            self.machine.pending.set(Some(green));
            return None;
        }
        Some(green)
    }

    /// The next green thread, on the machine's own stack; `searching` says whether the machine
    /// counts as searching, and is updated.
    pub(super) fn find(
        &self,
        processor: &Processor,
        searching: &mut bool,
    ) -> Option<NonNull<Green>> {
        if let Some(green) = self.machine.pending.take() {
            return Some(green);
        }
        let tick = processor.next_tick();
        self.poll(processor);
        if tick.is_multiple_of(FAIRNESS_INTERVAL)
            && let Some(green) = self.shared.injectors.take_one()
        {
            return Some(green.0);
        }
        if processor.is_oldest_due() {
            processor.serve_oldest();
            let kept = processor.queue.pop_oldest_fresh();
            if let Some(green) = kept.or_else(|| processor.thief.steal_oldest_fresh()) {
                return Some(green.0);
            }
        }
        if let Some(green) = self.take(processor) {
            return Some(green.0);
        }
        if !*searching {
            *searching = self.shared.idle.start_searching();
        }
        if *searching { self.steal(processor) } else { None }
    }

    /// Reads the clock, fires due timers of this processor and of nobody, and asks the poller.
    #[inline]
    pub(super) fn poll(&self, processor: &Processor) {
        let now_ns = now_ns();
        processor.set_clock_ns(now_ns);
        processor.counters.polls.bump();
        for shelf in [&processor.timers, &self.shared.timers] {
            if shelf.next_deadline_ns() <= now_ns {
                self.expire(processor, shelf, now_ns);
            }
        }
        self.ask_poller_in_turn(processor, now_ns);
    }

    /// Fires what is due on a shelf.
    #[cold]
    fn expire(
        &self,
        processor: &Processor,
        shelf: &crate::timer::Shelf<crate::green::Token>,
        now_ns: u64,
    ) {
        shelf.expire(now_ns, |token| {
            processor.counters.timers.bump();
            if token.claim(Outcome::Deadline) == Claim::Resume {
                self.ready_urgently(token.green);
            }
        });
    }

    /// The next one of the processor's own queues, each refilled from its injector when empty.
    #[inline(always)]
    fn take(&self, processor: &Processor) -> Option<Runnable<Green>> {
        let green = processor.queue.pop(|line, into| self.shared.injectors.take_batch(line, into));
        if processor.queue.take_restocked()
            && let Some((_, holding)) = self.held()
            && self.shared.idle.should_wake(holding)
        {
            self.shared.wake_one();
        }
        green
    }

    /// Fires the timers of other processors that were due when the clock was last read.
    ///
    /// Before their queues: while a holder computes, nobody else looks at its timers, and a thief
    /// that finds something to steal each time would never come to them.
    fn fire_others(&self, processor: &Processor) -> Option<NonNull<Green>> {
        let now_ns = processor.clock_ns();
        for other in &self.shared.processors {
            if !std::ptr::eq(other, processor) && other.timers.next_deadline_ns() <= now_ns {
                self.expire(processor, &other.timers, now_ns);
            }
        }
        self.take(processor).map(|green| green.0)
    }

    /// Looks at every other processor, a few times, in random order.
    fn steal(&self, processor: &Processor) -> Option<NonNull<Green>> {
        if let Some(green) = self.fire_others(processor) {
            return Some(green);
        }
        let count = self.shared.processors.len();
        for round in 0..STEAL_ROUNDS {
            let start = self.machine.random() as usize % count;
            for offset in 0..count {
                let victim = &self.shared.processors[(start + offset) % count];
                if std::ptr::eq(victim, processor) {
                    continue;
                }
                if let Some(green) = victim.thief.steal_half(&processor.queue) {
                    processor.counters.steals.bump();
                    return Some(green.0);
                }
                if let Some(green) = self.steal_late(processor, victim, round) {
                    return Some(green);
                }
            }
            if let Some(green) = self.take(processor) {
                return Some(green.0);
            }
            std::hint::spin_loop();
        }
        None
    }

    /// What is only taken from a victim in the last round: due timers, an old next slot.
    fn steal_late(
        &self,
        processor: &Processor,
        victim: &Processor,
        round: u32,
    ) -> Option<NonNull<Green>> {
        if round + 1 != STEAL_ROUNDS {
            return None;
        }
        let now_ns = now_ns();
        if victim.timers.next_deadline_ns() <= now_ns {
            self.expire(processor, &victim.timers, now_ns);
            if let Some(green) = self.take(processor) {
                return Some(green.0);
            }
        }
        let green = victim.thief.steal_next(now_ns)?;
        processor.counters.steals.bump();
        Some(green.0)
    }
}
