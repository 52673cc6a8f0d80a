//! Who waits at one end of a channel: intrusive queues of waiters on the waiting threads' stacks.
//!
//! A [`Waiter`] lies on the stack of the thread that waits, and is linked into the queue of each
//! channel its operation could be served by. All of its fields belong to the lock that guards the
//! queue it was registered with. A partner takes the first waiter off, prepares what it gives, and
//! claims the waiter's token; of several that try for one token (the cases of a select, a
//! deadline) one wins, and the others go on to the next waiter.
//!
//! # Invariants
//! - **WaiterLives**: a waiter is not moved and not dropped while it is linked. Whoever registers
//!   one takes it off again ([`Waiters::unregister`]), unless its token was claimed by a partner,
//!   who took it off.
//! - **UnderLock**: links and fields are touched under the lock of the queue only; the claim is made
//!   under it too. So when a thread that withdraws holds the lock, a waiter of its that is linked
//!   has not been claimed, and one that is not linked says whether it was.
//! - **OneFired**: of the waiters with one token at most one is ever `fired`, since one claim wins.
//!
//! Source: Go `runtime/chan.go` (`sudog` queues, `selectDone`); the deviation is that the token of
//! the wait word decides, so a waiter may lose to a deadline as it does to another case.

use crate::green::wait::Outcome;
use crate::primitive::atomic::{AtomicBool, Ordering, mutant};
use crate::primitive::cell::UnsafeCell;
use crate::primitive::lock::{Lock, Rank};
use crate::sched::{self, Claimed, Token};
use std::ptr;

/// The rank of all locks of channels: wakers are called after they were given back.
pub(super) const RANK: Rank = Rank(18);

/// What a waiter wants of its partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// To be the one that is served.
    Selector,
    /// To be told that something can be done: all who want that are told.
    Watcher,
}

/// One end of one operation of one thread that waits; see the module.
#[derive(Debug)]
pub(crate) struct Waiter(UnsafeCell<Place>);

/// What the lock of the queue guards.
#[derive(Debug)]
struct Place {
    previous: *const Waiter,
    next: *const Waiter,
    /// The queue it is linked into.
    role: Option<Role>,
    token: Option<Token>,
    /// Where a value changes hands: a rendezvous channel's packet, or null.
    packet: *const (),
    /// A partner has claimed the token through this waiter.
    fired: bool,
}

// SAFETY: all fields are reached under the lock of the queue (Inv. UnderLock); what the raw
// pointers name is valid while linked (Inv. WaiterLives), whichever thread holds the lock.
unsafe impl Send for Waiter {}
// SAFETY: as above.
unsafe impl Sync for Waiter {}

impl Waiter {
    /// A waiter that is not linked.
    pub(crate) fn new() -> Self {
        Self(UnsafeCell::new(Place {
            previous: ptr::null(),
            next: ptr::null(),
            role: None,
            token: None,
            packet: ptr::null(),
            fired: false,
        }))
    }

    /// Lends the fields to `f`.
    ///
    /// # Safety
    /// - The caller holds the lock of the queue this waiter is, was or will be linked into, or
    ///   nobody has seen the waiter yet.
    unsafe fn with<R>(&self, f: impl FnOnce(&mut Place) -> R) -> R {
        // SAFETY: the caller's clause makes the access exclusive (Inv. UnderLock); no two
        // references are alive at once, because `f` is never given another waiter's lender.
        self.0.with_mut(|place| f(unsafe { &mut *place }))
    }
}

/// A queue of waiters, first come first served.
#[derive(Debug)]
struct List {
    first: *const Waiter,
    last: *const Waiter,
    len: usize,
}

// SAFETY: the pointers name waiters that live while they are linked (Inv. WaiterLives), on
// whatever thread the list is used.
unsafe impl Send for List {}

impl List {
    const fn new() -> Self {
        Self { first: ptr::null(), last: ptr::null(), len: 0 }
    }

