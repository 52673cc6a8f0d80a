//! Address space for the allocator: reserve, open, give back, move, name.
//!
//! `errno` is preserved: these run between two instructions of user code that may have just made
//! a failing call. Failure is a value; the allocator turns it into a null pointer.

use std::ptr::NonNull;

use super::futex::{errno, set_errno};

/// Runs `call` with `errno` saved and restored.
fn quietly<R>(call: impl FnOnce() -> R) -> R {
    let saved = errno();
    let result = call();
    set_errno(saved);
    result
}

/// A new private anonymous mapping of `bytes`, not accounted where the kernel allows it.
fn map(bytes: usize, protection: libc::c_int) -> Option<NonNull<u8>> {
    if fault::is_due() {
        return None;
    }
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping at an address of the kernel's choice touches no memory in use.
    let address = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
    if address == libc::MAP_FAILED { None } else { NonNull::new(address.cast()) }
}

/// Maps `bytes` of zeroed memory; `None` if there is none.
pub(crate) fn map_zeroed(bytes: usize) -> Option<NonNull<u8>> {
    quietly(|| map(bytes, libc::PROT_READ | libc::PROT_WRITE))
}

/// Reserves `bytes` of address space without access, aligned to `align` (a power of two).
pub(crate) fn reserve(bytes: usize, align: usize) -> Option<NonNull<u8>> {
    quietly(|| {
        let start = map(bytes.checked_add(align)?, libc::PROT_NONE)?;
        let lead = start.as_ptr().align_offset(align);
        // SAFETY: `lead` is at most `align`, so the result lies in the mapping.
        let aligned = unsafe { start.add(lead) };
        if lead > 0 {
            // SAFETY: the first `lead` bytes of the new mapping, which nobody knows.
            unsafe { libc::munmap(start.as_ptr().cast(), lead) };
        }
        // SAFETY: the mapping has `align - lead` bytes behind `aligned + bytes`.
        let tail = unsafe { aligned.add(bytes) };
        if align > lead {
            // SAFETY: the last bytes of the new mapping, which nobody knows.
            unsafe { libc::munmap(tail.as_ptr().cast(), align - lead) };
        }
        Some(aligned)
    })
}

/// Makes reserved memory readable and writable; `false` if the kernel has none to promise.
///
/// # Safety
/// - `[address, address + bytes)` is whole pages of one reservation.
pub(crate) unsafe fn open(address: usize, bytes: usize) -> bool {
    if fault::is_due() {
        return false;
    }
    quietly(|| {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: the caller's clause: memory of ours that nobody uses yet.
        unsafe { libc::mprotect(address as *mut libc::c_void, bytes, access) == 0 }
    })
}

/// Gives the memory of whole pages back; they read as zeros afterwards. `false` if refused.
///
/// # Safety
/// - `[address, address + bytes)` is readable and writable memory of the allocator in which
///   nobody has anything to lose.
pub(crate) unsafe fn discard(address: usize, bytes: usize) -> bool {
    quietly(|| {
        // SAFETY: the caller's clause.
        let result =
            unsafe { libc::madvise(address as *mut libc::c_void, bytes, libc::MADV_DONTNEED) };
        result == 0
    })
}

/// Asks for small pages: a huge page behind a free list makes everything resident.
///
/// # Safety
/// - `[address, address + bytes)` is a mapping of the allocator.
pub(crate) unsafe fn no_huge_pages(address: usize, bytes: usize) {
    quietly(|| {
        // SAFETY: advice about our own mapping changes no contents.
        unsafe { libc::madvise(address as *mut libc::c_void, bytes, libc::MADV_NOHUGEPAGE) };
    });
}

/// Unmaps `[address, address + bytes)`.
///
/// # Safety
/// - The range is mapped, is the caller's, and is not used any more.
pub(crate) unsafe fn unmap(address: usize, bytes: usize) {
    // SAFETY: the caller's clause. Failure (map count limit) leaks the range and harms nobody.
    quietly(|| unsafe { libc::munmap(address as *mut libc::c_void, bytes) });
}

