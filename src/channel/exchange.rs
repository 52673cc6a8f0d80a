//! Where a rendezvous is completed: a value, and the word that says how far the exchange has come.
//!
//! A packet belongs to the thread that waits for a partner, which *owns* it; the partner that has
//! claimed that thread *finishes* it: puts a value in, takes the value out, or gives up. Mostly
//! the partner has its side at hand and finishes before it claims. Where it has not (a select
//! that was promised a partner evaluates the message afterwards), the owner waits a second time.
//!
//! # State table
//! | state | means | goes to |
//! |---|---|---|
//! | `IDLE` | no partner | `DONE`, `PROMISED` by a partner that is about to claim, under the channel's lock; if the claim is lost nobody looks at it again |
//! | `PROMISED` | a partner has claimed and will finish | `PARKED` by the owner; `DONE`, `ABORTED` by the partner |
//! | `PARKED` | the owner waits for the end; its token lies in `late` | `DONE`, `ABORTED` by the partner, who then wakes the owner |
//! | `DONE` | the value has changed hands | – |
//! | `ABORTED` | the partner gave up: the value is where it was | – |
//!
//! # Invariants
//! - **OneFinish**: one partner claims the owner, and it alone finishes, once. After that it does
//!   not touch the packet, but for `late`, if it found `PARKED`.
//! - **OwnerStays**: the owner leaves, and the packet ends, only in `IDLE` (nobody claimed it, or
//!   the channel was disconnected), `DONE` or `ABORTED`; from `PARKED` only by the finisher's
//!   wake, which comes after the finisher has read `late`.

use crate::green::Reason;
use crate::green::wait::Outcome;
use crate::primitive::atomic::{AtomicU32, Ordering, ord};
use crate::primitive::cell::UnsafeCell;
use crate::sched::{self, Token};
use std::mem::MaybeUninit;

const IDLE: u32 = 0;
const PROMISED: u32 = 1;
const PARKED: u32 = 2;
const DONE: u32 = 3;
const ABORTED: u32 = 4;

/// How a partner ends an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The value has changed hands.
    Done,
    /// It has not, and will not.
    Aborted,
}

/// What the owner finds when its wait is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nobody has claimed it to exchange anything: the channel is disconnected, or it has to look.
    Nobody,
    /// A partner has finished, or was waited for.
    Ended(End),
}

/// The word and the owner's second token; the same for all types of values.
#[derive(Debug)]
pub(crate) struct Exchange {
    word: AtomicU32,
    late: UnsafeCell<Option<Token>>,
}

impl Exchange {
    fn new() -> Self {
        Self { word: AtomicU32::new(IDLE), late: UnsafeCell::new(None) }
    }

    /// Says that the value has changed hands, before the claim that makes it so.
    #[inline(always)]
    pub(crate) fn set_done(&self) {
        // ORDERING: Relaxed; the owner reads it after its wait, which the claim ends: the wait
        // word publishes it (Release in its `claim`, Acquire in its `finish`).
        self.word.store(DONE, Ordering::Relaxed);
    }

    /// Says that the claim that follows is a promise.
    pub(crate) fn set_promised(&self) {
        // ORDERING: Relaxed; as in `set_done`.
        self.word.store(PROMISED, Ordering::Relaxed);
    }

    /// Back to the beginning, by the owner, before it waits again.
    pub(crate) fn reset(&self) {
        // ORDERING: Relaxed; nobody else has the packet; the next partner finds it under the lock.
        self.word.store(IDLE, Ordering::Relaxed);
    }

    /// Whether nobody has promised or exchanged anything; asked by the owner after its wait.
    pub(crate) fn is_idle(&self) -> bool {
        // ORDERING: Relaxed; written before the claim that ended the wait, see `set_done`.
        self.word.load(Ordering::Relaxed) == IDLE
    }

