//! A TCP socket that listens.

use super::common::{forward, socket_path, socket_type};
use super::socket::{Kind, Socket};
use super::{SocketAddr, TcpStream, ToSocketAddrs, resolve};
use crate::netpoll::Direction;
use std::io;
use std::iter::FusedIterator;
use std::net::{TcpListener as Std, TcpStream as StdStream};
use std::time::Instant;

/// A TCP socket that listens: [`std::net::TcpListener`] that blocks the green thread.
///
/// Any number of threads may accept from one listener at the same time; a connection wakes one of
/// them.
pub struct TcpListener(Socket<Std>);

socket_type!(TcpListener, Std, Kind::Listener);
forward! { TcpListener, TcpListener,
    local_addr() -> SocketAddr;
    set_ttl(ttl: u32) -> ();
    ttl() -> u32;
}

impl TcpListener {
    /// Listens on the first of `addresses` that can be had, with `SO_REUSEADDR`.
    ///
    /// The queue of connections that wait to be accepted is as long as the system allows
    /// (`net.core.somaxconn`); `std`'s holds 128, and a burst beyond it waits for a second and
    /// more to be sent again.
    ///
    /// # Errors
    /// The kernel's for the last address, or that of the look-up.
    pub fn bind<A: ToSocketAddrs>(addresses: A) -> io::Result<Self> {
        resolve::with_each(addresses, |address| {
            let listener = Std::bind(address)?;
            socket2::SockRef::from(&listener).listen(i32::MAX)?;
            Ok(Self(Socket::new(listener, Kind::Listener)))
        })
    }

    /// Waits for a connection.
    ///
    /// # Errors
    /// The kernel's. Running out of descriptors (`EMFILE`) is the caller's to deal with: the
    /// connection stays in the queue, and the next `accept` tries at once. A connection that was
    /// aborted while it waited is no error (`ECONNABORTED`): the next one is taken, as in Go.
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (fd, address) = self.0.accept()?;
        let address = address.as_socket().ok_or(io::ErrorKind::InvalidInput)?;
        Ok((TcpStream(Socket::new(StdStream::from(fd), Kind::Tcp)), address))
    }

    /// The connections that [`accept`](Self::accept) returns, without end.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    /// As [`incoming`](Self::incoming), by value.
    pub fn into_incoming(self) -> IntoIncoming {
        IntoIncoming { listener: self }
    }

    /// When `accept` ends with [`TimedOut`](io::ErrorKind::TimedOut); `None`: never, the default.
    ///
    /// May be moved while threads wait in `accept`. Belongs to the socket, so also to its clones.
    pub fn set_deadline(&self, deadline: Option<Instant>) {
        self.0.set_deadline(Direction::Input, deadline);
    }
}

/// See [`TcpListener::incoming`].
#[derive(Debug)]
pub struct Incoming<'a> {
    listener: &'a TcpListener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}

impl FusedIterator for Incoming<'_> {}

/// See [`TcpListener::into_incoming`].
#[derive(Debug)]
pub struct IntoIncoming {
    listener: TcpListener,
}

impl Iterator for IntoIncoming {
    type Item = io::Result<TcpStream>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}

impl FusedIterator for IntoIncoming {}
