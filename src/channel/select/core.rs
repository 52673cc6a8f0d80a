//! The select itself: one operation of several, or none.
//!
//! 1. Try the operations, in random order: done if one can be *started*.
//! 2. Otherwise begin a wait, and register one waiter for each, all with the wait's one token. An
//!    operation that turns out to be ready while it is registered ends this: the waiters are
//!    taken back, and the wait was none, unless a partner has claimed it by then.
//! 3. Wait. A partner of one operation claims the token, the deadline does, or a disconnect.
//! 4. Take all waiters back, each under its queue's lock. At most one was fired (Inv. OneFired of
//!    `waiters`): accept what its partner has begun. If that came to nothing (somebody else took
//!    the message), go to 1.
//!
//! A partner that claims is answered first (step 4 before step 1): else a message could be left
//! in a channel whose other receivers nobody has told.
//!
//! When the time is up the operations are tried twice in a row. Once would not do: while a message
//! is sent to a channel that was found empty a moment ago, and then taken from one that is looked
//! at next, there always is one, and a single look sees none.
//!
//! *Started* means that an operation can be completed without a value being known: a slot of a
//! buffer or a partner is reserved ([`Ticket`]). Sending evaluates its message only then.

use crate::channel::clock;
use crate::channel::waiters::{Partner, Role, Waiter, Withdrawn};
use crate::green::Reason;
use crate::primitive::atomic::mutant;
use crate::sched::{self, Token};
use std::ptr::NonNull;
use std::time::Instant;

/// The side of a channel that an operation stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Sender,
    Receiver,
}

impl Side {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Sender => Self::Receiver,
            Self::Receiver => Self::Sender,
        }
    }
}

/// An operation that was started and has to be completed, or abandoned.
#[derive(Debug)]
pub(crate) enum Ticket {
    /// Completing it tells that the channel is disconnected.
    Disconnected,
    /// A slot of a buffer is reserved.
    Slot { slot: NonNull<()>, stamp: u64 },
    /// A partner waits for the exchange.
    Promise(Partner),
    /// A packet on the heap: to be filled, or to be emptied and freed.
    Packet(NonNull<()>),
    /// The message itself, of a channel that tells the time.
    Moment(Instant),
}

/// What a select needs of a channel.
pub(crate) trait Selectable {
    /// Starts an operation if it can be done at once.
    fn start(&self, side: Side) -> Option<Ticket>;

    /// When an operation that cannot be started can be tried again, nobody having said so: for
    /// channels that tell the time.
    fn deadline_ns(&self) -> Option<u64> {
        None
    }

    /// Registers a waiter, and says whether the operation is ready after all.
    ///
    /// # Safety
    /// - The waiter is not linked anywhere; it stays at its place until `unregister`.
    unsafe fn register(&self, side: Side, waiter: &Waiter, token: Token, role: Role) -> bool;

    /// Takes it back.
    fn unregister(&self, side: Side, waiter: &Waiter) -> Withdrawn;

    /// Starts what the partner who fired a waiter with this packet has begun.
    fn accept(&self, side: Side, packet: *const ()) -> Option<Ticket>;

    /// Whether an operation could be started; by the time of the answer it may have changed.
    fn is_ready(&self, side: Side) -> bool;

    /// Gives an operation up that was started: a slot for sending is skipped, a partner is told,
    /// a message that was reserved is forgotten, not dropped: a `Select` may be on a thread that
    /// may not have its channels' values.
    fn abandon(&self, side: Side, ticket: Ticket);
}

/// One operation of a select.
#[derive(Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) channel: &'a dyn Selectable,
    pub(crate) side: Side,
    /// The caller's number for it.
    pub(crate) index: usize,
    /// The sender or receiver, by its address.
    pub(crate) handle: *const (),
}

/// For how long a select waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    None,
    Until(u64),
    Endless,
}

impl Patience {
    fn deadline_ns(self, cases: &[Case<'_>]) -> Option<u64> {
        let own = match self {
            Self::Until(deadline_ns) => Some(deadline_ns),
            Self::None | Self::Endless => None,
        };
        cases.iter().filter_map(|case| case.channel.deadline_ns()).chain(own).min()
    }

    /// Whether the time is up.
    fn is_over(self) -> bool {
        match self {
            Self::None => true,
            Self::Until(deadline_ns) => clock::has_passed(deadline_ns),
            Self::Endless => false,
        }
    }
}

/// Starts one of the cases, the first that can be in their order.
fn start_any<'a>(cases: &[Case<'a>]) -> Option<(Ticket, Case<'a>)> {
    cases.iter().find_map(|case| Some((case.channel.start(case.side)?, *case)))
}