    /// Links a waiter at the end.
    ///
    /// # Safety
    /// - The caller holds the lock; the waiter is not linked, and WaiterLives holds from here on.
    unsafe fn push(&mut self, waiter: &Waiter) {
        let last = std::mem::replace(&mut self.last, waiter);
        // SAFETY: the caller's clause.
        unsafe { waiter.with(|place| (place.previous, place.next) = (last, ptr::null())) };
        // SAFETY: linked waiters live (Inv. WaiterLives).
        match unsafe { last.as_ref() } {
            // SAFETY: the caller holds the lock.
            Some(last) => unsafe { last.with(|place| place.next = waiter) },
            None => self.first = waiter,
        }
        self.len += 1;
    }

    /// Takes a waiter out, wherever in the queue it is.
    ///
    /// # Safety
    /// - The caller holds the lock; the waiter is linked into this queue.
    unsafe fn unlink(&mut self, waiter: &Waiter) {
        // SAFETY: the caller's clause.
        let (previous, next) = unsafe {
            waiter.with(|place| {
                place.role = None;
                (place.previous, place.next)
            })
        };
        // SAFETY: linked waiters live (Inv. WaiterLives).
        match unsafe { previous.as_ref() } {
            // SAFETY: the caller holds the lock.
            Some(previous) => unsafe { previous.with(|place| place.next = next) },
            None => self.first = next,
        }
        // SAFETY: linked waiters live (Inv. WaiterLives).
        match unsafe { next.as_ref() } {
            // SAFETY: the caller holds the lock.
            Some(next) => unsafe { next.with(|place| place.previous = previous) },
            None => self.last = previous,
        }
        self.len -= 1;
    }
}

/// How a thread found its waiter when it took it back.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(crate) struct Withdrawn {
    /// Whether a partner has claimed the token through it. If not, nobody knows of it any more.
    pub(crate) is_fired: bool,
    /// The packet it was registered with, or null.
    pub(crate) packet: *const (),
}

/// What goes with a waiter that was claimed.
#[derive(Debug)]
pub(crate) struct Partner {
    /// Its packet, or null.
    pub(crate) packet: *const (),
    /// To be resumed when the lock has been given back.
    pub(crate) claimed: Claimed,
}

/// Those who wait at one end of a channel; guarded by a lock of its owner.
#[derive(Debug)]
pub(crate) struct Waiters {
    selectors: List,
    watchers: List,
}

