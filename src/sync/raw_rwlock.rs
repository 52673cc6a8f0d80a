//! The reader-writer lock: a word and a queue.
//!
//! Barging with a promise, as the mutex: a release that leaves the lock free wakes the first waiter
//! to try again, and whoever runs may take the free lock meanwhile. A waiter that has lost that
//! race, and has done so for 0.5 ms ([`Attempt`]), has the next release hand the lock over. A lock
//! that is *held* is joined by no newcomer while somebody waits, so readers that follow each other
//! closely do not keep a writer out: the lock comes free between them.
//!
//! Who waits and need not compete is *granted* the lock: readers that stand behind one that has
//! come in, an upgrade, whoever a downgrade lets in. Their shares are taken in their name by who
//! serves the queue, so a row of readers comes in together, and who gives up leaves no debt.
//!
//! Rejected: strictly first come, first served. Each acquisition among eight users was a switch,
//! and often a hand-over to the other processor: 5 to 170 ns each, as the convoy formed or did not
//! (`README.md`).
//!
//! # State table
//! | bits | means | set by | cleared by |
//! |---|---|---|---|
//! | `WRITER` | held exclusively | who takes it, or grants it | its holder |
//! | `UPGRADABLE` | somebody holds it to read, and may come to write | as above | its holder |
//! | `QUEUED` | the queue is not empty | who enters it | who empties it; both under its lock |
//! | `WOKEN` | a waiter was woken, and has neither taken the lock nor queued again | who serves the queue | that waiter |
//! | `STARVING` | newcomers have to queue | a woken waiter that queues again; a fair unlock; both under the queue's lock | who grants the lock; the woken one that takes it; who empties the queue |
//! | `READER` and above | how many hold it to read | as `WRITER` | its holders |
//!
//! | wants | is let in while |
//! |---|---|
//! | `Read` | no `WRITER` |
//! | `Upgradable` | no `WRITER`, no `UPGRADABLE` |
//! | `Write` | no `WRITER`, no `UPGRADABLE`, no reader |
//! | `Upgrade` (holds `UPGRADABLE`) | no reader; stands before all others |
//!
//! Newcomers are let in, moreover, only while nobody is queued or nobody holds the lock, and
//! never while `STARVING`; an upgrade and a recursive reader always.
//!
//! # Invariants
//! - **Admission**: the word's holders are always compatible: every change that adds one checks
//!   the table above in the same exchange.
//! - **Served**: with the queue's lock free, the first waiter is not compatible with the word, or
//!   `WOKEN` is set and it is no upgrade, or somebody is on its way to [`WaitQueue::serve`]: who
//!   released last, who left the queue, or a woken one that came in.
//!
//! # Ordering
//! A release of the lock is a Release, an exchange that takes it is an Acquire, also one in the
//! name of a waiter, to whom the wake publishes it. Readers release too: a writer comes after them.
//! All changes of the word are read-modify-writes, so those between a release and the exchange that
//! takes the lock do not break the chain.
//!
//! Source: Go `sync/rwmutex.go` for what readers and writers may expect of each other;
//! `parking_lot` for the interface, the upgradable reader and eventual fairness.

use super::attempt::Attempt;
use super::spin::spin;
use super::wait_queue::{End, Ended, List, Serve, Verdict, WaitQueue, constructor};
use crate::green::Reason;
use crate::primitive::atomic::{AtomicU32, Ordering, mutant, ord};

const WRITER: u32 = 1;
const UPGRADABLE: u32 = 2;
pub(super) const QUEUED: u32 = 4;
pub(super) const WOKEN: u32 = 8;
const STARVING: u32 = 16;
const READER: u32 = 32;
const READERS: u32 = !(READER - 1);
const HOLDERS: u32 = WRITER | UPGRADABLE | READERS;

/// A reader-writer lock without data: what [`RwLock`](super::RwLock) is made of, by `lock_api`.
#[derive(Debug)]
pub struct RawRwLock {
    word: AtomicU32,
    queue: WaitQueue<Want>,
}

