//! One direction of a descriptor: which events have come, and who waits for the next.
//!
//! A word, the token of whoever waits, and a deadline; lock-free. An event, a deadline that moves
//! and a close all *advance* the word: they raise its version and take whoever waits. A waiter
//! waits only from the version in which its attempt began. Further waiters of the same direction
//! go to the crowd of the descriptor, a list under a lock (`super::slot`).
//!
//! # State table
//! Bits 0 and 1 are the state; bit 2 ([`CROWD`]) says that the crowd may hold somebody of this
//! direction; bit 3 ([`UNSURE`]) is sticky: that a transfer was short proves nothing any more;
//! bit 4 ([`RELAY`]) is the tenant's: an event wakes one (`super::relay`); the rest is the version.
//!
//! | state | means | leaves it |
//! |---|---|---|
//! | `IDLE` | nobody waits, but perhaps in the crowd | waiter whose attempt began at this very word -> `CLAIMED` |
//! | `CLAIMED` | a waiter writes its token, and nobody else may | it -> `WAITING`; or -> `IDLE` if an advance has raised the version meanwhile |
//! | `WAITING` | `name` and `number` are the token of who waits | an advance -> `IDLE`, and wakes it; it, when its wait ended otherwise -> `IDLE` |
//! | `CLOSED` | no descriptor, or one that is being given up | next tenant -> `IDLE` |
//!
//! Whatever enters `IDLE` or `CLOSED` raises the version, so no value of the word ever comes back.
//!
//! # Invariants
//! - **NoLostEvent**: an attempt reads the word (a [`Seen`]), then asks the kernel. It may wait
//!   only by an exchange from exactly that word. An event that came before the kernel was asked
//!   was part of its answer; the advance of a later one comes after the reading, so it fails the
//!   exchange or finds the waiter.
//! - **OneTaker**: whoever moves the word off `WAITING` has the token, and nobody else.
//! - **Untorn**: the halves of the token are written in `CLAIMED` by the one who claimed. A taker
//!   reads them after it has read `WAITING` (acquire: they are written) and before its exchange
//!   from exactly that word. Had it read a half of a later waiter, that half's release would show
//!   it the claim of that waiter, and so a later word than the one it exchanges from.
//!
//! Untorn is beyond loom, in which nobody reads what is stored later: the orders of the halves are
//! argued and not modelled.
//!
//! Source: Go's `runtime/netpoll.go` (`pdNil pdReady pdWait`) with a version in the place of
//! `pollReset`, as in tokio's `ReadyEvent`.

use super::Name;
use crate::primitive::atomic::{AtomicPtr, AtomicU64, Ordering, mutant, ord};

const STATE: u64 = 0b11;
const IDLE: u64 = 0;
const CLAIMED: u64 = 1;
const WAITING: u64 = 2;
const CLOSED: u64 = 3;
/// The crowd may hold somebody of this direction.
const CROWD: u64 = 1 << 2;
/// The stream has an end or a mark in it.
const UNSURE: u64 = 1 << 3;
/// An event is for one of those who wait, who sees to the next.
const RELAY: u64 = 1 << 4;
const VERSION: u64 = 1 << 5;

/// A direction; see the module.
#[derive(Debug)]
pub(super) struct Side {
    word: AtomicU64,
    name: AtomicPtr<()>,
    number: AtomicU64,
    /// The word at which a transfer was short: until the next advance nothing is ready.
    drained: AtomicU64,
    /// When waits end, in nanoseconds of the monotonic clock; `u64::MAX`: never.
    deadline_ns: AtomicU64,
}

/// The word as it was before an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen(u64);

impl Seen {
    /// Whether the descriptor was closed.
    #[inline(always)]
    pub(crate) fn is_closed(self) -> bool {
        self.0 & STATE == CLOSED
    }
}

/// How a waiter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Standing {
    /// Something has happened since its attempt: it tries again.
    Stale,
    /// It waits; the word it waits at, for [`Side::retract`].
    Waits(Seen),
    /// Somebody waits already: it belongs to the crowd.
    Crowded,
}

/// Whom an advance has found.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(super) struct Found<T> {
    /// Who waited.
    pub(super) waiter: Option<T>,
    /// Who of the crowd is to be woken as well.
    pub(super) crowd: Whom,
}

impl<T> Found<T> {
    const NOBODY: Self = Self { waiter: None, crowd: Whom::Nobody };
}

/// How many of those who wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    /// None.
    Nobody,
    /// One of them, who sees to the next.
    One,
    /// All of them.
    All,
}

impl Side {
    /// The direction of a free slot.
    pub(super) fn new() -> Self {
        Self {
            word: AtomicU64::new(CLOSED),
            name: AtomicPtr::new(std::ptr::null_mut()),
            number: AtomicU64::new(0),
            drained: AtomicU64::new(CLOSED),
            deadline_ns: AtomicU64::new(u64::MAX),
        }
    }

