//! Connecting without blocking.

use super::socket::{Kind, Socket};
use crate::netpoll::Direction;
use crate::sys::clock::now_ns;
use crate::sys::socket;
use socket2::{Domain, SockAddr, SockRef, Type};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// The first and the longest pause before a full Unix socket is tried again.
const PAUSE_NS: std::ops::RangeInclusive<u64> = 50_000..=5_000_000;

/// Connects a stream to `address`, within `timeout` if there is one.
///
/// # Errors
/// The kernel's; `TimedOut` when the time or the thread's deadline has passed.
pub(super) fn tcp(address: SocketAddr, timeout: Option<Duration>) -> io::Result<Socket<OwnedFd>> {
    let stream = new(Domain::for_address(address))?;
    // Connecting is output; the timeout goes again when it is done.
    stream.set_timeout(Direction::Output, timeout);
    let mut is_under_way = false;
    let connected = stream.perform(Direction::Output, |fd| {
        let kernel = SockRef::from(&fd);
        if !is_under_way {
            is_under_way = true;
            return match kernel.connect(&SockAddr::from(address)) {
                Err(error) if socket::is_under_way(&error) => Err(socket::would_block()),
                done => done,
            };
        }
        if let Some(error) = kernel.take_error()? {
            return Err(error);
        }
        match kernel.peer_addr() {
            // Woken for nothing: it still tries.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Err(socket::would_block()),
            _ => Ok(()),
        }
    });
    match connected {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(io::Error::new(io::ErrorKind::TimedOut, "connection timed out"))
        }
        Err(error) => Err(error),
        Ok(()) => finish(stream),
    }
}

/// Connects a Unix stream to `address`.
///
/// A listener whose queue is full is tried again after a pause of up to 5 ms: the kernel reports
/// neither progress nor readiness for it. Blocking in the kernel instead would cost an OS thread
/// for each that waits.
pub(super) fn unix(address: &SockAddr) -> io::Result<Socket<OwnedFd>> {
    let socket = new(Domain::UNIX)?;
    with_pauses(&socket, || SockRef::from(socket.io()).connect(address))?;
    finish(socket)
}

/// Runs `call` again after a pause for as long as it would block: for what the kernel tells no
/// readiness of.
pub(super) fn with_pauses<S: std::os::fd::AsFd, T>(
    socket: &Socket<S>,
    mut call: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    let mut pause_ns = *PAUSE_NS.start();
    let end_ns = socket.state().timeout_end_ns(Direction::Output);
    loop {
        socket.check(Direction::Output)?;
        match call() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if socket.state().is_non_blocking() || end_ns <= now_ns() {
                    return Err(error);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            done => return done,
        }
        let until_ns = socket.state().deadline_ns(Direction::Output).min(end_ns);
        crate::sched::sleep_until(until_ns.min(now_ns().saturating_add(pause_ns)));
        pause_ns = (pause_ns * 2).min(*PAUSE_NS.end());
    }
}

fn new(domain: Domain) -> io::Result<Socket<OwnedFd>> {
    let socket = socket2::Socket::new(domain, Type::STREAM.nonblocking().cloexec(), None)?;
    Ok(Socket::new(socket.into(), Kind::Other))
}

/// Back to the mode that users of the descriptor expect.
fn finish(socket: Socket<OwnedFd>) -> io::Result<Socket<OwnedFd>> {
    SockRef::from(socket.io()).set_nonblocking(false)?;
    socket.set_timeout(Direction::Output, None);
    Ok(socket)
}
