//! The one place where an operation is tried, waits until its socket is ready, and is tried again.
//!
//! 1. The socket is not closed, and no deadline has passed; else an error, even if the operation
//!    could succeed.
//! 2. The operation is tried. It does not block: transfers carry `MSG_DONTWAIT`, listeners are in
//!    non-blocking mode. `EINTR` tries again. It is left out where the last transfer was short, so
//!    that it would only learn that it has to wait (`netpoll::side`, `drained`).
//! 3. It would block: in the user's non-blocking mode that is the result. Else the thread waits
//!    until the socket may be ready, the earliest of timeout and deadlines has passed, or one of
//!    those was changed; and goes on with 1.
//!
//! Timeouts are `std`'s: they count from the beginning of the wait and end it with `WouldBlock`,
//! as on every Linux, and not if there is something. Deadlines end it with `TimedOut`.
//!
//! **Who may leave the attempt out.** The mark is set by a transfer of TCP only: on a Unix stream
//! a read ends where passed descriptors or credentials begin, with more behind it, and on a stream
//! with TLS in the kernel where a record of another type begins. Whether there is such a protocol
//! is asked when a descriptor is adopted, once: to ask after each short transfer would cost the
//! call that is saved. Who attaches one to a stream of ours converts it to `std`'s and back
//! (`net`). A thread that has just waited always tries: nobody advances the word of a descriptor
//! that is in no poller, and OS threads are not in one.

use super::state::{Lent, Member, NEVER_NS, set_kernel_mode};
use crate::green::wait::Outcome;
use crate::netpoll::{Direction, Seen, Wakes};
use crate::sched;
use crate::sched::io::{closed, wait_ready};
use crate::sys::clock::now_ns;
use crate::sys::socket::{self as kernel, Moved, Take};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// A socket of the type `S` of `std`, which owns the descriptor and has the options' methods.
#[derive(Debug)]
pub(super) struct Socket<S> {
    /// Dropped before the descriptor is closed (DescriptorFirst).
    member: Member,
    kind: Kind,
    io: S,
}

/// What is special about a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A short transfer means that there is no more: TCP, with no other protocol on top of it.
    Tcp,
    /// Datagrams, Unix streams; TLS in the kernel, of which a receive ends with a record.
    Other,
    /// The kernel's non-blocking mode is ours, for there is no flag for `accept`. Everywhere else
    /// it is the user's, for transfers do not block anyway.
    Listener,
}

impl Kind {
    /// Whom an event of such a socket wakes.
    fn wakes(self) -> Wakes {
        match self {
            Self::Listener => Wakes::One,
            Self::Tcp | Self::Other => Wakes::All,
        }
    }
}

/// What an operation has learnt while it waited.
struct Patience {
    /// When its timeout ends; fixed when it first waits.
    end_ns: Option<u64>,
    /// Whether the next attempt is made in any case.
    must_try: bool,
}

impl<S: AsFd> Socket<S> {
    /// Around a descriptor that nobody else uses and that is as the kernel made it.
    pub(super) fn new(io: S, kind: Kind) -> Self {
        if kind == Kind::Listener {
            set_kernel_mode(&io, true);
        }
        Self { member: Member::new(io.as_fd().as_raw_fd(), kind.wakes()), kind, io }
    }

    /// Around a descriptor of unknown history: takes its mode and timeouts over.
    pub(super) fn adopt(io: S, kind: Kind) -> Self {
        // What is not a socket after all tells at its first use, as in `std`.
        let options = socket2::SockRef::from(&io);
        let is_non_blocking = options.nonblocking().unwrap_or(false);
        let read_timeout = options.read_timeout().unwrap_or(None);
        let write_timeout = options.write_timeout().unwrap_or(None);
        let is_tcp = options.protocol().is_ok_and(|it| it == Some(socket2::Protocol::TCP))
            && !kernel::has_upper_protocol(io.as_fd());
        let kind = if kind == Kind::Tcp && !is_tcp { Kind::Other } else { kind };
        let socket = Self::new(io, kind);
        if is_non_blocking {
            let _always_ok = socket.member.set_non_blocking(true, None::<&S>);
        }
        socket.member.set_timeout(Direction::Input, read_timeout);
        socket.member.set_timeout(Direction::Output, write_timeout);
        socket
    }

