//! `Barrier`: everything under the queue's lock, since everybody who comes waits or wakes.
//!
//! Who comes counts itself; the last one is the leader, begins the next *generation*, and wakes
//! those of its own, in portions: who comes to the barrier again meanwhile is of the next one, and
//! stands behind. Who gives up at its deadline takes itself off the count.

use super::deadline;
use super::wait_queue::{End, Ended, WaitQueue, Wakes};
use crate::green::Reason;
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
///     threads.into_iter().filter(|_| true).map(|thread| thread.join().unwrap_or(false))
///         .filter(|is_leader| *is_leader).count()
/// });
/// assert_eq!(leaders, 1);
/// ```
pub struct Barrier {
    wanted: usize,
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
        Self { wanted: threads, queue: WaitQueue::new(State { arrived: 0, generation: 0 }) }
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
        let mut completed = 0;
        let ended = self.queue.wait(
            Reason::Barrier,
            deadline_ns,
            |list| {
                let generation = list.state.generation;
                list.state.arrived += 1;
                if list.state.arrived < self.wanted {
                    return Some((End::Back, generation));
                }
                list.state = State { arrived: 0, generation: generation + 1 };
                completed = generation;
                None
            },
            || (),
            |list| list.state.arrived -= 1,
        );
        match ended {
            Ended::GaveUp(()) => None,
            Ended::Chosen(_) => Some(BarrierWaitResult(false)),
            Ended::Declined => {
                self.release(completed);
                Some(BarrierWaitResult(true))
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

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier").field("threads", &self.wanted).finish_non_exhaustive()
    }
}
