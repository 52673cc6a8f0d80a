//! Sockets that block the green thread: names and types of `std::net` and `std::os::unix::net`.
//!
//! Code moves over by its `use` lines. What is added:
//! - **Deadlines** (`set_read_deadline`, `set_write_deadline`, `set_deadline`): a point in time
//!   for all operations, past which they return [`TimedOut`]. They may be moved, also into the
//!   past, by another thread while an operation waits. [`time::timeout`](crate::time::timeout)
//!   sets one for whatever runs inside it.
//! - **`close`**: ends all operations on a socket and its clones, those that wait and later ones,
//!   with an error of the kind [`NotConnected`].
//! - [`copy()`], [`copy_bidirectional`] and [`send_file`], which move the data within the kernel.
//!
//! # What blocks
//! An operation that has to wait blocks the green thread; on an OS thread it blocks that thread.
//! Looking up names ([`ToSocketAddrs`]) gives the processor up for as long as it takes. Nothing
//! here raises `SIGPIPE`.
//!
//! # Timeouts
//! `set_read_timeout` and `set_write_timeout` are `std`'s, down to the error: an operation that
//! has waited for so long returns [`WouldBlock`], as `std`'s does on every Linux.
//!
//! # Clones
//! `try_clone` makes a second descriptor of the same socket, as in `std`. Timeouts, deadlines, the
//! non-blocking mode and `close` belong to the socket, so all clones share them.
//!
//! # Sockets of others
//! The types convert from and to `std`'s and [`OwnedFd`](std::os::fd::OwnedFd), and they are
//! [`AsFd`](std::os::fd::AsFd): `socket2::SockRef::from(&stream)` has the options that `std` lacks.
//!
//! **TLS in the kernel** (`TCP_ULP`): on a [`TcpStream`] a receive that returns less than was asked
//! for is taken for the end of what there is, and the next one waits for the kernel's word without
//! asking it first. That is so for TCP, and not for a stream of TLS records, of which a receive may
//! end before what is left. So once the protocol is attached, convert the stream:
//! `TcpStream::from(std::net::TcpStream::from(stream))`, and each of its clones. From then on every
//! receive asks. A stream that has the protocol when it is converted from `std` needs nothing more.
//!
//! # Examples
//! ```
//! use gthread::net::{TcpListener, TcpStream};
//! use std::io::{Read, Write};
//!
//! gthread::run(|| -> std::io::Result<()> {
//!     let listener = TcpListener::bind("127.0.0.1:0")?;
//!     let address = listener.local_addr()?;
//!     let server = gthread::spawn(move || -> std::io::Result<()> {
//!         let (mut stream, _) = listener.accept()?;
//!         stream.write_all(b"hello")
//!     });
//!     let mut text = String::new();
//!     TcpStream::connect(address)?.read_to_string(&mut text)?;
//!     assert_eq!(text, "hello");
//!     server.join().expect("it does not panic")
//! })?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! [`TimedOut`]: std::io::ErrorKind::TimedOut
//! [`WouldBlock`]: std::io::ErrorKind::WouldBlock
//! [`NotConnected`]: std::io::ErrorKind::NotConnected

mod common;
mod connect;
mod copy;
mod resolve;
mod socket;
mod state;
mod tcp_listener;
mod tcp_stream;
mod udp;
mod unix_datagram;
mod unix_listener;
mod unix_stream;

pub use copy::{Stream, copy, copy_bidirectional, send_file};
pub use std::net::{
    IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV4, SocketAddrV6, ToSocketAddrs,
};
pub use std::os::unix::net::SocketAddr as UnixSocketAddr;
pub use tcp_listener::{Incoming, IntoIncoming, TcpListener};
pub use tcp_stream::TcpStream;
pub use udp::UdpSocket;
pub use unix_datagram::UnixDatagram;
pub use unix_listener::{UnixIncoming, UnixListener};
pub use unix_stream::UnixStream;
