//! The rendezvous channel: a value goes straight from the sender to the receiver.
//!
//! One short lock, two queues of waiters, and no place for messages. Who comes and finds a partner
//! waiting exchanges with it under the lock, claims it, gives the lock back, and makes it runnable
//! at the front of its own processor's queue; who comes first waits with a packet on its own
//! stack. The steps are in `README.md` of the directory above, section "Rendezvous"; what a packet
//! goes through is the state table of `exchange`.
//!
//! Packets of plain operations lie on the stack of the one who waits. Those of a select lie on the
//! heap, because the message changes hands only after the select has returned: the *receiving*
//! side frees them, whoever made them ([`Zero::register`]), unless nobody ever claimed them.

use crate::channel::error::{RecvTimeoutError, SendTimeoutError, TryRecvError, TrySendError};
use crate::channel::exchange::{End, Found, Packet};
use crate::channel::select::core::{Selectable, Side, Ticket};
use crate::channel::waiters::{self, Partner, RANK, Role, Waiter, Waiters, Withdrawn};
use crate::green::Reason;
use crate::green::wait::Outcome;
use crate::primitive::lock::Lock;
use crate::sched::{self, Token};
use std::cell::Cell;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

/// The channel; see the module.
#[derive(Debug)]
pub(crate) struct Zero<T> {
    state: Lock<State>,
    _values: PhantomData<fn(T) -> T>,
}

#[derive(Debug)]
struct State {
    senders: Waiters,
    receivers: Waiters,
    is_disconnected: bool,
}

impl State {
    fn waiters(&mut self, side: Side) -> &mut Waiters {
        match side {
            Side::Sender => &mut self.senders,
            Side::Receiver => &mut self.receivers,
        }
    }
}

/// What a receiver that came has got hold of.
enum Offer<T> {
    Value(T),
    Disconnected,
}

impl<T> Zero<T> {
    pub(crate) fn new() -> Self {
        Self {
            state: Lock::new(
                RANK,
                State {
                    senders: Waiters::new(),
                    receivers: Waiters::new(),
                    is_disconnected: false,
                },
            ),
            _values: PhantomData,
        }
    }

    /// The packet behind a waiter's pointer.
    ///
    /// # Safety
    /// - `packet` was registered with this channel, and is alive for `'a`.
    unsafe fn packet<'a>(packet: *const ()) -> &'a Packet<T> {
        // SAFETY: the caller's clause: this channel's waiters register `Packet<T>`.
        unsafe { &*packet.cast::<Packet<T>>() }
    }

    /// Gives the value in `packet` to a receiver that waits, if there is one.
    #[inline(always)]
    fn give(state: &mut State, packet: &Packet<T>) -> Option<Partner> {
        state.receivers.claim_first(|theirs| {
            // SAFETY: the waiter is alive under the lock (WaiterLives), and so its packet.
            let theirs = unsafe { Self::packet(theirs) };
            // SAFETY: nobody has seen our packet.
            let copy = unsafe { packet.copy() };
            // SAFETY: under the lock, and the owner waits: nobody else touches the value.
            unsafe { theirs.put(&copy) };
            theirs.exchange.set_done();
        })
    }

