//! A bare epoll: the floor of the echo rows, and what their load is made with.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// How many events are taken at a time.
const EVENTS: usize = 256;

pub(super) struct Epoll {
    fd: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Epoll {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: takes a flag.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just opened, and nobody else's.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { fd, events: vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS] })
    }

    /// Watches `fd` for input, level-triggered; its events carry `token`.
    pub(super) fn add(&self, fd: RawFd, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: token };
        let op = libc::EPOLL_CTL_ADD;
        // SAFETY: a live event.
        match unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), op, fd, &raw mut event) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// The tokens of what is ready; waits for at most `timeout_ms`.
    pub(super) fn wait(&mut self, timeout_ms: i32) -> impl Iterator<Item = u64> + '_ {
        let (place, room) = (self.events.as_mut_ptr(), EVENTS as i32);
        // SAFETY: room for `EVENTS` events.
        let count = unsafe { libc::epoll_wait(self.fd.as_raw_fd(), place, room, timeout_ms) };
        self.events[..count.max(0) as usize].iter().map(|event| event.u64)
    }
}
