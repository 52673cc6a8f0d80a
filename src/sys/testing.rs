//! What only tests ask of the kernel.

/// Runs `f` on a new OS thread whose stack is the given memory, and waits for it.
///
/// # Safety
/// The memory is writable and used by nobody else until this returns.
pub(crate) unsafe fn run_on(
    bottom: *mut u8,
    bytes: usize,
    f: extern "C" fn(*mut libc::c_void) -> *mut libc::c_void,
) {
    // SAFETY: all-zero is storage for an attribute object, initialised next.
    let mut attributes: libc::pthread_attr_t = unsafe { std::mem::zeroed() };
    // SAFETY: storage as above.
    assert_eq!(unsafe { libc::pthread_attr_init(&raw mut attributes) }, 0);
    // SAFETY: the caller's clause.
    let set = unsafe { libc::pthread_attr_setstack(&raw mut attributes, bottom.cast(), bytes) };
    assert_eq!(set, 0, "a stack pthreads accept");
    let mut thread = 0;
    let nothing = std::ptr::null_mut();
    // SAFETY: `f` takes any argument; the attributes are initialised.
    let made = unsafe { libc::pthread_create(&raw mut thread, &raw const attributes, f, nothing) };
    assert_eq!(made, 0, "a thread");
    // SAFETY: created above and joined once.
    assert_eq!(unsafe { libc::pthread_join(thread, std::ptr::null_mut()) }, 0);
}

/// Keeps a test that dies on purpose from writing a core file.
pub(crate) fn no_core_file() {
    set_limit(libc::RLIMIT_CORE, 0);
}

/// Limits the address space of the process.
pub(crate) fn limit_address_space(bytes: usize) {
    set_limit(libc::RLIMIT_AS, bytes as u64);
}

fn set_limit(resource: libc::__rlimit_resource_t, value: u64) {
    let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: `limit` is a valid limit.
    assert_eq!(unsafe { libc::setrlimit(resource, &raw const limit) }, 0);
}

/// Sets the action of a signal by its parts.
pub(crate) fn set_action(signal: i32, handler: usize, flags: i32, blocked: &[i32]) {
    // SAFETY: all-zero is a valid action.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    for &signal in blocked {
        // SAFETY: the mask is a valid set.
        unsafe { libc::sigaddset(&raw mut action.sa_mask, signal) };
    }
    // SAFETY: a valid action; the test answers for its handler.
    assert_eq!(unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) }, 0);
}

/// Whether the calling thread blocks a signal; usable in a handler.
pub(crate) fn is_blocked(signal: i32) -> bool {
    // SAFETY: all-zero is a valid set.
    let mut mask: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `mask` is a valid place; a null new set changes nothing.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &raw mut mask) };
    // SAFETY: `mask` is a valid set.
    unsafe { libc::sigismember(&raw const mask, signal) == 1 }
}

/// Ends the process at once, as a handler may.
pub(crate) fn exit_now(status: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(status) }
}

/// Signals and flags, so that tests need no libc.
pub(crate) use libc::{
    SA_NODEFER, SA_RESETHAND, SA_SIGINFO, SIG_DFL, SIG_IGN, SIGABRT, SIGSEGV, SIGUSR1, SIGUSR2,
};
