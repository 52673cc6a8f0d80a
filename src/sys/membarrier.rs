//! membarrier(2), private and expedited: a full fence on every running thread of the process.

/// Registers the process; `false` where the kernel or a sandbox refuses.
pub(crate) fn register() -> bool {
    command(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0
}

/// Makes every running thread of the process execute a full fence.
pub(crate) fn expedited() {
    let result = command(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED);
    if result != 0 {
        crate::primitive::abort::rt_abort!(
            "membarrier: refused after a successful registration (errno {})",
            super::futex::errno()
        );
    }
}

fn command(command: libc::c_int) -> libc::c_long {
    // SAFETY: membarrier takes two integers and touches no memory of ours.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0) }
}
