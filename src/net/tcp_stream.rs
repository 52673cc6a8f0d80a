//! A TCP connection.

use super::common::{forward, socket_path, socket_type, stream_io, timed};
use super::socket::{Kind, Socket};
use super::{Shutdown, SocketAddr, ToSocketAddrs, connect, resolve};
use std::io;
use std::net::TcpStream as Std;
use std::time::Duration;

/// A TCP connection: [`std::net::TcpStream`] that blocks the green thread.
///
/// Reads and writes go through `&TcpStream` as well, so two threads can use the two directions of
/// one stream at the same time.
pub struct TcpStream(pub(super) Socket<Std>);

socket_type!(TcpStream, Std, Kind::Tcp);
timed!(TcpStream);
stream_io!(TcpStream);
forward! { TcpStream, TcpStream,
    local_addr() -> SocketAddr;
    peer_addr() -> SocketAddr;
    shutdown(how: Shutdown) -> ();
    set_nodelay(nodelay: bool) -> ();
    nodelay() -> bool;
    set_ttl(ttl: u32) -> ();
    ttl() -> u32;
}

impl TcpStream {
    /// Connects to the first of `addresses` that answers.
    ///
    /// # Errors
    /// The kernel's for the last address, that of the look-up, or `TimedOut` past the deadline of
    /// a [`timeout`](crate::time::timeout).
    pub fn connect<A: ToSocketAddrs>(addresses: A) -> io::Result<Self> {
        resolve::with_each(addresses, |address| Self::to(address, None))
    }

    /// Connects to `address` within `timeout`, from the call on.
    ///
    /// # Errors
    /// `InvalidInput` for a zero duration, `TimedOut` after `timeout`; the kernel's.
    pub fn connect_timeout(address: &SocketAddr, timeout: Duration) -> io::Result<Self> {
        if timeout.is_zero() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "cannot set a 0 duration timeout",
            ));
        }
        Self::to(*address, Some(timeout))
    }

    fn to(address: SocketAddr, timeout: Option<Duration>) -> io::Result<Self> {
        Ok(Self(connect::tcp(address, timeout)?.map(Kind::Tcp, Std::from)))
    }

    /// As a read, but the data stays.
    ///
    /// # Errors
    /// As of a read.
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.peek(buffer)
    }
}
