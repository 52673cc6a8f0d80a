//! The bounded channel: a ring of slots, no lock unless somebody has to wait.
//!
//! # Words
//! `head` and `tail` are *positions*: the index of a slot in the low bits, then (in `tail` only)
//! the mark of a disconnected channel, then the lap. A slot's `stamp` says for whom it is:
//!
//! | stamp | means | goes to |
//! |---|---|---|
//! | *p* | free for the sender at position *p* | *p* + 1 by that sender, when the message is in |
//! | *p* + 1 | holds the message of position *p* | *p* + one lap by its receiver, when it is out |
//! | (*p* + 1) with `VOID` | its sender gave up: nothing to receive | *p* + one lap by a receiver who skips it |
//!
//! A sender reserves by an exchange `tail: p -> next(p)`, and then alone writes the slot; a
//! receiver likewise by `head`. Between the two steps the others see that somebody is at it, and
//! [`Snooze`].
//!
//! # Invariants
//! - **OneEach**: a position is reserved by one sender and one receiver, since exchanges of one
//!   word decide; the stamp makes the receiver come after the sender, and the sender of the next
//!   lap after the receiver.
//! - **NotMissed**: who waits for a message or a place is told of one, by the protocol of
//!   [`WaitQueue`]: the change is the exchange of `tail` or `head`, the look is
//!   [`Array::is_ready`].
//!
//! Source: Dmitry Vyukov, "Bounded MPMC queue" (1024cores.net); crossbeam-channel's use of it for
//! channels of any capacity, with the mark. The void slot is ours.

use crate::channel::clock;
use crate::channel::error::{RecvTimeoutError, SendTimeoutError, TryRecvError, TrySendError};
use crate::channel::padded::CachePadded;
use crate::channel::select::core::{Selectable, Side, Ticket};
use crate::channel::snooze::Snooze;
use crate::channel::waiters::{Role, WaitQueue, Waiter, Withdrawn};
use crate::green::Reason;
use crate::green::wait::Outcome;
use crate::primitive::atomic::{AtomicU64, Ordering, ord};
use crate::primitive::cell::UnsafeCell;
use crate::sched::Token;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

/// In a stamp: the sender has given up.
const VOID: u64 = 1 << 63;
/// From this capacity on there would be no room for laps.
const CAPACITY_END: u64 = 1 << 40;

/// The channel; see the module.
#[derive(Debug)]
pub(crate) struct Array<T> {
    head: CachePadded<AtomicU64>,
    tail: CachePadded<AtomicU64>,
    slots: Box<[Slot<T>]>,
    /// The mark of a disconnected channel in `tail`; a power of two above every index.
    mark: u64,
    senders: WaitQueue,
    receivers: WaitQueue,
}

#[derive(Debug)]
struct Slot<T> {
    stamp: AtomicU64,
    value: UnsafeCell<MaybeUninit<T>>,
}

/// A slot that was reserved, with the stamp that completes the operation.
struct Reserved<'a, T> {
    slot: &'a Slot<T>,
    stamp: u64,
}

/// Why nothing was reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    /// Full, or empty.
    Block,
    Disconnected,
}

