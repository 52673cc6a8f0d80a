//! The unbounded channel: a list of blocks of slots, no lock unless a receiver has to wait.
//!
//! # Words
//! `head.index` and `tail.index` count slots from the beginning of time, in steps of 2; bit 0 of
//! `tail` marks a disconnected channel, bit 0 of `head` says that `tail` is in a later block, so
//! that a receiver need not look at `tail`. [`LAP`] steps make a block: one more than it has
//! slots. The step that is no slot is where both ends stand while the block behind is put in
//! place; who finds it there waits for that.
//!
//! 1. A sender reserves a slot by an exchange of `tail.index`. Who got the last of a block puts
//!    the next one in place: `tail.block`, then `tail.index` over the missing slot, then `next`.
//! 2. It writes its message and says so in the slot's `state`.
//! 3. A receiver reserves a slot by an exchange of `head.index`. Who got the last of a block waits
//!    for `next` and moves the head there.
//! 4. It waits for the state, takes the message, and counts it in the block's `taken`. Who counts
//!    the last one frees the block.
//!
//! # Invariants
//! - **OneEach**: a slot is reserved by one sender and one receiver, since exchanges of one word
//!   decide, and an index never comes back.
//! - **BlockLives**: a block is freed when all its slots were taken; nobody has it then. Senders
//!   are done with a slot before it is taken, who put `next` in place is done with that before the
//!   last slot is taken, and who reads `head.block` or `tail.block` uses it only if the index next
//!   to it did not move.
//! - **NotMissed**: as in `array`.
//!
//! Source: crossbeam-channel's list of blocks. The count of taken slots is ours, in place of three
//! flags in each slot: a store and an addition instead of two read-modify-writes.

use super::block::{Block, LAP, MARK, Reserved, SLOTS, STEP, VOID, WRITTEN, lap, offset};
use crate::channel::clock;
use crate::channel::error::{RecvTimeoutError, TryRecvError};
use crate::channel::padded::CachePadded;
use crate::channel::select::core::{Selectable, Side, Ticket};
use crate::channel::snooze::Snooze;
use crate::channel::waiters::{Role, WaitQueue, Waiter, Withdrawn};
use crate::green::Reason;
use crate::green::wait::Outcome;
use crate::primitive::atomic::{AtomicPtr, AtomicU64, Ordering, ord};
use crate::sched::Token;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

/// The channel; see the module.
#[derive(Debug)]
pub(crate) struct List<T> {
    head: CachePadded<Place<T>>,
    tail: CachePadded<Place<T>>,
    receivers: WaitQueue,
}

/// One end of the list.
#[derive(Debug)]
struct Place<T> {
    index: AtomicU64,
    block: AtomicPtr<Block<T>>,
}

impl<T> List<T> {
    pub(crate) fn new() -> Self {
        let block = Box::into_raw(Block::new());
        let place =
            || CachePadded::new(Place { index: AtomicU64::new(0), block: AtomicPtr::new(block) });
        Self { head: place(), tail: place(), receivers: WaitQueue::new() }
    }

    /// Reserves the slot of the next message to send; `None` if the channel is disconnected.
    #[inline(always)]
    fn reserve_to_send(&self) -> Option<Reserved<T>> {
        let mut snooze = Snooze::new();
        let mut spare = None;
        loop {
            // ORDERING: Acquire; pairs with the Release of who moved the index over the end of a
            // block: `tail.block` is at least that new.
            let tail = self.tail.index.load(ord!("list.tail.index", Acquire));
            // ORDERING: Acquire; pairs with the Release of who put it in place: the block.
            let block = self.tail.block.load(ord!("list.tail.block", Acquire));
            if tail & MARK != 0 {
                return None;
            }
            let at = offset(tail);
            if at == SLOTS {
                snooze.wait();
                continue;
            }
            if at + 1 == SLOTS && spare.is_none() {
                spare = Some(Block::new());
            }
            // ORDERING: SeqCst; with the accesses to `occupied` it makes the protocol of
            // `WaitQueue`.
            let order = Ordering::SeqCst;
            // ORDERING: `order` as said above; Relaxed on failure: the loop looks again.
            let exchanged =
                self.tail.index.compare_exchange_weak(tail, tail + STEP, order, Ordering::Relaxed);
            let (Ok(_), Some(block)) = (exchanged, NonNull::new(block)) else {
                snooze.spin();
                continue;
            };
            if at + 1 == SLOTS {
                self.append(block, spare.take().unwrap_or_else(Block::new));
            }
            return Some(Reserved { block, offset: at });
        }
    }

