//! The wait word: one wait, at most one wake.
//!
//! Every blocking operation of the crate is an *episode*: the thread announces it, tells the
//! wakers where to find it, leaves its stack, and is resumed by exactly one of the wakers that
//! race for it (the operation's partner, a deadline, a cancellation). An episode is named by a
//! sequence number that never repeats within a header, and headers are type-stable, so a waker
//! that comes late, even to a header that by now belongs to another green thread, loses and does
//! nothing (Inv. OneWake).
//!
//! # State table
//! Bits 0..3 are the status, bits 3..64 the sequence number.
//!
//! | status | means | goes to |
//! |---|---|---|
//! | `RUNNING` | no episode is open | `WAITING` by the owner ([`WaitWord::begin`]) |
//! | `WAITING` | announced; the owner is still on its stack | `PARKED` by the post-switch action ([`WaitWord::commit`]); `ASLEEP` by an OS thread; an outcome by a waker |
//! | `PARKED` | off its stack, its context is saved | an outcome by a waker, who then owns the resumption |
//! | `ASLEEP` | an OS thread that sleeps in the kernel, or is about to | an outcome by a waker, who then owns nothing |
//! | `WOKEN`, `DEADLINE`, `CANCELLED` | an outcome: a waker has claimed the episode | `RUNNING` by the owner ([`WaitWord::finish`]) |
//!
//! # Invariants
//! - **OneWake**: of all claims on one sequence number exactly one succeeds.
//! - **SavedBeforeResumed**: a claim answers [`Claim::Resume`] only after the commit, which comes
//!   after the owner's context was saved; so nobody resumes a half-saved context.
//!
//! # Ordering
//! `commit` releases the saved context to the `claim` that reads `PARKED` (acquire). `claim`
//! releases everything the waker wrote before it to the owner, who acquires it in `finish`. The
//! announcement itself may be relaxed: a waker learns the sequence number only through something
//! that orders it after (a lock, a queue), and coherence does the rest.
//!
//! Source: Go's `gopark`/`goready` with `selectDone`, folded into one word; parking_lot's parker.

use crate::primitive::atomic::{AtomicU64, Ordering, mutant, ord};

const STATUS_BITS: u32 = 3;
const STATUS_MASK: u64 = (1 << STATUS_BITS) - 1;
const RUNNING: u64 = 0;
const WAITING: u64 = 1;
const PARKED: u64 = 2;
const WOKEN: u64 = 3;
const DEADLINE: u64 = 4;
const CANCELLED: u64 = 5;
const ASLEEP: u64 = 6;

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The partner of the operation woke it.
    Woken,
    /// Its deadline passed first.
    Deadline,
    /// It was cancelled first.
    Cancelled,
}

/// The name of one episode of one header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sequence(u64);

impl Sequence {
    /// The number, at most 61 bits wide.
    pub(crate) fn get(self) -> u64 {
        self.0
    }

    /// A number that [`Sequence::get`] gave.
    pub(crate) fn from_raw(number: u64) -> Self {
        Self(number)
    }
}

/// What a waker has won.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Claim {
    /// The episode, and with it the duty to make the thread runnable.
    Resume,
    /// The episode of an OS thread, which has to be woken by [`WaitWord::futex`].
    ///
    /// NOTE: it looks at the word by itself too, so it may be gone by now and its header be
    /// somebody else's: the address of the word is all that may be used. A green thread, by
    /// contrast, stays where it is until whoever was told [`Claim::Resume`] resumes it.
    Wake,
    /// The episode; its owner is still on its stack and will see the outcome there.
    Early,
    /// Nothing: another waker was first, or the episode is long over.
    Lost,
}

/// The word; see the module's state table.
#[derive(Debug)]
pub(crate) struct WaitWord(AtomicU64);