impl<T> Array<T> {
    /// A channel of `capacity` slots, at least one.
    ///
    /// # Panics
    /// If there is no room in the address space.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        assert!(
            (1..CAPACITY_END).contains(&(capacity as u64)),
            "invalid capacity {capacity} of a channel: accepted are 0 to {}",
            CAPACITY_END - 1
        );
        let slot = |index| Slot {
            stamp: AtomicU64::new(index),
            value: UnsafeCell::new(MaybeUninit::uninit()),
        };
        Self {
            head: CachePadded::new(AtomicU64::new(0)),
            tail: CachePadded::new(AtomicU64::new(0)),
            slots: (0..capacity as u64).map(slot).collect(),
            mark: (capacity as u64 + 1).next_power_of_two(),
            senders: WaitQueue::new(),
            receivers: WaitQueue::new(),
        }
    }

    /// The distance between two laps.
    #[inline(always)]
    fn lap(&self) -> u64 {
        self.mark << 1
    }

    #[inline(always)]
    fn slot(&self, position: u64) -> &Slot<T> {
        // SAFETY: `next` keeps the index of every position below the number of slots.
        unsafe { self.slots.get_unchecked((position & (self.mark - 1)) as usize) }
    }

    /// The position after this one.
    #[inline(always)]
    fn next(&self, position: u64) -> u64 {
        let index = position & (self.mark - 1);
        if index + 1 < self.slots.len() as u64 {
            position + 1
        } else {
            (position & !(self.lap() - 1)).wrapping_add(self.lap()) & !VOID
        }
    }

    /// Moves `word` from `position` to the next one; the word's value if somebody was faster.
    #[inline(always)]
    fn reserve(&self, word: &AtomicU64, position: u64) -> Result<(), u64> {
        let next = self.next(position);
        // ORDERING: SeqCst; with the accesses to `occupied` it makes the protocol of `WaitQueue`.
        // The slot itself is ordered by its stamp.
        let order = Ordering::SeqCst;
        // ORDERING: `order` as said above; Acquire on failure, as the callers' own loads.
        word.compare_exchange_weak(position, next, order, Ordering::Acquire).map(|_| ())
    }

    /// Reserves the slot of the next message to send.
    #[inline(always)]
    fn reserve_to_send(&self) -> Result<Reserved<'_, T>, Refused> {
        let mut snooze = Snooze::new();
        // ORDERING: Acquire; pairs with the SeqCst exchange in `reserve`: who finds this channel
        // full sees what its sender did to others before.
        let mut tail = self.tail.load(Ordering::Acquire);
        loop {
            if tail & self.mark != 0 {
                return Err(Refused::Disconnected);
            }
            let slot = self.slot(tail);
            // ORDERING: Acquire; pairs with the Release in `release` by the last receiver: its
            // message is out.
            let stamp = slot.stamp.load(ord!("array.send.stamp", Acquire));
            if stamp == tail {
                match self.reserve(&self.tail, tail) {
                    Ok(()) => return Ok(Reserved { slot, stamp: tail + 1 }),
                    Err(now) => tail = now,
                }
                snooze.spin();
                continue;
            }
            // ORDERING: SeqCst; after a wait it is the look of the protocol of `WaitQueue`.
            if self.head.load(Ordering::SeqCst).wrapping_add(self.lap()) & !VOID == tail {
                return Err(Refused::Block);
            }
            // A receiver is at it, or our tail is old.
            snooze.wait();
            // ORDERING: Acquire; as above.
            tail = self.tail.load(Ordering::Acquire);
        }
    }

    /// Reserves the slot of the next message to receive.
    #[inline(always)]
    fn reserve_to_receive(&self) -> Result<Reserved<'_, T>, Refused> {
        let mut snooze = Snooze::new();
        // ORDERING: Acquire; pairs with the SeqCst exchange in `reserve`: who finds this channel
        // empty sees what its receiver did to others before, as a select over both must.
        let mut head = self.head.load(Ordering::Acquire);
        loop {
            let slot = self.slot(head);
            // ORDERING: Acquire; pairs with the Release in `release` by the sender: the message.
            let stamp = slot.stamp.load(ord!("array.receive.stamp", Acquire));
            if stamp & !VOID == head + 1 {
                let freed = head.wrapping_add(self.lap()) & !VOID;
                match self.reserve(&self.head, head) {
                    Ok(()) if stamp & VOID == 0 => return Ok(Reserved { slot, stamp: freed }),
                    // Its sender gave up: skip it.
                    Ok(()) => {
                        self.release(Reserved { slot, stamp: freed }, &self.senders);
                        head = self.next(head);
                    }
                    Err(now) => head = now,
                }
                snooze.spin();
                continue;
            }
            // ORDERING: SeqCst; after a wait it is the look of the protocol of `WaitQueue`.
            let tail = self.tail.load(Ordering::SeqCst);
            if tail & !self.mark == head {
                let is_disconnected = tail & self.mark != 0;
                return Err(if is_disconnected { Refused::Disconnected } else { Refused::Block });
            }
            // A sender is at it, or our head is old.
            snooze.wait();
            // ORDERING: Acquire; as above.
            head = self.head.load(Ordering::Acquire);
        }
    }

    /// Hands a slot on to the other side, and tells one of those who wait there.
    #[inline(always)]
    fn release(&self, reserved: Reserved<'_, T>, others: &WaitQueue) {
        // ORDERING: Release; pairs with the Acquire loads of the stamp in `reserve_to_send` and
        // `reserve_to_receive`: the value is in, or out.
        reserved.slot.stamp.store(reserved.stamp, ord!("array.release", Release));
        others.notify();
    }

    #[inline(always)]
    fn put(&self, reserved: Reserved<'_, T>, value: T) {
        // SAFETY: reserved: nobody else touches the value until the stamp says so (OneEach).
        reserved.slot.value.with_mut(|place| unsafe { place.write(MaybeUninit::new(value)) });
        self.release(reserved, &self.receivers);
    }

    #[inline(always)]
    fn take(&self, reserved: Reserved<'_, T>) -> T {
        // SAFETY: reserved: nobody else touches the value until the stamp says so (OneEach).
        let value = reserved.slot.value.with(|place| unsafe { place.read() });
        self.release(reserved, &self.senders);
        // SAFETY: the sender has put it in, and we alone take it.
        unsafe { value.assume_init() }
    }

    #[inline]
    pub(crate) fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        match self.reserve_to_send() {
            Ok(reserved) => {
                self.put(reserved, value);
                Ok(())
            }
            Err(Refused::Block) => Err(TrySendError::Full(value)),
            Err(Refused::Disconnected) => Err(TrySendError::Disconnected(value)),
        }
    }

    /// # Switches
    #[inline]
    pub(crate) fn send(
        &self,
        mut value: T,
        deadline_ns: Option<u64>,
    ) -> Result<(), SendTimeoutError<T>> {
        loop {
            match self.try_send(value) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Disconnected(value)) => {
                    return Err(SendTimeoutError::Disconnected(value));
                }
                Err(TrySendError::Full(back)) => value = back,
            }
            if !self.wait(Side::Sender, deadline_ns) {
                return Err(SendTimeoutError::Timeout(value));
            }
        }
    }

    #[inline]
    pub(crate) fn try_recv(&self) -> Result<T, TryRecvError> {
        match self.reserve_to_receive() {
            Ok(reserved) => Ok(self.take(reserved)),
            Err(Refused::Block) => Err(TryRecvError::Empty),
            Err(Refused::Disconnected) => Err(TryRecvError::Disconnected),
        }
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
            if !self.wait(Side::Receiver, deadline_ns) {
                return Err(RecvTimeoutError::Timeout);
            }
        }
    }

    /// Waits until `side` may try again; `false`: the time is up.
    ///
    /// # Switches
    #[cold]
    #[inline(never)]
    fn wait(&self, side: Side, deadline_ns: Option<u64>) -> bool {
        if deadline_ns.is_some_and(clock::has_passed) {
            return false;
        }
        let (queue, reason) = match side {
            Side::Sender => (&self.senders, Reason::Send),
            Side::Receiver => (&self.receivers, Reason::Receive),
        };
        let outcome = queue.wait(reason, deadline_ns, || self.is_ready(side));
        outcome != Outcome::Deadline || self.is_ready(side)
    }

    fn queue(&self, side: Side) -> &WaitQueue {
        match side {
            Side::Sender => &self.senders,
            Side::Receiver => &self.receivers,
        }
    }

    /// `head` and `tail` without its mark, of one moment.
    fn positions(&self) -> (u64, u64) {
        loop {
            // ORDERING: SeqCst, all three: the look of the protocol of `WaitQueue`.
            let tail = self.tail.load(Ordering::SeqCst);
            // ORDERING: as above.
            let head = self.head.load(Ordering::SeqCst);
            // ORDERING: as above.
            if self.tail.load(Ordering::SeqCst) == tail {
                return (head, tail & !self.mark);
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        let (head, tail) = self.positions();
        let index = |position: u64| (position & (self.mark - 1)) as usize;
        match index(tail).checked_sub(index(head)) {
            Some(0) if head != tail => self.capacity(),
            Some(count) => count,
            None => self.capacity() - index(head) + index(tail),
        }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        let (head, tail) = self.positions();
        head == tail
    }

    pub(crate) fn is_full(&self) -> bool {
        let (head, tail) = self.positions();
        head.wrapping_add(self.lap()) & !VOID == tail
    }

    fn is_disconnected(&self) -> bool {
        // ORDERING: SeqCst; the look of the protocol of `WaitQueue`.
        self.tail.load(Ordering::SeqCst) & self.mark != 0
    }

    /// Nobody is left on one side: everybody who waits is told.
    pub(crate) fn disconnect(&self) {
        // ORDERING: SeqCst; with the accesses to `occupied` it makes the protocol of `WaitQueue`.
        if self.tail.fetch_or(self.mark, Ordering::SeqCst) & self.mark == 0 {
            self.senders.disconnect();
            self.receivers.disconnect();
        }
    }

    /// The slot of a ticket.
    fn reserved(&self, ticket: &Ticket) -> Option<Reserved<'_, T>> {
        let Ticket::Slot { slot, stamp } = *ticket else { return None };
        // SAFETY: tickets of this channel name its own slots, which live as long as it.
        Some(Reserved { slot: unsafe { slot.cast::<Slot<T>>().as_ref() }, stamp })
    }

    /// Completes a send that a select has begun.
    pub(crate) fn write(&self, ticket: &Ticket, value: T) -> Result<(), T> {
        let Some(reserved) = self.reserved(ticket) else { return Err(value) };
        self.put(reserved, value);
        Ok(())
    }

    /// Completes a receive that a select has begun.
    pub(crate) fn read(&self, ticket: &Ticket) -> Option<T> {
        Some(self.take(self.reserved(ticket)?))
    }
}