/// What a thread wants of the lock, or holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// To read beside others.
    Read,
    /// To read beside others, and perhaps to write later.
    Upgradable,
    /// To write.
    Write,
    /// To write, having held it upgradable.
    Upgrade,
}

impl Want {
    /// The word with this one let in; `None` if it is not compatible with who is in.
    fn let_in(self, word: u32) -> Option<u32> {
        match self {
            // A reader too many for the count waits, as for a writer.
            Self::Read if word & WRITER == 0 => word.checked_add(READER),
            Self::Upgradable if word & (WRITER | UPGRADABLE) == 0 => Some(word | UPGRADABLE),
            Self::Write if word & HOLDERS == 0 => Some(word | WRITER),
            Self::Upgrade if word & READERS == 0 => Some(word & !UPGRADABLE | WRITER),
            _ => None,
        }
    }

    /// What it adds to the word.
    fn share(self) -> u32 {
        match self {
            Self::Read => READER,
            Self::Upgradable => UPGRADABLE,
            Self::Write | Self::Upgrade => WRITER,
        }
    }

    fn reason(self) -> Reason {
        match self {
            Self::Read | Self::Upgradable => Reason::Read,
            Self::Write | Self::Upgrade => Reason::Write,
        }
    }

    /// Where it stands in the queue: one that was woken is first again, but for an upgrade.
    fn end(self, woken: bool, first: Option<Self>) -> End {
        match (self, woken) {
            (Self::Upgrade, _) => End::Front,
            (_, true) if first == Some(Self::Upgrade) => End::Second,
            (_, true) => End::Front,
            (_, false) => End::Back,
        }
    }
}

/// Who asks to be let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// One that comes along, and leaves the lock to those before it.
    Newcomer,
    /// One that was woken: it is before all others, and owes its `WOKEN` bit.
    Woken,
    /// One that passes everybody: an upgrade, a recursive reader.
    Before,
}

impl Standing {
    /// Whether one that wants `want` passes those that wait.
    fn of(want: Want) -> Self {
        if want == Want::Upgrade { Self::Before } else { Self::Newcomer }
    }

    /// Whether it may take a lock that is compatible.
    fn may_enter(self, word: u32) -> bool {
        let is_open = word & QUEUED == 0 || word & HOLDERS == 0;
        self != Self::Newcomer || is_open && word & STARVING == 0
    }

    /// What is cleared in the exchange that takes the lock.
    fn owes(self) -> u32 {
        if self == Self::Woken { WOKEN | STARVING } else { 0 }
    }
}

impl RawRwLock {
    constructor! {
        /// A free lock.
        pub(super) fn free() -> Self {
            Self { word: AtomicU32::new(0), queue: WaitQueue::new(()) }
        }
    }

    /// Takes the lock if that needs no wait.
    #[inline]
    pub(super) fn try_take(&self, want: Want) -> bool {
        self.exchange(want, Standing::of(want))
    }

    /// Takes the lock to read, past everybody who waits: for who holds it to read already.
    #[inline]
    pub(super) fn try_take_recursive(&self) -> bool {
        self.exchange(Want::Read, Standing::Before)
    }

    /// Takes the lock, waiting until the deadline at most; whether it was taken.
    ///
    /// # Switches
    #[inline]
    pub(super) fn take_until(&self, want: Want, deadline_ns: impl FnOnce() -> Option<u64>) -> bool {
        self.try_take(want) || self.take_slow(want, deadline_ns)
    }

    /// As [`RawRwLock::take_until`], to read, past everybody who waits.
    ///
    /// # Switches
    #[inline]
    pub(super) fn take_recursive(&self, deadline_ns: impl FnOnce() -> Option<u64>) -> bool {
        // Not let in means that somebody writes, so the caller does not read already, and may as
        // well stand in line.
        self.try_take_recursive() || self.take_slow(Want::Read, deadline_ns)
    }