    /// The word, before an attempt.
    #[inline(always)]
    pub(super) fn observe(&self) -> Seen {
        // ORDERING: Acquire; pairs with the Release in `leave`: shows the deadline that was set
        // before that advance, and puts what a waiter writes behind what the last one wrote.
        Seen(self.word.load(ord!("netpoll.side.observe", Acquire)))
    }

    /// Whether an attempt that began at `seen` can be left out: it would block.
    #[inline(always)]
    pub(super) fn is_drained(&self, seen: Seen) -> bool {
        // ORDERING: Relaxed; as `observe`.
        self.drained.load(Ordering::Relaxed) == seen.0
    }

    /// Notes that an attempt that began at `seen` has used up all there was.
    #[inline(always)]
    pub(super) fn drain(&self, seen: Seen) {
        let flags = if mutant!("netpoll.side.unsure") { 0 } else { UNSURE };
        if seen.0 & (flags | STATE) == IDLE {
            // ORDERING: Relaxed; a later word makes it void.
            self.drained.store(seen.0, Ordering::Relaxed);
        }
    }

    /// The deadline; `u64::MAX`: none.
    #[inline(always)]
    pub(super) fn deadline_ns(&self) -> u64 {
        // ORDERING: Relaxed; asked after `observe`: it is the one set before the version seen, or a
        // later one. Who waits by an old one was seen by the advance after the store.
        self.deadline_ns.load(Ordering::Relaxed)
    }

    /// Sets the deadline; the caller advances afterwards.
    pub(super) fn set_deadline_ns(&self, deadline_ns: u64) {
        // ORDERING: Relaxed; released by the advance that follows.
        self.deadline_ns.store(deadline_ns, Ordering::Relaxed);
    }

    /// Stands in line with `token` after an attempt that began at `seen` would have blocked.
    pub(super) fn stand<T: Name>(&self, seen: Seen, token: T) -> Standing {
        if seen.0 & STATE != IDLE {
            return match seen.0 & STATE {
                CLOSED => Standing::Stale,
                _ => Standing::Crowded,
            };
        }
        let claimed = seen.0 | CLAIMED;
        let relaxed = Ordering::Relaxed;
        // The mutant claims whatever has happened since.
        let claim = if mutant!("netpoll.side.seen") {
            // ORDERING: as below.
            Ok(self.word.swap(claimed, relaxed))
        } else {
            // ORDERING: Relaxed; the order to other waiters is that of `observe`.
            self.word.compare_exchange(seen.0, claimed, relaxed, relaxed)
        };
        if claim.is_err() {
            return Standing::Stale;
        }
        let (name, number) = token.parts();
        // ORDERING: Release; pairs with the Acquire in `token`: who reads this half knows of the
        // claim above (Untorn).
        self.name.store(name, Ordering::Release);
        // ORDERING: Release; as above.
        self.number.store(number, Ordering::Release);
        let mut now = claimed;
        loop {
            let waiting = (now & !STATE) | WAITING;
            // ORDERING: Release; pairs with the Acquire in `leave`: publishes the token.
            let release = ord!("netpoll.side.wait", Release);
            // ORDERING: `release` as said above; Relaxed on failure: nothing is read.
            match self.word.compare_exchange(now, waiting, release, Ordering::Relaxed) {
                Ok(_) => return Standing::Waits(Seen(waiting)),
                // Others have joined the crowd: no advance.
                Err(other) if other == claimed | CROWD => now = other,
                Err(other) => {
                    self.unclaim(other);
                    return Standing::Stale;
                }
            }
        }
    }