    /// Ends an exchange that was promised. The packet may be gone afterwards.
    pub(crate) fn finish(&self, end: End) {
        let word = if end == End::Done { DONE } else { ABORTED };
        // ORDERING: AcqRel; Release pairs with the Acquire in `owner_waits`: the value; Acquire
        // with the Release there: `late`.
        if self.word.swap(word, ord!("exchange.finish", AcqRel)) != PARKED {
            return;
        }
        // SAFETY: the owner wrote it before it set `PARKED` and waits for the wake below.
        if let Some(token) = self.late.with(|late| unsafe { *late }) {
            sched::wake(token, Outcome::Woken);
        }
    }

    /// What has become of it, asked by the owner after its wait; waits for the end of an exchange
    /// that was promised.
    ///
    /// # Switches
    #[inline(always)]
    pub(crate) fn owner_looks(&self) -> Found {
        // ORDERING: Acquire; pairs with the Release in `finish`, for an exchange that was promised
        // and has been finished since.
        match self.word.load(ord!("exchange.look", Acquire)) {
            IDLE => Found::Nobody,
            DONE => Found::Ended(End::Done),
            _ => Found::Ended(self.owner_waits()),
        }
    }

    /// Waits for the end of an exchange that was promised.
    ///
    /// # Switches
    pub(crate) fn owner_waits(&self) -> End {
        loop {
            // ORDERING: Acquire; pairs with the Release in `finish`: the value.
            match self.word.load(ord!("exchange.wait", Acquire)) {
                DONE => return End::Done,
                ABORTED => return End::Aborted,
                _ => {}
            }
            sched::wait(Reason::Select, None, |token| {
                // SAFETY: the finisher reads it only after it found `PARKED`.
                self.late.with_mut(|late| unsafe { *late = Some(token) });
                // ORDERING: Release; pairs with the Acquire in `finish`; publishes `late`.
                let release = ord!("exchange.park", Release);
                // ORDERING: `release` as said above; Relaxed on failure: the loop looks again.
                self.word.compare_exchange(PROMISED, PARKED, release, Ordering::Relaxed).is_ok()
            });
        }
    }
}

/// A value on its way, or the place for one.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Packet<T> {
    /// First, so that it is reached without knowing `T`.
    pub(crate) exchange: Exchange,
    /// Whether the owner is a sender that has put its value in; constant.
    pub(crate) is_filled: bool,
    value: UnsafeCell<MaybeUninit<T>>,
}

impl<T> Packet<T> {
    /// The packet of one who waits to receive, or who will know its message later.
    #[inline(always)]
    pub(crate) fn empty() -> Self {
        Self {
            exchange: Exchange::new(),
            is_filled: false,
            value: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// The packet of one who waits to send `value`.
    #[inline(always)]
    pub(crate) fn filled(value: T) -> Self {
        Self {
            exchange: Exchange::new(),
            is_filled: true,
            value: UnsafeCell::new(MaybeUninit::new(value)),
        }
    }

    /// Writes the value, or a copy of it that counts only if a claim that follows succeeds.
    ///
    /// # Safety
    /// - Nobody else reads or writes the value: by the channel's lock, or by OneFinish.
    #[inline(always)]
    pub(crate) unsafe fn put(&self, value: &MaybeUninit<T>) {
        self.value.with_mut(|place| {
            let source = std::ptr::from_ref(value);
            // SAFETY: both are valid for a `T`, which may be uninitialised; exclusive by the
            // caller's clause.
            unsafe { place.copy_from_nonoverlapping(source, 1) };
        });
    }

    /// Copies the value out. It counts as moved only once: the caller forgets one of the two.
    ///
    /// # Safety
    /// - Nobody writes the value: by the channel's lock, by OneFinish, or after the end.
    #[inline(always)]
    pub(crate) unsafe fn copy(&self) -> MaybeUninit<T> {
        // SAFETY: valid for a `T`, which may be uninitialised; not written by the caller's clause.
        self.value.with(|place| unsafe { place.read() })
    }

    /// Moves the value out.
    ///
    /// # Safety
    /// - As [`Packet::copy`]; there is a value, and nobody else takes it.
    #[inline(always)]
    pub(crate) unsafe fn move_out(&self) -> T {
        // SAFETY: the caller's clause.
        let value = unsafe { self.copy() };
        // SAFETY: the caller's clause: there is a value.
        unsafe { value.assume_init() }
    }
}