    /// The word, for whoever only looks: who holds it.
    #[inline]
    pub(super) fn holders(&self) -> u32 {
        // ORDERING: Relaxed; a snapshot that promises nothing.
        self.word.load(Ordering::Relaxed) & HOLDERS
    }

    /// The word, for models.
    #[cfg(all(test, loom))]
    pub(super) fn bits(&self) -> u32 {
        // ORDERING: Relaxed; a model looks at what it is about, and draws no conclusions from it.
        self.word.load(Ordering::Relaxed)
    }

    /// Whether somebody writes.
    #[inline]
    pub(super) fn is_taken_to_write(&self) -> bool {
        self.holders() & WRITER != 0
    }

    /// Gives the lock back.
    ///
    /// # Safety
    /// - The caller holds it as `held` says.
    #[inline]
    pub(super) unsafe fn give(&self, held: Want) {
        let release = ord!("rwlock.give", Release);
        // ORDERING: `release` pairs with the Acquire in `exchange` and `serve`; publishes what was
        // done under the lock.
        let before = self.word.fetch_sub(held.share(), release);
        // One reader of several changes nothing for who waits.
        let is_of_interest = held != Want::Read || before & READERS == READER;
        // One that is on its way sees to itself, and to those behind it, but not to an upgrade.
        let is_seen_to = before & (WOKEN | UPGRADABLE) == WOKEN
            || before & WOKEN != 0 && mutant!("rwlock.upgrade");
        let serves = before & QUEUED != 0 && is_of_interest && !is_seen_to;
        if serves && !mutant!("rwlock.serve") {
            self.queue.serve(self);
        }
    }

    /// As [`RawRwLock::give`], to who waits first, if anybody does: nobody takes it between.
    ///
    /// # Safety
    /// - The caller holds it as `held` says.
    pub(super) unsafe fn give_fairly(&self, held: Want) {
        // ORDERING: Relaxed; who is not seen to wait has come just now.
        if self.word.load(Ordering::Relaxed) & QUEUED != 0 {
            self.queue.with(|list| {
                if !list.is_empty() && !mutant!("rwlock.fair") {
                    // ORDERING: Relaxed; the release that follows publishes.
                    self.word.fetch_or(STARVING, Ordering::Relaxed);
                }
            });
        }
        // SAFETY: the caller's clause.
        unsafe { self.give(held) };
    }

    /// Goes from one way of holding the lock to a lesser one, without letting go of it.
    ///
    /// # Safety
    /// - The caller holds it as `held` says, and `kept` allows everything to others that `held`
    ///   does: a writer may keep any, an upgradable reader may keep reading.
    pub(super) unsafe fn lessen(&self, held: Want, kept: Want) {
        let difference = kept.share().wrapping_sub(held.share());
        let release = ord!("rwlock.downgrade", Release);
        // ORDERING: `release` as in `give`.
        let before = self.word.fetch_add(difference, release);
        if before & QUEUED != 0 {
            self.queue.serve(self);
        }
    }