    /// Sends, if a receiver waits.
    pub(crate) fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        let packet = Packet::filled(value);
        let mut state = self.state.lock();
        if let Some(partner) = Self::give(&mut state, &packet) {
            drop(state);
            partner.claimed.resume();
            return Ok(());
        }
        let is_disconnected = state.is_disconnected;
        drop(state);
        // SAFETY: nobody has taken the copy, and the packet drops nothing.
        let value = unsafe { packet.move_out() };
        Err(if is_disconnected {
            TrySendError::Disconnected(value)
        } else {
            TrySendError::Full(value)
        })
    }

    /// Sends; waits for a receiver.
    ///
    /// # Switches
    pub(crate) fn send(
        &self,
        value: T,
        deadline_ns: Option<u64>,
    ) -> Result<(), SendTimeoutError<T>> {
        let packet = Packet::filled(value);
        loop {
            let mut state = self.state.lock();
            if let Some(partner) = Self::give(&mut state, &packet) {
                drop(state);
                partner.claimed.resume();
                return Ok(());
            }
            if state.is_disconnected {
                drop(state);
                // SAFETY: nobody has taken the copy, and the packet drops nothing.
                let value = unsafe { packet.move_out() };
                return Err(SendTimeoutError::Disconnected(value));
            }
            let (outcome, found) =
                self.wait(state, Side::Sender, &packet, Reason::Send, deadline_ns);
            if found == Found::Ended(End::Done) {
                return Ok(());
            }
            if outcome == Outcome::Deadline {
                // SAFETY: nobody has taken the copy: the claim was lost to the deadline.
                return Err(SendTimeoutError::Timeout(unsafe { packet.move_out() }));
            }
            packet.exchange.reset();
        }
    }

    /// Registers `packet` and waits for a partner. The lock is given back before the wait.
    ///
    /// # Switches
    #[inline(always)]
    fn wait(
        &self,
        mut state: impl std::ops::DerefMut<Target = State>,
        side: Side,
        packet: &Packet<T>,
        reason: Reason,
        deadline_ns: Option<u64>,
    ) -> (Outcome, Found) {
        let waiter = Waiter::new();
        let outcome = sched::wait(reason, deadline_ns, |token| {
            let pointer = std::ptr::from_ref(packet).cast();
            // SAFETY: `waiter` and `packet` stay until claimed or unregistered, see below.
            unsafe { state.waiters(side).register(&waiter, token, pointer, Role::Selector) };
            let is_watched = state.waiters(side.other()).is_watched();
            drop(state);
            if is_watched {
                self.tell_watchers(side.other());
            }
            true
        });
        if outcome == Outcome::Woken {
            return (outcome, packet.exchange.owner_looks());
        }
        let _lost = self.state.lock().waiters(side).unregister(&waiter);
        (outcome, Found::Nobody)
    }

    /// Those who wait until `side` can be served: somebody has come to the other side.
    #[cold]
    fn tell_watchers(&self, side: Side) {
        waiters::tell_watchers(|f| f(self.state.lock().waiters(side)));
    }

    /// Takes the value of a sender that waits, or waits for the message of one that selects.
    /// Nobody waits: the lock.
    ///
    /// # Switches
    #[inline(always)]
    fn take(&self) -> Result<Offer<T>, impl std::ops::DerefMut<Target = State>> {
        loop {
            let mut state = self.state.lock();
            let value = Cell::new(MaybeUninit::uninit());
            let is_filled = Cell::new(false);
            let partner = state.senders.claim_first(|packet| {
                // SAFETY: the waiter is alive under the lock (WaiterLives), and its packet.
                let packet = unsafe { Self::packet(packet) };
                is_filled.set(packet.is_filled);
                if packet.is_filled {
                    // SAFETY: under the lock, and the owner waits: nobody writes the value.
                    value.set(unsafe { packet.copy() });
                    packet.exchange.set_done();
                } else {
                    packet.exchange.set_promised();
                }
            });
            let Some(partner) = partner else {
                return if state.is_disconnected { Ok(Offer::Disconnected) } else { Err(state) };
            };
            drop(state);
            // NOTE: a filled one is its owner's, who may be gone by now.
            let packet = partner.packet;
            partner.claimed.resume();
            if is_filled.get() {
                // SAFETY: copied out above, and the claim has made it ours.
                return Ok(Offer::Value(unsafe { value.into_inner().assume_init() }));
            }
            if let Some(heap) = Self::await_message(packet) {
                // SAFETY: it is filled, and ours.
                return Ok(Offer::Value(unsafe { Self::unpack(heap) }));
            }
        }
    }

    /// Waits until a selecting sender has put its message into its packet, which is ours to free;
    /// `None`, and it is freed, if it has given up.
    ///
    /// # Switches
    #[cold]
    fn await_message(packet: *const ()) -> Option<NonNull<()>> {
        let heap = NonNull::new(packet.cast_mut())?;
        // SAFETY: it lives until we free it.
        if unsafe { Self::packet(packet) }.exchange.owner_waits() == End::Done {
            return Some(heap);
        }
        // SAFETY: the selecting sender has given up, and does not touch it any more.
        unsafe { Self::free(heap) };
        None
    }

    /// Takes the value out of a packet on the heap, and frees it.
    ///
    /// # Safety
    /// - It is filled, its exchange has ended, and it is the caller's to free.
    unsafe fn unpack(heap: NonNull<()>) -> T {
        // SAFETY: the caller's clause.
        let packet = unsafe { Self::packet(heap.as_ptr()) };
        // SAFETY: the caller's clause: nobody writes it any more.
        let value = unsafe { packet.copy() };
        // SAFETY: as above.
        unsafe { Self::free(heap) };
        // SAFETY: it was filled, and the packet drops nothing.
        unsafe { value.assume_init() }
    }

    /// Frees a packet of a select; what it holds is not dropped.
    ///
    /// # Safety
    /// - It was made by `register`, and nobody else will touch it.
    unsafe fn free(heap: NonNull<()>) {
        // SAFETY: the caller's clause.
        drop(unsafe { Box::from_raw(heap.cast::<Packet<T>>().as_ptr()) });
    }

    /// Receives, if a sender waits. Waits for the message of one that selects.
    ///
    /// # Switches
    pub(crate) fn try_recv(&self) -> Result<T, TryRecvError> {
        match self.take() {
            Ok(Offer::Value(value)) => Ok(value),
            Ok(Offer::Disconnected) => Err(TryRecvError::Disconnected),
            Err(_nobody) => Err(TryRecvError::Empty),
        }
    }

    /// Receives; waits for a sender.
    ///
    /// # Switches
    pub(crate) fn recv(&self, deadline_ns: Option<u64>) -> Result<T, RecvTimeoutError> {
        loop {
            let state = match self.take() {
                Ok(Offer::Value(value)) => return Ok(value),
                Ok(Offer::Disconnected) => return Err(RecvTimeoutError::Disconnected),
                Err(state) => state,
            };
            let packet = Packet::empty();
            let (outcome, found) =
                self.wait(state, Side::Receiver, &packet, Reason::Receive, deadline_ns);
            if found == Found::Ended(End::Done) {
                // SAFETY: the partner has put a value in, and is done.
                return Ok(unsafe { packet.move_out() });
            }
            if outcome == Outcome::Deadline {
                return Err(RecvTimeoutError::Timeout);
            }
        }
    }

    /// Nobody is left on one side: everybody who waits is told.
    pub(crate) fn disconnect(&self) {
        self.state.lock().is_disconnected = true;
        waiters::disconnect(|f| f(&mut self.state.lock().senders));
        waiters::disconnect(|f| f(&mut self.state.lock().receivers));
    }

    /// Completes a send that a select has begun; the value comes back if the channel was
    /// disconnected.
    pub(crate) fn write(&self, ticket: Ticket, value: T) -> Result<(), T> {
        let (packet, partner) = match ticket {
            Ticket::Promise(partner) => (partner.packet, Some(partner)),
            Ticket::Packet(heap) => (heap.as_ptr().cast_const(), None),
            _ => return Err(value),
        };
        // SAFETY: the receiving side waits for our end of the exchange (OwnerStays).
        let packet = unsafe { Self::packet(packet) };
        // SAFETY: we alone may touch it until we finish (OneFinish).
        unsafe { packet.put(&MaybeUninit::new(value)) };
        packet.exchange.finish(End::Done);
        if let Some(partner) = partner {
            partner.claimed.resume();
        }
        Ok(())
    }

    /// Completes a receive that a select has begun; `None` if the channel was disconnected.
    pub(crate) fn read(&self, ticket: Ticket) -> Option<T> {
        match ticket {
            Ticket::Promise(partner) => {
                // SAFETY: the owner stays until we finish (OwnerStays).
                let packet = unsafe { Self::packet(partner.packet) };
                // SAFETY: we alone may touch it (OneFinish).
                let value = unsafe { packet.copy() };
                packet.exchange.finish(End::Done);
                partner.claimed.resume();
                // SAFETY: a select promises to take from filled packets only.
                Some(unsafe { value.assume_init() })
            }
            // SAFETY: filled and finished, and ours.
            Ticket::Packet(heap) => Some(unsafe { Self::unpack(heap) }),
            _ => None,
        }
    }

    /// As [`Zero::take`], by a select: the sender is promised that its value will be taken.
    ///
    /// # Switches
    fn promise_to_take(&self) -> Option<Ticket> {
        loop {
            let mut state = self.state.lock();
            let Some(partner) = Self::promise(&mut state.senders) else {
                return state.is_disconnected.then_some(Ticket::Disconnected);
            };
            drop(state);
            // SAFETY: the owner stays until we finish, or we free it (OwnerStays).
            if unsafe { Self::packet(partner.packet) }.is_filled {
                return Some(Ticket::Promise(partner));
            }
            let packet = partner.packet;
            partner.claimed.resume();
            if let Some(heap) = Self::await_message(packet) {
                return Some(Ticket::Packet(heap));
            }
        }
    }

    /// Claims the first who waits, and promises it an exchange.
    fn promise(waiters: &mut Waiters) -> Option<Partner> {
        waiters.claim_first(
            // SAFETY: the waiter is alive under the lock (WaiterLives), and so its packet.
            |packet| unsafe { Self::packet(packet) }.exchange.set_promised(),
        )
    }
}

