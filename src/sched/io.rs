//! Waiting for descriptors, and waking those whom the poller has found.
//!
//! A green thread waits in the line of its descriptor, which the poller of its runtime, or of the
//! one that registered it first, moves on. An OS thread blocks in poll(2). Who asks the poller,
//! and when, is in `README.md` of this directory, section "Poller".

use super::enter::{Entered, current_green};
use super::fork;
use super::shared::Shared;
use super::timeout::deadline_ns as timeout_deadline_ns;
use super::wait::{ready_elsewhere, wait, wake};
use crate::green::wait::{Claim, Outcome};
use crate::green::{Green, Phase, Reason, Token};
use crate::machine::Machine;
use crate::netpoll::{Descriptor, Direction, Poller, Seen, Turn};
use crate::primitive::atomic::{AtomicPtr, Ordering};
use crate::primitive::fence;
use crate::processor::Processor;
use crate::processor::run_queue::{Line, Runnable};
use crate::sys::clock::now_ns;
use std::io;
use std::ptr::NonNull;

/// How often processors in use ask the poller, in nanoseconds.
const TURN_NS: u64 = 50_000;
/// The kernel may wake a sleeper late by a thousandth of its timeout: from here on, in nanoseconds,
/// that is too much.
const LONG_NS: u64 = 10_000_000;
/// For how long nobody may have asked it before the monitor does.
const NEGLECTED_NS: u64 = 150_000;

/// The earlier of the direction's deadline and that of `time::timeout`; `u64::MAX`: none.
#[inline(always)]
fn limit_ns(descriptor: &Descriptor, direction: Direction) -> u64 {
    descriptor.deadline_ns(direction).min(timeout_deadline_ns().unwrap_or(u64::MAX))
}

/// What an operation on a descriptor that was closed under it ends with.
pub(crate) fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the descriptor was closed while in use")
}