impl<T> Selectable for Array<T> {
    fn start(&self, side: Side) -> Option<Ticket> {
        let reserved = match side {
            Side::Sender => self.reserve_to_send(),
            Side::Receiver => self.reserve_to_receive(),
        };
        match reserved {
            Ok(Reserved { slot, stamp }) => {
                Some(Ticket::Slot { slot: NonNull::from(slot).cast(), stamp })
            }
            Err(Refused::Block) => None,
            Err(Refused::Disconnected) => Some(Ticket::Disconnected),
        }
    }

    unsafe fn register(&self, side: Side, waiter: &Waiter, token: Token, role: Role) -> bool {
        // SAFETY: the caller's clause.
        unsafe { self.queue(side).register(waiter, token, role) };
        self.is_ready(side)
    }

    fn unregister(&self, side: Side, waiter: &Waiter) -> Withdrawn {
        self.queue(side).unregister(waiter)
    }

    fn accept(&self, side: Side, _packet: *const ()) -> Option<Ticket> {
        self.start(side)
    }

    fn is_ready(&self, side: Side) -> bool {
        let is_blocked = match side {
            Side::Sender => self.is_full(),
            Side::Receiver => self.is_empty(),
        };
        !is_blocked || self.is_disconnected()
    }

    fn abandon(&self, side: Side, ticket: Ticket) {
        let Some(mut reserved) = self.reserved(&ticket) else { return };
        match side {
            Side::Sender => {
                reserved.stamp |= VOID;
                self.release(reserved, &self.receivers);
            }
            // Not dropped: the thread may be one that may not have a `T`.
            Side::Receiver => std::mem::forget(self.take(reserved)),
        }
    }
}

impl<T> Drop for Array<T> {
    /// Messages behind one that panics in its drop leak, as crossbeam-channel's do.
    fn drop(&mut self) {
        if !std::mem::needs_drop::<T>() {
            return;
        }
        let (mut head, tail) = self.positions();
        while head != tail {
            let slot = self.slot(head);
            // ORDERING: Relaxed; `&mut self`: nobody else is left.
            if slot.stamp.load(Ordering::Relaxed) == head + 1 {
                // SAFETY: the stamp says that the slot holds a message nobody has taken.
                slot.value.with_mut(|place| unsafe { place.cast::<T>().drop_in_place() });
            }
            head = self.next(head);
        }
    }
}
