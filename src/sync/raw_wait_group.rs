//! The wait group: a count, and a queue.
//!
//! # Invariants
//! - **OverOnce**: the count never rises from 0: a member is made by a member, or by who has given
//!   its own up and finds others.
//! - **AllWoken**: who takes the count to 0 wakes all in the queue; who queues looks at the count
//!   under the queue's lock.
//!
//! Source: `crossbeam_utils::sync::WaitGroup`, for what it does.

use super::wait_queue::{End, Ended, WaitQueue, Wakes, constructor};
use crate::green::Reason;
use crate::primitive::atomic::{AtomicUsize, Ordering, mutant, ord};

/// The members, and who waits for them.
#[derive(Debug)]
pub(super) struct RawWaitGroup {
    members: AtomicUsize,
    queue: WaitQueue<()>,
}

impl RawWaitGroup {
    constructor! {
        /// One member.
        pub(super) fn one() -> Self {
            Self { members: AtomicUsize::new(1), queue: WaitQueue::new(()) }
        }
    }

    /// How many there are.
    pub(super) fn members(&self) -> usize {
        // ORDERING: Relaxed; a snapshot that promises nothing.
        self.members.load(Ordering::Relaxed)
    }

    /// One more, made by a member.
    pub(super) fn join(&self) {
        // ORDERING: Relaxed; the member that makes it is counted until later. No overflow: each
        // is a pointer in memory.
        self.members.fetch_add(1, Ordering::Relaxed);
    }

    /// One more, unless there is none; whether there is one now. If not, what the members did is
    /// visible.
    pub(super) fn join_unless_over(&self) -> bool {
        // ORDERING: Acquire; as in `is_over`, which this answers.
        let mut seen = self.members.load(ord!("wait_group.join", Acquire));
        while seen != 0 || mutant!("wait_group.revive") {
            let more = seen + 1;
            // ORDERING: Relaxed, for another member leaves last; Acquire on failure, as above.
            match self.members.compare_exchange_weak(
                seen,
                more,
                Ordering::Relaxed,
                Ordering::Acquire,
            ) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    /// One less; the last one wakes all that wait.
    pub(super) fn leave(&self) {
        // ORDERING: AcqRel; Release pairs with the Acquire in `is_over`, and in the decrements of
        // the others: the last one publishes what all did.
        if self.members.fetch_sub(1, ord!("wait_group.leave", AcqRel)) != 1 {
            return;
        }
        loop {
            let mut wakes = Wakes::none();
            let more = self.queue.with(|list| list.choose_while(&mut wakes, |()| true));
            wakes.wake();
            if !more {
                return;
            }
        }
    }

    /// Waits until there is no member, or until the deadline; whether there is none.
    ///
    /// # Switches
    pub(super) fn wait(&self, deadline_ns: Option<u64>) -> bool {
        if self.is_over() {
            return true;
        }
        let ended = self.queue.wait(
            Reason::WaitGroup,
            deadline_ns,
            |_| (!self.is_over() || mutant!("wait_group.validate")).then_some((End::Back, ())),
            || (),
            |_| (),
        );
        !matches!(ended, Ended::GaveUp(()))
    }

    fn is_over(&self) -> bool {
        // ORDERING: Acquire; pairs with the Release in `leave`; publishes what the members did.
        self.members.load(ord!("wait_group.is_over", Acquire)) == 0
    }
}