    /// Takes the lock if the word and the standing allow it.
    #[inline]
    fn exchange(&self, want: Want, standing: Standing) -> bool {
        // ORDERING: Relaxed; a guess that the exchange checks.
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            let Some(taken) = want.let_in(seen).filter(|_| standing.may_enter(seen)) else {
                return false;
            };
            let acquire = ord!("rwlock.take", Acquire);
            let taken = taken & !standing.owes();
            // ORDERING: `acquire` pairs with the Release in `give` and `lessen`; publishes what
            // the last holders did. Relaxed on failure: the value is looked at again.
            match self.word.compare_exchange_weak(seen, taken, acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
    }

    #[cold]
    fn take_slow(&self, want: Want, deadline_ns: impl FnOnce() -> Option<u64>) -> bool {
        spin(&self.word, |word| word & HOLDERS == 0, |word| word & QUEUED != 0);
        if self.try_take(want) {
            return true;
        }
        let deadline_ns = deadline_ns();
        let mut attempt = Attempt::default();
        loop {
            let ended = self.queue.wait_in_line(
                want.reason(),
                deadline_ns,
                |list| self.admit(want, &mut attempt, list),
                self,
            );
            match ended {
                Ended::Chosen(Verdict::Granted) => return true,
                Ended::GaveUp(()) => return false,
                Ended::Declined if !attempt.woken => return true,
                Ended::Declined => break,
                Ended::Chosen(Verdict::Retry) => attempt.woken = true,
            }
            if self.exchange(want, Standing::Woken) {
                break;
            }
        }
        // It came in first of all: those behind it may be let in beside it.
        // ORDERING: Relaxed; who queues later sees our share.
        let is_followed = self.word.load(Ordering::Relaxed) & QUEUED != 0;
        if is_followed && want != Want::Write && !mutant!("rwlock.behind") {
            self.queue.serve(self);
        }
        true
    }

    /// Under the queue's lock: where to wait, which whoever holds the lock then sees; `None`: the
    /// lock has been taken.
    fn admit(
        &self,
        want: Want,
        attempt: &mut Attempt,
        list: &List<Want, ()>,
    ) -> Option<(End, Want)> {
        let first = list.first();
        let standing = match (attempt.woken, first) {
            (true, _) => Standing::Woken,
            // Nobody is before it.
            (false, None) => Standing::Before,
            (false, Some(_)) => Standing::of(want),
        };
        let starves = attempt.woken && attempt.has_starved() && !mutant!("rwlock.starving");
        let mark = if starves { QUEUED | STARVING } else { QUEUED };
        // ORDERING: Relaxed; a guess that the exchange checks.
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            let taken = want.let_in(seen).filter(|_| standing.may_enter(seen));
            let next = match taken {
                Some(taken) => taken & !standing.owes(),
                None => seen & !(standing.owes() & WOKEN) | mark,
            };
            let acquire = ord!("rwlock.admit", Acquire);
            // ORDERING: `acquire` pairs with the Release in `give` and `lessen`, if the lock
            // was taken; a waiter needs none. Relaxed on failure: the value is looked at again.
            match self.word.compare_exchange_weak(seen, next, acquire, Ordering::Relaxed) {
                Ok(_) if taken.is_some() => return None,
                Ok(_) => break,
                Err(now) => seen = now,
            }
        }
        let end = want.end(attempt.woken, first);
        attempt.woken = false;
        Some((end, want))
    }
}

impl Serve<Want> for RawRwLock {
    /// Grants the lock if nobody can come between: while it is held, or `STARVING`, and to an
    /// upgrade. Otherwise the waiter is sent to try again, and those behind it wait for that.
    fn serve_first(&self, want: Want) -> Option<Verdict> {
        // ORDERING: Relaxed; a guess that the exchange checks.
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            let taken = want.let_in(seen)?;
            if want != Want::Upgrade && seen & WOKEN != 0 {
                return None;
            }
            let is_contested = seen & (HOLDERS | STARVING) == 0;
            let (next, verdict) = match is_contested {
                true => (seen | WOKEN, Verdict::Retry),
                false => (taken & !STARVING, Verdict::Granted),
            };
            let acquire = ord!("rwlock.grant", Acquire);
            // ORDERING: `acquire` as in `exchange`, in the name of the waiter, to whom the wake
            // publishes it. Relaxed on failure: the value is looked at again.
            match self.word.compare_exchange_weak(seen, next, acquire, Ordering::Relaxed) {
                Ok(_) => return Some(verdict),
                Err(now) => seen = now,
            }
        }
    }

    fn note_empty(&self) {
        // ORDERING: Relaxed; says nothing but that the queue is empty, under its lock.
        self.word.fetch_and(!(QUEUED | STARVING), Ordering::Relaxed);
    }
}
