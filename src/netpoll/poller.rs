//! The epoll instance of one runtime, and whose turn it is to ask it.
//!
//! Whoever has the turn is alone with `events` (OneTurn of `super::turn`).

use super::arena;
use super::turn::TurnWord;
use crate::green::Token;
use crate::primitive::atomic::{AtomicU64, Ordering};
use crate::primitive::cell::UnsafeCell;
use crate::sys::clock::now_ns;
use crate::sys::epoll::{self, Event, bits};
use std::io;
use std::os::fd::{OwnedFd, RawFd};

/// How many events are asked for at a time.
const EVENTS: usize = 128;
/// What the bell's own events carry; no slot has this index.
const BELL: u64 = u64::MAX;

/// The epoll instance; see the module.
pub(crate) struct Poller {
    epoll: OwnedFd,
    bell: OwnedFd,
    turn: TurnWord,
    /// When it was last asked, by whoever had the turn: a hint.
    asked_ns: AtomicU64,
    events: UnsafeCell<[Event; EVENTS]>,
}

// SAFETY: `events` is reached by whoever has the turn (OneTurn); the rest is atomics and
// descriptors.
unsafe impl Sync for Poller {}
// SAFETY: nothing in it belongs to a thread.
unsafe impl Send for Poller {}

impl std::fmt::Debug for Poller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Poller").field("turn", &self.turn).finish_non_exhaustive()
    }
}

impl Poller {
    /// A poller of nothing.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`, `ENOMEM`.
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create()?;
        let bell = epoll::event_fd()?;
        // Edge-triggered: each ring is an event, and nobody has to read it.
        epoll::add(&epoll, std::os::fd::AsRawFd::as_raw_fd(&bell), bits::INPUT | bits::EDGE, BELL)?;
        let events = UnsafeCell::new([Event::EMPTY; EVENTS]);
        Ok(Self { epoll, bell, turn: TurnWord::new(), asked_ns: AtomicU64::new(0), events })
    }

    /// Registers the descriptor of a slot.
    pub(super) fn add(
        &self,
        fd: RawFd,
        interest: u32,
        index: u32,
        generation: u32,
    ) -> io::Result<()> {
        epoll::add(&self.epoll, fd, interest, u64::from(generation) << 32 | u64::from(index))
    }

    /// Forgets a descriptor.
    pub(super) fn remove(&self, fd: RawFd) {
        epoll::remove(&self.epoll, fd);
    }

    /// Wakes whoever sleeps in it, now or next.
    pub(crate) fn ring(&self) {
        epoll::ring(&self.bell);
    }

    /// Takes the turn to sleep.
    pub(crate) fn try_sleep(&self) -> Option<Turn<'_>> {
        self.turn.try_sleep().then(|| Turn { poller: self })
    }

    /// Takes the turn to ask without waiting.
    pub(crate) fn try_ask(&self) -> Option<Turn<'_>> {
        self.turn.try_ask().then(|| Turn { poller: self })
    }

    /// Whether nobody has the turn, nor has had it for `interval_ns`.
    #[inline]
    pub(crate) fn is_due(&self, now_ns: u64, interval_ns: u64) -> bool {
        // ORDERING: Relaxed; a hint.
        let asked_ns = self.asked_ns.load(Ordering::Relaxed);
        now_ns.saturating_sub(asked_ns) >= interval_ns && self.is_free()
    }

    /// Whether nobody has the turn.
    pub(crate) fn is_free(&self) -> bool {
        self.turn.is_free()
    }

    /// Whether nobody has the turn, asked by one who has given it back and goes away.
    pub(crate) fn is_left_alone(&self) -> bool {
        self.turn.is_left_alone()
    }

    /// It ends: `wake` gets those who wait for its descriptors, to find another.
    pub(crate) fn abandon(&self, mut wake: impl FnMut(Token)) {
        arena::for_each(|slot| slot.abandon(self, &mut wake));
    }
}

/// The turn to ask a poller; given back when dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    poller: &'a Poller,
}

impl Turn<'_> {
    /// Waits for events for at most `timeout_ns` (`None`: for ever), and gives those whom they
    /// make ready to `wake`; how many events there were.
    pub(crate) fn ask(&mut self, timeout_ns: Option<u64>, mut wake: impl FnMut(Token)) -> usize {
        self.poller.events.with_mut(|events| {
            // SAFETY: this turn is alone with the events (OneTurn).
            let events = unsafe { &mut *events };
            let events = epoll::wait(&self.poller.epoll, events, timeout_ns);
            for event in events {
                let data = event.data();
                if data != BELL {
                    arena::at(data as u32).note(event.bits(), (data >> 32) as u32, &mut wake);
                }
            }
            events.len()
        })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // ORDERING: Relaxed; a hint.
        self.poller.asked_ns.store(now_ns(), Ordering::Relaxed);
        self.poller.turn.give();
    }
}
