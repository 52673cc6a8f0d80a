//! F1: `fork` and its kin run on the machine's thread pointer.
//!
//! The kernel keeps the OS thread's registration for restartable sequences, which points into the
//! machine's record, and copies it to the child. libc's child keeps the record of the thread that
//! forked, found by the thread pointer, and frees all others; after a fork on a green thread's
//! thread pointer it would free the machine's, and the kernel would write to freed memory.
//!
//! The child has one OS thread, which goes on as the green thread that forked. It can allocate,
//! start threads and fork again. It has no machines: the runtime is dead there
//! ([`in_forked_child`]), and so are all other green threads.
//!
//! Handlers of `pthread_atfork` run on the machine's thread pointer.

use super::super::{installed, registry};
use super::{Fix, interpose, is_green, is_left_out, on_machine_with_errno};
use crate::arch;
use crate::primitive::atomic::{AtomicBool, AtomicPtr, Ordering};
use core::ffi::{c_int, c_void};

type Fork = unsafe extern "C" fn() -> c_int;
type Daemon = unsafe extern "C" fn(c_int, c_int) -> c_int;
type ForkPty = unsafe extern "C" fn(*mut c_int, *mut c_void, *const c_void, *const c_void) -> c_int;

interpose!(fork as Fork, in libc __libc_fork, to fork_on_machine);
#[cfg(not(target_feature = "crt-static"))]
interpose!(_Fork as Fork, in libc _Fork, to plain_fork_on_machine);
#[cfg(not(target_feature = "crt-static"))]
interpose!(daemon as Daemon, in libc daemon, to daemon_on_machine);
#[cfg(not(target_feature = "crt-static"))]
interpose!(forkpty as ForkPty, in libc forkpty, to forkpty_on_machine);

/// Whether the process calls these.
pub(super) fn are_bound() -> bool {
    #[cfg(not(target_feature = "crt-static"))]
    if !(_Fork::is_bound() && daemon::is_bound() && forkpty::is_bound()) {
        return false;
    }
    fork::is_bound()
}

/// Whether this process is the child of a fork in a process where green threads had been set up.
static IS_CHILD: AtomicBool = AtomicBool::new(false);
/// What to call in the child, or null.
static HOOK: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// Whether this process was forked off one in which green threads had been set up: the machines
/// stayed behind, and only the thread that forked goes on.
pub(crate) fn in_forked_child() -> bool {
    // ORDERING: Relaxed; written while the process has one thread.
    IS_CHILD.load(Ordering::Relaxed)
}

/// Registers what is called in the child of a fork, on the thread that forked, before `fork`
/// returns. It must be safe in a signal handler: other threads' locks are held for ever.
pub(crate) fn on_forked_child(hook: fn()) {
    // ORDERING: Relaxed; a pointer to code.
    HOOK.store(hook as *mut (), Ordering::Relaxed);
}

/// Forks by `f`.
fn forking(f: impl FnOnce() -> c_int) -> c_int {
    let result = if is_green() && !is_left_out(Fix::Fork) { on_machine_with_errno(f) } else { f() };
    if result == 0 && installed().is_some() {
        mark_child();
    }
    result
}

/// In the child: forgets what stayed behind.
#[cold]
fn mark_child() {
    // ORDERING: Relaxed; the process has one thread.
    IS_CHILD.store(true, Ordering::Relaxed);
    let running = is_green().then(arch::thread_pointer);
    // SAFETY: the process has one thread, and this function holds no guard.
    unsafe { registry::reset_in_child(running) };
    // ORDERING: Relaxed; as in `on_forked_child`.
    let hook = HOOK.load(Ordering::Relaxed);
    if !hook.is_null() {
        // SAFETY: stored by `on_forked_child` from a function of this type.
        let hook = unsafe { core::mem::transmute::<*mut (), fn()>(hook) };
        hook();
    }
}

unsafe extern "C" fn fork_on_machine() -> c_int {
    // SAFETY: libc's fork, with the caller's duties.
    forking(|| unsafe { fork::next()() })
}

#[cfg(not(target_feature = "crt-static"))]
unsafe extern "C" fn plain_fork_on_machine() -> c_int {
    // SAFETY: libc's _Fork, with the caller's duties.
    forking(|| unsafe { _Fork::next()() })
}

#[cfg(not(target_feature = "crt-static"))]
unsafe extern "C" fn daemon_on_machine(keep_directory: c_int, keep_output: c_int) -> c_int {
    // SAFETY: libc's daemon, with the caller's arguments.
    forking(|| unsafe { daemon::next()(keep_directory, keep_output) })
}

#[cfg(not(target_feature = "crt-static"))]
unsafe extern "C" fn forkpty_on_machine(
    master: *mut c_int,
    name: *mut c_void,
    attributes: *const c_void,
    size: *const c_void,
) -> c_int {
    // SAFETY: libc's forkpty, with the caller's arguments.
    forking(|| unsafe { forkpty::next()(master, name, attributes, size) })
}
