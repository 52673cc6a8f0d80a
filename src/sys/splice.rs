//! Moving data within the kernel: between sockets through a pipe, and from files to sockets.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// How much a pipe is asked to hold; the system may grant less.
const PIPE_BYTES: i32 = 256 << 10;

/// A pipe, both ends non-blocking.
#[derive(Debug)]
pub(crate) struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Pipe {
    /// An empty one.
    pub(crate) fn new() -> io::Result<Self> {
        let mut ends = [0; 2];
        // SAFETY: room for two descriptors.
        let result = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just opened it for us.
        let reader = unsafe { OwnedFd::from_raw_fd(ends[0]) };
        // SAFETY: as above.
        let writer = unsafe { OwnedFd::from_raw_fd(ends[1]) };
        // SAFETY: takes a number. Refused beyond the user's limit: then it stays as it is.
        let _granted = unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETPIPE_SZ, PIPE_BYTES) };
        Ok(Self { reader, writer })
    }

    /// Fills it from a socket in non-blocking mode; 0 at the end of the stream.
    pub(crate) fn fill(&self, from: BorrowedFd<'_>) -> io::Result<usize> {
        splice(from, self.writer.as_fd(), PIPE_BYTES as usize)
    }

    /// Empties at most `bytes` of it into a socket in non-blocking mode.
    pub(crate) fn empty(&self, to: BorrowedFd<'_>, bytes: usize) -> io::Result<usize> {
        splice(self.reader.as_fd(), to, bytes)
    }
}

fn splice(from: BorrowedFd<'_>, to: BorrowedFd<'_>, bytes: usize) -> io::Result<usize> {
    let flags = libc::SPLICE_F_MOVE | libc::SPLICE_F_NONBLOCK;
    let (none, from, to) = (std::ptr::null_mut(), from.as_raw_fd(), to.as_raw_fd());
    // SAFETY: two open descriptors, no offsets.
    let moved = unsafe { libc::splice(from, none, to, none, bytes, flags) };
    usize::try_from(moved).map_err(|_| io::Error::last_os_error())
}

/// Sends at most `bytes` of `file` from `offset` on to a socket in non-blocking mode; 0 at the end
/// of the file.
pub(crate) fn send_file(
    file: &File,
    offset: u64,
    to: BorrowedFd<'_>,
    bytes: usize,
) -> io::Result<usize> {
    let mut offset = i64::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: two open descriptors and a live offset.
    let sent = unsafe { libc::sendfile(to.as_raw_fd(), file.as_raw_fd(), &raw mut offset, bytes) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Whether the kernel refuses to splice these descriptors, or at all.
pub(crate) fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS | libc::EOPNOTSUPP))
}

/// Whether the process ignores `SIGPIPE`, as Rust programs do: neither splice nor sendfile can be
/// told not to raise it.
pub(crate) fn ignores_broken_pipes() -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: only reads the action, into a place that has room for it.
    let result = unsafe { libc::sigaction(libc::SIGPIPE, std::ptr::null(), action.as_mut_ptr()) };
    if result != 0 {
        return false;
    }
    // SAFETY: the kernel has written it.
    unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}
