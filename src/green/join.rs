//! The join word: who is finished, who waits for it, who drops the result, who frees the header.
//!
//! # Layout and state table
//! | bit | name | set by | means |
//! |---|---|---|---|
//! | 0 | `FINISHED` | the post-switch action of the exit | off its stack for good; the result may be taken |
//! | 1 | `RESULT` | the green thread | a result that needs dropping lies in the stage |
//! | 2 | `JOINER` | the joiner | a wait token lies in the joiner's slot |
//! | 3 | `DETACHED` | the drop of the join handle | nobody will take the result |
//! | 8.. | references | | the thread itself, its join handle, each `Thread` handle |
//!
//! # Invariants
//! - **OneDrop**: a result is taken by the joiner, or dropped by whoever of {the green thread on
//!   `RESULT`, the handle on `DETACHED`} sets its bit second.
//! - **OneFree**: the header goes back to the arena by whoever takes the references to zero.
//! - **JoinAfterExit**: `FINISHED` is set after the stack and the block of thread-locals have been
//!   given up, so a joiner that returns knows that all thread-local destructors have run.
//!
//! # Ordering
//! Each RMW is AcqRel: what a party wrote to the stage or the joiner's slot before it sets its bit
//! is seen by the party that finds the bit.

use crate::primitive::atomic::{AtomicU64, Ordering, ord};

const FINISHED: u64 = 1 << 0;
const RESULT: u64 = 1 << 1;
const JOINER: u64 = 1 << 2;
const DETACHED: u64 = 1 << 3;
const ONE: u64 = 1 << 8;

/// What the exit must do after it has set `FINISHED`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct Finished {
    /// A joiner's token lies in its slot: wake it.
    pub(crate) wake_joiner: bool,
    /// The thread's own reference was the last one: free the header.
    pub(crate) free: bool,
}

/// Whether the joiner has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Announce {
    /// The token is in place: the exit will claim the wait.
    Wait,
    /// Finished already: the result is there.
    Done,
}

/// The word; see the module.
#[derive(Debug)]
pub(crate) struct JoinWord(AtomicU64);

impl JoinWord {
    /// The word of a free header.
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Starts a life with `references` owners, before the header is shared.
    #[inline(always)]
    pub(crate) fn reset(&self, references: u64) {
        // ORDERING: Relaxed; the header is not shared yet; the queue that takes it publishes it.
        self.0.store(references * ONE, Ordering::Relaxed);
    }

    /// The green thread has left a result that needs dropping; `true`: nobody will take it, the
    /// caller drops it.
    #[must_use]
    pub(crate) fn set_result(&self) -> bool {
        // ORDERING: AcqRel; pairs with itself in `detach`; publishes the stage either way.
        self.0.fetch_or(RESULT, ord!("join.result", AcqRel)) & DETACHED != 0
    }

    /// The join handle is dropped; `true`: the result is there and the caller drops it.
    #[must_use]
    pub(crate) fn detach(&self) -> bool {
        // ORDERING: AcqRel; pairs with itself in `set_result`; publishes the stage either way.
        self.0.fetch_or(DETACHED, ord!("join.detach", AcqRel)) & RESULT != 0
    }

    /// The joiner's token is in its slot; waits or not.
    pub(crate) fn announce_joiner(&self) -> Announce {
        // ORDERING: AcqRel; Release publishes the token to `finish`, Acquire takes the stage.
        let before = self.0.fetch_or(JOINER, ord!("join.announce", AcqRel));
        if before & FINISHED != 0 { Announce::Done } else { Announce::Wait }
    }

    /// The exit is complete: sets `FINISHED` and gives up the thread's own reference, in one step,
    /// because the header may be gone right after it.
    #[inline(always)]
    pub(crate) fn finish(&self) -> Finished {
        // ORDERING: AcqRel; Release publishes the stage to the joiner (Acquire in `is_finished`,
        // `announce_joiner`), Acquire takes the joiner's token.
        let before = self.0.fetch_add(FINISHED.wrapping_sub(ONE), ord!("join.finish", AcqRel));
        Finished { wake_joiner: before & JOINER != 0, free: before >> 8 == 1 }
    }

    /// Whether the thread has finished; then the stage may be read.
    #[inline(always)]
    pub(crate) fn is_finished(&self) -> bool {
        // ORDERING: Acquire; pairs with the Release in `finish`; publishes the stage.
        self.0.load(ord!("join.is_finished", Acquire)) & FINISHED != 0
    }

    /// One more owner; the caller has one already.
    #[inline(always)]
    pub(crate) fn retain(&self) {
        // ORDERING: Relaxed; a new reference is made from one that exists.
        self.0.fetch_add(ONE, Ordering::Relaxed);
    }

    /// One owner less; `true`: it was the last, the caller frees the header.
    #[inline(always)]
    #[must_use]
    pub(crate) fn release(&self) -> bool {
        // ORDERING: Acquire; pairs with the Release halves below and in `finish`: with one
        // reference left nobody else can touch the word, and no RMW is needed.
        if self.0.load(Ordering::Acquire) >> 8 == 1 {
            return true;
        }
        // ORDERING: AcqRel; Release orders this owner's uses before the free, Acquire takes all
        // other owners' uses.
        self.0.fetch_sub(ONE, ord!("join.release", AcqRel)) >> 8 == 1
    }

    /// A reference for an observer that has none: fails once the count is zero.
    #[must_use]
    pub(crate) fn try_retain(&self) -> bool {
        // ORDERING: Relaxed; the exchange decides.
        let mut seen = self.0.load(Ordering::Relaxed);
        while seen >> 8 != 0 {
            // ORDERING: Acquire; pairs with the publication of the header by its spawner.
            match self.0.compare_exchange_weak(
                seen,
                seen + ONE,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }
}