    /// Ends a claim, which an advance has overtaken, at the word `seen`.
    #[cold]
    fn unclaim(&self, mut seen: u64) {
        while seen & STATE == CLAIMED {
            let idle = (seen & !STATE | IDLE) + VERSION;
            // ORDERING: Release; the next waiter writes its token behind what was written here.
            match self.word.compare_exchange(seen, idle, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    /// Whether the word is still `seen`, so that one who is `Crowded` may wait; sets the crowd's
    /// bit. The caller holds the lock of the crowd and is in it.
    pub(super) fn join_crowd(&self, seen: Seen) -> bool {
        let crowded = seen.0 | CROWD;
        // ORDERING: Relaxed; who sees the bit takes the lock of the crowd before it looks.
        let joined =
            self.word.compare_exchange(seen.0, crowded, Ordering::Relaxed, Ordering::Relaxed);
        joined.is_ok() || (joined == Err(crowded))
    }

    /// Leaves the line, after a wait that ended otherwise than by an advance; `false`: there was an
    /// advance as well.
    pub(super) fn retract(&self, at: Seen) -> bool {
        let mut seen = at.0;
        loop {
            let idle = (seen & !STATE | IDLE) + VERSION;
            // ORDERING: Relaxed; nothing was written that anybody else reads. Failing means that
            // the crowd has come, or that an advance has taken the token.
            match self.word.compare_exchange(seen, idle, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) if now == seen | CROWD && now != seen => seen = now,
                Err(_) => return false,
            }
        }
    }

    /// Something has happened: raises the version, and takes whoever waits, or one of them if it
    /// says so and the tenant wants it so. Nothing is done if `is_current` denies it, which is
    /// asked for each word that is advanced from.
    pub(super) fn advance<T: Name>(
        &self,
        whom: Whom,
        unsure: bool,
        is_current: impl Fn() -> bool,
    ) -> Found<T> {
        let to = |state| match state {
            CLAIMED if !mutant!("netpoll.side.claimed") => CLAIMED,
            _ => IDLE,
        };
        self.leave(to, whom, unsure, is_current)
    }

    /// The descriptor is given up: nobody waits from now on.
    pub(super) fn close<T: Name>(&self) -> Found<T> {
        self.leave(|_| CLOSED, Whom::All, false, || true)
    }

    /// Whether somebody waits, or may.
    #[inline(always)]
    pub(super) fn is_awaited(&self) -> bool {
        // ORDERING: Relaxed; who was woken by an advance reads that word or a later one, and only
        // such a one has to find those who have waited since before it (`super::relay`, Relayed).
        self.word.load(Ordering::Relaxed) & (CROWD | STATE) != IDLE
    }

    /// Nobody of this direction is in the crowd, whose lock the caller holds: takes its bit back,
    /// unless somebody is about to wait, or does.
    pub(super) fn forget_crowd(&self) {
        // ORDERING: Relaxed; a guess that the exchange checks.
        let seen = self.word.load(Ordering::Relaxed);
        if seen & (STATE | CROWD) == IDLE | CROWD {
            let next = (seen & !CROWD) + VERSION;
            // ORDERING: Relaxed; publishes nothing, and as an RMW carries on what others release.
            let _later =
                self.word.compare_exchange(seen, next, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// A new descriptor in a free slot; `relay`: an event wakes one of those who wait.
    pub(super) fn open(&self, relay: bool) {
        self.set_deadline_ns(u64::MAX);
        // ORDERING: Relaxed; a free slot is its taker's alone.
        let word = self.word.load(Ordering::Relaxed);
        let flags = if relay { RELAY } else { 0 };
        let word = (word & !(STATE | CROWD | UNSURE | RELAY) | flags) + VERSION;
        // ORDERING: Release; pairs with the Acquire in `leave`: a late event of the last tenant
        // that reads this word sees that the generation has changed.
        self.word.store(word | IDLE, ord!("netpoll.side.open", Release));
    }

    /// Raises the version and moves to the state that `to` says, unless the side is closed.
    #[inline]
    fn leave<T: Name>(
        &self,
        to: impl Fn(u64) -> u64,
        whom: Whom,
        unsure: bool,
        is_current: impl Fn() -> bool,
    ) -> Found<T> {
        // ORDERING: Acquire; pairs with the Release in `stand` (the token) and in `open` (the
        // generation).
        let acquire = ord!("netpoll.side.leave", Acquire);
        // ORDERING: as said above.
        let mut seen = self.word.load(acquire);
        loop {
            if seen & STATE == CLOSED || !(is_current() || mutant!("netpoll.side.current")) {
                return Found::NOBODY;
            }
            let waiter = (seen & STATE == WAITING).then(|| self.token());
            let one = whom == Whom::One && seen & RELAY != 0;
            let kept = if one && !mutant!("netpoll.side.kept") { CROWD } else { 0 };
            let flags = seen & (UNSURE | RELAY | kept) | if unsure { UNSURE } else { 0 };
            let next = ((seen / VERSION + 1) * VERSION) | to(seen & STATE) | flags;
            // ORDERING: AcqRel; Release publishes a deadline set before; Acquire orders the next
            // waiter's token behind this one's. Failing is as the load above.
            let acq_rel = ord!("netpoll.side.advance", AcqRel);
            // ORDERING: both as said above.
            match self.word.compare_exchange(seen, next, acq_rel, acquire) {
                Ok(_) => return Found { waiter, crowd: crowd(seen, one) },
                Err(now) => seen = now,
            }
        }
    }

    /// The token; the caller has read `WAITING` and goes on to exchange from it (Untorn).
    fn token<T: Name>(&self) -> T {
        // ORDERING: Acquire, twice; pairs with the Release in `stand` (Untorn).
        let name = self.name.load(Ordering::Acquire);
        // ORDERING: Acquire; as above.
        let number = self.number.load(Ordering::Acquire);
        T::from_parts(name, number)
    }
}

/// Who of the crowd an advance from `seen` is for, beside the waiter it has taken.
fn crowd(seen: u64, one: bool) -> Whom {
    match seen & STATE {
        _ if seen & CROWD == 0 => Whom::Nobody,
        _ if !one => Whom::All,
        IDLE => Whom::One,
        // Somebody was taken, or finds its claim overtaken and tries again.
        _ => Whom::Nobody,
    }
}
