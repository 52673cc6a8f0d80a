//! The heap of libc, and a look at memory that may not be there.

use core::ffi::c_void;

/// libc's `malloc`; 0 when it has no memory.
///
/// Unlike the function itself, the call is never left out by the compiler, which knows what
/// `malloc` and `free` do.
pub(crate) fn malloc(bytes: usize) -> usize {
    // SAFETY: any size is allowed.
    std::hint::black_box(unsafe { libc::malloc(bytes) }).expose_provenance()
}

/// libc's `free`.
///
/// # Safety
/// `address` came from libc's allocator and is not used any more; 0 is allowed.
pub(crate) unsafe fn free(address: usize) {
    let chunk = std::hint::black_box(core::ptr::with_exposed_provenance_mut(address));
    // SAFETY: the caller's clause.
    unsafe { libc::free(chunk) };
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
    // SAFETY: takes nothing and cannot fail.
    let process = unsafe { libc::getpid() };
    // SAFETY: the kernel writes at most `bytes` bytes to `words`; it checks the other address.
    let copied =
        unsafe { libc::process_vm_readv(process, &raw const local, 1, &raw const remote, 1, 0) };
    let refused = copied == -1 && matches!(super::futex::errno(), libc::ENOSYS | libc::EPERM);
    copied == bytes as isize || (refused && peek_by_pipe(address, words))
}

/// As [`peek`], where a sandbox or an emulator refuses to read a process's memory: what is written
/// to a pipe from an address that is not mapped is an error too.
#[cold]
fn peek_by_pipe(address: usize, words: &mut [usize]) -> bool {
    let bytes = size_of_val(words);
    let mut ends = [-1; 2];
    // SAFETY: the kernel writes two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) } != 0 {
        return false;
    }
    let from = core::ptr::without_provenance::<c_void>(address);
    // SAFETY: the kernel checks the address, and only reads there.
    let written = unsafe { libc::write(ends[1], from, bytes) };
    // SAFETY: the kernel writes at most `bytes` bytes to `words`.
    let read = unsafe { libc::read(ends[0], words.as_mut_ptr().cast(), bytes) };
    for end in ends {
        // SAFETY: opened above, and ours alone.
        unsafe { libc::close(end) };
    }
    written == bytes as isize && read == bytes as isize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_at_memory_copies_it_and_a_look_beside_it_fails() {
        let there = [1_usize, 2, 3];
        for look in [peek, peek_by_pipe] {
            let mut words = [0; 3];
            assert!(look((&raw const there).expose_provenance(), &mut words));
            assert_eq!(words, there);
            assert!(!look(8, &mut words));
        }
    }
}
