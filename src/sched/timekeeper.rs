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
//! - **Covered**: while all machines sleep, the word is at most the earliest deadline. Proof: the
//!   last to sleep has stored or found a *d* that is no later than the hints it read after a full
//!   fence (`cover`); timers are armed by machines that are awake, before they go to sleep
//!   themselves, or by threads that ask [`Timekeeper::must_wake`].

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
        let mut mine = None;
        loop {
            let deadline = earliest();
            // ORDERING: Relaxed; the exchange and the fence below decide.
            let covered = self.0.load(Ordering::Relaxed);
            if covered <= deadline {
                // Covered: by somebody else, by us, or because there is no deadline.
                return mine;
            }
            // ORDERING: Relaxed; the fence below orders it before the second look.
            let taken =
                self.0.compare_exchange(covered, deadline, Ordering::Relaxed, Ordering::Relaxed);
            if taken.is_ok() {
                mine = Some(deadline);
            }
            if !mutant!("timekeeper.cover.fence") {
                fence::full();
            }
        }
    }

    /// Gives a cover up: the sleeper woke.
    pub(crate) fn uncover(&self, deadline: Option<u64>) {
        if let Some(deadline) = deadline {
            // ORDERING: Relaxed; failing means that somebody took the cover over.
            let _ = self.0.compare_exchange(
                deadline,
                u64::MAX,
                // ORDERING: Relaxed; as above.
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
    }

    /// Whether a timer that was just armed for `deadline` is earlier than what is covered, so that
    /// the armer, if nobody else will look soon, has to wake a machine.
    pub(crate) fn must_wake(&self, deadline: u64) -> bool {
        if !mutant!("timekeeper.arm.fence") {
            fence::full();
        }
        // ORDERING: Relaxed; the fence above pairs with the one in `cover`.
        deadline < self.0.load(Ordering::Relaxed)
    }
}
