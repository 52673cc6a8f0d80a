//! What an operation needs to know of its socket, and what clones share.
//!
//! In `std` a clone is a second descriptor of one socket; timeouts and the non-blocking mode belong
//! to the socket. So they do here, and deadlines and `close` with them. Each clone has a descriptor
//! and a place in the netpoller of its own, and a [`State`] of its own, which its operations read
//! without looking further. Whoever changes something changes it in all of them: the clones of a
//! socket are a [`Family`].
//!
//! # Invariants
//! - **AllOrNone**: the members of a family have the same words. Changes and new members are made
//!   under the family's lock; a socket without a family is changed, and gets one, under the lock
//!   of its place in it.
//! - **DescriptorFirst**: a `State` is dropped, and its place in the netpoller with it, before its
//!   file descriptor is closed. A change takes a member's count only under the family's lock, and
//!   the member leaves the family under that lock before it goes ([`Member`]).
//! - **SeenByWaiters**: words are written before the waiters are stirred; who is stirred, or comes
//!   later, reads them again (`netpoll::side`, NoLostEvent).
//!
//! Waiters are woken after the locks are given back.

use crate::green::Token;
use crate::green::wait::Outcome;
use crate::netpoll::{Descriptor, Direction, Wakes};
use crate::primitive::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::primitive::lock::{Lock, Rank};
use crate::sched;
use crate::sys::clock::now_ns;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// Rank of a socket's place in a family.
const PLACE: Rank = Rank(21);
/// Rank of a family.
const FAMILY: Rank = Rank(22);

/// No deadline, no timeout.
pub(super) const NEVER_NS: u64 = u64::MAX;

/// What operations read of their socket.
///
/// # Fields
/// | field | written | read |
/// |---|---|---|
/// | `descriptor` | by its own protocol | by its own protocol |
/// | `non_blocking`, `timeout_ns` | AllOrNone | by any operation |
/// | `family` | once, by the first clone or the first lending | by changes |
#[derive(Debug)]
pub(super) struct State {
    pub(super) descriptor: Descriptor,
    non_blocking: AtomicBool,
    timeout_ns: [AtomicU64; 2],
    family: Lock<Option<Arc<Family>>>,
}

/// The clones of a socket.
#[derive(Debug)]
struct Family(Lock<Members>);

#[derive(Debug)]
struct Members {
    states: Vec<Weak<State>>,
    /// How many operations need the kernel's non-blocking mode at present.
    lent: u32,
}

/// A descriptor's own hold on its [`State`]; leaves the family when dropped.
#[derive(Debug)]
pub(super) struct Member(Arc<State>);

impl std::ops::Deref for Member {
    type Target = State;

    #[inline(always)]
    fn deref(&self) -> &State {
        &self.0
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let family = self.0.family.lock().take();
        if let Some(family) = family {
            let me = Arc::as_ptr(&self.0);
            family.0.lock().states.retain(|state| state.as_ptr() != me);
        }
    }
}

impl Member {
    /// Of a socket without clones.
    pub(super) fn new(fd: RawFd, wakes: Wakes) -> Self {
        Self(Arc::new(State::new(fd, wakes)))
    }

    /// Of the clone `fd` of this one's socket.
    pub(super) fn duplicate(&self, fd: RawFd, wakes: Wakes) -> Self {
        let state = State::new(fd, wakes);
        let family = self.family();
        *state.family.lock() = Some(family.clone());
        let state = Arc::new(state);
        let mut members = family.0.lock();
        state.copy_words(self);
        members.states.push(Arc::downgrade(&state));
        drop(members);
        Self(state)
    }

    /// The family of this socket, from now on.
    fn family(&self) -> Arc<Family> {
        let found = || {
            let states = vec![Arc::downgrade(&self.0)];
            Arc::new(Family(Lock::new(FAMILY, Members { states, lent: 0 })))
        };
        self.0.family.lock().get_or_insert_with(found).clone()
    }
}

impl State {
    fn new(fd: RawFd, wakes: Wakes) -> Self {
        let descriptor = Descriptor::new(fd, wakes).unwrap_or_else(|_out_of_memory| {
            std::alloc::handle_alloc_error(std::alloc::Layout::new::<State>())
        });
        Self {
            descriptor,
            non_blocking: AtomicBool::new(false),
            timeout_ns: [const { AtomicU64::new(NEVER_NS) }; 2],
            family: Lock::new(PLACE, None),
        }
    }