    /// The socket of `std`, for options.
    #[inline]
    pub(super) fn io(&self) -> &S {
        &self.io
    }

    /// What clones share.
    #[inline]
    pub(super) fn state(&self) -> &Member {
        &self.member
    }

    /// Gives the descriptor away, in the user's mode.
    pub(super) fn into_io(self) -> S {
        if self.kind == Kind::Listener {
            set_kernel_mode(&self.io, self.member.is_non_blocking());
        }
        drop(self.member);
        self.io
    }

    /// The same socket as another type of `std`, and of a kind that is known now.
    pub(super) fn map<T>(self, kind: Kind, f: impl FnOnce(S) -> T) -> Socket<T> {
        Socket { member: self.member, kind, io: f(self.io) }
    }

    /// A clone, around a second descriptor.
    pub(super) fn duplicate(&self, io: S) -> Self {
        let member = self.member.duplicate(io.as_fd().as_raw_fd(), self.kind.wakes());
        Self { member, kind: self.kind, io }
    }

    /// Runs `call` until it does something else than to say that it would block; see the module.
    #[inline]
    pub(super) fn perform<T>(
        &self,
        direction: Direction,
        mut call: impl FnMut(BorrowedFd<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        self.perform_seeing(direction, |fd, _seen| call(fd))
    }

    /// As [`perform`](Self::perform), with where the direction stood before the attempt.
    #[inline]
    fn perform_seeing<T>(
        &self,
        direction: Direction,
        mut call: impl FnMut(BorrowedFd<'_>, Seen) -> io::Result<T>,
    ) -> io::Result<T> {
        let descriptor = &self.member.descriptor;
        let mut patience = Patience { end_ns: None, must_try: false };
        loop {
            let seen = descriptor.observe(direction);
            self.check_at(direction, seen)?;
            let is_non_blocking = self.member.is_non_blocking();
            let may_leave_out = !patience.must_try && !is_non_blocking;
            let left_out = may_leave_out && descriptor.is_drained(direction, seen);
            if !left_out {
                match call(self.io.as_fd(), seen) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    Err(error) if error.kind() == ErrorKind::WouldBlock && !is_non_blocking => {}
                    done => return done,
                }
            }
            self.wait(direction, seen, left_out, &mut patience)?;
        }
    }

    /// Waits once, after an attempt at `seen` that would have blocked or was left out.
    fn wait(
        &self,
        direction: Direction,
        seen: Seen,
        left_out: bool,
        patience: &mut Patience,
    ) -> io::Result<()> {
        patience.must_try = true;
        let end_ns = patience.end_ns.unwrap_or_else(|| self.member.timeout_end_ns(direction));
        patience.end_ns = Some(end_ns);
        let until_ns = (end_ns != NEVER_NS).then_some(end_ns);
        match wait_ready(&self.member.descriptor, direction, seen, until_ns) {
            Err(error) if error.kind() == ErrorKind::TimedOut && end_ns <= now_ns() => {
                self.check(direction)?;
                // What the poller has not yet told of counts.
                if left_out { Ok(()) } else { Err(kernel::would_block()) }
            }
            waited => waited,
        }
    }

    /// Whether an operation may go on: the socket is not closed, and no deadline has passed.
    ///
    /// # Errors
    /// `NotConnected` after `close`, `TimedOut` past a deadline.
    pub(super) fn check(&self, direction: Direction) -> io::Result<()> {
        self.check_at(direction, self.member.descriptor.observe(direction))
    }

    #[inline]
    fn check_at(&self, direction: Direction, seen: Seen) -> io::Result<()> {
        if seen.is_closed() {
            return Err(closed());
        }
        let deadline_ns = self.member.deadline_ns(direction);
        if deadline_ns != NEVER_NS && deadline_ns <= now_ns() {
            return Err(ErrorKind::TimedOut.into());
        }
        Ok(())
    }

    /// A transfer of a stream.
    #[inline]
    fn transfer(
        &self,
        direction: Direction,
        mut call: impl FnMut(BorrowedFd<'_>) -> io::Result<Moved>,
    ) -> io::Result<usize> {
        self.perform_seeing(direction, |fd, seen| {
            let moved = call(fd)?;
            if moved.is_short && self.kind == Kind::Tcp {
                self.member.descriptor.assume_drained(direction, seen);
            }
            Ok(moved.bytes)
        })
    }

    /// Receives from a stream. Nothing waits for an empty buffer.
    #[inline]
    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return self.check(Direction::Input).map(|()| 0);
        }
        self.transfer(Direction::Input, |fd| kernel::receive(fd, buffer, Take::Away))
    }

