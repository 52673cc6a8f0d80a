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
/// mapped, or memory that was freed, gives `false` or stale values and never a fault; `errno` is
/// preserved.
pub(crate) fn peek(address: usize, words: &mut [usize]) -> bool {
    let saved = super::futex::errno();
    let done = peek_by_kernel(address, words);
    super::futex::set_errno(saved);
    done
}

fn peek_by_kernel(address: usize, words: &mut [usize]) -> bool {
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
    if copied == -1 && matches!(super::futex::errno(), libc::ENOSYS | libc::EPERM) {
        return peek_by_pipe(address, words);
    }
    copied == bytes as isize
}

/// [`peek`] where an emulator or a sandbox has not that call: a pipe takes what is readable.
fn peek_by_pipe(address: usize, words: &mut [usize]) -> bool {
    /// Bytes that any pipe takes at once.
    const CHUNK: usize = 4096;
    let mut ends = [0; 2];
    // SAFETY: the kernel writes two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return false;
    }
    let mut done = true;
    for (index, chunk) in words.chunks_mut(CHUNK / size_of::<usize>()).enumerate() {
        let from = core::ptr::without_provenance::<c_void>(address.wrapping_add(index * CHUNK));
        let bytes = size_of_val(chunk);
        // SAFETY: the kernel checks the address.
        let written = unsafe { libc::write(ends[1], from, bytes) };
        // SAFETY: `chunk` has so many bytes.
        done = written == bytes as isize
            && unsafe { libc::read(ends[0], chunk.as_mut_ptr().cast(), bytes) } == written;
        if !done {
            break;
        }
    }
    for end in ends {
        // SAFETY: opened above and known to nobody else.
        unsafe { libc::close(end) };
    }
    done
}
