//! Address space: reserving it, guarding it, giving memory back, naming it.
//!
//! `errno` is preserved: these run on green threads, between two instructions of user code. Every
//! call that can fail passes [`fault::check`] first.

use super::fault::{self, Call};
use super::futex::{errno, set_errno};
use std::io;

/// Guards a range without splitting its mapping (Linux ≥ 6.13); libc has no name for it yet.
const MADV_GUARD_INSTALL: libc::c_int = 102;

/// The size of a page, in bytes.
pub(crate) fn page_bytes() -> usize {
    // SAFETY: getauxval reads a table the kernel put there before `main`.
    unsafe { libc::getauxval(libc::AT_PAGESZ) as usize }
}

/// Reserves `bytes` of readable, writable, zero-filled address space that costs memory only where
/// it is touched.
///
/// # Errors
/// The kernel's: `ENOMEM` at a limit of address space, of mappings, or of commitment.
pub(crate) fn reserve(bytes: usize) -> io::Result<*mut u8> {
    fault::check(Call::Mmap)?;
    let saved = errno();
    // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory of ours.
    let start = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    if start != libc::MAP_FAILED {
        return Ok(start.cast());
    }
    let error = io::Error::from_raw_os_error(errno());
    set_errno(saved);
    Err(error)
}

/// Gives a mapping back.
///
/// # Safety
/// - `start` and `bytes` are those of a [`reserve`].
/// - Nothing refers to the range any more.
pub(crate) unsafe fn release(start: *mut u8, bytes: usize) -> io::Result<()> {
    // SAFETY: a whole mapping (clause 1) without users (clause 2).
    outcome(|| unsafe { libc::munmap(start.cast(), bytes) })
}

/// Makes every access to the range fault, without splitting the mapping; drops what it held.
///
/// # Errors
/// `EINVAL` where the kernel is older than 6.13 or the range is locked in memory.
///
/// # Safety
/// - The range is whole pages inside one mapping of ours.
/// - Nothing refers to the range.
pub(crate) unsafe fn guard_install(start: *mut u8, bytes: usize) -> io::Result<()> {
    fault::check(Call::GuardInstall)?;
    // SAFETY: the caller's clauses: the contents that are lost are nobody's.
    outcome(|| unsafe { libc::madvise(start.cast(), bytes, MADV_GUARD_INSTALL) })
}

/// Makes every access to the range fault by splitting the mapping: two more of them at most.
///
/// # Errors
/// `ENOMEM` at the limit of mappings per process; the range is then unchanged.
///
/// # Safety
/// - The range is whole pages inside one mapping of ours.
/// - Nothing refers to the range.
pub(crate) unsafe fn protect_none(start: *mut u8, bytes: usize) -> io::Result<()> {
    fault::check(Call::Protect)?;
    // SAFETY: the caller's clauses: nobody will miss the access.
    outcome(|| unsafe { libc::mprotect(start.cast(), bytes, libc::PROT_NONE) })
}

/// Gives the memory of a range back; it reads as zero from then on.
///
/// # Errors
/// The kernel's; the memory is then merely kept.
///
/// # Safety
/// - The range is whole pages inside one private anonymous mapping of ours.
/// - Nobody reads or writes it during the call or expects its contents afterwards.
pub(crate) unsafe fn dontneed(start: *mut u8, bytes: usize) -> io::Result<()> {
    fault::check(Call::DontNeed)?;
    // SAFETY: the caller's clauses: the contents that are lost are nobody's.
    outcome(|| unsafe { libc::madvise(start.cast(), bytes, libc::MADV_DONTNEED) })
}

/// Keeps huge pages out of the range: with them one touched byte could cost a whole stack.
///
/// # Errors
/// `EINVAL` where the kernel has no huge pages, which is as good.
///
/// # Safety
/// The range is whole pages inside one mapping of ours.
pub(crate) unsafe fn nohugepage(start: *mut u8, bytes: usize) -> io::Result<()> {
    // SAFETY: advice that changes no contents.
    outcome(|| unsafe { libc::madvise(start.cast(), bytes, libc::MADV_NOHUGEPAGE) })
}

/// Names the range in `/proc/self/maps`, where the kernel can; a convenience, so failure is
/// ignored.
///
/// # Safety
/// The range is whole pages inside one anonymous mapping of ours.
pub(crate) unsafe fn name(start: *mut u8, bytes: usize, name: &std::ffi::CStr) {
    // SAFETY: the kernel copies the name and changes no contents.
    let _ = outcome(|| unsafe {
        libc::prctl(libc::PR_SET_VMA, libc::PR_SET_VMA_ANON_NAME, start, bytes, name.as_ptr())
    });
}

/// The limit of mappings per process, `vm.max_map_count`; the kernel's default where it cannot be
/// read.
pub(crate) fn map_count_max() -> usize {
    read_number(c"/proc/sys/vm/max_map_count").unwrap_or(65_530)
}

/// Whether the kernel charges every reservation in full (`vm.overcommit_memory` is 2), so that
/// reserving what is not used takes it from others.
pub(crate) fn overcommits_never() -> bool {
    read_number(c"/proc/sys/vm/overcommit_memory") == Some(2)
}

/// The limit of address space, `RLIMIT_AS`; `None` where there is none.
pub(crate) fn address_space_max() -> Option<usize> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for a limit.
    let done = outcome(|| unsafe { libc::getrlimit(libc::RLIMIT_AS, &raw mut limit) });
    (done.is_ok() && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur as usize)
}

/// Reads the decimal number at the start of a file, without allocating.
fn read_number(path: &std::ffi::CStr) -> Option<usize> {
    let saved = errno();
    // SAFETY: `path` is a C string that lives across the call.
    let file = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    let mut digits = [0u8; 32];
    let mut len = 0;
    if file >= 0 {
        // SAFETY: `digits` is writable for its length.
        len = unsafe { libc::read(file, digits.as_mut_ptr().cast(), digits.len()) };
        // SAFETY: `file` was opened above and is nobody else's.
        unsafe { libc::close(file) };
    }
    set_errno(saved);
    let text = std::str::from_utf8(digits.get(..usize::try_from(len).ok()?)?).ok()?;
    text.trim_end().parse().ok()
}

/// Runs a call that answers 0 or −1 and `errno`; puts `errno` back.
fn outcome(call: impl FnOnce() -> libc::c_int) -> io::Result<()> {
    let saved = errno();
    if call() == 0 {
        return Ok(());
    }
    let error = io::Error::from_raw_os_error(errno());
    set_errno(saved);
    Err(error)
}
