//! The once: a word, and a queue of those who wait for its end.
//!
//! # State table
//! | word | means | goes to |
//! |---|---|---|
//! | `INCOMPLETE` | nobody has begun | `RUNNING` by exchange |
//! | `RUNNING` | one thread initialises | `COMPLETE` or `POISONED`, by that thread |
//! | `POISONED` | the last one panicked | `RUNNING` by exchange, by who does not mind |
//! | `COMPLETE` | done, for ever | |
//!
//! # Invariants
//! - **OneRuns**: `RUNNING` is entered by exchange and left by who entered it.
//! - **AllWoken**: who ends a run takes the queue's lock after it has changed the word, and wakes
//!   all it finds; who queues looks at the word under the lock.
//!
//! Each run's end starts a new *epoch*: a waiter that is woken and waits again, for the next run,
//! is not woken by the same end twice.
//!
//! Source: `std::sync::Once`.

use super::wait_queue::{End, Ended, WaitQueue, Wakes, constructor};
use crate::green::Reason;
use crate::primitive::atomic::{AtomicU32, Ordering, mutant, ord};

/// Where a once is: the values of the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Stage {
    Incomplete = 0,
    Running = 1,
    Poisoned = 2,
    Complete = 3,
}

/// A once that knows no closure.
#[derive(Debug)]
pub(super) struct RawOnce {
    word: AtomicU32,
    /// In which epoch each waiter has queued; and the present one.
    queue: WaitQueue<u64, u64>,
}

/// What a thread that comes to a once is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// It runs, and ends the run; whether the last run has panicked.
    Run {
        after_panic: bool,
    },
    Done,
    Poisoned,
}

impl RawOnce {
    constructor! {
        /// Nobody has begun.
        pub(super) fn incomplete() -> Self {
            Self { word: AtomicU32::new(Stage::Incomplete as u32), queue: WaitQueue::new(0) }
        }
    }

    /// Whether it is done: then what was initialised is visible.
    #[inline]
    pub(super) fn is_complete(&self) -> bool {
        // ORDERING: Acquire; pairs with the Release in `end`; publishes what was initialised.
        self.word.load(ord!("once.is_complete", Acquire)) == Stage::Complete as u32
    }

    /// Where it is.
    pub(super) fn stage(&self) -> Stage {
        // ORDERING: Acquire; as in `is_complete`.
        match self.word.load(ord!("once.stage", Acquire)) {
            0 => Stage::Incomplete,
            1 => Stage::Running,
            2 => Stage::Poisoned,
            _ => Stage::Complete,
        }
    }

    /// Goes from `from` to running; whether the caller now is the one that runs.
    fn begin(&self, from: Stage) -> bool {
        let running = Stage::Running as u32;
        let acquire = ord!("once.begin", Acquire);
        // ORDERING: `acquire` pairs with the Release in `end`: what a run that panicked has left
        // behind is seen by the next. Relaxed on failure: the word is looked at again.
        let begun = self.word.compare_exchange(from as u32, running, acquire, Ordering::Relaxed);
        begun.is_ok()
    }

    /// Ends the run of the caller, and wakes all that wait.
    pub(super) fn end(&self, stage: Stage) {
        // ORDERING: Release; pairs with the Acquire in `is_complete` and `stage`; publishes what
        // was initialised.
        self.word.store(stage as u32, ord!("once.end", Release));
        let end = self.queue.with(|list| {
            list.state += 1;
            list.state
        });
        loop {
            let mut wakes = Wakes::none();
            let more = self.queue.with(|list| list.choose_while(&mut wakes, |epoch| epoch < end));
            wakes.wake();
            if !more {
                return;
            }
        }
    }

    /// Lets the caller run, or waits until there is nothing to run.
    ///
    /// # Switches
    pub(super) fn enter(&self, minds_poison: bool) -> Entry {
        loop {
            let stage = self.stage();
            match stage {
                Stage::Complete => return Entry::Done,
                Stage::Poisoned if minds_poison => return Entry::Poisoned,
                Stage::Running => {
                    self.wait(stage, None);
                }
                Stage::Incomplete | Stage::Poisoned if self.begin(stage) => {
                    return Entry::Run { after_panic: stage == Stage::Poisoned };
                }
                Stage::Incomplete | Stage::Poisoned => {}
            }
        }
    }

    /// Waits until it is done, or poisoned if the caller minds that, or until the deadline.
    ///
    /// # Switches
    pub(super) fn wait_for_end(
        &self,
        minds_poison: bool,
        deadline_ns: Option<u64>,
    ) -> Option<Stage> {
        loop {
            match self.stage() {
                Stage::Complete => return Some(Stage::Complete),
                Stage::Poisoned if minds_poison => return Some(Stage::Poisoned),
                stage if self.wait(stage, deadline_ns) => {}
                // It may have ended without having come to this waiter yet.
                _ if self.is_complete() => return Some(Stage::Complete),
                _ => return None,
            }
        }
    }

    /// Waits until `from` is no longer the stage, or until the deadline; `false` at the deadline.
    ///
    /// # Switches
    fn wait(&self, from: Stage, deadline_ns: Option<u64>) -> bool {
        let ended = self.queue.wait(
            Reason::Once,
            deadline_ns,
            |list| {
                let is_over = self.stage() != from && !mutant!("once.validate");
                (!is_over).then_some((End::Back, list.state))
            },
            || (),
            |_| (),
        );
        !matches!(ended, Ended::GaveUp(()))
    }
}
