//! The one place where an operation is tried, waits until its socket is ready, and is tried again.
//!
//! 1. The socket is not closed, and no deadline has passed; else an error, even if the operation
//!    could succeed.
//! 2. The operation is tried. It does not block: transfers carry `MSG_DONTWAIT`, listeners are in
//!    non-blocking mode. `EINTR` tries again.
//! 3. `EAGAIN`: in the user's non-blocking mode that is the result. Else the thread waits until
//!    the socket may be ready, the earliest of timeout and deadlines has passed, or one of those
//!    was changed; and goes on with 1.
//!
//! Timeouts are `std`'s: they count from the beginning of the wait and end it with `WouldBlock`,
//! as on every Linux. Deadlines end it with `TimedOut`.

use super::ready;
use super::shared::Shared;
use crate::sys::socket::{self as kernel, Awaited, Moved, Take};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A socket of the type `S` of `std`, which owns the descriptor and has the options' methods.
pub(super) struct Socket<S> {
    shared: Arc<Shared>,
    kind: Kind,
    io: S,
}

/// What the kernel's non-blocking mode of a descriptor means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The user's mode: transfers do not block anyway.
    Transfers,
    /// Ours, for as long as the descriptor is: there is no flag for `accept`.
    Listens,
}

/// When an operation gives up by its timeout; fixed when it first waits.
struct Patience(Option<u64>);

impl<S: AsFd> Socket<S> {
    /// Around a descriptor that nobody else uses and that is as the kernel made it.
    pub(super) fn new(io: S, kind: Kind) -> Self {
        if kind == Kind::Listens {
            set_mode(&io, true);
        }
        Self { shared: Shared::new(), kind, io }
    }

    /// Around a descriptor of unknown history: takes its mode and timeouts over.
    pub(super) fn adopt(io: S, kind: Kind) -> Self {
        let options = socket2::SockRef::from(&io);
        // What is not a socket after all tells at its first use, as in `std`.
        let is_non_blocking = options.nonblocking().unwrap_or(false);
        let read_timeout = options.read_timeout().unwrap_or(None);
        let write_timeout = options.write_timeout().unwrap_or(None);
        drop(options);
        let socket = Self::new(io, kind);
        socket.shared.set_non_blocking(is_non_blocking);
        socket.shared.set_timeout(Awaited::Input, read_timeout);
        socket.shared.set_timeout(Awaited::Output, write_timeout);
        socket
    }

    /// The socket of `std`, for options.
    pub(super) fn io(&self) -> &S {
        &self.io
    }

    /// Gives the descriptor away, in the user's mode.
    pub(super) fn into_io(self) -> S {
        if self.kind == Kind::Listens {
            set_mode(&self.io, self.shared.is_non_blocking());
        }
        self.io
    }

    /// The same socket as another type of `std`.
    pub(super) fn map<T>(self, f: impl FnOnce(S) -> T) -> Socket<T> {
        Socket { shared: self.shared, kind: self.kind, io: f(self.io) }
    }

    /// A second descriptor of the socket.
    pub(super) fn duplicate(&self, io: S) -> Self {
        Self { shared: self.shared.clone(), kind: self.kind, io }
    }

