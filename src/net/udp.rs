//! A UDP socket.

use super::common::{forward, socket_path, socket_type, timed};
use super::socket::{Kind, Socket};
use super::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, resolve};
use crate::netpoll::Direction;
use crate::sys::socket::{self, Take};
use std::io;
use std::net::UdpSocket as Std;

/// A UDP socket: [`std::net::UdpSocket`] that blocks the green thread.
pub struct UdpSocket(Socket<Std>);

socket_type!(UdpSocket, Std, Kind::Other);
timed!(UdpSocket);
forward! { UdpSocket, UdpSocket,
    local_addr() -> SocketAddr;
    peer_addr() -> SocketAddr;
    set_broadcast(broadcast: bool) -> ();
    broadcast() -> bool;
    set_multicast_loop_v4(multicast_loop_v4: bool) -> ();
    multicast_loop_v4() -> bool;
    set_multicast_ttl_v4(multicast_ttl_v4: u32) -> ();
    multicast_ttl_v4() -> u32;
    set_multicast_loop_v6(multicast_loop_v6: bool) -> ();
    multicast_loop_v6() -> bool;
    join_multicast_v4(multiaddr: &Ipv4Addr, interface: &Ipv4Addr) -> ();
    join_multicast_v6(multiaddr: &Ipv6Addr, interface: u32) -> ();
    leave_multicast_v4(multiaddr: &Ipv4Addr, interface: &Ipv4Addr) -> ();
    leave_multicast_v6(multiaddr: &Ipv6Addr, interface: u32) -> ();
    set_ttl(ttl: u32) -> ();
    ttl() -> u32;
}

impl UdpSocket {
    /// Binds to the first of `addresses` that can be had.
    ///
    /// # Errors
    /// The kernel's for the last address, or that of the look-up.
    pub fn bind<A: ToSocketAddrs>(addresses: A) -> io::Result<Self> {
        resolve::with_each(addresses, |address| {
            Ok(Self(Socket::new(Std::bind(address)?, Kind::Other)))
        })
    }

    /// Makes the first of `addresses` that can be had the one that [`send`](Self::send) sends to
    /// and [`recv`](Self::recv) receives from. Does not wait but for the look-up.
    ///
    /// # Errors
    /// The kernel's for the last address, or that of the look-up.
    pub fn connect<A: ToSocketAddrs>(&self, addresses: A) -> io::Result<()> {
        resolve::with_each(addresses, |address| self.0.io().connect(address))
    }

    /// Receives a datagram, and who sent it; what does not fit into `buffer` is lost.
    ///
    /// # Errors
    /// The kernel's; see [the module](crate::net) for timeouts and deadlines.
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.receive_from(buffer, Take::Away)
    }

    /// As [`recv_from`](Self::recv_from), but the datagram stays.
    ///
    /// # Errors
    /// As of [`recv_from`](Self::recv_from).
    pub fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.receive_from(buffer, Take::Peek)
    }

    fn receive_from(&self, buffer: &mut [u8], take: Take) -> io::Result<(usize, SocketAddr)> {
        let (bytes, from) =
            self.0.perform(Direction::Input, |fd| socket::receive_from(fd, buffer, take))?;
        Ok((bytes, from.as_socket().ok_or(io::ErrorKind::InvalidInput)?))
    }

    /// Sends a datagram to the first of `addresses`.
    ///
    /// # Errors
    /// The kernel's, or that of the look-up; see [the module](crate::net) for timeouts and
    /// deadlines.
    pub fn send_to<A: ToSocketAddrs>(&self, buffer: &[u8], addresses: A) -> io::Result<usize> {
        let Some(to) = resolve::resolve(addresses)?.next() else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "no addresses to send data to",
            ));
        };
        let to = to.into();
        self.0.perform(Direction::Output, |fd| socket::send_to(fd, buffer, &to))
    }

    /// Receives a datagram from the address this socket is connected to.
    ///
    /// # Errors
    /// As of [`recv_from`](Self::recv_from).
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.receive_datagram(buffer, Take::Away)
    }

    /// As [`recv`](Self::recv), but the datagram stays.
    ///
    /// # Errors
    /// As of [`recv_from`](Self::recv_from).
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.receive_datagram(buffer, Take::Peek)
    }

    /// Sends a datagram to the address this socket is connected to.
    ///
    /// # Errors
    /// As of [`send_to`](Self::send_to).
    pub fn send(&self, buffer: &[u8]) -> io::Result<usize> {
        self.0.send_datagram(buffer)
    }
}
