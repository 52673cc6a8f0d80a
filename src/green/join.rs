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
//! - **SlotLives**: the exit reads the joiner's slot while it still has a reference, and a joiner
//!   writes it only while `JOINER` is not set and `FINISHED` was not set when it cleared `JOINER`.
//! - **JoinAfterExit**: `FINISHED` is set after the stack and the block of thread-locals have been
//!   given up, so a joiner that returns knows that all thread-local destructors have run.
//!
//! # Ordering
//! Each RMW is AcqRel: what a party wrote to the stage or the joiner's slot before it sets its bit
//! is seen by the party that finds the bit.

use crate::primitive::atomic::{AtomicU64, Ordering, mutant, ord};

const FINISHED: u64 = 1 << 0;
const RESULT: u64 = 1 << 1;
const JOINER: u64 = 1 << 2;
const DETACHED: u64 = 1 << 3;
const ONE: u64 = 1 << 8;

/// What the exit must do after it has set `FINISHED`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Finished {
    /// Nothing: the thread's own reference is given up, others are left.
    Done,
    /// The thread's own reference was the last one: free the header.
    Free,
    /// A joiner's token lies in its slot, and the thread still has its own reference: copy the
    /// token, give the reference up by [`JoinWord::release`], claim the token.
    WakeJoiner,
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

    /// Starts a life with `references` owners, when all other fields of the header are written.
    #[inline(always)]
    pub(crate) fn reset(&self, references: u64) {
        // ORDERING: Release; pairs with the Acquire in `try_retain`; publishes the header's
        // constant fields to an observer. Others get them through the queue.
        self.0.store(references * ONE, ord!("join.reset", Release));
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

    /// The joiner stops waiting, because its deadline passed or it was cancelled. `Wait`: its slot
    /// is its own again. `Done`: finished meanwhile; the exit may be reading the slot, which the
    /// joiner therefore leaves alone from here on.
    pub(crate) fn retract_joiner(&self) -> Announce {
        // ORDERING: AcqRel; Acquire pairs with the Release in `finish`; publishes the stage.
        let before = self.0.fetch_and(!JOINER, ord!("join.retract", AcqRel));
        if before & FINISHED != 0 { Announce::Done } else { Announce::Wait }
    }

    /// The exit is complete: sets `FINISHED`, and gives up the thread's own reference in the same
    /// step, because the header may be gone right after it.
    ///
    /// With a joiner the reference is kept until its token has been read: a joiner whose deadline
    /// passes at this moment sees `FINISHED` and frees the header, and with it the slot.
    #[inline(always)]
    pub(crate) fn finish(&self) -> Finished {
        // ORDERING: Relaxed; a guess that the exchange below checks.
        let seen = self.0.load(Ordering::Relaxed);
        if seen & JOINER == 0 {
            let next = seen.wrapping_add(FINISHED.wrapping_sub(ONE));
            // ORDERING: AcqRel; Release publishes the stage to whoever reads `FINISHED` by
            // Acquire, Acquire takes all other owners' uses.
            let acq_rel = ord!("join.finish", AcqRel);
            // ORDERING: `acq_rel` as said above; Relaxed on failure: the slow path looks again.
            if self.0.compare_exchange(seen, next, acq_rel, Ordering::Relaxed).is_ok() {
                return if seen >> 8 == 1 { Finished::Free } else { Finished::Done };
            }
        }
        self.finish_slow()
    }

    /// Somebody joins, or has just let go or taken hold of the header.
    #[cold]
    #[inline(never)]
    fn finish_slow(&self) -> Finished {
        // ORDERING: AcqRel; Release publishes the stage to whoever reads `FINISHED` by Acquire,
        // Acquire pairs with the Release in `announce_joiner`; publishes the token.
        let before = self.0.fetch_or(FINISHED, ord!("join.finish_slow", AcqRel));
        if before & JOINER != 0 {
            Finished::WakeJoiner
        } else if self.release() {
            Finished::Free
        } else {
            Finished::Done
        }
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
        // NOTE: a load that reads one reference does not spare the RMW: `try_retain` may be about
        // to make it two.
        if mutant!("join.release.last") && self.0.load(Ordering::Acquire) >> 8 == 1 {
            return true;
        }
        // ORDERING: AcqRel; Release orders this owner's uses before the free, Acquire takes all
        // other owners' uses.
        self.0.fetch_sub(ONE, ord!("join.release", AcqRel)) >> 8 == 1
    }

    /// A reference for an observer that has none: fails once the count is zero. The header may have
    /// started another life since the observer found it: it looks at the id afterwards.
    #[must_use]
    pub(crate) fn try_retain(&self) -> bool {
        // ORDERING: Relaxed; the exchange decides.
        let mut seen = self.0.load(Ordering::Relaxed);
        while seen >> 8 != 0 {
            // ORDERING: Acquire; pairs with the Release in `reset`; publishes the header.
            let acquire = ord!("join.try_retain", Acquire);
            // ORDERING: `acquire` as said above; Relaxed on failure: the value is checked again.
            match self.0.compare_exchange_weak(seen, seen + ONE, acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }
}
