//! Channels that tell the time: nobody sends, messages come to be when they are received.

use crate::channel::clock;
use crate::channel::error::{RecvTimeoutError, TryRecvError};
use crate::channel::select::core::{Selectable, Side, Ticket};
use crate::channel::waiters::{Role, Waiter, Withdrawn};
use crate::primitive::atomic::{AtomicU64, Ordering};
use crate::sched::{self, Token};
use crate::sys::clock::now_ns;
use std::time::{Duration, Instant};

/// No message will come any more.
const NEVER: u64 = u64::MAX;

/// Delivers a message at a certain time, and one more each period after that.
#[derive(Debug)]
pub(crate) struct Clock {
    /// The time of the first message.
    first: Instant,
    /// The same on the runtime's clock; all that follows is counted from here.
    first_ns: u64,
    /// When the next message is due, on the runtime's clock; `NEVER` if none will be.
    due_ns: AtomicU64,
    /// `NEVER`: only one message.
    period_ns: u64,
}

impl Clock {
    /// One message at `when`.
    pub(crate) fn once(when: Instant) -> Self {
        Self::new(when, NEVER)
    }

    /// A message each `period`, the first at `first`.
    pub(crate) fn each(first: Instant, period: Duration) -> Self {
        // At least 1 ns, so that each message has a time of its own.
        Self::new(first, u64::try_from(period.as_nanos()).unwrap_or(NEVER).max(1))
    }

    fn new(first: Instant, period_ns: u64) -> Self {
        // A time that is over stays what it was: messages carry the time they were due.
        let first_ns = clock::ns_of(first).unwrap_or(NEVER);
        Self { first, first_ns, due_ns: AtomicU64::new(first_ns), period_ns }
    }

    fn due_ns(&self) -> u64 {
        // ORDERING: Relaxed; the exchange in `take` decides, and nothing else is published.
        self.due_ns.load(Ordering::Relaxed)
    }

    /// Takes the message due at `due_ns`; `false` if somebody else was first. The next one is due
    /// a period after that, or after now, whichever is later: missed ones are skipped.
    fn take(&self, due_ns: u64, now_ns: u64) -> bool {
        let next_ns = due_ns.max(now_ns).saturating_add(self.period_ns);
        let relaxed = Ordering::Relaxed;
        // ORDERING: Relaxed; one word decides who has the message, and nothing else is published.
        self.due_ns.compare_exchange(due_ns, next_ns, relaxed, relaxed).is_ok()
    }

    /// The message that was due at `due_ns`.
    fn message(&self, due_ns: u64) -> Instant {
        self.first + Duration::from_nanos(due_ns.saturating_sub(self.first_ns))
    }

    pub(crate) fn try_recv(&self) -> Result<Instant, TryRecvError> {
        loop {
            let (due_ns, now_ns) = (self.due_ns(), now_ns());
            if due_ns == NEVER || now_ns < due_ns {
                return Err(TryRecvError::Empty);
            }
            if self.take(due_ns, now_ns) {
                return Ok(self.message(due_ns));
            }
        }
    }

    /// # Switches
    pub(crate) fn recv(&self, deadline_ns: Option<u64>) -> Result<Instant, RecvTimeoutError> {
        loop {
            if let Ok(message) = self.try_recv() {
                return Ok(message);
            }
            let deadline_ns = deadline_ns.unwrap_or(NEVER);
            if now_ns() >= deadline_ns {
                return Err(RecvTimeoutError::Timeout);
            }
            sched::sleep_until(self.due_ns().min(deadline_ns));
        }
    }

    pub(crate) fn len(&self) -> usize {
        let due_ns = self.due_ns();
        usize::from(due_ns != NEVER && now_ns() >= due_ns)
    }
}

impl Selectable for Clock {
    fn start(&self, _: Side) -> Option<Ticket> {
        self.try_recv().ok().map(Ticket::Moment)
    }

    fn deadline_ns(&self) -> Option<u64> {
        Some(self.due_ns()).filter(|&due_ns| due_ns != NEVER)
    }

    unsafe fn register(&self, side: Side, _: &Waiter, _: Token, _: Role) -> bool {
        self.is_ready(side)
    }

    fn unregister(&self, _: Side, _: &Waiter) -> Withdrawn {
        Withdrawn { is_fired: false, packet: std::ptr::null() }
    }

    fn accept(&self, side: Side, _: *const ()) -> Option<Ticket> {
        self.start(side)
    }

    fn is_ready(&self, _: Side) -> bool {
        self.len() != 0
    }

    fn abandon(&self, _: Side, _: Ticket) {}
}

/// Never delivers anything.
#[derive(Debug)]
pub(crate) struct Never;

impl Never {
    /// # Switches
    pub(crate) fn recv(deadline_ns: Option<u64>) -> RecvTimeoutError {
        sched::sleep_until(deadline_ns.unwrap_or(NEVER));
        RecvTimeoutError::Timeout
    }
}

impl Selectable for Never {
    fn start(&self, _: Side) -> Option<Ticket> {
        None
    }

    unsafe fn register(&self, _: Side, _: &Waiter, _: Token, _: Role) -> bool {
        false
    }

    fn unregister(&self, _: Side, _: &Waiter) -> Withdrawn {
        Withdrawn { is_fired: false, packet: std::ptr::null() }
    }

    fn accept(&self, _: Side, _: *const ()) -> Option<Ticket> {
        None
    }

    fn is_ready(&self, _: Side) -> bool {
        false
    }

    fn abandon(&self, _: Side, _: Ticket) {}
}