    /// Runs `call` until it does something else than to say that it would block; see the module.
    #[inline]
    pub(super) fn perform<T>(
        &self,
        awaited: Awaited,
        mut call: impl FnMut(BorrowedFd<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut patience = Patience(None);
        loop {
            self.shared.check(awaited)?;
            match call(self.io.as_fd()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.shared.is_non_blocking() {
                        return Err(error);
                    }
                    self.wait(awaited, &mut patience)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    /// Receives from a stream. Nothing waits for an empty buffer.
    #[inline]
    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.receive_as(buffer, Take::Away)
    }

    #[inline]
    pub(super) fn receive_as(&self, buffer: &mut [u8], take: Take) -> io::Result<usize> {
        if buffer.is_empty() {
            return self.shared.check(Awaited::Input).map(|()| 0);
        }
        self.transfer(Awaited::Input, |fd| kernel::receive(fd, buffer, take))
    }

    pub(super) fn receive_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        if buffers.iter().all(|buffer| buffer.is_empty()) {
            return self.shared.check(Awaited::Input).map(|()| 0);
        }
        self.transfer(Awaited::Input, |fd| kernel::receive_vectored(fd, buffers))
    }

    /// Sends to a stream.
    #[inline]
    pub(super) fn send(&self, buffer: &[u8]) -> io::Result<usize> {
        self.transfer(Awaited::Output, |fd| kernel::send(fd, buffer))
    }

    pub(super) fn send_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.transfer(Awaited::Output, |fd| kernel::send_vectored(fd, buffers))
    }

    /// Receives one datagram, which may be empty.
    pub(super) fn receive_datagram(&self, buffer: &mut [u8], take: Take) -> io::Result<usize> {
        self.perform(Awaited::Input, |fd| Ok(kernel::receive(fd, buffer, take)?.bytes))
    }

    /// Sends one datagram.
    pub(super) fn send_datagram(&self, buffer: &[u8]) -> io::Result<usize> {
        self.perform(Awaited::Output, |fd| Ok(kernel::send(fd, buffer)?.bytes))
    }

    /// Takes a connection that has not been aborted meanwhile.
    pub(super) fn accept(&self) -> io::Result<(OwnedFd, socket2::SockAddr)> {
        loop {
            match self.perform(Awaited::Input, kernel::accept) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {
                    // Ours if the socket was closed, which the next round finds by itself.
                    self.shared.check(Awaited::Input)?;
                }
                done => return done,
            }
        }
    }

    /// A transfer of a stream; as [`perform`](Self::perform).
    #[inline]
    fn transfer(
        &self,
        awaited: Awaited,
        mut call: impl FnMut(BorrowedFd<'_>) -> io::Result<Moved>,
    ) -> io::Result<usize> {
        self.perform(awaited, |fd| Ok(call(fd)?.bytes))
    }

    /// As [`Shared::check`].
    pub(super) fn check(&self, awaited: Awaited) -> io::Result<()> {
        self.shared.check(awaited)
    }

    /// As [`Shared::timeout_end_ns`].
    pub(super) fn timeout_end_ns(&self, awaited: Awaited) -> u64 {
        self.shared.timeout_end_ns(awaited)
    }

    /// Whether the user wants no waiting.
    pub(super) fn is_non_blocking(&self) -> bool {
        self.shared.is_non_blocking()
    }

    /// As [`Shared::deadline_ns`].
    pub(super) fn deadline_ns(&self, awaited: Awaited) -> u64 {
        self.shared.deadline_ns(awaited)
    }

    /// Waits once.
    #[cold]
    fn wait(&self, awaited: Awaited, patience: &mut Patience) -> io::Result<()> {
        let end_ns = *patience.0.get_or_insert_with(|| self.shared.timeout_end_ns(awaited));
        if end_ns <= crate::sys::clock::now_ns() {
            return Err(kernel::would_block());
        }
        let until_ns = || {
            self.shared.check(awaited)?;
            Ok(end_ns.min(self.shared.deadline_ns(awaited)))
        };
        crate::sched::blocking(|| ready::sleep(&self.shared, self.io.as_fd(), awaited, until_ns))
    }

    pub(super) fn set_timeout(&self, awaited: Awaited, timeout: Option<Duration>) {
        self.shared.set_timeout(awaited, timeout);
    }

    pub(super) fn set_deadline(&self, awaited: Awaited, deadline: Option<Instant>) {
        self.shared.set_deadline(awaited, deadline);
    }

    /// The user's mode, of all clones.
    pub(super) fn set_non_blocking(&self, on: bool) -> io::Result<()> {
        if self.kind == Kind::Transfers {
            socket2::SockRef::from(&self.io).set_nonblocking(on)?;
        }
        self.shared.set_non_blocking(on);
        Ok(())
    }

    /// Ends every operation on this socket and its clones, now and from now on.
    pub(super) fn close(&self) {
        self.shared.close();
        // Tells the other side. A socket that is not connected has none.
        let _not_connected = socket2::SockRef::from(&self.io).shutdown(std::net::Shutdown::Both);
    }
}

/// Sets the kernel's mode of an open descriptor, which cannot fail.
fn set_mode(io: &impl AsFd, non_blocking: bool) {
    let _always_ok = socket2::SockRef::from(io).set_nonblocking(non_blocking);
}
