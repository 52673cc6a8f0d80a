//! epoll, eventfd and poll(2).
//!
//! All by `syscall(2)` and with `errno` preserved: these run between two instructions of user
//! code, on any thread pointer, and never through symbols that somebody may interpose.

use super::fault::{self, Call};
use super::futex::{errno, set_errno};
use crate::primitive::atomic::{AtomicBool, Ordering};
use core::ffi::c_long;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// What a descriptor may become: bits of an event.
pub(crate) mod bits {
    /// There is something to read.
    pub(crate) const INPUT: u32 = libc::EPOLLIN as u32;
    /// There is room to write.
    pub(crate) const OUTPUT: u32 = libc::EPOLLOUT as u32;
    /// There are urgent data.
    pub(crate) const URGENT: u32 = libc::EPOLLPRI as u32;
    /// An error waits to be read.
    pub(crate) const ERROR: u32 = libc::EPOLLERR as u32;
    /// Both directions have ended.
    pub(crate) const HANG_UP: u32 = libc::EPOLLHUP as u32;
    /// The peer will send no more.
    pub(crate) const READ_HANG_UP: u32 = libc::EPOLLRDHUP as u32;
    /// Edge-triggered.
    pub(crate) const EDGE: u32 = libc::EPOLLET as u32;
}

/// One event, in the kernel's layout.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Event(libc::epoll_event);

impl Event {
    /// Nothing.
    pub(crate) const EMPTY: Self = Self(libc::epoll_event { events: 0, u64: 0 });

    /// What has happened.
    pub(crate) fn bits(self) -> u32 {
        self.0.events
    }

    /// What [`add`] was given.
    pub(crate) fn data(self) -> u64 {
        self.0.u64
    }
}

/// A system call by its number, with `errno` as it was.
///
/// # Safety
/// - The arguments are what the call `number` asks for.
unsafe fn call(number: c_long, arguments: [usize; 6]) -> io::Result<c_long> {
    let saved = errno();
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the caller's clause.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result >= 0 {
        return Ok(result);
    }
    let error = io::Error::last_os_error();
    set_errno(saved);
    Err(error)
}

/// A new, empty epoll instance.
///
/// # Errors
/// `EMFILE`, `ENFILE`, `ENOMEM`.
pub(crate) fn create() -> io::Result<OwnedFd> {
    fault::check(Call::EpollCreate)?;
    let flags = libc::EPOLL_CLOEXEC as usize;
    // SAFETY: takes flags.
    let fd = unsafe { call(libc::SYS_epoll_create1, [flags, 0, 0, 0, 0, 0]) }?;
    // SAFETY: a new descriptor that nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// A new eventfd, at 0 and non-blocking.
///
/// # Errors
/// `EMFILE`, `ENFILE`, `ENOMEM`.
pub(crate) fn event_fd() -> io::Result<OwnedFd> {
    fault::check(Call::EventFd)?;
    let flags = (libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) as usize;
    // SAFETY: takes a count and flags.
    let fd = unsafe { call(libc::SYS_eventfd2, [0, flags, 0, 0, 0, 0]) }?;
    // SAFETY: a new descriptor that nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Adds 1 to an eventfd: whoever waits for it wakes.
pub(crate) fn ring(event_fd: &OwnedFd) {
    let one = 1_u64;
    let place = (&raw const one).expose_provenance();
    let arguments = [event_fd.as_raw_fd() as usize, place, size_of::<u64>(), 0, 0, 0];
    // SAFETY: eight bytes of a live word. It fails only where the count is at its end, and then
    // the descriptor is readable anyway.
    let _ = unsafe { call(libc::SYS_write, arguments) };
}

/// Sets an eventfd to 0.
pub(crate) fn hush(event_fd: &OwnedFd) {
    let mut count = 0_u64;
    let place = (&raw mut count).expose_provenance();
    let arguments = [event_fd.as_raw_fd() as usize, place, size_of::<u64>(), 0, 0, 0];
    // SAFETY: eight bytes of a live word. It fails only where the count is 0.
    let _ = unsafe { call(libc::SYS_read, arguments) };
}

/// Registers `fd` for the events `bits`, which will carry `data`.
///
/// # Errors
/// `EPERM`: a file that is always ready. `ENOSPC`: the user's limit of watches. `ENOMEM`.
pub(crate) fn add(epoll: &OwnedFd, fd: RawFd, bits: u32, data: u64) -> io::Result<()> {
    fault::check(Call::EpollAdd)?;
    let mut event = libc::epoll_event { events: bits, u64: data };
    let place = (&raw mut event).expose_provenance();
    let arguments =
        [epoll.as_raw_fd() as usize, libc::EPOLL_CTL_ADD as usize, fd as usize, place, 0, 0];
    // SAFETY: a live event.
    unsafe { call(libc::SYS_epoll_ctl, arguments) }.map(drop)
}

/// Takes `fd` out; harmless where it is not in.
pub(crate) fn remove(epoll: &OwnedFd, fd: RawFd) {
    let arguments =
        [epoll.as_raw_fd() as usize, libc::EPOLL_CTL_DEL as usize, fd as usize, 0, 0, 0];
    // SAFETY: takes no event.
    let _ = unsafe { call(libc::SYS_epoll_ctl, arguments) };
}

/// Whether the kernel has no `epoll_pwait2` (before Linux 5.11, and qemu's user mode).
static IS_COARSE: AtomicBool = AtomicBool::new(false);

/// Waits for events for at most `timeout_ns`, `None`: for ever; the events there are.
///
/// Never returns early for the timeout alone; an interruption by a signal returns no events.
pub(crate) fn wait<'a>(
    epoll: &OwnedFd,
    events: &'a mut [Event],
    timeout_ns: Option<u64>,
) -> &'a [Event] {
    // ORDERING: Relaxed; a hint about the kernel, found out again by whoever does not know.
    if !IS_COARSE.load(Ordering::Relaxed) {
        match wait_fine(epoll, events, timeout_ns) {
            Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => {
                // ORDERING: Relaxed; as above.
                IS_COARSE.store(true, Ordering::Relaxed);
            }
            result => return &events[..result.unwrap_or(0)],
        }
    }
    // ppoll has had nanoseconds for ever.
    if timeout_ns != Some(0) {
        poll([(epoll.as_raw_fd(), bits::INPUT), (-1, 0)], timeout_ns);
    }
    let found = wait_coarse(epoll, events).unwrap_or(0);
    &events[..found]
}