    /// Puts `next` in place behind `block`, whose last slot the caller has reserved.
    #[cold]
    fn append(&self, block: NonNull<Block<T>>, next: Box<Block<T>>) {
        let next = Box::into_raw(next);
        // ORDERING: Release; pairs with the Acquire in `reserve_to_send`: the block.
        self.tail.block.store(next, ord!("list.append.block", Release));
        // ORDERING: Release; pairs with the Acquire of the index there: `tail.block` above. An
        // addition, because the mark may be set meanwhile.
        self.tail.index.fetch_add(STEP, ord!("list.append.index", Release));
        // SAFETY: our slot was not taken yet, so the block lives (BlockLives).
        let block = unsafe { block.as_ref() };
        // ORDERING: Release; pairs with the Acquire in `wait_for_next`: the block, for receivers
        // that were spared the look at `tail` (see `MARK`).
        block.next.store(next, ord!("list.append.next", Release));
    }

    /// Reserves the slot of the next message to receive, and waits until it is there.
    ///
    /// # Switches
    #[inline(always)]
    fn reserve_to_receive(&self) -> Result<Reserved<T>, TryRecvError> {
        let mut snooze = Snooze::new();
        loop {
            // ORDERING: Acquire; pairs with the Release of who moved the index over the end of a
            // block: `head.block` is at least that new.
            let head = self.head.index.load(ord!("list.head.index", Acquire));
            // ORDERING: Acquire; pairs with the Release of who put it in place: the block.
            let block = self.head.block.load(ord!("list.head.block", Acquire));
            if offset(head) == SLOTS {
                snooze.wait();
                continue;
            }
            let mut next = head + STEP;
            if head & MARK == 0 {
                // ORDERING: SeqCst; after a wait it is the look of the protocol of `WaitQueue`.
                let tail = self.tail.index.load(Ordering::SeqCst);
                if head / STEP == tail / STEP {
                    let is_disconnected = tail & MARK != 0;
                    let error = [TryRecvError::Empty, TryRecvError::Disconnected];
                    return Err(error[usize::from(is_disconnected)]);
                }
                next |= u64::from(lap(head) != lap(tail)) * MARK;
            }
            // ORDERING: SeqCst; the change of the protocol of `WaitQueue`, and the next receiver's
            // view of `tail` is at least as new as ours.
            let order = Ordering::SeqCst;
            // ORDERING: `order` as said above; Relaxed on failure: the loop looks again.
            let exchanged =
                self.head.index.compare_exchange_weak(head, next, order, Ordering::Relaxed);
            let (Ok(_), Some(block)) = (exchanged, NonNull::new(block)) else {
                snooze.spin();
                continue;
            };
            let reserved = Reserved { block, offset: offset(head) };
            if reserved.offset + 1 == SLOTS {
                self.advance(&reserved, next);
            }
            if reserved.slot().wait_for_sender() == WRITTEN {
                return Ok(reserved);
            }
            // Its sender gave up: skip it.
            reserved.count();
        }
    }

    /// Moves the head to the next block: the caller has reserved the last slot of this one, and
    /// moved the index to `index`.
    ///
    /// # Switches
    #[cold]
    fn advance(&self, reserved: &Reserved<T>, index: u64) {
        // SAFETY: our slot is not counted, so the block lives (BlockLives).
        let next = unsafe { reserved.block.as_ref() }.wait_for_next();
        // SAFETY: no slot of it can be reserved to receive before the head is moved there.
        let behind = unsafe { &*next };
        // ORDERING: Relaxed; whether there is one: who needs it acquires it.
        let has_more = !behind.next.load(Ordering::Relaxed).is_null();
        // ORDERING: Release; pairs with the Acquire in `reserve_to_receive`: the block.
        self.head.block.store(next, ord!("list.advance.block", Release));
        let index = (index & !MARK) + STEP + u64::from(has_more) * MARK;
        // ORDERING: Release; pairs with the Acquire of the index there: `head.block` above.
        self.head.index.store(index, ord!("list.advance.index", Release));
    }

