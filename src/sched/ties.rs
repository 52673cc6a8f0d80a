//! How many machines are left for green threads that are not tied to one.
//!
//! A pinned green thread keeps its machine also while it waits. If all machines were kept so, and
//! the system had no thread for another one, nobody would run those it waits for. So each *tie* (a
//! green thread that has a machine of its own, or will have one when it first runs) is counted
//! against the threads, and the last one is not given away.
//!
//! # Word
//! `free` = machines that have a thread − ties. A machine that is kept is counted by the tie of its
//! green thread, which is made before the machine is kept and given back after: so at least `free`
//! machines are not kept.
//!
//! | step | `free` | if not |
//! |---|---|---|
//! | a machine got its thread | + 1 | |
//! | a machine that nobody needs ends its thread | − 1, if 2 or more | it stays |
//! | [`try_tie`](Ties::try_tie) | − 1, if 2 or more | the monitor starts a machine, or the tie is refused |
//! | [`tie_anyway`](Ties::tie_anyway): a signal mask cannot be refused | − 1 | |
//! | [`untie`](Ties::untie) | + 1 | |
//!
//! # Invariants
//! - **OneForAll**: from the first machine on `free` is at least 1, but for ties that could not be
//!   refused: each step that takes one is an exchange on one word, from 2 or more.

use crate::primitive::atomic::{AtomicI32, Ordering, mutant};

/// The word; see the module.
#[derive(Debug)]
pub(super) struct Ties(AtomicI32);

impl Ties {
    /// No machine, no tie.
    pub(super) fn new() -> Self {
        Self(AtomicI32::new(0))
    }

    /// A machine has got its thread.
    pub(super) fn note_started(&self) {
        // ORDERING: Relaxed; a count that guards no memory, here and below.
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one tie, if a machine is left for the others.
    #[must_use]
    pub(super) fn try_tie(&self) -> bool {
        if mutant!("ties.tie") {
            // ORDERING: Relaxed; as in `note_started`.
            return self.0.load(Ordering::Relaxed) >= 2 && self.tie_anyway();
        }
        self.take_one()
    }

    /// Counts one tie that cannot be refused; `true`.
    pub(super) fn tie_anyway(&self) -> bool {
        // ORDERING: Relaxed; as in `note_started`.
        self.0.fetch_sub(1, Ordering::Relaxed);
        true
    }

    /// Gives one tie back; its machine is no longer kept.
    pub(super) fn untie(&self) {
        // ORDERING: Relaxed; as in `note_started`.
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the caller, a machine that nobody needs, may end its thread; it must then.
    #[must_use]
    pub(super) fn may_end(&self) -> bool {
        if mutant!("ties.end") {
            return self.tie_anyway();
        }
        self.take_one()
    }

    /// Takes one of two or more.
    fn take_one(&self) -> bool {
        let one_less = |free: i32| (free >= 2).then(|| free - 1);
        // ORDERING: Relaxed; as in `note_started`.
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
    }

    /// How many machines are left; for models.
    #[cfg(all(test, loom))]
    pub(super) fn free(&self) -> i32 {
        // ORDERING: Relaxed; as in `note_started`.
        self.0.load(Ordering::Relaxed)
    }
}
