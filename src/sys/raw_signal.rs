//! Signal actions by the bare system call, for the signals libc keeps to itself.

use core::ffi::c_int;

/// The kernel's own `struct sigaction`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Action {
    /// The handler's address; 0 and 1 are the default and to ignore.
    pub(crate) handler: usize,
    flags: usize,
    restorer: usize,
    mask: u64,
}

/// The action of a signal, or `None` when the kernel refuses to tell.
pub(crate) fn action(signal: c_int) -> Option<Action> {
    let mut action = Action::default();
    let unchanged = core::ptr::null::<Action>();
    // SAFETY: the kernel writes one action of its own format.
    let result = unsafe {
        libc::syscall(libc::SYS_rt_sigaction, signal, unchanged, &raw mut action, size_of::<u64>())
    };
    (result == 0).then_some(action)
}

/// Sets the action of a signal; `false` when the kernel refuses.
///
/// # Safety
/// The action's handler can run at any point of the program, and fits the flags.
pub(crate) unsafe fn set_action(signal: c_int, action: &Action) -> bool {
    let unwanted = core::ptr::null_mut::<Action>();
    let action = std::ptr::from_ref(action);
    // SAFETY: the kernel reads one action of its own format; the handler is the caller's.
    let result = unsafe {
        libc::syscall(libc::SYS_rt_sigaction, signal, action, unwanted, size_of::<u64>())
    };
    result == 0
}