    /// Writes a slot that was reserved, and tells a receiver.
    #[inline(always)]
    fn put(&self, reserved: &Reserved<T>, value: T) {
        let slot = reserved.slot();
        // SAFETY: reserved: nobody else touches the value until the state says so (OneEach).
        slot.value.with_mut(|place| unsafe { place.write(MaybeUninit::new(value)) });
        // ORDERING: Release; pairs with the Acquire in `wait_for_sender`: the message.
        slot.state.store(WRITTEN, ord!("list.put", Release));
        self.receivers.notify();
    }

    /// Takes the message of a slot that was reserved.
    #[inline(always)]
    fn take(reserved: Reserved<T>) -> T {
        // SAFETY: reserved and written: we alone touch it (OneEach).
        let value = reserved.slot().value.with(|place| unsafe { place.read() });
        reserved.count();
        // SAFETY: its sender has put it in, and we alone take it.
        unsafe { value.assume_init() }
    }

    /// Sends; never waits. The value comes back if the channel is disconnected.
    #[inline]
    pub(crate) fn send(&self, value: T) -> Result<(), T> {
        let Some(reserved) = self.reserve_to_send() else { return Err(value) };
        self.put(&reserved, value);
        Ok(())
    }

    /// # Switches
    #[inline]
    pub(crate) fn try_recv(&self) -> Result<T, TryRecvError> {
        self.reserve_to_receive().map(Self::take)
    }

    /// # Switches
    #[inline]
    pub(crate) fn recv(&self, deadline_ns: Option<u64>) -> Result<T, RecvTimeoutError> {
        loop {
            match self.try_recv() {
                Ok(value) => return Ok(value),
                Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
                Err(TryRecvError::Empty) => {}
            }
            if !self.wait(deadline_ns) {
                return Err(RecvTimeoutError::Timeout);
            }
        }
    }

    /// Waits until a receiver may try again; `false`: the time is up.
    ///
    /// # Switches
    #[cold]
    #[inline(never)]
    fn wait(&self, deadline_ns: Option<u64>) -> bool {
        if deadline_ns.is_some_and(clock::has_passed) {
            return false;
        }
        let is_ready = || self.is_ready(Side::Receiver);
        let outcome = self.receivers.wait(Reason::Receive, deadline_ns, is_ready);
        outcome != Outcome::Deadline || is_ready()
    }