/// Moves the pages of `[from, from + old_bytes)` to `to` and makes them `new_bytes` long.
///
/// # Safety
/// - `[from, from + old_bytes)` is a mapping of the caller's.
/// - `[to, to + new_bytes)` is a reservation of the caller's with nothing in it.
pub(crate) unsafe fn move_to(from: usize, old_bytes: usize, to: usize, new_bytes: usize) -> bool {
    quietly(|| {
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        // SAFETY: the caller's clauses: the source is its, the target is free to be replaced.
        let result = unsafe {
            libc::mremap(
                from as *mut libc::c_void,
                old_bytes,
                new_bytes,
                flags,
                to as *mut libc::c_void,
            )
        };
        result != libc::MAP_FAILED
    })
}

/// Grows or shrinks the mapping `[address, address + old_bytes)` where it is.
///
/// # Safety
/// - The range is a mapping of the caller's; a part cut off is not used any more.
pub(crate) unsafe fn resize(address: usize, old_bytes: usize, new_bytes: usize) -> bool {
    quietly(|| {
        // SAFETY: without MREMAP_MAYMOVE the kernel never moves or replaces a mapping.
        let result = unsafe { libc::mremap(address as *mut libc::c_void, old_bytes, new_bytes, 0) };
        result != libc::MAP_FAILED
    })
}

/// Names a mapping in `/proc/self/maps`, where the kernel can.
pub(crate) fn name(address: usize, bytes: usize, name: &'static std::ffi::CStr) {
    const PR_SET_VMA: libc::c_int = 0x5356_4d41;
    const PR_SET_VMA_ANON_NAME: libc::c_ulong = 0;
    // SAFETY: prctl reads the name and labels the mapping; it changes no contents.
    quietly(|| unsafe {
        libc::prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, address, bytes, name.as_ptr())
    });
}

/// Resident bytes of the process, from `/proc/self/statm`; 0 if it cannot be read.
pub(crate) fn resident_bytes() -> usize {
    quietly(|| {
        // SAFETY: opens a file by a constant path.
        let file = unsafe { libc::open(c"/proc/self/statm".as_ptr(), libc::O_RDONLY) };
        if file < 0 {
            return 0;
        }
        let mut text = [0u8; 128];
        // SAFETY: `text` is a valid buffer of its length.
        let n = unsafe { libc::read(file, text.as_mut_ptr().cast(), text.len()) };
        // SAFETY: the descriptor was opened above and is closed once.
        unsafe { libc::close(file) };
        let text = &text[..n.max(0) as usize];
        let second = text.split(|&byte| byte == b' ').nth(1).unwrap_or(&[]);
        second.iter().fold(0, |sum, digit| sum * 10 + usize::from(digit.wrapping_sub(b'0') & 15))
            * 4096
    })
}

/// Failures on demand: the k-th request for memory fails, and all after it.
pub(crate) mod fault {
    #[cfg(feature = "fault-injection")]
    static LEFT: crate::primitive::atomic::AtomicU64 =
        crate::primitive::atomic::AtomicU64::new(u64::MAX);

    /// Lets `count` more requests for memory succeed and all later ones fail; `u64::MAX`: none.
    #[cfg(feature = "fault-injection")]
    pub(crate) fn fail_after(count: u64) {
        // ORDERING: Relaxed; a test sets it before it starts.
        LEFT.store(count, crate::primitive::atomic::Ordering::Relaxed);
    }

    /// Whether this request has to fail.
    #[cfg(feature = "fault-injection")]
    pub(super) fn is_due() -> bool {
        use crate::primitive::atomic::Ordering;
        let step = |left: u64| (left != u64::MAX).then(|| left.saturating_sub(1));
        // ORDERING: Relaxed; a counter.
        LEFT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step) == Ok(0)
    }

    /// Whether this request has to fail.
    #[cfg(not(feature = "fault-injection"))]
    #[inline(always)]
    pub(super) fn is_due() -> bool {
        false
    }
}
