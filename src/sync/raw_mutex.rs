//! The mutex: a word and a queue.
//!
//! Barging with a promise: an unlock leaves the lock free and wakes the first waiter, so whoever
//! runs may take it again without a switch; a waiter that has lost that race, and has done so for
//! 0.5 ms ([`Attempt`]), makes the next unlock hand the lock over to it. At most one woken waiter is on
//! its way at a time, so a burst of unlocks does not wake the whole queue for nothing.
//!
//! # State table
//! Bits of the word. `QUEUED` and `STARVING` change only under the queue's lock.
//!
//! | bit | means | set by | cleared by |
//! |---|---|---|---|
//! | `LOCKED` | somebody holds the lock | who takes it | its holder; stays set when it is handed over |
//! | `QUEUED` | the queue is not empty | who enters the queue, if `LOCKED` | who empties the queue |
//! | `WOKEN` | a waiter was woken, and has neither taken the lock nor queued again | unlock | that waiter |
//! | `STARVING` | the first waiter wants the lock handed over | a woken waiter that queues again | the unlock that hands it over; who empties the queue |
//!
//! | word | unlock does |
//! |---|---|
//! | `LOCKED` | `-> 0` |
//! | `LOCKED`, `WOKEN`, not `STARVING` | clears `LOCKED`: the woken one will look |
//! | `LOCKED`, `QUEUED`, neither of the others | chooses the first to try again: `LOCKED -> WOKEN` |
//! | `LOCKED`, `QUEUED`, `STARVING` | grants it to the first: `LOCKED` stays |
//!
//! # Invariants
//! - **MutualExclusion**: `LOCKED` goes from 0 to 1 by exchange, and its holder alone clears it or
//!   gives it to one waiter.
//! - **NobodyForgotten**: while `QUEUED` and not `LOCKED`, `WOKEN` is set: whoever cleared `LOCKED`
//!   has set or found it, and the woken one clears it only together with taking the lock, or by
//!   queueing, which it does only while `LOCKED`.
//!
//! # Ordering
//! What is done under the lock is released by the store that frees it and acquired by the exchange
//! that takes it, or goes through the wake when it is handed over.
//!
//! Source: Go `internal/sync/mutex.go` (normal and starvation mode, one woken waiter), with the
//! queue of this directory for its semaphore; parking_lot for the interface.

use super::attempt::Attempt;
use super::spin::spin;
use super::wait_queue::{self, End, Ended, Verdict, WaitQueue, constructor};
use crate::green::Reason;
use crate::primitive::atomic::{AtomicU32, Ordering, mutant, ord};

const LOCKED: u32 = 1;
pub(super) const QUEUED: u32 = 2;
pub(super) const WOKEN: u32 = 4;
const STARVING: u32 = 8;

/// A mutex without data: what [`Mutex`](super::Mutex) is made of, by `lock_api`.
#[derive(Debug)]
pub struct RawMutex {
    word: AtomicU32,
    queue: WaitQueue<()>,
}

/// How an unlock treats waiters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handing {
    /// Wakes one, unless it starves.
    Loose,
    /// Hands the lock over if anybody waits.
    Over,
}

impl RawMutex {
    constructor! {
        /// A free mutex.
        pub(super) fn free() -> Self {
            Self { word: AtomicU32::new(0), queue: WaitQueue::new(()) }
        }
    }

    /// Takes the lock if it is free.
    #[inline]
    pub(super) fn try_take(&self) -> bool {
        self.take(0)
    }

    /// Takes the lock, waiting until the deadline at most; whether it was taken.
    ///
    /// # Switches
    #[inline]
    pub(super) fn take_until(&self, deadline_ns: impl FnOnce() -> Option<u64>) -> bool {
        let acquire = ord!("mutex.take_fast", Acquire);
        // ORDERING: `acquire` pairs with the Release in `give` and `choose`; publishes what the
        // last holder did. Relaxed on failure: nothing was taken.
        if self.word.compare_exchange(0, LOCKED, acquire, Ordering::Relaxed).is_ok() {
            return true;
        }
        self.take_slow(deadline_ns)
    }

    /// Whether somebody holds it.
    #[inline]
    pub(super) fn is_taken(&self) -> bool {
        // ORDERING: Relaxed; a snapshot that promises nothing.
        self.word.load(Ordering::Relaxed) & LOCKED != 0
    }

    /// Whether somebody waits for it.
    #[cfg(not(loom))]
    #[inline]
    pub(super) fn is_waited_for(&self) -> bool {
        // ORDERING: Relaxed; a snapshot that promises nothing.
        self.word.load(Ordering::Relaxed) & QUEUED != 0
    }

    /// The word, for models.
    #[cfg(all(test, loom))]
    pub(super) fn bits(&self) -> u32 {
        // ORDERING: Relaxed; a model looks at what it is about, and draws no conclusions from it.
        self.word.load(Ordering::Relaxed)
    }

