//! F5: questions and requests that concern the OS thread, or the running stack.
//!
//! - `pthread_create` runs on the machine's thread pointer: libc copies to the new thread what it
//!   finds in the caller's record, whether restartable sequences are registered among it.
//! - `pthread_getattr_np(pthread_self())` tells the green thread's own stack; libc would take it
//!   for the first thread's. Of another green thread nothing is known (`ESRCH`).
//! - `sched_getcpu` reads the machine's restartable-sequence area, which the kernel keeps right.

use super::super::{installed, registry};
use super::{Fix, interpose, is_green, is_left_out};
use crate::primitive::atomic::{AtomicPtr, Ordering};
use crate::primitive::tls;
use crate::{arch, sys};
use core::ffi::{c_int, c_void};

type Create = unsafe extern "C" fn(*mut c_void, *const c_void, *const c_void, *mut c_void) -> c_int;
type GetAttributes = unsafe extern "C" fn(usize, *mut c_void) -> c_int;
type GetCpu = unsafe extern "C" fn() -> c_int;

interpose!(pthread_create as Create, in libc __pthread_create_2_1, to create);
interpose!(pthread_getattr_np as GetAttributes, in libc __pthread_getattr_np, to attributes);
#[cfg(not(target_feature = "crt-static"))]
interpose!(sched_getcpu as GetCpu, in libc sched_getcpu, to cpu);

/// Whether the process calls these.
pub(super) fn are_bound() -> bool {
    #[cfg(not(target_feature = "crt-static"))]
    if !sched_getcpu::is_bound() {
        return false;
    }
    pthread_create::is_bound() && pthread_getattr_np::is_bound()
}

/// The running green thread's stack: its lowest byte and its size.
pub(crate) type StackOf = fn() -> Option<(*mut u8, usize)>;

/// Who knows the running green thread's stack, or null.
static STACK_OF: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// Registers who is asked for the stack of the running green thread.
pub(crate) fn on_stack_asked(f: StackOf) {
    // ORDERING: Relaxed; a pointer to code.
    STACK_OF.store(f as *mut (), Ordering::Relaxed);
}

unsafe extern "C" fn create(
    thread: *mut c_void,
    attributes: *const c_void,
    start: *const c_void,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: libc's function, with the caller's arguments.
    let create = || unsafe { pthread_create::next()(thread, attributes, start, argument) };
    if is_left_out(Fix::Threads) { create() } else { super::super::on_machine(create) }
}

unsafe extern "C" fn attributes(thread: usize, attributes: *mut c_void) -> c_int {
    let pthread = installed().map_or(0, |support| support.layout.pthread);
    let own = arch::thread_pointer().wrapping_add_signed(pthread);
    if is_left_out(Fix::Threads) || !is_green() {
        // SAFETY: libc's function, with the caller's arguments.
        return unsafe { pthread_getattr_np::next()(thread, attributes) };
    }
    if thread == own {
        // ORDERING: Relaxed; as in `on_stack_asked`.
        let stack_of = STACK_OF.load(Ordering::Relaxed);
        if stack_of.is_null() {
            return sys::thread::NO_SUCH_THREAD;
        }
        // SAFETY: stored by `on_stack_asked` from a function of this type.
        let stack_of = unsafe { core::mem::transmute::<*mut (), StackOf>(stack_of) };
        return match stack_of() {
            // SAFETY: the caller's place for attributes.
            Some((bottom, bytes)) => unsafe {
                sys::thread::stack_attributes(attributes, bottom, bytes)
            },
            None => sys::thread::NO_SUCH_THREAD,
        };
    }
    if registry::lock().iter().any(|tp| tp.wrapping_add_signed(pthread) == thread) {
        return sys::thread::NO_SUCH_THREAD;
    }
    // SAFETY: libc's function, with the caller's arguments.
    super::super::on_machine(|| unsafe { pthread_getattr_np::next()(thread, attributes) })
}

#[cfg(not(target_feature = "crt-static"))]
unsafe extern "C" fn cpu() -> c_int {
    let machine_tp = tls::machine_tp();
    if machine_tp == 0 || is_left_out(Fix::Threads) {
        // SAFETY: libc's function; takes nothing.
        return unsafe { sched_getcpu::next()() };
    }
    // SAFETY: libc's function; takes nothing.
    super::on_machine_with_errno(|| unsafe { sched_getcpu::next()() })
}