impl WaitWord {
    /// A word with no episode open.
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(RUNNING))
    }

    /// Announces a new episode; only the thread itself does.
    #[inline(always)]
    pub(crate) fn begin(&self) -> Sequence {
        // ORDERING: Relaxed; only the owner writes while no episode is open.
        let next = (self.0.load(Ordering::Relaxed) >> STATUS_BITS) + 1;
        // ORDERING: Relaxed; whoever passes the sequence number on orders this store (see module).
        self.0.store(next << STATUS_BITS | WAITING, Ordering::Relaxed);
        Sequence(next)
    }

    /// Whether some waker has already claimed the open episode; asked by the owner before it
    /// leaves its stack.
    #[inline(always)]
    pub(crate) fn is_claimed(&self) -> bool {
        // ORDERING: Relaxed; `finish` acquires before the outcome is acted upon.
        matches!(self.0.load(Ordering::Relaxed) & STATUS_MASK, WOKEN | DEADLINE | CANCELLED)
    }

    /// Declares the owner off its stack: the post-switch action. `false` means that a waker came
    /// first, and the caller must make the thread runnable.
    #[inline(always)]
    #[must_use]
    pub(crate) fn commit(&self) -> bool {
        self.commit_to(PARKED)
    }

    /// As [`WaitWord::commit`], by an OS thread that is about to sleep in the kernel.
    #[must_use]
    pub(crate) fn commit_asleep(&self) -> bool {
        self.commit_to(ASLEEP)
    }

    #[inline(always)]
    fn commit_to(&self, status: u64) -> bool {
        // ORDERING: Relaxed; only wakers can change the word now, and the exchange decides.
        let seen = self.0.load(Ordering::Relaxed);
        if seen & STATUS_MASK != WAITING {
            return false;
        }
        let parked = (seen & !STATUS_MASK) | status;
        // ORDERING: Release; pairs with the Acquire in `claim`; publishes the saved context.
        let release = ord!("wait.commit", Release);
        // ORDERING: `release` as said above; Relaxed on failure: the caller only requeues.
        self.0.compare_exchange(seen, parked, release, Ordering::Relaxed).is_ok()
    }

    /// Tries to end the episode `sequence` with `outcome`.
    #[inline(always)]
    pub(crate) fn claim(&self, sequence: Sequence, outcome: Outcome) -> Claim {
        let status = match outcome {
            Outcome::Woken => WOKEN,
            Outcome::Deadline => DEADLINE,
            Outcome::Cancelled => CANCELLED,
        };
        let base = sequence.0 << STATUS_BITS;
        // ORDERING: Relaxed; a guess that the exchange below checks.
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            // The mutant forgets whose episode it is.
            let base = if mutant!("wait.sequence") { seen & !STATUS_MASK } else { base };
            let claim = match seen.wrapping_sub(base) {
                WAITING => Claim::Early,
                PARKED => Claim::Resume,
                ASLEEP => Claim::Wake,
                _ => return Claim::Lost,
            };
            // ORDERING: AcqRel; Acquire pairs with the Release in `commit` (the saved context),
            // Release with the Acquire in `finish` (what the waker wrote before).
            let acq_rel = ord!("wait.claim", AcqRel);
            // ORDERING: `acq_rel` as said above; Relaxed on failure: the value is checked again.
            match self.0.compare_exchange_weak(seen, base | status, acq_rel, Ordering::Relaxed) {
                Ok(_) => return claim,
                Err(now) => seen = now,
            }
        }
    }

    /// Closes the claimed episode and tells its outcome; `None` if nobody has claimed it yet
    /// (an OS thread that woke spuriously).
    #[inline(always)]
    pub(crate) fn finish(&self) -> Option<Outcome> {
        // ORDERING: Acquire; pairs with the Release in `claim`; publishes what the waker wrote.
        let seen = self.0.load(ord!("wait.finish", Acquire));
        let outcome = match seen & STATUS_MASK {
            WOKEN => Outcome::Woken,
            DEADLINE => Outcome::Deadline,
            CANCELLED => Outcome::Cancelled,
            _ => return None,
        };
        // ORDERING: Relaxed; the episode is over, and only the owner writes until the next one.
        self.0.store(seen & !STATUS_MASK | RUNNING, Ordering::Relaxed);
        Some(outcome)
    }

    /// Takes an announcement back that no waker has learnt of.
    pub(crate) fn abandon(&self) {
        // ORDERING: Relaxed; nobody else knows the sequence number of the open episode.
        let seen = self.0.load(Ordering::Relaxed);
        // ORDERING: Relaxed; as above.
        self.0.store(seen & !STATUS_MASK | RUNNING, Ordering::Relaxed);
    }

    /// The address and value an OS thread sleeps on: the low half of the word, while `ASLEEP`.
    #[cfg(not(loom))]
    pub(crate) fn futex(&self) -> (&crate::primitive::atomic::AtomicU32, u32) {
        // ORDERING: Relaxed; the kernel compares again under its own lock.
        let low = self.0.load(Ordering::Relaxed) as u32;
        let half = std::ptr::from_ref(&self.0).cast::<crate::primitive::atomic::AtomicU32>();
        const { assert!(cfg!(target_endian = "little"), "the low half comes first") };
        // SAFETY: the low half of a live AtomicU64 is four aligned, live bytes; the reference is
        // only handed to the kernel as an address, never accessed as an atomic of its own size.
        (unsafe { &*half }, low)
    }

    /// Whether a futex value read by [`WaitWord::futex`] says "asleep, not yet claimed".
    pub(crate) fn is_asleep_value(low: u32) -> bool {
        u64::from(low) & STATUS_MASK == ASLEEP
    }
}