impl Waiters {
    pub(crate) const fn new() -> Self {
        Self { selectors: List::new(), watchers: List::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.selectors.len == 0 && self.watchers.len == 0
    }

    /// Whether some thread other than the one with `token` could be served.
    pub(crate) fn has_partner_for(&self, token: Token) -> bool {
        let mut at = self.selectors.first;
        // SAFETY: linked waiters live (Inv. WaiterLives).
        while let Some(waiter) = unsafe { at.as_ref() } {
            // SAFETY: `&self` is lent by the lock's guard.
            let (other, next) = unsafe { waiter.with(|place| (place.token, place.next)) };
            if other.is_some_and(|other| !other.is_same_wait(token)) {
                return true;
            }
            at = next;
        }
        false
    }

    /// Whether somebody watches.
    pub(crate) fn is_watched(&self) -> bool {
        self.watchers.len != 0
    }

    /// Whether somebody could be served.
    pub(crate) fn has_partner(&self) -> bool {
        self.selectors.len != 0
    }

    fn list(&mut self, role: Role) -> &mut List {
        match role {
            Role::Selector => &mut self.selectors,
            Role::Watcher => &mut self.watchers,
        }
    }

    /// Links a waiter.
    ///
    /// # Safety
    /// - The waiter is not linked anywhere; WaiterLives holds from here on.
    pub(crate) unsafe fn register(
        &mut self,
        waiter: &Waiter,
        token: Token,
        packet: *const (),
        role: Role,
    ) {
        // SAFETY: `&mut self` is lent by the lock's guard.
        unsafe {
            waiter.with(|place| {
                place.role = Some(role);
                place.token = Some(token);
                place.packet = packet;
                place.fired = false;
            });
        }
        // SAFETY: the caller's clause, and the guard.
        unsafe { self.list(role).push(waiter) };
    }

    /// Takes a waiter back that was registered here.
    pub(crate) fn unregister(&mut self, waiter: &Waiter) -> Withdrawn {
        // SAFETY: `&mut self` is lent by the lock's guard.
        let (role, withdrawn) = unsafe {
            waiter.with(|place| {
                (place.role, Withdrawn { is_fired: place.fired, packet: place.packet })
            })
        };
        if let Some(role) = role {
            // SAFETY: `role` says that it is linked, and into which queue.
            unsafe { self.list(role).unlink(waiter) };
        }
        withdrawn
    }

    /// Takes the first waiter off a queue, and tries to claim it: `None` if the queue is empty,
    /// `Some(None)` if somebody else was first.
    fn claim_next(
        &mut self,
        role: Role,
        prepare: impl FnOnce(*const ()),
    ) -> Option<Option<Partner>> {
        let list = self.list(role);
        // SAFETY: linked waiters live (Inv. WaiterLives).
        let waiter = unsafe { list.first.as_ref() }?;
        // SAFETY: the first of the list is linked into it, and the guard is held.
        unsafe { list.unlink(waiter) };
        // SAFETY: `&mut self` is lent by the lock's guard.
        let (token, packet) = unsafe {
            waiter.with(|place| {
                place.fired = true;
                (place.token, place.packet)
            })
        };
        prepare(packet);
        if let Some(claimed) = token.and_then(|token| sched::claim(token, Outcome::Woken)) {
            // NOTE: from here on the waiter may be gone: a thread that was not yet off its stack
            // sees the outcome by itself, and does not take the lock if this was its only waiter.
            return Some(Some(Partner { packet, claimed }));
        }
        // It lost to a deadline or another case, and has to take the lock to withdraw: it lives. Its
        // packet is not looked at again.
        if !mutant!("waiters.unfire") {
            // SAFETY: as above.
            unsafe { waiter.with(|place| place.fired = false) };
        }
        Some(None)
    }

    /// Claims the first who waits to be served and has not been claimed by others. `prepare` is
    /// called with its packet before each try.
    #[inline]
    pub(crate) fn claim_first(&mut self, prepare: impl Fn(*const ())) -> Option<Partner> {
        loop {
            if let Some(partner) = self.claim_next(Role::Selector, &prepare)? {
                return Some(partner);
            }
        }
    }

    /// Claims up to [`BATCH`] of the queue `role`, to be resumed without the lock.
    fn claim_batch(&mut self, role: Role, left: &mut usize) -> [Option<Claimed>; BATCH] {
        let mut batch = [const { None }; BATCH];
        let mut filled = 0;
        while filled < BATCH && *left > 0 {
            *left -= 1;
            let Some(tried) = self.claim_next(role, |_| ()) else {
                *left = 0;
                break;
            };
            if let Some(partner) = tried {
                batch[filled] = Some(partner.claimed);
                filled += 1;
            }
        }
        batch
    }
}

/// How many are claimed at once while a lock is held.
const BATCH: usize = 8;

/// Resumes all who wait in the queue `role` at this moment, a few at a time. `with` runs what it
/// is given under the lock.
fn resume_all(role: Role, mut with: impl FnMut(&mut dyn FnMut(&mut Waiters))) {
    let mut left = 0;
    with(&mut |waiters| left = waiters.list(role).len);
    while left > 0 {
        let mut batch = [const { None }; BATCH];
        with(&mut |waiters| batch = waiters.claim_batch(role, &mut left));
        batch.into_iter().flatten().for_each(Claimed::resume);
    }
}

/// Resumes everybody who waits; `with` as in [`resume_all`].
pub(super) fn disconnect(mut with: impl FnMut(&mut dyn FnMut(&mut Waiters))) {
    resume_all(Role::Selector, &mut with);
    resume_all(Role::Watcher, &mut with);
}

/// Resumes all watchers; `with` as in [`resume_all`].
pub(super) fn tell_watchers(with: impl FnMut(&mut dyn FnMut(&mut Waiters))) {
    resume_all(Role::Watcher, with);
}

/// The waiters at one end of a channel whose messages need no lock.
///
/// # Protocol
/// A word beside the queue says whether somebody waits, so that an operation that changes the
/// channel does not take the lock for nothing.
/// 1. The waiting side links its waiter, sets `occupied`, *fence*, looks at the channel again.
/// 2. The changing side changes the channel, *fence*, reads `occupied`, and if it is set takes
///    the lock and claims the first waiter.
///
/// One of the two sees the other (Dekker). In place of the fences all four accesses are
/// sequentially consistent: the exchange on the channel's index, `occupied`, and the look at the
/// index; on x86-64 the exchange is the fence, and the looks are plain loads. Loom knows
/// sequentially consistent *fences* only, so models have them ([`model_fence`]).
#[derive(Debug)]
pub(crate) struct WaitQueue {
    occupied: AtomicBool,
    waiters: Lock<Waiters>,
}

/// The fence between a change and a look that loom needs to be told of; see [`WaitQueue`].
#[inline(always)]
fn model_fence() {
    #[cfg(loom)]
    crate::primitive::fence::full();
}

impl WaitQueue {
    pub(crate) fn new() -> Self {
        Self { occupied: AtomicBool::new(false), waiters: Lock::new(RANK, Waiters::new()) }
    }