impl<T> Selectable for Zero<T> {
    fn start(&self, side: Side) -> Option<Ticket> {
        if side == Side::Receiver {
            return self.promise_to_take();
        }
        let mut state = self.state.lock();
        if let Some(partner) = Self::promise(&mut state.receivers) {
            return Some(Ticket::Promise(partner));
        }
        state.is_disconnected.then_some(Ticket::Disconnected)
    }

    unsafe fn register(&self, side: Side, waiter: &Waiter, token: Token, role: Role) -> bool {
        let packet = match role {
            Role::Selector => Box::into_raw(Box::new(Packet::<T>::empty())).cast_const().cast(),
            Role::Watcher => std::ptr::null(),
        };
        let mut state = self.state.lock();
        // SAFETY: the caller's clause; the packet is freed by `unregister` or the receiving side.
        unsafe { state.waiters(side).register(waiter, token, packet, role) };
        let others = state.waiters(side.other());
        let is_watched = role == Role::Selector && others.is_watched();
        let is_ready = others.has_partner_for(token) || state.is_disconnected;
        drop(state);
        if is_watched {
            self.tell_watchers(side.other());
        }
        is_ready
    }

    fn unregister(&self, side: Side, waiter: &Waiter) -> Withdrawn {
        let withdrawn = self.state.lock().waiters(side).unregister(waiter);
        if let Some(heap) = NonNull::new(withdrawn.packet.cast_mut())
            && !withdrawn.is_fired
        {
            // SAFETY: made by `register`, and nobody has claimed it.
            unsafe { Self::free(heap) };
        }
        withdrawn
    }

