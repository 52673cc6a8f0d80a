//! The handle of a slot: one file descriptor that green threads and OS threads wait for.

use super::crowd::Place;
use super::poller::Poller;
use super::side::Seen;
use super::slot::{Member, Slot, Wakes};
use super::{Direction, arena};
use crate::green::Token;
use crate::own_tls;
use crate::primitive::lock::{Lock, Rank};
use crate::sys::epoll::{self, bits};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

/// Eventfds that no OS thread waits with.
static BELLS: Lock<Vec<Arc<OwnedFd>>> = Lock::new(Rank(26), Vec::new());
/// How many of them are kept.
const BELLS_MAX: usize = 4;
/// How long an OS thread sleeps that nobody can wake: there was no eventfd for it.
const DEAF_NS: u64 = 5_000_000;

/// The state of one file descriptor; see the module's README.
///
/// It does not own the file descriptor: whoever does drops this first.
#[derive(Debug)]
pub(crate) struct Descriptor {
    slot: &'static Slot,
}

/// A place in the line of those who wait.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stand {
    /// At the head.
    First(Seen),
    /// Among the others.
    Crowd(Place),
}

impl Descriptor {
    /// The state of `fd`, which is non-blocking. Makes no system call: it is registered with a
    /// poller when a green thread first waits.
    ///
    /// # Errors
    /// The system is out of memory.
    pub(crate) fn new(fd: RawFd, wakes: Wakes) -> io::Result<Self> {
        let slot = if own_tls::in_forked_child() {
            // Some thread of the parent may have held the arena's lock. A slot of its own does.
            &*Box::leak(Box::new(Slot::free(0)))
        } else {
            arena::take().ok_or(io::ErrorKind::OutOfMemory)?
        };
        slot.open(fd, wakes);
        Ok(Self { slot })
    }

    /// Before an attempt: where the direction stands.
    #[inline(always)]
    pub(crate) fn observe(&self, direction: Direction) -> Seen {
        self.slot.side(direction).observe()
    }

    /// Whether an attempt now, at `seen`, is known to block (see [`Descriptor::assume_drained`]).
    #[inline(always)]
    pub(crate) fn is_drained(&self, direction: Direction, seen: Seen) -> bool {
        self.slot.side(direction).is_drained(seen)
    }

    /// After an attempt that began at `seen` and transferred less than was asked for: the next one
    /// waits for an event without asking the kernel first.
    ///
    /// Only for streams on which a short transfer means that there is no more, as TCP's; ends and
    /// urgent marks are seen to here.
    #[inline(always)]
    pub(crate) fn assume_drained(&self, direction: Direction, seen: Seen) {
        self.slot.side(direction).drain(seen);
    }

    /// The deadline of a direction, `u64::MAX` if there is none.
    #[inline(always)]
    pub(crate) fn deadline_ns(&self, direction: Direction) -> u64 {
        self.slot.side(direction).deadline_ns()
    }

    /// Sets the deadline of a direction; `wake` gets those who wait for it, to look again.
    pub(crate) fn set_deadline_ns(
        &self,
        direction: Direction,
        deadline_ns: u64,
        mut wake: impl FnMut(Token),
    ) {
        self.slot.side(direction).set_deadline_ns(deadline_ns);
        self.slot.stir(direction, &mut wake);
    }

    /// Whoever stops trying input of a descriptor whose events wake one: `wake` gets the next.
    #[inline]
    pub(crate) fn pass_on(&self, mut wake: impl FnMut(Token)) {
        self.slot.pass_on(Direction::Input, &mut wake);
    }

    /// Nobody may wait any more; `wake` gets those who do. Its poller forgets the descriptor.
    pub(crate) fn close(&self, mut wake: impl FnMut(Token)) {
        self.slot.close(&mut wake);
    }

    /// Whether some poller tells of its events.
    #[inline(always)]
    pub(crate) fn is_registered(&self) -> bool {
        self.slot.is_registered()
    }

    /// Has `poller` tell of its events, unless another does.
    ///
    /// # Errors
    /// The kernel's; then nobody but poll(2) tells of them.
    pub(crate) fn register(&self, poller: &Poller) -> io::Result<()> {
        self.slot.register(poller)
    }

    /// A green thread stands in line after an attempt that began at `seen`; `None`: something has
    /// happened since, and it tries again.
    #[inline]
    pub(crate) fn stand(&self, direction: Direction, seen: Seen, token: Token) -> Option<Stand> {
        self.slot.stand(direction, seen, token)
    }

    /// Leaves the line, after a wait that ended by its deadline.
    pub(crate) fn retract(&self, direction: Direction, stand: Stand) {
        self.slot.retract(direction, stand);
    }

    /// Blocks the OS thread after an attempt that began at `seen`, until the direction may be
    /// ready, its deadline was moved, the descriptor was closed, a signal came, or `timeout_ns`
    /// has passed.
    pub(crate) fn block(&self, direction: Direction, seen: Seen, timeout_ns: Option<u64>) {
        let ready = match direction {
            Direction::Input => bits::INPUT | bits::READ_HANG_UP,
            Direction::Output => bits::OUTPUT,
        };
        let fd = self.slot.fd();
        let Ok(bell) = take_bell() else {
            // Nobody can wake it, so it looks by itself from time to time.
            let timeout_ns = timeout_ns.map_or(DEAF_NS, |timeout_ns| timeout_ns.min(DEAF_NS));
            return epoll::poll([(fd, ready), (-1, 0)], Some(timeout_ns));
        };
        let place = self.slot.join(direction, seen, Member::Bell(bell.clone()));
        if let Some(place) = place {
            epoll::poll([(fd, ready), (bell.as_raw_fd(), bits::INPUT)], timeout_ns);
            if !self.slot.retract(direction, Stand::Crowd(place)) {
                epoll::hush(&bell);
            }
        }
        give_bell(bell);
    }

    /// As [`Descriptor::block`], where nobody else is to be told of: in the child of a fork.
    pub(crate) fn block_alone(&self, direction: Direction, timeout_ns: Option<u64>) {
        let ready = match direction {
            Direction::Input => bits::INPUT | bits::READ_HANG_UP,
            Direction::Output => bits::OUTPUT,
        };
        epoll::poll([(self.slot.fd(), ready), (-1, 0)], timeout_ns);
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // In the child of a fork the epoll set is the parent's, which still watches the file, and
        // locks may be held for ever.
        if !own_tls::in_forked_child() && self.slot.retire() {
            arena::give(self.slot);
        }
    }
}

/// An eventfd at 0, or one that a late ringer will raise: then a wait is over early.
fn take_bell() -> io::Result<Arc<OwnedFd>> {
    let kept = BELLS.lock().pop();
    kept.map_or_else(|| epoll::event_fd().map(Arc::new), Ok)
}

fn give_bell(bell: Arc<OwnedFd>) {
    let mut bells = BELLS.lock();
    if bells.len() < BELLS_MAX {
        bells.push(bell);
    }
}
