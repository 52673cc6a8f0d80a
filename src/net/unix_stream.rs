//! A connection over a Unix socket.

use super::common::{forward, socket_path, socket_type, stream_io, timed};
use super::socket::{Kind, Socket};
use super::{Shutdown, UnixSocketAddr, connect};
use socket2::SockAddr;
use std::io;
use std::os::unix::net::UnixStream as Std;
use std::path::Path;

/// A connection over a Unix socket: [`std::os::unix::net::UnixStream`] that blocks the green
/// thread.
pub struct UnixStream(pub(super) Socket<Std>);

socket_type!(UnixStream, Std, Kind::Other);
timed!(UnixStream);
stream_io!(UnixStream);
forward! { UnixStream, UnixStream,
    local_addr() -> UnixSocketAddr;
    peer_addr() -> UnixSocketAddr;
    shutdown(how: Shutdown) -> ();
}

impl UnixStream {
    /// Connects to the socket at `path`. While the queue of the listener is full, it is tried
    /// again every few milliseconds.
    ///
    /// # Errors
    /// The kernel's; `TimedOut` past the deadline of a [`timeout`](crate::time::timeout).
    pub fn connect<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        Self::to(&SockAddr::unix(path)?)
    }

    /// As [`connect`](Self::connect), to an address, which may be an abstract one.
    ///
    /// # Errors
    /// As of [`connect`](Self::connect).
    pub fn connect_addr(address: &UnixSocketAddr) -> io::Result<Self> {
        Self::to(&address_of(address)?)
    }

    fn to(address: &SockAddr) -> io::Result<Self> {
        Ok(Self(connect::unix(address)?.map(Kind::Other, Std::from)))
    }

    /// Two sockets that are connected to each other.
    ///
    /// # Errors
    /// The kernel's.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = Std::pair()?;
        let new = |stream| Self(Socket::new(stream, Kind::Other));
        Ok((new(one), new(other)))
    }
}

/// An address of `std` as one of `socket2`.
pub(super) fn address_of(address: &UnixSocketAddr) -> io::Result<SockAddr> {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::ffi::OsStrExt as _;
    if let Some(path) = address.as_pathname() {
        return SockAddr::unix(path);
    }
    let Some(name) = address.as_abstract_name() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a Unix socket without a name"));
    };
    // `socket2` takes a leading NUL byte for an abstract name.
    let name = [b"\0", name].concat();
    SockAddr::unix(std::ffi::OsStr::from_bytes(&name))
}