/// Starts one of the cases; which of several is their order's choice. `None`: the time is up.
///
/// # Switches
pub(crate) fn run<'a>(cases: &[Case<'a>], patience: Patience) -> Option<(Ticket, Case<'a>)> {
    loop {
        if let Some(started) = start_any(cases) {
            return Some(started);
        }
        if patience.is_over() {
            return if mutant!("select.look_again") { None } else { start_any(cases) };
        }
        let fired = wait(cases, patience.deadline_ns(cases), Role::Selector);
        if let Some((case, packet)) = fired
            && let Some(ticket) = case.channel.accept(case.side, packet)
        {
            return Some((ticket, case));
        }
    }
}

/// The first of the cases that is ready.
fn ready_one(cases: &[Case<'_>]) -> Option<usize> {
    cases.iter().find(|case| case.channel.is_ready(case.side)).map(|case| case.index)
}

/// Waits until one of the cases is ready; its index. `None`: the time is up.
///
/// # Switches
pub(crate) fn ready(cases: &[Case<'_>], patience: Patience) -> Option<usize> {
    loop {
        if let Some(index) = ready_one(cases) {
            return Some(index);
        }
        if patience.is_over() {
            return ready_one(cases);
        }
        if let Some((case, _)) = wait(cases, patience.deadline_ns(cases), Role::Watcher) {
            return Some(case.index);
        }
    }
}

/// As many waiters lie on the stack; more are allocated.
const WAITERS: usize = if cfg!(loom) { 2 } else { 8 };

/// Registers all cases, waits, and takes the waiters back; the case that was fired, with its
/// packet.
///
/// # Switches
fn wait<'a>(
    cases: &[Case<'a>],
    deadline_ns: Option<u64>,
    role: Role,
) -> Option<(Case<'a>, *const ())> {
    if cases.len() <= WAITERS {
        let waiters: [Waiter; WAITERS] = std::array::from_fn(|_| Waiter::new());
        return wait_with(cases, &waiters[..cases.len()], deadline_ns, role);
    }
    let waiters: Vec<Waiter> = cases.iter().map(|_| Waiter::new()).collect();
    wait_with(cases, &waiters, deadline_ns, role)
}

fn wait_with<'a>(
    cases: &[Case<'a>],
    waiters: &[Waiter],
    deadline_ns: Option<u64>,
    role: Role,
) -> Option<(Case<'a>, *const ())> {
    let mut withdrawn = None;
    sched::wait(Reason::Select, deadline_ns, |token| {
        let Some(registered) = register_until_ready(cases, waiters, token, role) else {
            return true;
        };
        // Ready after all: nothing to wait for, unless a partner has claimed us already.
        let fired = withdraw(cases, &waiters[..registered]);
        let is_claimed = fired.is_some();
        withdrawn = Some(fired);
        is_claimed
    });
    withdrawn.unwrap_or_else(|| withdraw(cases, waiters))
}

/// Registers the cases until one of them is ready; how many were registered by then.
fn register_until_ready(
    cases: &[Case<'_>],
    waiters: &[Waiter],
    token: Token,
    role: Role,
) -> Option<usize> {
    let mut pairs = cases.iter().zip(waiters);
    let ready = pairs.position(|(case, waiter)| {
        // SAFETY: `waiters` are fresh, and taken back by `withdraw` before they end.
        unsafe { case.channel.register(case.side, waiter, token, role) }
    })?;
    Some(ready + 1)
}

/// Takes the waiters back; the case that was fired, with its packet.
fn withdraw<'a>(cases: &[Case<'a>], waiters: &[Waiter]) -> Option<(Case<'a>, *const ())> {
    let mut fired = None;
    for (case, waiter) in cases.iter().zip(waiters) {
        let withdrawn = case.channel.unregister(case.side, waiter);
        if withdrawn.is_fired {
            fired = Some((*case, withdrawn.packet));
        }
    }
    fired
}
