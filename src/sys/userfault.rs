//! `userfaultfd`, for one purpose: pages whose access raises SIGBUS, without splitting a mapping.
//!
//! `UFFDIO_POISON` (Linux 6.6) writes markers into the page table, as `MADV_GUARD_INSTALL`
//! (Linux 6.13) does. They stay when the descriptor is closed, so it is open only while guards are
//! made: nothing to leak, nothing a forked child could do to its parent's memory with it.

use super::fault::{self, Call};
use super::futex::{errno, set_errno};
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

/// Faults of the kernel on our behalf are not handled: what unprivileged processes may ask for.
const UFFD_USER_MODE_ONLY: libc::c_int = 1;
const UFFD_API: u64 = 0xaa;
const UFFD_FEATURE_POISON: u64 = 1 << 14;
const UFFDIO_REGISTER_MODE_MISSING: u64 = 1;

/// `struct uffdio_api`.
#[repr(C)]
struct Api {
    api: u64,
    features: u64,
    ioctls: u64,
}

/// `struct uffdio_register`, and `struct uffdio_poison`, which have the same shape: a range, a mode
/// and an answer.
#[repr(C)]
struct Request {
    start: u64,
    bytes: u64,
    mode: u64,
    answer: u64,
}

/// `_IOWR(0xaa, number, T)`.
const fn iowr<T>(number: u64) -> u64 {
    3 << 30 | (size_of::<T>() as u64) << 16 | UFFD_API << 8 | number
}

const UFFDIO_API: u64 = iowr::<Api>(0x3f);
const UFFDIO_REGISTER: u64 = iowr::<Request>(0x00);
const UFFDIO_POISON: u64 = iowr::<Request>(0x08);

/// The right to poison pages of one range; as long as it lives nobody may touch the range.
#[derive(Debug)]
pub(crate) struct Poisoner(OwnedFd);

impl Poisoner {
    /// Asks the kernel for the right.
    ///
    /// # Errors
    /// The kernel is older than 6.6, or has no userfaultfd, or a sandbox forbids it.
    ///
    /// # Safety
    /// The range is whole pages inside mappings of ours, and nobody touches it before the value is
    /// dropped: such an access would wait until then.
    pub(crate) unsafe fn new(start: *mut u8, bytes: usize) -> io::Result<Self> {
        fault::check(Call::Poison)?;
        let saved = errno();
        let flags = libc::O_CLOEXEC | UFFD_USER_MODE_ONLY;
        // SAFETY: userfaultfd takes a number and touches no memory.
        let descriptor = unsafe { libc::syscall(libc::SYS_userfaultfd, flags) };
        if descriptor < 0 {
            let error = io::Error::from_raw_os_error(errno());
            set_errno(saved);
            return Err(error);
        }
        // SAFETY: opened just now, nobody else's.
        let poisoner = Self(unsafe { OwnedFd::from_raw_fd(descriptor as i32) });
        let mut api = Api { api: UFFD_API, features: UFFD_FEATURE_POISON, ioctls: 0 };
        // SAFETY: UFFDIO_API takes this struct.
        unsafe { poisoner.call(UFFDIO_API, &mut api) }?;
        let (start, mode) = (start as u64, UFFDIO_REGISTER_MODE_MISSING);
        let mut range = Request { start, bytes: bytes as u64, mode, answer: 0 };
        // SAFETY: UFFDIO_REGISTER takes this struct; the caller answers for the range.
        unsafe { poisoner.call(UFFDIO_REGISTER, &mut range) }?;
        Ok(poisoner)
    }

    /// Makes every access to a part of the range raise SIGBUS, for ever.
    ///
    /// # Safety
    /// Whole pages of the range, that hold nothing and that nothing refers to.
    pub(crate) unsafe fn poison(&self, start: *mut u8, bytes: usize) -> io::Result<()> {
        let mut range = Request { start: start as u64, bytes: bytes as u64, mode: 0, answer: 0 };
        // SAFETY: UFFDIO_POISON takes this struct; the caller answers for the range.
        unsafe { self.call(UFFDIO_POISON, &mut range) }
    }

    /// Makes a request; `errno` is preserved.
    ///
    /// # Safety
    /// `argument` is what `request` takes, and what it asks for is in order.
    unsafe fn call<T>(&self, request: u64, argument: &mut T) -> io::Result<()> {
        let saved = errno();
        let argument = std::ptr::from_mut(argument);
        // SAFETY: the caller's clause; the argument lives across the call.
        if unsafe { libc::ioctl(self.0.as_raw_fd(), request as libc::Ioctl, argument) } == 0 {
            return Ok(());
        }
        let error = io::Error::from_raw_os_error(errno());
        set_errno(saved);
        Err(error)
    }
}
