//! The CPUs this process may run on.

use std::io;
use std::num::NonZero;

/// How many CPUs the running thread's affinity allows.
///
/// # Errors
/// The kernel's, on machines with more CPUs than the set has room for.
pub(crate) fn affinity() -> io::Result<NonZero<usize>> {
    // SAFETY: an all-zero set is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes at most the given size to a live place.
    let result = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) };
    if result != 0 {
        // More CPUs than the set has room for: ask for the number that is online.
        return std::thread::available_parallelism();
    }
    // SAFETY: the set was filled above.
    let count = unsafe { libc::CPU_COUNT(&set) } as usize;
    NonZero::new(count).ok_or_else(|| io::Error::other("the affinity mask is empty"))
}
