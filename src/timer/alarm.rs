//! Sleeping until a deadline that others may bring forward.
//!
//! A machine that goes idle sleeps until the earliest deadline of all shelves. Whoever arms an
//! earlier timer meanwhile has to wake it, and nobody else should: a wake is a system call. The
//! [`Alarm`] is the one word on which both sides meet.
//!
//! | state | means | set by |
//! |---|---|---|
//! | `AWAKE` (0) | nobody sleeps, or somebody has been told to wake it | `rouse`, `must_wake` |
//! | *d* > 0 | a sleeper is committed to sleep until *d* (`u64::MAX`: for ever) | `commit` |
//!
//! Protocol
//! 1. The sleeper stores its deadline, executes a full fence, and reads the shelves' hints again
//!    (`commit`). Is one earlier, it does not sleep.
//! 2. The armer publishes its shelf's hint (`Shelf::arm`), executes a full fence, and reads the
//!    word (`must_wake`). Is a sleeper committed to a later deadline, the armer takes the word to
//!    `AWAKE`, and who succeeds in that wakes the sleeper.
//! 3. The sleeper, however it woke, takes the word to `AWAKE` (`rouse`) and goes round.
//!
//! **Invariants**
//! - *NoOversleep*: of two fences one is first. The armer's first: the sleeper's reading of the
//!   hints sees the new deadline. The sleeper's first: the armer's reading sees the sleeper.
//! - *OneWake*: a commitment is taken to `AWAKE` once, so at most one armer is told to wake. Those
//!   that come later need not: a roused sleeper passes the fence in `commit` before it sleeps
//!   again, and then sees their hints.
//!
//! A timer that is *not* the earliest of its shelf asks nothing: an earlier one is there, whose
//! armer has asked or is about to.

use crate::primitive::atomic::{AtomicU64, Ordering, mutant};
use crate::primitive::fence;

/// Nobody sleeps here.
const AWAKE: u64 = 0;

/// Until when a machine sleeps; see the module for its state table.
///
/// | field | who, when |
/// |---|---|
/// | `until` | stored by the one sleeper while it is `AWAKE`; taken to `AWAKE` by anybody |
#[derive(Debug)]
pub(crate) struct Alarm {
    until: AtomicU64,
}

/// How a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a wake that is on its way has to be consumed"]
pub(crate) enum Roused {
    /// By itself: no armer was told to wake this sleeper.
    Alone,
    /// An armer was told to wake it, whose wake has come or is on its way.
    ByArmer,
}

impl Alarm {
    /// An alarm on which nobody sleeps.
    pub(crate) fn new() -> Self {
        Self { until: AtomicU64::new(AWAKE) }
    }

    /// Commits the one sleeper to the earliest deadline that `next_deadline_ns` tells.
    ///
    /// `next_deadline_ns` reads the hints of all shelves; it is called twice. `Some(until)`: the
    /// sleeper may sleep until then, and calls [`rouse`](Self::rouse) when it wakes. `None`: the
    /// hints moved forward meanwhile and there is no commitment.
    #[inline]
    pub(crate) fn commit(&self, mut next_deadline_ns: impl FnMut() -> u64) -> Option<u64> {
        // Deadline 0 is as good as 1: both are past.
        let until = next_deadline_ns().max(AWAKE + 1);
        // ORDERING: Relaxed; pairs with the load in `must_wake`, through the fences.
        self.until.store(until, Ordering::Relaxed);
        if !mutant!("timer.alarm.commit_fence") {
            fence::full();
        }
        if mutant!("timer.alarm.commit_recheck") || next_deadline_ns() >= until {
            return Some(until);
        }
        // An armer that was told to wake us meanwhile sends one wake too many: the next sleep
        // ends at once, and the round after it is quiet again.
        let _ = self.rouse();
        None
    }

    /// Ends a commitment: the sleeper is awake, by whatever means.
    #[inline]
    pub(crate) fn rouse(&self) -> Roused {
        // ORDERING: Relaxed; an atomic exchange alone decides between us and `must_wake`. What
        // the armer did is seen through the fence of the next `commit`, or through the lock.
        match self.until.swap(AWAKE, Ordering::Relaxed) {
            _ if mutant!("timer.alarm.rouse") => Roused::Alone,
            AWAKE => Roused::ByArmer,
            _ => Roused::Alone,
        }
    }

    /// Whether the caller, who has just published `deadline_ns`, has to wake the sleeper.
    ///
    /// Exactly one caller is told so for each commitment to a later deadline.
    #[inline]
    pub(crate) fn must_wake(&self, deadline_ns: u64) -> bool {
        if !mutant!("timer.alarm.wake_fence") {
            fence::full();
        }
        // ORDERING: Relaxed; pairs with the store in `commit`, through the fences.
        let until = self.until.load(Ordering::Relaxed);
        deadline_ns < until && self.claim(deadline_ns, until)
    }

    /// Takes the commitment to `until` or to whatever has followed it, if that is later.
    #[cold]
    fn claim(&self, deadline_ns: u64, mut until: u64) -> bool {
        while deadline_ns < until {
            if mutant!("timer.alarm.claim") {
                // ORDERING: Relaxed; a mutant, never in a normal build.
                self.until.store(AWAKE, Ordering::Relaxed);
                return true;
            }
            // ORDERING: Relaxed; the exchange decides which armer wakes, and publishes nothing.
            let taken =
                self.until.compare_exchange(until, AWAKE, Ordering::Relaxed, Ordering::Relaxed);
            match taken {
                Ok(_) => return true,
                Err(now) => until = now,
            }
        }
        false
    }
}
