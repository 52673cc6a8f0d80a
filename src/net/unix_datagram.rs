//! A Unix socket of datagrams.

use super::common::{forward, socket_path, socket_type, timed};
use super::socket::{Kind, Socket};
use super::unix_stream::address_of;
use super::{Shutdown, UnixSocketAddr, connect};
use crate::netpoll::Direction;
use crate::sys::socket::{self, Take};
use socket2::SockAddr;
use std::io;
use std::os::unix::net::UnixDatagram as Std;
use std::path::Path;

/// A Unix socket of datagrams: [`std::os::unix::net::UnixDatagram`] that blocks the green thread.
pub struct UnixDatagram(Socket<Std>);

socket_type!(UnixDatagram, Std, Kind::Other);
timed!(UnixDatagram);
forward! { UnixDatagram, UnixDatagram,
    local_addr() -> UnixSocketAddr;
    peer_addr() -> UnixSocketAddr;
    shutdown(how: Shutdown) -> ();
}

impl UnixDatagram {
    fn new(socket: Std) -> Self {
        Self(Socket::new(socket, Kind::Other))
    }

    /// Binds to `path`.
    ///
    /// # Errors
    /// The kernel's.
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        Std::bind(path).map(Self::new)
    }

    /// As [`bind`](Self::bind), to an address, which may be an abstract one.
    ///
    /// # Errors
    /// The kernel's.
    pub fn bind_addr(address: &UnixSocketAddr) -> io::Result<Self> {
        Std::bind_addr(address).map(Self::new)
    }

    /// A socket without a name.
    ///
    /// # Errors
    /// The kernel's.
    pub fn unbound() -> io::Result<Self> {
        Std::unbound().map(Self::new)
    }

    /// Two sockets that are connected to each other.
    ///
    /// # Errors
    /// The kernel's.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = Std::pair()?;
        Ok((Self::new(one), Self::new(other)))
    }

    /// Makes the socket at `path` the one that [`send`](Self::send) sends to and
    /// [`recv`](Self::recv) receives from. Does not wait.
    ///
    /// # Errors
    /// The kernel's.
    pub fn connect<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        self.0.io().connect(path)
    }

    /// As [`connect`](Self::connect), to an address, which may be an abstract one.
    ///
    /// # Errors
    /// The kernel's.
    pub fn connect_addr(&self, address: &UnixSocketAddr) -> io::Result<()> {
        self.0.io().connect_addr(address)
    }

    /// Receives a datagram, and who sent it; what does not fit into `buffer` is lost.
    ///
    /// # Errors
    /// The kernel's; see [the module](crate::net) for timeouts and deadlines.
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, UnixSocketAddr)> {
        let receive =
            |fd: std::os::fd::BorrowedFd<'_>| socket::receive_from(fd, buffer, Take::Away);
        let (bytes, from) = self.0.perform(Direction::Input, receive)?;
        Ok((bytes, socket::unix_addr(&from)?))
    }

    /// Receives a datagram.
    ///
    /// # Errors
    /// As of [`recv_from`](Self::recv_from).
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.receive_datagram(buffer, Take::Away)
    }

    /// Sends a datagram to the socket at `path`.
    ///
    /// While the receiver's queue is full, it is tried again every few milliseconds: the kernel
    /// tells no readiness for a receiver that this socket is not connected to.
    ///
    /// # Errors
    /// The kernel's; see [the module](crate::net) for timeouts and deadlines.
    pub fn send_to<P: AsRef<Path>>(&self, buffer: &[u8], path: P) -> io::Result<usize> {
        self.send_to_name(buffer, &SockAddr::unix(path)?)
    }

    /// As [`send_to`](Self::send_to), to an address, which may be an abstract one.
    ///
    /// # Errors
    /// As of [`send_to`](Self::send_to).
    pub fn send_to_addr(&self, buffer: &[u8], address: &UnixSocketAddr) -> io::Result<usize> {
        self.send_to_name(buffer, &address_of(address)?)
    }

    fn send_to_name(&self, buffer: &[u8], to: &SockAddr) -> io::Result<usize> {
        use std::os::fd::AsFd as _;
        connect::with_pauses(&self.0, || socket::send_to(self.as_fd(), buffer, to))
    }

    /// Sends a datagram to the socket this one is connected to.
    ///
    /// # Errors
    /// As of [`send_to`](Self::send_to).
    pub fn send(&self, buffer: &[u8]) -> io::Result<usize> {
        self.0.send_datagram(buffer)
    }
}
