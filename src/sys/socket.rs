//! What sockets need of the kernel beyond `std` and `socket2`: transfers that never wait and never
//! raise `SIGPIPE`, and `accept` that never waits.
//!
//! A transfer carries `MSG_DONTWAIT`, so the descriptor's own `O_NONBLOCK` stays what the user made
//! it. Lengths are capped at [`TRANSFER_BYTES_MAX`], below the kernel's own cap, so that a short
//! transfer is a fact about the socket.

use super::fault;
use std::ffi::c_int;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::SocketAddr as UnixAddr;

/// The most bytes one call moves; the kernel's cap is `0x7fff_f000`.
pub(crate) const TRANSFER_BYTES_MAX: usize = 1 << 30;

/// The most buffers one vectored call takes (`UIO_MAXIOV`).
const BUFFERS_MAX: usize = 1024;

/// Whether a receive leaves the data in the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Take {
    /// The data is taken.
    Away,
    /// The next receive finds it again.
    Peek,
}

impl Take {
    const fn flags(self) -> c_int {
        match self {
            Self::Away => libc::MSG_DONTWAIT,
            Self::Peek => libc::MSG_DONTWAIT | libc::MSG_PEEK,
        }
    }
}

/// How much a call moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) bytes: usize,
    /// Fewer bytes were moved than were asked for, and the kernel alone is the reason.
    pub(crate) is_short: bool,
}

const SEND: c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

/// The kernel's answer: a count, or the error in `errno`.
fn count(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// What an operation returns that would have to wait.
pub(crate) fn would_block() -> io::Error {
    io::Error::from_raw_os_error(libc::EAGAIN)
}

/// Whether this error of `connect` means that it goes on by itself: an interrupted one does, too.
pub(crate) fn is_under_way(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINPROGRESS | libc::EINTR))
}

/// How many bytes to ask for, and whether fault injection has cut it.
fn length(call: fault::Call, wanted: usize) -> (usize, bool) {
    let capped = wanted.min(TRANSFER_BYTES_MAX);
    if capped > 1 && fault::check(call).is_err() {
        return (1, true);
    }
    (capped, false)
}

/// Receives what is there, at most `buffer.len()` bytes.
///
/// Like [`send`] by its number: libc's function is a cancellation point, which costs two locked
/// instructions and some fifty others in a process that has more than one thread.
#[inline]
pub(crate) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8], take: Take) -> io::Result<Moved> {
    fault::check(fault::Call::Receive)?;
    let (length, is_cut) = length(fault::Call::ShortReceive, buffer.len());
    let (fd, place, none) = (socket.as_raw_fd(), buffer.as_mut_ptr(), std::ptr::null_mut::<u8>());
    // SAFETY: `place` has room for `length` bytes of `buffer`; the descriptor is open; nobody asks
    // for the sender.
    let received =
        unsafe { libc::syscall(libc::SYS_recvfrom, fd, place, length, take.flags(), none, none) };
    let bytes = count(received as isize)?;
    Ok(Moved { bytes, is_short: bytes < length && !is_cut })
}

/// Sends as much of `buffer` as there is room for.
#[inline]
pub(crate) fn send(socket: BorrowedFd<'_>, buffer: &[u8]) -> io::Result<Moved> {
    fault::check(fault::Call::Send)?;
    let (length, is_cut) = length(fault::Call::ShortSend, buffer.len());
    let (fd, data, none) = (socket.as_raw_fd(), buffer.as_ptr(), std::ptr::null::<u8>());
    // SAFETY: `data` points to `length` bytes of `buffer`; the descriptor is open; no address.
    let sent = unsafe { libc::syscall(libc::SYS_sendto, fd, data, length, SEND, none, 0_usize) };
    let bytes = count(sent as isize)?;
    Ok(Moved { bytes, is_short: bytes < length && !is_cut })
}

/// A message header over `buffers`, of which at most [`BUFFERS_MAX`] are used.
fn header(buffers: *mut libc::iovec, count: usize) -> libc::msghdr {
    // SAFETY: all-zero is a valid header without name, buffers or control data.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = buffers;
    header.msg_iovlen = count.min(BUFFERS_MAX) as _;
    header
}

