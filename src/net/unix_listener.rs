//! A Unix socket that listens.

use super::common::{forward, socket_path, socket_type};
use super::socket::{Kind, Socket};
use super::{UnixSocketAddr, UnixStream};
use crate::netpoll::Direction;
use crate::sys::socket;
use std::io;
use std::iter::FusedIterator;
use std::os::unix::net::{UnixListener as Std, UnixStream as StdStream};
use std::path::Path;
use std::time::Instant;

/// A Unix socket that listens: [`std::os::unix::net::UnixListener`] that blocks the green thread.
pub struct UnixListener(Socket<Std>);

socket_type!(UnixListener, Std, Kind::Listener);
forward! { UnixListener, UnixListener,
    local_addr() -> UnixSocketAddr;
}

impl UnixListener {
    /// Listens at `path`, with a queue as long as the system allows.
    ///
    /// # Errors
    /// The kernel's.
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        Self::listen(Std::bind(path)?)
    }

    /// As [`bind`](Self::bind), at an address, which may be an abstract one.
    ///
    /// # Errors
    /// The kernel's.
    pub fn bind_addr(address: &UnixSocketAddr) -> io::Result<Self> {
        Self::listen(Std::bind_addr(address)?)
    }

    fn listen(listener: Std) -> io::Result<Self> {
        socket2::SockRef::from(&listener).listen(i32::MAX)?;
        Ok(Self(Socket::new(listener, Kind::Listener)))
    }

    /// Waits for a connection.
    ///
    /// # Errors
    /// As of [`TcpListener::accept`](super::TcpListener::accept).
    pub fn accept(&self) -> io::Result<(UnixStream, UnixSocketAddr)> {
        let (fd, address) = self.0.accept()?;
        let address = socket::unix_addr(&address)?;
        Ok((UnixStream(Socket::new(StdStream::from(fd), Kind::Other)), address))
    }

    /// The connections that [`accept`](Self::accept) returns, without end.
    pub fn incoming(&self) -> UnixIncoming<'_> {
        UnixIncoming { listener: self }
    }

    /// When `accept` ends with [`TimedOut`](io::ErrorKind::TimedOut); `None`: never, the default.
    ///
    /// May be moved while threads wait in `accept`. Belongs to the socket, so also to its clones.
    pub fn set_deadline(&self, deadline: Option<Instant>) {
        self.0.set_deadline(Direction::Input, deadline);
    }
}

/// See [`UnixListener::incoming`].
#[derive(Debug)]
pub struct UnixIncoming<'a> {
    listener: &'a UnixListener,
}

impl Iterator for UnixIncoming<'_> {
    type Item = io::Result<UnixStream>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}

impl FusedIterator for UnixIncoming<'_> {}

impl<'a> IntoIterator for &'a UnixListener {
    type Item = io::Result<UnixStream>;
    type IntoIter = UnixIncoming<'a>;

    fn into_iter(self) -> UnixIncoming<'a> {
        self.incoming()
    }
}
