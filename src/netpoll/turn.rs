//! Whose turn it is to ask a poller: one at a time.
//!
//! # State table
//! | value | means | leaves it |
//! |---|---|---|
//! | `FREE` | nobody asks | a machine about to sleep -> `ASLEEP`; a processor or the monitor -> `ASKED` |
//! | `ASKED` | somebody asks without waiting | it -> `FREE` |
//! | `ASLEEP` | a machine sleeps in it, or is about to, or has just woken | it -> `FREE` |
//!
//! # Invariants
//! - **OneTurn**: who has taken the turn is alone with what it guards, and sees what the one before
//!   has written.
//!
//! Who has to have it, and when, is in `sched/README.md`, section "Poller".

use crate::primitive::atomic::{AtomicU32, Ordering, mutant, ord};
use crate::primitive::fence;

const FREE: u32 = 0;
const ASKED: u32 = 1;
const ASLEEP: u32 = 2;

/// The word; see the module.
#[derive(Debug)]
pub(crate) struct TurnWord(AtomicU32);

impl TurnWord {
    /// Nobody's.
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(FREE))
    }

    /// Takes the turn to sleep.
    #[must_use]
    pub(crate) fn try_sleep(&self) -> bool {
        self.try_take(ASLEEP)
    }

    /// Takes the turn to ask without waiting.
    #[must_use]
    pub(crate) fn try_ask(&self) -> bool {
        self.try_take(ASKED)
    }

    fn try_take(&self, to: u32) -> bool {
        // ORDERING: Relaxed; a guess that the exchange checks. Who must not miss that it was given
        // back has fenced before (README, Poller).
        if self.0.load(Ordering::Relaxed) != FREE {
            return false;
        }
        let acquire = ord!("netpoll.turn.take", Acquire);
        // ORDERING: Acquire; pairs with the Release in `give`; publishes what the turn guards.
        self.0.compare_exchange(FREE, to, acquire, Ordering::Relaxed).is_ok()
    }

    /// Gives the turn back.
    pub(crate) fn give(&self) {
        // ORDERING: Release; pairs with the Acquire in `try_take`; publishes what it guards.
        self.0.store(FREE, ord!("netpoll.turn.give", Release));
    }

    /// Whether it is nobody's.
    #[inline(always)]
    pub(crate) fn is_free(&self) -> bool {
        // ORDERING: Relaxed; protocols fence before they ask.
        self.0.load(Ordering::Relaxed) == FREE
    }

    /// Whether it is nobody's, asked by one who has given it back and goes away: who has found it
    /// taken until then has made a processor idle before (README, Poller, step 5).
    pub(crate) fn is_left_alone(&self) -> bool {
        if !mutant!("netpoll.turn.left") {
            fence::full();
        }
        self.is_free()
    }

    /// Whether a machine sleeps in the poller; for models.
    #[cfg(all(test, loom))]
    pub(crate) fn is_asleep(&self) -> bool {
        // ORDERING: Relaxed; as above.
        self.0.load(Ordering::Relaxed) == ASLEEP
    }
}
