//! What the clones of a socket share: timeouts, deadlines, modes, and who waits.
//!
//! In `std` a clone is a second descriptor of one socket, and timeouts and the non-blocking mode
//! belong to the socket. So they do here, and deadlines with them: they live in one [`Shared`]
//! behind all clones. Descriptors, and their registrations with the netpoller, are each clone's
//! own.
//!
//! **A change is seen by who waits.** A waiter makes itself known under the lock of `waiters`, or
//! in its descriptor's state, *before* it reads the words below for the last time; whoever
//! changes a word writes it *before* it looks for waiters. Either the waiter reads the new value,
//! or the changer finds the waiter and wakes it; it then looks again.

use crate::primitive::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::primitive::lock::{Lock, Rank};
use crate::sys::clock::now_ns;
use crate::sys::socket::{Awaited, Event};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Rank of the lists of waiters.
const RANK: Rank = Rank(24);

/// No deadline, no timeout.
const NEVER_NS: u64 = u64::MAX;

/// The user wants `WouldBlock` instead of waiting.
const NON_BLOCKING: u32 = 1;
/// `close` was called.
const CLOSED: u32 = 2;

/// # Fields
/// | field | written by | read by |
/// |---|---|---|
/// | `flags`, `timeout_ns`, `deadline_ns` | any user of a clone | any operation |
/// | `sleepers` | OS threads that wait, for as long | whoever changes a word |
pub(super) struct Shared {
    flags: AtomicU32,
    timeout_ns: [AtomicU64; 2],
    deadline_ns: [AtomicU64; 2],
    sleepers: Lock<Vec<(Awaited, Arc<Event>)>>,
}

impl Shared {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            flags: AtomicU32::new(0),
            timeout_ns: [const { AtomicU64::new(NEVER_NS) }; 2],
            deadline_ns: [const { AtomicU64::new(NEVER_NS) }; 2],
            sleepers: Lock::new(RANK, Vec::new()),
        })
    }

    /// Whether an operation may go on: the socket is not closed, and no deadline has passed.
    ///
    /// # Errors
    /// `ConnectionAborted` after `close`, `TimedOut` past a deadline.
    #[inline]
    pub(super) fn check(&self, awaited: Awaited) -> io::Result<()> {
        if self.has(CLOSED) {
            return Err(closed());
        }
        let deadline_ns = self.deadline_ns(awaited);
        if deadline_ns != NEVER_NS && deadline_ns <= now_ns() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }

    /// The earlier of the socket's deadline and the running thread's; [`NEVER_NS`] for neither.
    #[inline]
    pub(super) fn deadline_ns(&self, awaited: Awaited) -> u64 {
        // ORDERING: Acquire; pairs with the Release in `set_deadline`: whoever reads the new
        // deadline also sees what its setter did before.
        let own_ns = self.deadline_ns[awaited as usize].load(Ordering::Acquire);
        crate::sched::deadline_ns().map_or(own_ns, |inherited_ns| own_ns.min(inherited_ns))
    }

    /// When an operation that begins to wait now has waited for its timeout.
    pub(super) fn timeout_end_ns(&self, awaited: Awaited) -> u64 {
        // ORDERING: Relaxed; a timeout is a number that publishes nothing.
        match self.timeout_ns[awaited as usize].load(Ordering::Relaxed) {
            NEVER_NS => NEVER_NS,
            timeout_ns => now_ns().saturating_add(timeout_ns),
        }
    }

    /// Whether operations return `WouldBlock` instead of waiting.
    #[inline]
    pub(super) fn is_non_blocking(&self) -> bool {
        self.has(NON_BLOCKING)
    }

    #[inline]
    fn has(&self, flag: u32) -> bool {
        // ORDERING: Acquire; pairs with the Release in `mark`: whoever sees a socket closed also
        // sees what its closer did before.
        self.flags.load(Ordering::Acquire) & flag != 0
    }

    fn mark(&self, flag: u32, on: bool) {
        let _before = if on {
            // ORDERING: Release; pairs with the Acquire in `has`.
            self.flags.fetch_or(flag, Ordering::Release)
        } else {
            // ORDERING: Release; as above.
            self.flags.fetch_and(!flag, Ordering::Release)
        };
    }

    /// Sets the timeout of operations that begin from now on.
    pub(super) fn set_timeout(&self, awaited: Awaited, timeout: Option<Duration>) {
        let timeout_ns = timeout.map_or(NEVER_NS, |timeout| nanoseconds(timeout).max(1));
        // ORDERING: Relaxed; a number that publishes nothing.
        self.timeout_ns[awaited as usize].store(timeout_ns, Ordering::Relaxed);
    }

    /// Moves a deadline; who waits looks at the new one.
    pub(super) fn set_deadline(&self, awaited: Awaited, deadline: Option<Instant>) {
        let deadline_ns = deadline.map_or(NEVER_NS, on_the_clock);
        // ORDERING: Release; pairs with the Acquire in `deadline_ns`. That it comes before the
        // look at the waiters, and theirs after they made themselves known, is the lock's doing.
        self.deadline_ns[awaited as usize].store(deadline_ns, Ordering::Release);
        self.rouse(awaited);
    }

    pub(super) fn set_non_blocking(&self, on: bool) {
        self.mark(NON_BLOCKING, on);
        self.rouse(Awaited::Input);
        self.rouse(Awaited::Output);
    }

    /// Ends all waits, now and from now on.
    pub(super) fn close(&self) {
        self.mark(CLOSED, true);
        self.rouse(Awaited::Input);
        self.rouse(Awaited::Output);
    }

    /// Makes all who wait look again.
    fn rouse(&self, awaited: Awaited) {
        for (of, breaker) in self.sleepers.lock().iter() {
            if *of == awaited {
                breaker.signal();
            }
        }
    }

    /// Makes an OS thread known that is about to wait.
    pub(super) fn enlist(&self, awaited: Awaited, breaker: Arc<Event>) {
        self.sleepers.lock().push((awaited, breaker));
    }

    /// Takes it off the list.
    pub(super) fn discharge(&self, breaker: &Arc<Event>) {
        let mut sleepers = self.sleepers.lock();
        let place = sleepers.iter().position(|(_, other)| Arc::ptr_eq(other, breaker));
        let _removed = place.map(|place| sleepers.swap_remove(place));
    }
}

/// The error of an operation on a socket that this process has closed.
#[cold]
fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the socket was closed by this process")
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
