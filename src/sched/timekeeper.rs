//! Who sleeps until when: one idle machine covers the earliest deadline.
//!
//! A machine that goes to sleep looks at the earliest deadline of all shelves. If nobody sleeps
//! until then or earlier, it *covers* it: it sleeps with that deadline, and all later sleepers
//! may sleep without one. A machine that finds an earlier deadline takes the cover over without
//! waking the old holder: that one wakes once for nothing, at its own deadline.
//!
//! A processor in use looks at its own shelf every few turns, and the monitor looks at all of
//! them at each of its ticks, so a cover is only needed while machines sleep.
//!
//! # State table
//! | value | means |
//! |---|---|
//! | `u64::MAX` | no sleeper has a deadline |
//! | *d* | some sleeper wakes at *d* |
//!
//! # Invariants
//! - **Covered**: while all machines sleep, some sleeper wakes no later than the earliest
//!   deadline. The proof is in `README.md` of this directory, section "Timekeeper".

use crate::primitive::atomic::{AtomicU64, Ordering, mutant};
use crate::primitive::fence;

/// The word; see the module.
#[derive(Debug)]
pub(crate) struct Timekeeper(AtomicU64);

impl Timekeeper {
    /// No cover.
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }

    /// Covers the earliest deadline that `earliest` tells, unless somebody else does. The
    /// deadline the caller has to sleep with.
    pub(crate) fn cover(&self, mut earliest: impl FnMut() -> u64) -> Option<u64> {
        loop {
            let deadline = earliest();
            // ORDERING: Relaxed; the exchange below decides, and `uncover` fences.
            let covered = self.0.load(Ordering::Relaxed);
            if covered <= deadline {
                // Covered by somebody else, or there is no deadline.
                return None;
            }
            // ORDERING: Relaxed; an armer of an earlier deadline reads a later one from this word
            // before the exchange as well as after it, and wakes somebody.
            let taken =
                self.0.compare_exchange(covered, deadline, Ordering::Relaxed, Ordering::Relaxed);
            if taken.is_ok() {
                return Some(deadline);
            }
        }
    }

    /// Gives a cover up: the sleeper woke. Returns after a full fence: the caller now looks at who
    /// is idle, and before it sleeps again at the deadlines.
    pub(crate) fn uncover(&self, deadline: Option<u64>) {
        let Some(deadline) = deadline else { return };
        // ORDERING: Relaxed; the fence below orders it. Failing means that somebody took the cover
        // over.
        let relaxed = Ordering::Relaxed;
        // ORDERING: as above.
        let _ = self.0.compare_exchange(deadline, u64::MAX, relaxed, relaxed);
        if !mutant!("timekeeper.uncover.fence") {
            fence::full();
        }
    }

    /// Whether a timer that was just armed for `deadline` is earlier than what is covered, so that
    /// the armer, if nobody else will look soon, has to wake a machine.
    pub(crate) fn must_wake(&self, deadline: u64) -> bool {
        if !mutant!("timekeeper.arm.fence") {
            fence::full();
        }
        // ORDERING: Relaxed; the fence above pairs with the one in `uncover`.
        deadline < self.0.load(Ordering::Relaxed)
    }
}