    pub(crate) fn len(&self) -> usize {
        loop {
            // ORDERING: SeqCst, all three: a moment at which both were so.
            let tail = self.tail.index.load(Ordering::SeqCst);
            // ORDERING: as above.
            let head = self.head.index.load(Ordering::SeqCst);
            // ORDERING: as above.
            if self.tail.index.load(Ordering::SeqCst) == tail {
                let slots = |index: u64| lap(index) * SLOTS + offset(index);
                return (slots(tail) - slots(head)) as usize;
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        // ORDERING: SeqCst; the look of the protocol of `WaitQueue`.
        let head = self.head.index.load(Ordering::SeqCst);
        // ORDERING: as above.
        head / STEP == self.tail.index.load(Ordering::SeqCst) / STEP
    }

    fn is_disconnected(&self) -> bool {
        // ORDERING: SeqCst; the look of the protocol of `WaitQueue`.
        self.tail.index.load(Ordering::SeqCst) & MARK != 0
    }

    fn mark(&self) {
        // ORDERING: SeqCst; the change of the protocol of `WaitQueue`.
        self.tail.index.fetch_or(MARK, Ordering::SeqCst);
    }

    /// No sender is left: all receivers are told.
    pub(crate) fn disconnect_senders(&self) {
        self.mark();
        self.receivers.disconnect();
    }

    /// No receiver is left: what lies in the channel is dropped.
    pub(crate) fn disconnect_receivers(&self) {
        self.mark();
        while let Ok(value) = self.try_recv() {
            drop(value);
        }
    }

    /// The slot of a ticket; see [`List::ticket`].
    fn reserved(ticket: &Ticket) -> Option<Reserved<T>> {
        let Ticket::Slot { slot, stamp } = *ticket else { return None };
        Some(Reserved { block: slot.cast(), offset: stamp })
    }

    fn ticket(reserved: Reserved<T>) -> Ticket {
        Ticket::Slot { slot: reserved.block.cast(), stamp: reserved.offset }
    }

    /// Completes a send that a select has begun.
    pub(crate) fn write(&self, ticket: &Ticket, value: T) -> Result<(), T> {
        let Some(reserved) = Self::reserved(ticket) else { return Err(value) };
        self.put(&reserved, value);
        Ok(())
    }

    /// Completes a receive that a select has begun.
    pub(crate) fn read(&self, ticket: &Ticket) -> Option<T> {
        Self::reserved(ticket).map(Self::take)
    }
}

impl<T> Selectable for List<T> {
    fn start(&self, side: Side) -> Option<Ticket> {
        match side {
            Side::Sender => Some(self.reserve_to_send().map_or(Ticket::Disconnected, Self::ticket)),
            Side::Receiver => match self.reserve_to_receive() {
                Ok(reserved) => Some(Self::ticket(reserved)),
                Err(TryRecvError::Disconnected) => Some(Ticket::Disconnected),
                Err(TryRecvError::Empty) => None,
            },
        }
    }

    unsafe fn register(&self, side: Side, waiter: &Waiter, token: Token, role: Role) -> bool {
        if side == Side::Receiver {
            // SAFETY: the caller's clause.
            unsafe { self.receivers.register(waiter, token, role) };
        }
        self.is_ready(side)
    }

    fn unregister(&self, side: Side, waiter: &Waiter) -> Withdrawn {
        match side {
            Side::Sender => Withdrawn { is_fired: false, packet: ptr::null() },
            Side::Receiver => self.receivers.unregister(waiter),
        }
    }

    fn accept(&self, side: Side, _packet: *const ()) -> Option<Ticket> {
        self.start(side)
    }

    fn is_ready(&self, side: Side) -> bool {
        side == Side::Sender || !self.is_empty() || self.is_disconnected()
    }

    fn abandon(&self, side: Side, ticket: Ticket) {
        let Some(reserved) = Self::reserved(&ticket) else { return };
        if side == Side::Receiver {
            // Not dropped: the thread may be one that may not have a `T`.
            return std::mem::forget(Self::take(reserved));
        }
        // ORDERING: Release; as in `put`.
        reserved.slot().state.store(VOID, Ordering::Release);
        self.receivers.notify();
    }
}

impl<T> Drop for List<T> {
    fn drop(&mut self) {
        // ORDERING: Relaxed, all of this function; `&mut self`: nobody else is left.
        let relaxed = Ordering::Relaxed;
        let mut rest = Rest {
            // ORDERING: as above.
            head: self.head.index.load(relaxed) / STEP,
            // ORDERING: as above.
            tail: self.tail.index.load(relaxed) / STEP,
            // ORDERING: as above.
            block: self.head.block.load(relaxed),
        };
        rest.drop_messages();
    }
}

/// The messages and blocks that are left at the end. When a message panics in its drop those
/// behind it leak, as crossbeam-channel's do; the blocks do not.
struct Rest<T> {
    head: u64,
    tail: u64,
    /// The block that `head` is in: ours, with those behind it.
    block: *mut Block<T>,
}

impl<T> Rest<T> {
    fn drop_messages(&mut self) {
        // ORDERING: Relaxed, all of this function; the list is its owner's alone.
        let relaxed = Ordering::Relaxed;
        while self.head != self.tail {
            // SAFETY: slots up to the tail lie in live blocks, linked by `next`.
            let here = unsafe { &*self.block };
            let at = self.head % LAP;
            self.head += 1;
            if at == SLOTS {
                // ORDERING: as above.
                let next = here.next.load(relaxed);
                // SAFETY: made by `Block::new`; we are past it.
                drop(unsafe { Box::from_raw(self.block) });
                self.block = next;
                continue;
            }
            let slot = &here.slots[at as usize];
            // ORDERING: as above.
            if slot.state.load(relaxed) == WRITTEN {
                // SAFETY: written, and never taken: it lies behind the head, which has moved on,
                // so it is dropped once.
                slot.value.with_mut(|place| unsafe { place.cast::<T>().drop_in_place() });
            }
        }
    }
}

impl<T> Drop for Rest<T> {
    fn drop(&mut self) {
        while !self.block.is_null() {
            // SAFETY: made by `Block::new`, and the list's own; nobody else is left.
            let block = unsafe { Box::from_raw(self.block) };
            // ORDERING: Relaxed; as in `drop_messages`.
            self.block = block.next.load(Ordering::Relaxed);
        }
    }
}