fn wait_fine(epoll: &OwnedFd, events: &mut [Event], timeout_ns: Option<u64>) -> io::Result<usize> {
    fault::check(Call::EpollWait)?;
    let timeout = timeout_ns.map(super::clock::timespec);
    let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let place = events.as_mut_ptr().expose_provenance();
    let timeout = timeout.expose_provenance();
    let arguments = [epoll.as_raw_fd() as usize, place, events.len(), timeout, 0, 0];
    // SAFETY: room for as many events as is said, a null or live timespec, no signal mask.
    unsafe { call(libc::SYS_epoll_pwait2, arguments) }.map(|found| found as usize)
}

/// The events there are right now.
fn wait_coarse(epoll: &OwnedFd, events: &mut [Event]) -> io::Result<usize> {
    let place = events.as_mut_ptr().expose_provenance();
    let arguments = [epoll.as_raw_fd() as usize, place, events.len(), 0, 0, 0];
    // SAFETY: room for as many events as is said, no signal mask.
    unsafe { call(libc::SYS_epoll_pwait, arguments) }.map(|found| found as usize)
}

/// Whether a descriptor is ready for one of the bits, or broken, right now; yes, if the kernel does
/// not say.
pub(crate) fn is_ready(fd: RawFd, bits: u32) -> bool {
    let mut place = libc::pollfd { fd, events: bits as i16, revents: 0 };
    let mut now = super::clock::timespec(0);
    let place_at = std::ptr::from_mut(&mut place).expose_provenance();
    let now_at = std::ptr::from_mut(&mut now).expose_provenance();
    // SAFETY: one live place, a live timespec, no signal mask.
    let found = unsafe { call(libc::SYS_ppoll, [place_at, 1, now_at, 0, 0, 0]) };
    found.is_err() || place.revents != 0
}

/// Blocks the OS thread until one of the descriptors is ready for one of its bits, for at most
/// `timeout_ns`; a signal ends the wait as well. A negative descriptor is never ready.
pub(crate) fn poll(watched: [(RawFd, u32); 2], timeout_ns: Option<u64>) {
    // The bits of poll and epoll are the same numbers.
    let mut places = watched.map(|(fd, bits)| libc::pollfd { fd, events: bits as i16, revents: 0 });
    // The kernel writes what is left of the time.
    let mut timeout = timeout_ns.map(super::clock::timespec);
    let timeout = timeout.as_mut().map_or(std::ptr::null_mut(), std::ptr::from_mut);
    let (first, timeout) = (places.as_mut_ptr().expose_provenance(), timeout.expose_provenance());
    // SAFETY: two live places, a null or live timespec, no signal mask.
    let _ = unsafe { call(libc::SYS_ppoll, [first, places.len(), timeout, 0, 0, 0]) };
}
