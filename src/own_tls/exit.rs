//! The end of a green thread's thread-locals, in the order libc ends an OS thread's.
//!
//! 1. Destructors of thread-locals (`__call_tls_dtors`), until none registers another.
//!
//! glibc's own `__nptl_deallocate_tsd` and `__libc_thread_freeres` are not exported, and the
//! latter would shut the allocator down for the machine.

use super::Support;

/// Ends the running green thread's thread-locals.
///
/// # Safety
/// The caller runs on a built block that will not run user code afterwards.
pub(super) unsafe fn run(support: &Support) {
    // SAFETY: takes nothing; the running thread's destructors run once.
    unsafe { (support.symbols.call_tls_dtors)() };
}