/// As [`receive`], into several buffers.
pub(crate) fn receive_vectored(
    socket: BorrowedFd<'_>,
    buffers: &mut [IoSliceMut<'_>],
) -> io::Result<Moved> {
    fault::check(fault::Call::Receive)?;
    let asked: usize = buffers.iter().take(BUFFERS_MAX).map(|buffer| buffer.len()).sum();
    // `IoSliceMut` is ABI-compatible with `iovec`.
    let mut header = header(buffers.as_mut_ptr().cast(), buffers.len());
    // SAFETY: the header points to `buffers`, which are live and writable.
    let result = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, Take::Away.flags()) };
    let bytes = count(result)?;
    Ok(Moved { bytes, is_short: bytes < asked.min(TRANSFER_BYTES_MAX) })
}

/// As [`send`], from several buffers.
pub(crate) fn send_vectored(socket: BorrowedFd<'_>, buffers: &[IoSlice<'_>]) -> io::Result<Moved> {
    fault::check(fault::Call::Send)?;
    let asked: usize = buffers.iter().take(BUFFERS_MAX).map(|buffer| buffer.len()).sum();
    // `IoSlice` is ABI-compatible with `iovec`; the kernel does not write to it.
    let header = header(buffers.as_ptr().cast_mut().cast(), buffers.len());
    // SAFETY: the header points to `buffers`, which are live.
    let result = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, SEND) };
    let bytes = count(result)?;
    Ok(Moved { bytes, is_short: bytes < asked.min(TRANSFER_BYTES_MAX) })
}

/// Receives one datagram and its sender.
pub(crate) fn receive_from(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    take: Take,
) -> io::Result<(usize, socket2::SockAddr)> {
    fault::check(fault::Call::Receive)?;
    let length = buffer.len().min(TRANSFER_BYTES_MAX);
    let fill = |name: *mut socket2::SockAddrStorage, name_length: *mut libc::socklen_t| {
        let (place, flags) = (buffer.as_mut_ptr().cast(), take.flags());
        // SAFETY: the buffer has `length` bytes; `name` has room for `name_length` bytes.
        count(unsafe {
            libc::recvfrom(socket.as_raw_fd(), place, length, flags, name.cast(), name_length)
        })
    };
    // SAFETY: the kernel has written an address and its length when `fill` succeeds.
    unsafe { socket2::SockAddr::try_init(fill) }
}

/// Sends one datagram to `to`.
pub(crate) fn send_to(
    socket: BorrowedFd<'_>,
    buffer: &[u8],
    to: &socket2::SockAddr,
) -> io::Result<usize> {
    fault::check(fault::Call::Send)?;
    let length = buffer.len().min(TRANSFER_BYTES_MAX);
    // SAFETY: `length` bytes of `buffer`, and an address of the stated length.
    count(unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            buffer.as_ptr().cast(),
            length,
            SEND,
            to.as_ptr().cast(),
            to.len(),
        )
    })
}

/// Whether another protocol lies on top of the TCP of a socket (`TCP_ULP`), as TLS in the kernel.
pub(crate) fn has_upper_protocol(socket: BorrowedFd<'_>) -> bool {
    let mut name = [0_u8; 16];
    let mut length = name.len() as libc::socklen_t;
    let (level, option) = (libc::SOL_TCP, libc::TCP_ULP);
    let (place, length_at) = (name.as_mut_ptr().cast(), &raw mut length);
    // SAFETY: a live place of that many bytes, and one for how many there are.
    let result = unsafe { libc::getsockopt(socket.as_raw_fd(), level, option, place, length_at) };
    // Without one the length is 0; kernels older than the option know of none.
    result == 0 && length > 0
}

/// Takes one connection from the queue of a listener that is in non-blocking mode.
pub(crate) fn accept(listener: BorrowedFd<'_>) -> io::Result<(OwnedFd, socket2::SockAddr)> {
    fault::check(fault::Call::Accept)?;
    let take = |name: *mut socket2::SockAddrStorage, name_length: *mut libc::socklen_t| {
        // SAFETY: `name` has room for `name_length` bytes.
        let fd = unsafe {
            libc::accept4(listener.as_raw_fd(), name.cast(), name_length, libc::SOCK_CLOEXEC)
        };
        count(fd as isize)?;
        // SAFETY: the kernel has just opened it for us.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    };
    // SAFETY: the kernel has written an address and its length when `take` succeeds.
    unsafe { socket2::SockAddr::try_init(take) }
}

/// The address of a Unix socket, also of one without a name.
pub(crate) fn unix_addr(address: &socket2::SockAddr) -> io::Result<UnixAddr> {
    match address.as_unix() {
        Some(address) => Ok(address),
        None if address.is_unnamed() || address.len() == 0 => UnixAddr::from_pathname(""),
        None => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "file descriptor did not correspond to a Unix socket",
        )),
    }
}