    fn accept(&self, side: Side, packet: *const ()) -> Option<Ticket> {
        let heap = NonNull::new(packet.cast_mut())?;
        // SAFETY: made by `register`; the receiving side frees it, after we have finished.
        let exchange = &unsafe { Self::packet(packet) }.exchange;
        let is_accepted = match (side, exchange.is_idle()) {
            // Disconnected.
            (_, true) => false,
            (Side::Sender, false) => true,
            (Side::Receiver, false) => exchange.owner_waits() == End::Done,
        };
        if is_accepted {
            return Some(Ticket::Packet(heap));
        }
        // SAFETY: nobody claimed it to exchange anything, or the partner has given up.
        unsafe { Self::free(heap) };
        self.start(side)
    }

    fn is_ready(&self, side: Side) -> bool {
        let mut state = self.state.lock();
        state.is_disconnected || state.waiters(side.other()).has_partner()
    }

    fn abandon(&self, side: Side, ticket: Ticket) {
        let heap = match ticket {
            Ticket::Promise(partner) => {
                // SAFETY: the owner stays until we finish (OwnerStays).
                unsafe { Self::packet(partner.packet) }.exchange.finish(End::Aborted);
                return partner.claimed.resume();
            }
            Ticket::Packet(heap) => heap,
            _ => return,
        };
        match side {
            // SAFETY: the receiving side waits for our end of the exchange, and frees it.
            Side::Sender => unsafe { Self::packet(heap.as_ptr()) }.exchange.finish(End::Aborted),
            // SAFETY: filled and finished, and ours. The value is not dropped: the thread may be one
            // that may not have a `T`.
            Side::Receiver => std::mem::forget(unsafe { Self::unpack(heap) }),
        }
    }
}