    /// Makes the words of a new member those of an old one, under the family's lock.
    fn copy_words(&self, from: &Self) {
        // ORDERING: Relaxed, all; both are under the family's lock, or the new one's own.
        self.non_blocking.store(from.non_blocking.load(Ordering::Relaxed), Ordering::Relaxed);
        for (to, from) in self.timeout_ns.iter().zip(&from.timeout_ns) {
            // ORDERING: Relaxed; as above.
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        if from.is_closed() {
            return self.descriptor.close(|_nobody| ());
        }
        for direction in [Direction::Input, Direction::Output] {
            let deadline_ns = from.descriptor.deadline_ns(direction);
            self.descriptor.set_deadline_ns(direction, deadline_ns, |_nobody| ());
        }
    }

    fn is_closed(&self) -> bool {
        self.descriptor.observe(Direction::Input).is_closed()
    }

    /// Whether operations return `WouldBlock` instead of waiting.
    #[inline]
    pub(super) fn is_non_blocking(&self) -> bool {
        // ORDERING: Relaxed; SeenByWaiters: who waits is stirred after the change and reads again.
        self.non_blocking.load(Ordering::Relaxed)
    }

    /// When an operation that begins to wait now has waited for its timeout.
    pub(super) fn timeout_end_ns(&self, direction: Direction) -> u64 {
        // ORDERING: Relaxed; a timeout is a number that publishes nothing.
        match self.timeout_ns[direction as usize].load(Ordering::Relaxed) {
            NEVER_NS => NEVER_NS,
            timeout_ns => now_ns().saturating_add(timeout_ns),
        }
    }

    /// The earlier of the direction's deadline and the running thread's.
    #[inline]
    pub(super) fn deadline_ns(&self, direction: Direction) -> u64 {
        let own_ns = self.descriptor.deadline_ns(direction);
        sched::deadline_ns().map_or(own_ns, |inherited_ns| own_ns.min(inherited_ns))
    }

    /// Changes all members of the family, and wakes those whom `change` has found.
    fn change(&self, change: impl Fn(&Self, &mut Vec<Token>)) {
        let mut found = Vec::new();
        let place = self.family.lock();
        match &*place {
            None => {
                change(self, &mut found);
                drop(place);
            }
            Some(family) => {
                let family = family.clone();
                drop(place);
                let members = family.0.lock();
                for state in members.states.iter().filter_map(Weak::upgrade) {
                    change(&state, &mut found);
                }
            }
        }
        for token in found {
            let _was_first = sched::wake(token, Outcome::Woken);
        }
    }

    /// Sets the timeout of operations that begin from now on.
    pub(super) fn set_timeout(&self, direction: Direction, timeout: Option<Duration>) {
        let timeout_ns = timeout.map_or(NEVER_NS, |timeout| nanoseconds(timeout).max(1));
        self.change(|state, _found| {
            // ORDERING: Relaxed; a number that publishes nothing.
            state.timeout_ns[direction as usize].store(timeout_ns, Ordering::Relaxed);
        });
    }

    /// Moves a deadline; who waits looks at the new one.
    pub(super) fn set_deadline(&self, direction: Direction, deadline: Option<Instant>) {
        let deadline_ns = deadline.map_or(NEVER_NS, on_the_clock);
        self.change(|state, found| {
            state.descriptor.set_deadline_ns(direction, deadline_ns, |token| found.push(token));
        });
    }

    /// Ends all waits, now and from now on.
    pub(super) fn close(&self) {
        self.change(|state, found| state.descriptor.close(|token| found.push(token)));
    }

    /// Sets the user's mode; `kernel` is the descriptor if the kernel's mode is the user's.
    pub(super) fn set_non_blocking(&self, on: bool, kernel: Option<&impl AsFd>) -> io::Result<()> {
        // Held together: a lending begins under the first, or under the second.
        let place = self.family.lock();
        let members = place.as_ref().map(|family| family.0.lock());
        let is_lent = members.as_ref().is_some_and(|members| members.lent > 0);
        if let Some(kernel) = kernel.filter(|_| !is_lent) {
            socket2::SockRef::from(kernel).set_nonblocking(on)?;
        }
        drop(members);
        drop(place);
        self.change(|state, found| {
            // ORDERING: Relaxed; the stirring below releases it.
            state.non_blocking.store(on, Ordering::Relaxed);
            for direction in [Direction::Input, Direction::Output] {
                let deadline_ns = state.descriptor.deadline_ns(direction);
                state.descriptor.set_deadline_ns(direction, deadline_ns, |token| found.push(token));
            }
        });
        Ok(())
    }
}

/// The kernel's non-blocking mode, for an operation that has no flag for it; gives it back when
/// dropped.
#[derive(Debug)]
pub(super) struct Lent<'a, S: AsFd> {
    family: Arc<Family>,
    state: &'a State,
    io: &'a S,
}

impl Member {
    /// Lends the mode; `io` is the descriptor of this member.
    pub(super) fn lend<'a, S: AsFd>(&'a self, io: &'a S) -> Lent<'a, S> {
        let family = self.family();
        let mut members = family.0.lock();
        members.lent += 1;
        if members.lent == 1 {
            set_kernel_mode(io, true);
        }
        drop(members);
        Lent { family, state: self, io }
    }
}

impl<S: AsFd> Drop for Lent<'_, S> {
    fn drop(&mut self) {
        let mut members = self.family.0.lock();
        members.lent -= 1;
        if members.lent == 0 {
            set_kernel_mode(self.io, self.state.is_non_blocking());
        }
    }
}

/// Sets the kernel's mode of an open socket, which cannot fail.
pub(super) fn set_kernel_mode(io: &impl AsFd, non_blocking: bool) {
    debug_assert!(io.as_fd().as_raw_fd() >= 0);
    let _always_ok = socket2::SockRef::from(io).set_nonblocking(non_blocking);
}

/// A duration in nanoseconds, at most some 580 years.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(NEVER_NS)
}

/// An instant in nanoseconds of the monotonic clock; what lies in the past is 0.
fn on_the_clock(instant: Instant) -> u64 {
    let left = instant.saturating_duration_since(Instant::now());
    if left.is_zero() { 0 } else { now_ns().saturating_add(nanoseconds(left)).min(NEVER_NS - 1) }
}