/// Waits until an operation that would have blocked may be tried again: something has happened
/// since `seen`, which was read before it. It may happen for nothing.
///
/// # Errors
/// `TimedOut` at the earliest of `deadline_ns`, the direction's deadline and that of
/// `time::timeout`; [`closed`].
///
/// # Switches
pub(crate) fn wait_ready(
    descriptor: &Descriptor,
    direction: Direction,
    seen: Seen,
    deadline_ns: Option<u64>,
) -> io::Result<()> {
    if seen.is_closed() {
        return Err(closed());
    }
    let limit_ns = limit_ns(descriptor, direction).min(deadline_ns.unwrap_or(u64::MAX));
    let deadline_ns = (limit_ns != u64::MAX).then_some(limit_ns);
    let Some(me) = current_green() else {
        return block(descriptor, direction, seen, deadline_ns);
    };
    if !descriptor.is_registered() && register(descriptor, me).is_err() {
        return super::blocking(|| block(descriptor, direction, seen, deadline_ns));
    }
    let reason = match direction {
        Direction::Input => Reason::Input,
        Direction::Output => Reason::Output,
    };
    let mut stand = None;
    let outcome = wait(reason, deadline_ns, |token| {
        stand = descriptor.stand(direction, seen, token);
        stand.is_some()
    });
    if outcome != Outcome::Deadline {
        return Ok(());
    }
    if let Some(stand) = stand {
        descriptor.retract(direction, stand);
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// Has the poller of the running green thread's runtime tell of a descriptor.
#[cold]
fn register(descriptor: &Descriptor, me: &Green) -> io::Result<()> {
    // SAFETY: it runs, so it has not finished.
    let shared = unsafe { Shared::of(me) };
    descriptor.register(shared.poller.get_or_make()?)
}

/// As [`wait_ready`], for an OS thread.
fn block(
    descriptor: &Descriptor,
    direction: Direction,
    seen: Seen,
    deadline_ns: Option<u64>,
) -> io::Result<()> {
    let timeout_ns = match deadline_ns.map(|deadline_ns| deadline_ns.saturating_sub(now_ns())) {
        Some(0) => return Err(io::ErrorKind::TimedOut.into()),
        timeout_ns => timeout_ns,
    };
    if fork::in_child() {
        descriptor.block_alone(direction, timeout_ns);
    } else {
        descriptor.block(direction, seen, timeout_ns);
    }
    Ok(())
}

/// The poller of a runtime, made when the first descriptor is registered.
#[derive(Debug)]
pub(crate) struct LazyPoller(AtomicPtr<Poller>);

impl LazyPoller {
    /// None yet.
    pub(super) fn new() -> Self {
        Self(AtomicPtr::new(std::ptr::null_mut()))
    }

    /// The poller, if any descriptor was ever registered.
    #[inline(always)]
    pub(super) fn get(&self) -> Option<&Poller> {
        // ORDERING: Acquire; pairs with the Release in `get_or_make`; publishes the poller.
        let poller = self.0.load(Ordering::Acquire);
        // SAFETY: null, or made below and kept until this is dropped.
        unsafe { poller.as_ref() }
    }

    #[cold]
    fn get_or_make(&self) -> io::Result<&Poller> {
        if let Some(poller) = self.get() {
            return Ok(poller);
        }
        let made = Box::into_raw(Box::new(Poller::new()?));
        // ORDERING: Release on success; pairs with the Acquire in `get`. Acquire on failure: the
        // other's is used.
        let (release, acquire) = (Ordering::Release, Ordering::Acquire);
        // ORDERING: as said above.
        match self.0.compare_exchange(std::ptr::null_mut(), made, release, acquire) {
            // SAFETY: just made, and kept until this is dropped.
            Ok(_) => Ok(unsafe { &*made }),
            Err(other) => {
                // SAFETY: nobody else has seen it.
                drop(unsafe { Box::from_raw(made) });
                // SAFETY: kept until this is dropped.
                Ok(unsafe { &*other })
            }
        }
    }
}

impl Drop for LazyPoller {
    fn drop(&mut self) {
        let Some(poller) = self.get() else { return };
        // Green threads of other runtimes may wait by it.
        poller.abandon(|token| {
            wake(token, Outcome::Woken);
        });
        let poller = std::ptr::from_ref(poller).cast_mut();
        // SAFETY: made by `get_or_make`, and no descriptor names it any more.
        drop(unsafe { Box::from_raw(poller) });
    }
}

impl Shared {
    /// Claims the wait of one whom the poller has found; a green thread of this runtime that the
    /// caller is to queue, in which case it sees to waking as well.
    fn claim_found(&self, token: Token) -> Option<Runnable<Green>> {
        match token.claim(Outcome::Woken) {
            Claim::Lost | Claim::Early => None,
            Claim::Wake => {
                token.wake_thread();
                None
            }
            Claim::Resume if self.is_mine(token.green) => {
                // SAFETY: its wait is claimed here, so this machine owns the right to run it.
                unsafe { token.green.as_ref() }.set_phase(Phase::Runnable);
                Some(Runnable(token.green))
            }
            Claim::Resume => {
                ready_elsewhere(token.green);
                None
            }
        }
    }

    /// Queues one whom the poller has found where everybody finds it; the caller sees to waking.
    fn inject_found(&self, token: Token) {
        if let Some(green) = self.claim_found(token) {
            self.injectors.push(Line::Urgent, green);
        }
    }

    /// Whether a green thread that has not finished belongs to this runtime.
    fn is_mine(&self, green: NonNull<Green>) -> bool {
        // SAFETY: TypeStable; its wait is claimed by the caller, so it has not finished.
        unsafe { green.as_ref() }.runtime.get() == std::ptr::from_ref(self).cast()
    }

    /// Sleeps in the poller until a message, an event or the deadline; the message.
    pub(super) fn sleep_in_poller(
        &self,
        machine: &Machine,
        mut turn: Turn<'_>,
        deadline_ns: Option<u64>,
    ) -> Option<usize> {
        let message = machine.parker.receive_elsewhere(|| {
            let timeout_ns = deadline_ns.map(|deadline_ns| {
                // Who wakes early comes back for the rest.
                let left_ns = deadline_ns.saturating_sub(now_ns());
                if left_ns > LONG_NS { left_ns - left_ns / 256 } else { left_ns }
            });
            turn.ask(timeout_ns, |token| self.inject_found(token));
        });
        drop(turn);
        // Pairs with the one in `Idle::retire`: as s2 for those who were found, and for the turn:
        // this machine looks for an idle processor next, and if it misses one, whoever made that
        // idle sees what was found, and that the turn is free.
        fence::full();
        message
    }

    /// The monitor, while processors are in use: asks the poller if their holders do not, and has
    /// a machine sleep in it if one can be spared.
    pub(super) fn ask_poller_for_all(&self, now_ns: u64) {
        let Some(poller) = self.poller.get() else { return };
        if !poller.is_due(now_ns, NEGLECTED_NS) {
            return;
        }
        if let Some(mut turn) = poller.try_ask() {
            // The monitor's tick goes on to wake a machine for what it finds queued.
            turn.ask(Some(0), |token| self.inject_found(token));
        }
        if poller.is_left_alone() && self.idle.is_any_idle() {
            self.wake_one();
        }
    }

    /// Whether no machine sees to the poller, so that whoever makes a processor idle has to wake
    /// one.
    pub(super) fn is_poller_alone(&self) -> bool {
        self.poller.get().is_some_and(Poller::is_free)
    }
}

impl Entered<'_> {
    /// Every few turns: asks the poller, if nobody has done so for a while. A processor that has
    /// nothing to run does not: its machine goes to sleep in the poller next.
    #[inline(always)]
    pub(super) fn ask_poller_in_turn(&self, processor: &Processor, now_ns: u64) {
        if let Some(poller) = self.shared.poller.get()
            && poller.is_due(now_ns, TURN_NS)
        {
            self.ask_poller(processor, poller);
        }
    }

    #[cold]
    fn ask_poller(&self, processor: &Processor, poller: &Poller) {
        if processor.queue.is_empty() && self.shared.injectors.is_empty() {
            return;
        }
        let Some(mut turn) = poller.try_ask() else { return };
        let mut found = false;
        turn.ask(Some(0), |token| {
            if let Some(green) = self.shared.claim_found(token) {
                self.place(processor, Line::Urgent, green);
                found = true;
            }
        });
        drop(turn);
        if found && self.shared.idle.should_wake_external() {
            self.shared.wake_one();
        }
    }
}
