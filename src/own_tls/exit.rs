//! The end of a green thread's thread-locals, in the order libc ends an OS thread's.
//!
//! 1. Destructors of thread-locals (`__call_tls_dtors`), until none registers another.
//! 2. Values of thread-specific keys: destructors, at most four rounds; then all values are
//!    forgotten (`interposed::keys`).
//! 3. The resolver's state, if it was used: closed and zeroed.
//! 4. The last error of the loader.
//! 5. The locale in force, where libc's thread-locals are kept for the next green thread.
//!
//! glibc does 2 in a function it does not export, and 3 and 4 in one that would also shut the
//! allocator down for the machine. What it does beyond that and we cannot: it frees the buffers
//! of `strerror` for unknown errors and of `strsignal` for unknown signals.

use super::Support;
use super::block::Memory;
use super::interposed::{Fix, is_left_out, keys};
use super::layout::RESOLVER_BYTES;
use crate::{arch, sys};

/// Ends the running green thread's thread-locals.
///
/// # Safety
/// The caller runs on a built block that will not run user code afterwards.
pub(super) unsafe fn run(support: &Support) {
    // SAFETY: takes nothing; the running thread's destructors run once.
    unsafe { (support.symbols.call_tls_dtors)() };
    // SAFETY: the caller's clause.
    unsafe { keys::end_values(support) };
    // SAFETY: the caller's clause.
    unsafe { end_resolver(support) };
    // SAFETY: the caller's clause.
    unsafe { end_loader_error(support) };
    if !support.kept.is_empty() {
        sys::thread::use_global_locale();
    }
}

/// Closes the resolver's state if it was ever initialised.
///
/// # Safety
/// The caller runs on a built block.
unsafe fn end_resolver(support: &Support) {
    /// `nscount` in `struct __res_state`: how many servers are known; libc asks it, too.
    const SERVERS: isize = 16;
    let block = Memory(arch::thread_pointer());
    let state = support.layout.resolver;
    // SAFETY: the running block.
    if unsafe { block.read::<u32>(state + SERVERS) } == 0 || is_left_out(Fix::Resolver) {
        return;
    }
    let errno = sys::futex::errno();
    // SAFETY: an initialised state of this thread, which has finished its lookups.
    unsafe { (support.symbols.res_nclose)(block.0.wrapping_add_signed(state)) };
    // SAFETY: the running block; a state of zeroes is one that was never initialised.
    unsafe { core::ptr::write_bytes(block.at::<u8>(state), 0, RESOLVER_BYTES) };
    sys::futex::set_errno(errno);
}

/// Frees the record of the last error of the loader.
///
/// # Safety
/// The caller runs on a built block.
unsafe fn end_loader_error(support: &Support) {
    /// What libc stores when it had no memory for a record.
    const NO_MEMORY: usize = usize::MAX;
    let Some(offset) = support.layout.loader_error else { return };
    let block = Memory(arch::thread_pointer());
    // SAFETY: libc's word in the running block.
    let record = unsafe { block.read::<usize>(offset) };
    if record == 0 || record == NO_MEMORY {
        return;
    }
    // The first call marks the text as told, the second frees it.
    sys::dl::forget_error();
    sys::dl::forget_error();
    // SAFETY: libc allocated the record for this thread.
    unsafe { sys::heap::free(record) };
    // SAFETY: as above.
    unsafe { block.write(offset, 0_usize) };
}
