//! A slot: what is known of one descriptor. Slots are type-stable, so a late event finds one.
//!
//! # Fields
//! | field | who, when |
//! |---|---|
//! | `input`, `output` | anyone, by the protocol of `super::side` |
//! | `crowd` | anyone, by the protocol of `super::crowd` |
//! | `fd` | written by who takes the slot; read by the owner of the descriptor |
//! | `generation` | written by who frees the slot, between closing the sides and giving it to the arena; late events compare it |
//! | `home` | written under `registering`; read by anyone: not null means registered, and that the poller lives while `registering` is held |
//! | `next_free` | the arena, under its lock, while the slot is free |
//!
//! **Stale events.** An event carries the slot's index and generation. It is noted by an exchange
//! from a word that was read before the generation was compared. A new tenant's word is later than
//! the change of the generation (`Side::open` releases it), and an old tenant's word is no longer
//! there to be exchanged. So an event advances no word but of the descriptor it was registered for.

use super::crowd::{Crowd, Place};
use super::poller::Poller;
use super::side::{Found, Seen, Side, Standing, Whom};
use super::{Direction, descriptor::Stand, relay};
use crate::green::Token;
use crate::own_tls;
use crate::primitive::atomic::{AtomicPtr, AtomicU32, Ordering};
use crate::primitive::lock::{Lock, Rank};
use crate::sys::epoll::{self, bits};
use std::cell::Cell;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::Arc;

/// The lock rank of a registration (ARCHITECTURE.md, "Lock ranks").
const RANK: Rank = Rank(24);

/// What every descriptor is registered for.
const INTEREST: u32 = bits::INPUT | bits::OUTPUT | bits::READ_HANG_UP | bits::URGENT | bits::EDGE;
/// What ends both directions.
const BROKEN: u32 = bits::ERROR | bits::HANG_UP;

/// One of the crowd.
#[derive(Debug)]
pub(super) enum Member {
    /// A green thread.
    Token(Token),
    /// An OS thread in poll(2), which looks at this eventfd as well.
    Bell(Arc<OwnedFd>),
}

impl From<Token> for Member {
    fn from(token: Token) -> Self {
        Self::Token(token)
    }
}

/// Whom an event of a descriptor wakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wakes {
    /// All who wait for the direction.
    All,
    /// Of those who wait for input one: what comes is for one, as a connection is (`super::relay`).
    One,
}

/// A slot; see the module.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Slot {
    input: Side,
    output: Side,
    crowd: Crowd<Member>,
    home: AtomicPtr<Poller>,
    registering: Lock<()>,
    fd: AtomicU32,
    generation: AtomicU32,
    pub(super) index: u32,
    pub(super) next_free: Cell<Option<NonNull<Slot>>>,
}

// SAFETY: `next_free` is reached under the arena's lock alone; the rest is atomics and locks.
unsafe impl Sync for Slot {}

impl Slot {
    /// A free slot.
    pub(super) fn free(index: u32) -> Self {
        Self {
            input: Side::new(),
            output: Side::new(),
            crowd: Crowd::new(),
            home: AtomicPtr::new(std::ptr::null_mut()),
            registering: Lock::new(RANK, ()),
            fd: AtomicU32::new(u32::MAX),
            generation: AtomicU32::new(0),
            index,
            next_free: Cell::new(None),
        }
    }

    /// The side of a direction.
    #[inline(always)]
    pub(super) fn side(&self, direction: Direction) -> &Side {
        match direction {
            Direction::Input => &self.input,
            Direction::Output => &self.output,
        }
    }

    /// The caller has the slot from the arena: a new tenant.
    pub(super) fn open(&self, fd: RawFd, wakes: Wakes) {
        // ORDERING: Relaxed; the slot is the caller's alone, and the descriptor is passed on by
        // what orders it.
        self.fd.store(fd as u32, Ordering::Relaxed);
        self.input.open(wakes == Wakes::One);
        self.output.open(false);
    }

    /// The tenant goes, and nobody waits any more; `false`: the slot's generations are used up.
    pub(super) fn retire(&self) -> bool {
        let _ = self.input.close::<Token>();
        let _ = self.output.close::<Token>();
        self.deregister();
        // ORDERING: Relaxed; only the owner writes.
        let generation = self.generation.load(Ordering::Relaxed).wrapping_add(1);
        // ORDERING: Relaxed; released by the next tenant's `Side::open`.
        self.generation.store(generation, Ordering::Relaxed);
        generation != u32::MAX
    }

    /// Nobody may wait any more; whoever does is told.
    pub(super) fn close(&self, wake: &mut impl FnMut(Token)) {
        for direction in [Direction::Input, Direction::Output] {
            let found = self.side(direction).close();
            self.tell(direction, found, wake);
        }
        self.deregister();
    }

    /// Something has happened in a direction: whoever waits looks again.
    pub(super) fn stir(&self, direction: Direction, wake: &mut impl FnMut(Token)) {
        let found = self.side(direction).advance(Whom::All, false, || true);
        self.tell(direction, found, wake);
    }

