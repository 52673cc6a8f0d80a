//! The permit of `park` and `unpark`: a token that is given at most once and waits to be taken.
//!
//! # State table
//! | bits 0..2 | bits 2..64 | means | leaves it |
//! |---|---|---|---|
//! | `EMPTY` | 0 | no token, nobody parked | owner -> `PARKED`; unpark -> `TOKEN` |
//! | `TOKEN` | 0 | a token lies here | owner -> `EMPTY` |
//! | `PARKED` | sequence number | the owner waits in that episode | unpark -> `TOKEN`, and claims the episode; owner -> `EMPTY` at its deadline |
//!
//! # Invariants
//! - **NotLost**: an `unpark` before the `park` makes the `park` return at once.
//! - **AtMostOne**: many `unpark`s before one `park` are one.

use super::wait::Sequence;
use crate::primitive::atomic::{AtomicU64, Ordering, ord};

const EMPTY: u64 = 0;
const TOKEN: u64 = 1;
const PARKED: u64 = 2;
const BITS: u32 = 2;

/// The word; see the module.
#[derive(Debug)]
pub(crate) struct Permit(AtomicU64);

impl Permit {
    /// No token.
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(EMPTY))
    }

    /// Forgets a token: before the header starts another life.
    pub(crate) fn reset(&self) {
        // ORDERING: Relaxed; the header is not shared yet.
        self.0.store(EMPTY, Ordering::Relaxed);
    }

    /// Takes the token if there is one.
    #[must_use]
    pub(crate) fn take(&self) -> bool {
        // ORDERING: Acquire; pairs with the Release in `give`: what the unparker wrote is seen.
        let acquire = ord!("permit.take", Acquire);
        // ORDERING: `acquire` as said above; Relaxed on failure: nothing was taken.
        self.0.compare_exchange(TOKEN, EMPTY, acquire, Ordering::Relaxed).is_ok()
    }

    /// Announces that the owner waits in episode `sequence`; `false`: a token came first and has
    /// been taken, there is nothing to wait for.
    #[must_use]
    pub(crate) fn announce(&self, sequence: Sequence) -> bool {
        let parked = sequence.get() << BITS | PARKED;
        // ORDERING: Release; pairs with the Acquire in `give`; publishes the open episode.
        let release = ord!("permit.announce", Release);
        // ORDERING: `release` as said above; Relaxed on failure: `take` below acquires.
        if self.0.compare_exchange(EMPTY, parked, release, Ordering::Relaxed).is_ok() {
            return true;
        }
        let _ = self.take();
        false
    }

    /// The owner is back: takes whatever token was given meanwhile.
    pub(crate) fn retract(&self) {
        // ORDERING: Acquire; pairs with the Release in `give`: what the unparker wrote is seen.
        self.0.swap(EMPTY, ord!("permit.retract", Acquire));
    }

    /// Gives the token; the episode to claim, if the owner waits in one.
    #[must_use]
    pub(crate) fn give(&self) -> Option<Sequence> {
        // ORDERING: AcqRel; Release pairs with `take` and `retract`, Acquire with `announce`.
        let before = self.0.swap(TOKEN, ord!("permit.give", AcqRel));
        (before & ((1 << BITS) - 1) == PARKED).then(|| Sequence::from_raw(before >> BITS))
    }
}