    /// Gives the lock back.
    ///
    /// # Safety
    /// - The caller holds it.
    #[inline]
    pub(super) unsafe fn give(&self, handing: Handing) {
        let release = ord!("mutex.give_fast", Release);
        // ORDERING: `release` pairs with the Acquire in `take_until` and `take`; publishes what
        // was done under the lock. Relaxed on failure: nothing was given back.
        if self.word.compare_exchange(LOCKED, 0, release, Ordering::Relaxed).is_err() {
            self.give_slow(handing);
        }
    }

    /// Takes the lock if it is free, and clears `cleared` with it.
    #[inline]
    fn take(&self, cleared: u32) -> bool {
        // ORDERING: Relaxed; a guess that the exchange checks.
        let mut seen = self.word.load(Ordering::Relaxed);
        while seen & LOCKED == 0 {
            let taken = (seen & !cleared) | LOCKED;
            let acquire = ord!("mutex.take", Acquire);
            // ORDERING: `acquire` pairs with the Release in `give` and `choose`; publishes what
            // the last holder did. Relaxed on failure: the value is looked at again.
            match self.word.compare_exchange_weak(seen, taken, acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    #[cold]
    fn take_slow(&self, deadline_ns: impl FnOnce() -> Option<u64>) -> bool {
        let mut attempt = Attempt::default();
        spin(&self.word, |word| word & LOCKED == 0, |word| word & QUEUED != 0);
        if self.take(0) {
            return true;
        }
        let deadline_ns = deadline_ns();
        loop {
            let ended = self.queue.wait(
                Reason::Mutex,
                deadline_ns,
                |_| self.admit(&mut attempt),
                || (),
                |list| self.leave(list.is_empty()),
            );
            match ended {
                Ended::Chosen(Verdict::Granted) => return true,
                Ended::Chosen(Verdict::Retry) => attempt.woken = true,
                Ended::Declined => {}
                Ended::GaveUp(()) => return false,
            }
            if self.take(if attempt.woken { WOKEN } else { 0 }) {
                return true;
            }
        }
    }

    /// Under the queue's lock: whether there is a holder to wait for, who then sees that somebody
    /// waits.
    fn admit(&self, attempt: &mut Attempt) -> Option<(End, ())> {
        let starves = attempt.woken && attempt.has_starved();
        // ORDERING: Relaxed; a guess that the exchange checks.
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            if seen & LOCKED == 0 && !mutant!("mutex.validate") {
                return None;
            }
            let mut queued = seen | QUEUED;
            if attempt.woken {
                queued &= !WOKEN;
            }
            if starves && !mutant!("mutex.starving") {
                queued |= STARVING;
            }
            // ORDERING: Relaxed; the holder learns only that there is a queue, and the queue's
            // lock orders the rest.
            let exchanged =
                self.word.compare_exchange(seen, queued, Ordering::Relaxed, Ordering::Relaxed);
            match exchanged {
                Ok(_) => break,
                Err(now) => seen = now,
            }
        }
        // A waiter that was first before is first again.
        let end = if attempt.woken { End::Front } else { End::Back };
        attempt.woken = false;
        Some((end, ()))
    }

    /// Under the queue's lock: a waiter has given up.
    fn leave(&self, is_empty: bool) {
        if is_empty {
            // ORDERING: Relaxed; says nothing but that the queue is empty, under its lock.
            self.word.fetch_and(!(QUEUED | STARVING), Ordering::Relaxed);
        }
    }

    #[cold]
    fn give_slow(&self, handing: Handing) {
        // ORDERING: Relaxed; a guess that the exchange checks.
        let mut seen = self.word.load(Ordering::Relaxed);
        // Somebody is on the way already: it will find the lock free, or queue again.
        while handing == Handing::Loose && seen & (WOKEN | STARVING) == WOKEN {
            let release = ord!("mutex.give_woken", Release);
            // ORDERING: `release` pairs with the Acquire in `take`; publishes what was done under
            // the lock. Relaxed on failure: the value is looked at again.
            match self.word.compare_exchange(seen, seen & !LOCKED, release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
        if let Some(token) = self.choose(handing) {
            wait_queue::wake(token);
        }
    }

    /// Frees the lock, or hands it over; whom to wake.
    ///
    /// While it is held and the queue is locked nobody else changes the word: waiters change it
    /// under the queue's lock, takers only while it is free.
    fn choose(&self, handing: Handing) -> Option<wait_queue::Token> {
        self.queue.with(|list| {
            // ORDERING: Relaxed; nobody else changes it now.
            let seen = self.word.load(Ordering::Relaxed);
            let hands_over = handing == Handing::Over || seen & STARVING != 0;
            let verdict = if hands_over { Verdict::Granted } else { Verdict::Retry };
            let token = list.choose_first(verdict);
            let woken = match (&token, verdict) {
                (Some(_), Verdict::Granted) => LOCKED | seen & WOKEN,
                (Some(_), Verdict::Retry) => WOKEN,
                (None, _) => seen & WOKEN,
            };
            let queued = if list.is_empty() { 0 } else { QUEUED };
            // ORDERING: Release; pairs with the Acquire in `take`; publishes what was done under
            // the lock. (Handed over it is the wake that publishes it.)
            self.word.store(woken | queued, ord!("mutex.choose", Release));
            token
        })
    }
}
