//! F10: the signal mask, which the kernel keeps per OS thread.
//!
//! A green thread that blocks a signal means itself, as a thread does; the kernel blocks it for the
//! machine, and so for whoever runs there next. Therefore whoever changes the mask by
//! `pthread_sigmask` or `sigprocmask` is told to the scheduler, which keeps a green thread with a
//! mask of its own on its machine, and everybody else off it, until the mask is again the
//! machine's. Switches know nothing of it.
//!
//! Rejected: saving and restoring the mask at switches. It would cost them a flag to look at, and
//! two system calls each for whoever has such a mask; and a signal that is blocked while its green
//! thread is parked elsewhere would have to be kept from every other machine, or come too early.
//!
//! Not seen: the bare system call, and what libc does inside itself (`siglongjmp`, `sighold`).

use super::{Fix, interpose, is_green, is_left_out};
use crate::primitive::atomic::{AtomicPtr, Ordering};
use core::ffi::{c_int, c_void};

type Change = unsafe extern "C" fn(c_int, *const c_void, *mut c_void) -> c_int;

interpose!(pthread_sigmask as Change, in libc __pthread_sigmask, to change_of_thread);
interpose!(sigprocmask as Change, in libc __sigprocmask, to change_of_process);

/// Whether the process calls these. Also looks up what is behind them, which a signal handler may
/// not do.
pub(super) fn are_bound() -> bool {
    let _behind = (pthread_sigmask::next(), sigprocmask::next());
    pthread_sigmask::is_bound() && sigprocmask::is_bound()
}

/// Who is told that a green thread has changed its machine's mask, or null.
static CHANGED: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// Registers who is told that the running green thread has changed its machine's signal mask.
///
/// `f` may be called in a signal handler.
pub(crate) fn on_mask_changed(f: fn()) {
    // ORDERING: Relaxed; a pointer to code.
    CHANGED.store(f as *mut (), Ordering::Relaxed);
}

unsafe extern "C" fn change_of_thread(how: c_int, new: *const c_void, old: *mut c_void) -> c_int {
    // SAFETY: libc's function, with the caller's arguments.
    let result = unsafe { pthread_sigmask::next()(how, new, old) };
    tell(result, new);
    result
}

unsafe extern "C" fn change_of_process(how: c_int, new: *const c_void, old: *mut c_void) -> c_int {
    // SAFETY: libc's function, with the caller's arguments.
    let result = unsafe { sigprocmask::next()(how, new, old) };
    tell(result, new);
    result
}

/// Tells of a change that was made.
fn tell(result: c_int, new: *const c_void) {
    if result != 0 || new.is_null() || !is_green() || is_left_out(Fix::Mask) {
        return;
    }
    // ORDERING: Relaxed; as in `on_mask_changed`.
    let changed = CHANGED.load(Ordering::Relaxed);
    if !changed.is_null() {
        // SAFETY: stored by `on_mask_changed` from a function of this type.
        unsafe { core::mem::transmute::<*mut (), fn()>(changed)() };
    }
}
