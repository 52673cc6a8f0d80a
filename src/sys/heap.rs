//! The heap of libc, and a look at memory that may not be there.

use core::ffi::c_void;

/// libc's `malloc`; 0 when it has no memory.
pub(crate) fn malloc(bytes: usize) -> usize {
    // SAFETY: any size is allowed.
    unsafe { libc::malloc(bytes) }.expose_provenance()
}

/// libc's `free`.
///
/// # Safety
/// `address` came from libc's allocator and is not used any more; 0 is allowed.
pub(crate) unsafe fn free(address: usize) {
    // SAFETY: the caller's clause.
    unsafe { libc::free(core::ptr::with_exposed_provenance_mut(address)) };
}

/// Copies the words at `address` to `words` by way of the kernel, so that an address which is not
/// mapped, or memory that was freed, gives `false` or stale values and never a fault.
pub(crate) fn peek(address: usize, words: &mut [usize]) -> bool {
    let bytes = size_of_val(words);
    let local = libc::iovec { iov_base: words.as_mut_ptr().cast(), iov_len: bytes };
    let remote = libc::iovec {
        iov_base: core::ptr::without_provenance_mut::<c_void>(address),
        iov_len: bytes,
    };
    // SAFETY: the kernel writes at most `bytes` bytes to `words`; it checks the other address.
    let copied = unsafe {
        libc::process_vm_readv(libc::getpid(), &raw const local, 1, &raw const remote, 1, 0)
    };
    copied == bytes as isize
}