    /// Notes an event of the kernel, if it is for the present tenant.
    pub(super) fn note(&self, events: u32, generation: u32, wake: &mut impl FnMut(Token)) {
        // ORDERING: Relaxed; ordered by the Acquire with which the word was read, see the module.
        let is_current = || self.generation.load(Ordering::Relaxed) == generation;
        let broken = events & BROKEN != 0;
        if events & (bits::INPUT | bits::READ_HANG_UP | bits::URGENT) != 0 || broken {
            let unsure = events & (bits::READ_HANG_UP | bits::URGENT) != 0 || broken;
            let found = self.input.advance(Whom::One, unsure, is_current);
            self.tell(Direction::Input, found, wake);
        }
        if events & bits::OUTPUT != 0 || broken {
            let found = self.output.advance(Whom::One, broken, is_current);
            self.tell(Direction::Output, found, wake);
        }
    }

    /// Somebody gives up waiting for a direction of which one is woken at a time: if others wait
    /// and there is more, one of them is told (step 3 of `super::relay`).
    pub(super) fn pass_on(&self, direction: Direction, wake: &mut impl FnMut(Token)) {
        // In the child of a fork those who wait are the parent's.
        let is_more = || !own_tls::in_forked_child() && epoll::is_ready(self.fd(), bits::INPUT);
        let tell = |found| self.tell(direction, found, wake);
        relay::pass_on(self.side(direction), is_more, tell);
    }

    #[inline(always)]
    fn tell(&self, direction: Direction, found: Found<Token>, wake: &mut impl FnMut(Token)) {
        let place = (self.side(direction), &self.crowd, direction);
        let is_green = |member: &Member| matches!(member, Member::Token(_));
        relay::tell(found, place, is_green, |member| match member {
            Member::Token(token) => wake(token),
            Member::Bell(bell) => epoll::ring(&bell),
        });
    }

    /// A green thread stands in line after an attempt that began at `seen`; `None`: something has
    /// happened since.
    pub(super) fn stand(&self, direction: Direction, seen: Seen, token: Token) -> Option<Stand> {
        match self.side(direction).stand(seen, token) {
            Standing::Stale => None,
            Standing::Waits(at) => Some(Stand::First(at)),
            Standing::Crowded => self.join(direction, seen, Member::Token(token)).map(Stand::Crowd),
        }
    }

    /// Joins the crowd, whoever else waits.
    pub(super) fn join(&self, direction: Direction, seen: Seen, member: Member) -> Option<Place> {
        self.crowd.join(self.side(direction), direction, seen, member)
    }

    /// Leaves the line; `false`: somebody has told it something.
    pub(super) fn retract(&self, direction: Direction, stand: Stand) -> bool {
        match stand {
            Stand::First(at) => self.side(direction).retract(at),
            Stand::Crowd(place) => self.crowd.leave(place),
        }
    }

    /// The descriptor.
    pub(super) fn fd(&self) -> RawFd {
        // ORDERING: Relaxed; constant while the tenant lives.
        self.fd.load(Ordering::Relaxed) as RawFd
    }

    /// Whether some poller tells of its events.
    #[inline(always)]
    pub(super) fn is_registered(&self) -> bool {
        // ORDERING: Relaxed; a poller that goes advances both sides after it has taken itself out
        // (`abandon`), which the waiter's claim meets.
        !self.home.load(Ordering::Relaxed).is_null()
    }

    /// Has `poller` tell of its events, unless another does; ready now counts as an event.
    ///
    /// # Errors
    /// The kernel's: no memory, no more watches, a file that is always ready.
    #[cold]
    pub(super) fn register(&self, poller: &Poller) -> io::Result<()> {
        let _registering = self.registering.lock();
        // ORDERING: Relaxed; written under the lock.
        if !self.home.load(Ordering::Relaxed).is_null() {
            return Ok(());
        }
        // ORDERING: Relaxed; constant while the tenant lives.
        let generation = self.generation.load(Ordering::Relaxed);
        poller.add(self.fd(), INTEREST, self.index, generation)?;
        // ORDERING: Relaxed; written and dereferenced under the lock.
        self.home.store(std::ptr::from_ref(poller).cast_mut(), Ordering::Relaxed);
        Ok(())
    }

    /// Takes the descriptor out of its poller.
    fn deregister(&self) {
        if !self.is_registered() || own_tls::in_forked_child() {
            return;
        }
        let _registering = self.registering.lock();
        // ORDERING: Relaxed; written under the lock.
        let home = self.home.swap(std::ptr::null_mut(), Ordering::Relaxed);
        // SAFETY: a poller that ends takes itself out first, under the lock that is held here.
        if let Some(home) = unsafe { home.as_ref() } {
            home.remove(self.fd());
        }
    }

    /// `poller` ends: if it was the one to tell, whoever waits finds another.
    pub(super) fn abandon(&self, poller: &Poller, wake: &mut impl FnMut(Token)) {
        let registering = self.registering.lock();
        // ORDERING: Relaxed; written under the lock.
        if !std::ptr::eq(self.home.load(Ordering::Relaxed), poller) {
            return;
        }
        // ORDERING: Relaxed; released by the advances below: a waiter whose attempt began after
        // them sees that it has to register, and one before them is taken or cannot claim.
        self.home.store(std::ptr::null_mut(), Ordering::Relaxed);
        drop(registering);
        self.stir(Direction::Input, wake);
        self.stir(Direction::Output, wake);
    }
}
