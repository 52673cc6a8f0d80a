//! OS threads for machines, and what the kernel's scheduler is told about them.

use super::fault::{self, Call};
use std::io;

/// How much stack a machine's thread has: its own loop, and calls on its thread pointer.
const MACHINE_STACK_BYTES: usize = 512 << 10;

/// Starts an OS thread.
///
/// # Errors
/// The kernel's, usually `EAGAIN`: no more threads.
pub(crate) fn spawn(
    name: String,
    f: impl FnOnce() + Send + 'static,
) -> io::Result<std::thread::JoinHandle<()>> {
    fault::check(Call::ThreadSpawn)?;
    std::thread::Builder::new().name(name).stack_size(MACHINE_STACK_BYTES).spawn(f)
}

/// Sets the slack the kernel may add to the running thread's timers, in nanoseconds; 1 is the
/// least. Threads started by it inherit it.
pub(crate) fn set_timer_slack_ns(slack_ns: u64) {
    // All five words: libc passes on what else the registers held.
    // SAFETY: takes numbers and touches no memory. It cannot fail.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, slack_ns, 0_usize, 0_usize, 0_usize) };
}

/// Hints at the time slice of thread `tid` (0: the running one) in the kernel's fair scheduler;
/// `None`: its default. Kernels before 6.12 ignore it; a refusal is ignored too.
pub(crate) fn set_slice(tid: u32, slice_ns: Option<u64>) {
    #[repr(C)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime: u64,
        deadline: u64,
        period: u64,
        util_min: u32,
        util_max: u32,
    }
    let mut attributes = Attributes {
        size: size_of::<Attributes>() as u32,
        policy: libc::SCHED_OTHER as u32,
        flags: 0,
        nice: 0,
        priority: 0,
        runtime: 0,
        deadline: 0,
        period: 0,
        util_min: 0,
        util_max: 0,
    };
    let saved = super::futex::errno();
    // SAFETY: the kernel writes at most `size` bytes of attributes to a live place.
    let got = unsafe {
        libc::syscall(libc::SYS_sched_getattr, tid, &raw mut attributes, size_of::<Attributes>(), 0)
    };
    // Another policy or niceness than the default is the user's business.
    if got == 0 && attributes.policy == libc::SCHED_OTHER as u32 {
        attributes.runtime = slice_ns.unwrap_or(0);
        // SAFETY: the kernel reads a live, initialised place.
        unsafe { libc::syscall(libc::SYS_sched_setattr, tid, &raw const attributes, 0) };
    }
    super::futex::set_errno(saved);
}
