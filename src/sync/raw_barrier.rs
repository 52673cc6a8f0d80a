//! The barrier: everything under the queue's lock, since everybody who comes waits or wakes.
//!
//! Who comes counts itself; the last one is the leader, begins the next *generation*, and wakes
//! those of its own, in portions: who comes to the barrier again meanwhile is of the next one, and
//! stands behind. Who gives up at its deadline takes itself off the count, unless its generation
//! is complete and it only has not been woken yet: then it has passed.

use super::wait_queue::{End, Ended, WaitQueue, Wakes, constructor};
use crate::green::Reason;
use crate::primitive::atomic::mutant;
use std::cell::Cell;

/// A barrier whose size its callers know.
#[derive(Debug)]
pub(super) struct RawBarrier {
    /// Which generation each waiter is of.
    queue: WaitQueue<u64, State>,
}

/// What the queue's lock guards.
#[derive(Clone, Copy, Debug)]
struct State {
    /// How many of the present generation are here.
    arrived: usize,
    generation: u64,
}

/// Which of its generation a thread was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passed {
    /// The last to come.
    Leader,
    /// Another.
    Follower,
}

impl RawBarrier {
    constructor! {
        /// Nobody has come.
        pub(super) fn empty() -> Self {
            Self { queue: WaitQueue::new(State { arrived: 0, generation: 0 }) }
        }
    }

    /// How many have come and wait.
    #[cfg(all(test, loom))]
    pub(super) fn arrived(&self) -> usize {
        self.queue.with(|list| list.state.arrived)
    }

    /// Waits until `wanted` threads have come, or until the deadline: `None`.
    ///
    /// # Switches
    pub(super) fn wait(&self, wanted: usize, deadline_ns: Option<u64>) -> Option<Passed> {
        let generation = Cell::new(0);
        let ended = self.queue.wait(
            Reason::Barrier,
            deadline_ns,
            |list| {
                generation.set(list.state.generation);
                list.state.arrived += 1;
                if list.state.arrived < wanted {
                    return Some((End::Back, generation.get()));
                }
                list.state = State { arrived: 0, generation: generation.get() + 1 };
                None
            },
            || (),
            |list| {
                // The barrier may be open, and its leader not come to this one yet.
                let is_open = list.state.generation != generation.get();
                if is_open && !mutant!("barrier.open") {
                    return true;
                }
                list.state.arrived = list.state.arrived.wrapping_sub(1);
                false
            },
        );
        match ended {
            Ended::GaveUp(false) => None,
            Ended::GaveUp(true) | Ended::Chosen(_) => Some(Passed::Follower),
            Ended::Declined => {
                self.release(generation.get());
                Some(Passed::Leader)
            }
        }
    }

    /// Wakes those of a generation that is complete.
    fn release(&self, completed: u64) {
        loop {
            let mut wakes = Wakes::none();
            let may = |generation| generation <= completed;
            let more = self.queue.with(|list| list.choose_while(&mut wakes, may));
            wakes.wake();
            if !more {
                return;
            }
        }
    }
}