    /// As [`receive`](Self::receive), but the data stays.
    pub(super) fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return self.check(Direction::Input).map(|()| 0);
        }
        self.perform(Direction::Input, |fd| Ok(kernel::receive(fd, buffer, Take::Peek)?.bytes))
    }

    pub(super) fn receive_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        if buffers.iter().all(|buffer| buffer.is_empty()) {
            return self.check(Direction::Input).map(|()| 0);
        }
        self.transfer(Direction::Input, |fd| kernel::receive_vectored(fd, buffers))
    }

    /// Sends to a stream.
    #[inline]
    pub(super) fn send(&self, buffer: &[u8]) -> io::Result<usize> {
        self.transfer(Direction::Output, |fd| kernel::send(fd, buffer))
    }

    pub(super) fn send_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.transfer(Direction::Output, |fd| kernel::send_vectored(fd, buffers))
    }

    /// Receives one datagram, which may be empty.
    pub(super) fn receive_datagram(&self, buffer: &mut [u8], take: Take) -> io::Result<usize> {
        self.perform(Direction::Input, |fd| Ok(kernel::receive(fd, buffer, take)?.bytes))
    }

    /// Sends one datagram.
    pub(super) fn send_datagram(&self, buffer: &[u8]) -> io::Result<usize> {
        self.perform(Direction::Output, |fd| Ok(kernel::send(fd, buffer)?.bytes))
    }

    /// Takes a connection that has not been aborted meanwhile.
    pub(super) fn accept(&self) -> io::Result<(OwnedFd, socket2::SockAddr)> {
        let accepted = loop {
            match self.perform(Direction::Input, kernel::accept) {
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                done => break done,
            }
        };
        // Whatever it ends with: an event has woken nobody else (`netpoll::relay`, step 3).
        self.member.descriptor.pass_on(|token| {
            let _was_first = sched::wake(token, Outcome::Woken);
        });
        accepted
    }

    pub(super) fn set_timeout(&self, direction: Direction, timeout: Option<Duration>) {
        self.member.set_timeout(direction, timeout);
    }

    pub(super) fn set_deadline(&self, direction: Direction, deadline: Option<Instant>) {
        self.member.set_deadline(direction, deadline);
    }

    /// The user's mode, of all clones.
    pub(super) fn set_non_blocking(&self, on: bool) -> io::Result<()> {
        self.member.set_non_blocking(on, Some(&self.io).filter(|_| self.kind != Kind::Listener))
    }

    /// The kernel's non-blocking mode, for as long as the value lives.
    pub(super) fn lend_mode(&self) -> Lent<'_, S> {
        self.member.lend(&self.io)
    }

    pub(super) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        socket2::SockRef::from(&self.io).shutdown(how)
    }

    /// Ends every operation on this socket and its clones, now and from now on.
    pub(super) fn close(&self) {
        self.member.close();
        // Tells the other side. A socket that is not connected has none.
        let _not_connected = self.shutdown(Shutdown::Both);
    }
}
