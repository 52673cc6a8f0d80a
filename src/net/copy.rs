//! Data from stream to stream and from file to stream, within the kernel where it can.
//!
//! `splice` and `sendfile` have no flags like those of `send`, so for as long as they run the
//! sockets are in non-blocking mode; and they raise `SIGPIPE`, so they are used only in a process
//! that ignores it, as Rust's do. Everything else goes through a buffer.

use super::socket::Socket;
use super::{Shutdown, TcpStream, UnixStream};
use crate::netpoll::Direction;
use crate::sched;
use crate::sys::socket::TRANSFER_BYTES_MAX;
use crate::sys::splice::{self, Pipe};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt as _;

/// The buffer of what the kernel does not move by itself.
const BUFFER_BYTES: usize = 64 << 10;

/// A stream of this module: [`TcpStream`] or [`UnixStream`].
pub trait Stream: sealed::Sealed {}

impl Stream for TcpStream {}
impl Stream for UnixStream {}

mod sealed {
    use super::Socket;
    use std::os::fd::AsFd;

    #[allow(unreachable_pub, reason = "seals a public trait")]
    pub trait Sealed: Sync {
        #[doc(hidden)]
        type Io: AsFd;
        #[doc(hidden)]
        #[allow(private_interfaces, reason = "nobody outside can name it")]
        fn socket(&self) -> &Socket<Self::Io>;
    }
}

impl sealed::Sealed for TcpStream {
    type Io = std::net::TcpStream;
    #[allow(private_interfaces, reason = "nobody outside can name it")]
    fn socket(&self) -> &Socket<Self::Io> {
        &self.0
    }
}

impl sealed::Sealed for UnixStream {
    type Io = std::os::unix::net::UnixStream;
    #[allow(private_interfaces, reason = "nobody outside can name it")]
    fn socket(&self) -> &Socket<Self::Io> {
        &self.0
    }
}

/// Copies what comes from `from` to `to` until the end of the stream; how many bytes.
///
/// Blocks the thread as a read and a write would, with the timeouts and deadlines of the two.
///
/// # Errors
/// Those of a read of `from` and of a write to `to`. Some of what was read may then be lost.
pub fn copy<A: Stream, B: Stream>(from: &A, to: &B) -> io::Result<u64> {
    let (from, to) = (from.socket(), to.socket());
    let pipe = if splice::ignores_broken_pipes() { Pipe::new().ok() } else { None };
    if let Some(pipe) = pipe {
        let (_one, _other) = (from.lend_mode(), to.lend_mode());
        if let Some(bytes) = copy_by(&pipe, from, to)? {
            return Ok(bytes);
        }
    }
    copy_through_buffer(from, to)
}

/// By splice; `None`: the kernel does not splice these, and nothing has happened.
fn copy_by<A: AsFd, B: AsFd>(
    pipe: &Pipe,
    from: &Socket<A>,
    to: &Socket<B>,
) -> io::Result<Option<u64>> {
    let mut copied = 0;
    loop {
        let mut left = match from.perform(Direction::Input, |fd| pipe.fill(fd)) {
            Err(error) if copied == 0 && splice::is_unsupported(&error) => return Ok(None),
            filled => filled?,
        };
        if left == 0 {
            return Ok(Some(copied));
        }
        while left > 0 {
            let emptied = to.perform(Direction::Output, |fd| pipe.empty(fd, left))?;
            left -= emptied;
            copied += emptied as u64;
        }
    }
}

fn copy_through_buffer<A: AsFd, B: AsFd>(from: &Socket<A>, to: &Socket<B>) -> io::Result<u64> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut copied = 0;
    loop {
        let bytes = from.receive(&mut buffer)?;
        if bytes == 0 {
            return Ok(copied);
        }
        send_all(to, &buffer[..bytes])?;
        copied += bytes as u64;
    }
}

fn send_all<S: AsFd>(to: &Socket<S>, mut data: &[u8]) -> io::Result<()> {
    while !data.is_empty() {
        let sent = to.send(data)?;
        data = &data[sent..];
    }
    Ok(())
}

/// Copies in both directions at the same time until both have ended; how many bytes went from
/// `one` to `other`, and from `other` to `one`.
///
/// The end of one direction is passed on ([`Shutdown::Write`]), and the other goes on. The second
/// direction runs as a green thread of its own.
///
/// # Errors
/// The first error of either direction. It ends the other as well: both streams are closed, as by
/// their `close`. That of [`Builder::spawn`](crate::Builder::spawn), when the green thread cannot be
/// had; then nothing was copied, and the streams are as they were.
pub fn copy_bidirectional<A: Stream, B: Stream>(one: &A, other: &B) -> io::Result<(u64, u64)> {
    let deadline_ns = sched::deadline_ns().unwrap_or(u64::MAX);
    let end = |result: io::Result<u64>, shut: io::Result<()>| {
        let done = result.and_then(|bytes| match shut {
            // Whoever has left by itself has been told enough.
            Err(error) if error.kind() != io::ErrorKind::NotConnected => Err(error),
            _ => Ok(bytes),
        });
        if done.is_err() {
            one.socket().close();
            other.socket().close();
        }
        done
    };
    let there = || {
        let result = copy(one, other);
        end(result, other.socket().shutdown(Shutdown::Write))
    };
    let back = || {
        let result = copy(other, one);
        end(result, one.socket().shutdown(Shutdown::Write))
    };
    crate::runtime::scope(|scope| {
        let second = move || sched::with_deadline(deadline_ns, back);
        let second = crate::runtime::Builder::new().spawn_scoped(scope, second)?;
        let first = there();
        let second = second.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        match (first, second) {
            (Ok(first), Ok(second)) => Ok((first, second)),
            // That the streams were closed follows from the other error.
            (Err(error), Err(first)) if error.kind() == io::ErrorKind::NotConnected => Err(first),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    })
}

/// Sends `bytes` bytes of `file` from `offset` on to `to`, or up to the end of the file; how many
/// were sent.
///
/// Blocks the thread as writes would. Where the file has to be read from the disk, the operating
/// system's thread waits for it and its processor goes on.
///
/// # Errors
/// Those of a read of the file and of a write to `to`. Some of it may have been sent then.
pub fn send_file<S: Stream>(file: &File, offset: u64, bytes: u64, to: &S) -> io::Result<u64> {
    let to = to.socket();
    let end = offset.saturating_add(bytes);
    let mut at = offset;
    let mut is_direct = splice::ignores_broken_pipes();
    let _mode = is_direct.then(|| to.lend_mode());
    let mut buffer = Vec::new();
    while at < end {
        let wanted = usize::try_from(end - at).unwrap_or(usize::MAX);
        if is_direct {
            let wanted = wanted.min(TRANSFER_BYTES_MAX);
            match to.perform(Direction::Output, |fd| splice::send_file(file, at, fd, wanted)) {
                Err(error) if splice::is_unsupported(&error) => is_direct = false,
                Ok(0) => break,
                sent => at += sent? as u64,
            }
            continue;
        }
        buffer.resize(wanted.min(BUFFER_BYTES), 0);
        let read = file.read_at(&mut buffer, at)?;
        if read == 0 {
            break;
        }
        send_all(to, &buffer[..read])?;
        at += read as u64;
    }
    Ok(at - offset)
}