    /// Links a waiter; afterwards the caller looks at the channel again.
    ///
    /// # Safety
    /// - The waiter is not linked anywhere; WaiterLives holds from here on.
    pub(crate) unsafe fn register(&self, waiter: &Waiter, token: Token, role: Role) {
        let mut waiters = self.waiters.lock();
        // SAFETY: the caller's clause.
        unsafe { waiters.register(waiter, token, ptr::null(), role) };
        self.note(&waiters);
        drop(waiters);
        if !mutant!("waiters.register.fence") {
            model_fence();
        }
    }

    /// Takes a waiter back that was registered here.
    pub(crate) fn unregister(&self, waiter: &Waiter) -> Withdrawn {
        let mut waiters = self.waiters.lock();
        let withdrawn = waiters.unregister(waiter);
        self.note(&waiters);
        withdrawn
    }

    /// Brings the word up to date, under the lock.
    fn note(&self, waiters: &Waiters) {
        // ORDERING: SeqCst; with the load in `notify` and the accesses to the channel's index it
        // makes the protocol above; among the stores the lock decides.
        self.occupied.store(!waiters.is_empty(), Ordering::SeqCst);
    }

    /// Wakes the first who waits, and all who watch, after a change of the channel.
    #[inline(always)]
    pub(crate) fn notify(&self) {
        if !mutant!("waiters.notify.fence") {
            model_fence();
        }
        // ORDERING: SeqCst; see `note`.
        if self.occupied.load(Ordering::SeqCst) {
            self.notify_slow();
        }
    }

    #[cold]
    fn notify_slow(&self) {
        let mut waiters = self.waiters.lock();
        let first = waiters.claim_first(|_| ());
        let watched = waiters.is_watched();
        self.note(&waiters);
        drop(waiters);
        if let Some(partner) = first {
            partner.claimed.resume();
        }
        if watched {
            tell_watchers(|f| f(&mut self.waiters.lock()));
            self.note(&self.waiters.lock());
        }
    }

    /// Wakes everybody: the channel is disconnected.
    pub(crate) fn disconnect(&self) {
        disconnect(|f| f(&mut self.waiters.lock()));
        self.note(&self.waiters.lock());
    }

    /// Waits until notified, unless `is_ready` after all.
    ///
    /// # Switches
    pub(crate) fn wait(
        &self,
        reason: crate::green::Reason,
        deadline_ns: Option<u64>,
        is_ready: impl Fn() -> bool,
    ) -> Outcome {
        let waiter = Waiter::new();
        let outcome = sched::wait(reason, deadline_ns, |token| {
            // SAFETY: `waiter` is this frame's, and stays until it was claimed or unregistered.
            unsafe { self.register(&waiter, token, Role::Selector) };
            // Ready after all: nothing to wait for, unless a partner has claimed us already.
            !is_ready() || self.unregister(&waiter).is_fired
        });
        if outcome != Outcome::Woken {
            let _lost = self.unregister(&waiter);
        }
        outcome
    }
}
