//! The reader-writer lock: a word and a queue, strictly first come, first served.
//!
//! Whoever finds the lock free in its way, and nobody queued, takes it by one exchange. Everybody
//! else queues, and is *granted* the lock: whoever releases it in a way that lets the first waiter
//! in takes the lock in that waiter's name, and goes on with the next one, so that readers who
//! stand in a row come in together. So neither side starves the other, a lock that was granted is
//! never raced for, and who gives up at its deadline leaves no debt.
//!
//! Rejected: barging as the mutex does. Readers would be woken to find a writer again, and the
//! bookkeeping of who was woken doubles the states; a hand-over costs a switch between green
//! threads (some 100 ns) where it costs OS threads a trip through the kernel.
//!
//! # State table
//! | bits | means | changes |
//! |---|---|---|
//! | `WRITER` | held exclusively | by exchange; by its holder |
//! | `UPGRADABLE` | somebody holds it to read, and may come to write | by exchange; by its holder |
//! | `QUEUED` | the queue is not empty | under the queue's lock |
//! | `READER` and above | how many hold it to read | by exchange; by its holders |
//!
//! | wants | is let in while |
//! |---|---|
//! | `Read` | no `WRITER` |
//! | `Upgradable` | no `WRITER`, no `UPGRADABLE` |
//! | `Write` | no `WRITER`, no `UPGRADABLE`, no reader |
//! | `Upgrade` (holds `UPGRADABLE`) | no reader; stands before all others |
//!
//! # Invariants
//! - **Admission**: the word's holders are always compatible: every change that adds one checks
//!   the table above in the same exchange.
//! - **FirstComeFirstServed**: while `QUEUED` is set nobody but the first in the queue is let in,
//!   except by [`RawRwLock::take_recursive`], which its callers ask for.
//! - **Served**: with the queue's lock free, the first waiter is not compatible with the word, or
//!   somebody is on its way to [`RawRwLock::serve`]: who released last, or who left the queue.
//!
//! # Ordering
//! A release of the lock is a Release, an exchange that takes it is an Acquire, also one in the
//! name of a waiter, to whom the wake publishes it. Readers release too: a writer comes after them.
//!
//! Source: Go `sync/rwmutex.go` for what readers and writers may expect of each other;
//! `parking_lot` for the interface and the upgradable reader.

use super::spin::spin;
use super::wait_queue::{End, Ended, List, Verdict, WaitQueue, Wakes, constructor};
use crate::green::Reason;
use crate::primitive::atomic::{AtomicU32, Ordering, mutant, ord};

const WRITER: u32 = 1;
const UPGRADABLE: u32 = 2;
const QUEUED: u32 = 4;
const READER: u32 = 8;
const READERS: u32 = !(READER - 1);

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
            Self::Write if word & !QUEUED == 0 => Some(word | WRITER),
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

    fn end(self) -> End {
        if self == Self::Upgrade { End::Front } else { End::Back }
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
        self.exchange(want, QUEUED)
    }

    /// Takes the lock to read, past everybody who waits: for who holds it to read already.
    #[inline]
    pub(super) fn try_take_recursive(&self) -> bool {
        self.exchange(Want::Read, 0)
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
        self.word.load(Ordering::Relaxed) & !QUEUED
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
        if before & QUEUED != 0 && is_of_interest && !mutant!("rwlock.serve") {
            self.serve();
        }
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
            self.serve();
        }
    }

    /// Takes the lock if the word allows it and has none of the bits `barred`.
    #[inline]
    fn exchange(&self, want: Want, barred: u32) -> bool {
        // ORDERING: Relaxed; a guess that the exchange checks.
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            // An upgrade goes before all others.
            let barred = if want == Want::Upgrade { 0 } else { barred };
            let Some(taken) = want.let_in(seen).filter(|_| seen & barred == 0) else {
                return false;
            };
            let acquire = ord!("rwlock.take", Acquire);
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
        spin(&self.word, |word| word & !QUEUED == 0, |word| word & QUEUED != 0);
        if self.try_take(want) {
            return true;
        }
        let deadline_ns = deadline_ns();
        let mut wakes = Wakes::none();
        let ended = self.queue.wait(
            want.reason(),
            deadline_ns,
            |list| self.admit(want, list.is_empty()).then_some((want.end(), want)),
            || (),
            |list| !mutant!("rwlock.leave") && self.serve_locked(list, &mut wakes),
        );
        match ended {
            Ended::Declined | Ended::Chosen(_) => true,
            Ended::GaveUp(more) => {
                // Who stood behind may be compatible with who is in.
                wakes.wake();
                if more {
                    self.serve();
                }
                false
            }
        }
    }

    /// Under the queue's lock: whether there is something to wait for, which whoever holds the
    /// lock then sees. `false`: the lock has been taken.
    fn admit(&self, want: Want, is_first: bool) -> bool {
        // ORDERING: Relaxed; a guess that the exchange checks.
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            let may_enter = is_first || want == Want::Upgrade;
            let taken = want.let_in(seen).filter(|_| may_enter);
            let next = taken.unwrap_or(seen | QUEUED);
            let acquire = ord!("rwlock.admit", Acquire);
            // ORDERING: `acquire` pairs with the Release in `give` and `lessen`, if the lock
            // was taken; a waiter needs none. Relaxed on failure: the value is looked at again.
            match self.word.compare_exchange_weak(seen, next, acquire, Ordering::Relaxed) {
                Ok(_) => return taken.is_none(),
                Err(now) => seen = now,
            }
        }
    }

    /// Lets in whoever is first and compatible, and then the next.
    #[cold]
    fn serve(&self) {
        loop {
            let mut wakes = Wakes::none();
            let more = self.queue.with(|list| self.serve_locked(list, &mut wakes));
            wakes.wake();
            if !more {
                return;
            }
        }
    }

    /// Under the queue's lock: lets in as many as `wakes` has room for; whether there may be more.
    fn serve_locked(&self, list: &mut List<Want, ()>, wakes: &mut Wakes) -> bool {
        while let Some(want) = list.first() {
            if wakes.is_full() {
                return true;
            }
            // In the name of the waiter.
            if !self.exchange(want, 0) {
                return false;
            }
            wakes.push(list.choose_first(Verdict::Granted));
        }
        // ORDERING: Relaxed; says nothing but that the queue is empty, under its lock.
        self.word.fetch_and(!QUEUED, Ordering::Relaxed);
        false
    }
}
