//! F4: the signal by which libc makes all OS threads change their user or group.
//!
//! Linux changes credentials per thread; `setuid` and its kin signal every thread on libc's list
//! and wait until each handler has said so in *its* record, found by the thread pointer. On a
//! green thread's thread pointer the handler would mark the green thread's record, and the caller
//! would signal the machine for ever. So libc's handler is wrapped: it runs on the machine's
//! thread pointer.
//!
//! libc installs its handler when the first thread is created and never again; `support` calls
//! [`install`] after it has joined a thread of its own. The wrapper is installed by the bare
//! system call, because libc's `sigaction` refuses the signal.

use super::super::Unsupported;
use super::{Fix, is_left_out};
use crate::primitive::atomic::{AtomicUsize, Ordering};
use crate::primitive::tls;
use crate::{arch, sys};
use core::ffi::{c_int, c_void};

type Handler = unsafe extern "C" fn(c_int, *mut c_void, *mut c_void);

/// The signal libc keeps for this (`SIGSETXID`).
const SIGNAL: c_int = 33;

/// libc's handler.
static HANDLER: AtomicUsize = AtomicUsize::new(0);

/// Wraps libc's handler.
///
/// # Errors
/// Where libc has none, or the kernel refuses.
pub(in super::super) fn install() -> Result<(), Unsupported> {
    if is_left_out(Fix::SetXid) {
        return Ok(());
    }
    let wrapper = handle as *const () as usize;
    let mut action = sys::raw_signal::action(SIGNAL)
        .ok_or(Unsupported::new("the handler of signal 33 cannot be read (fix F4)"))?;
    if action.handler == wrapper {
        return Ok(());
    }
    if action.handler <= 1 {
        return Err(Unsupported::new("libc does not handle signal 33 (fix F4)"));
    }
    // ORDERING: Release; pairs with the Acquire in `handle`; published before the wrapper is.
    HANDLER.store(action.handler, Ordering::Release);
    action.handler = wrapper;
    // SAFETY: the wrapper is a handler of the same kind, with the flags libc chose.
    if unsafe { sys::raw_signal::set_action(SIGNAL, &action) } {
        Ok(())
    } else {
        Err(Unsupported::new("the handler of signal 33 cannot be wrapped (fix F4)"))
    }
}

/// A handler's arguments, on their way through the trampoline.
struct Arguments {
    signal: c_int,
    info: *mut c_void,
    context: *mut c_void,
}

unsafe extern "C" fn call(arguments: *mut ()) {
    // SAFETY: the local of `handle`, lent for this call.
    let arguments = unsafe { &*arguments.cast::<Arguments>() };
    // ORDERING: Acquire; pairs with the Release in `install`.
    let handler = core::ptr::with_exposed_provenance::<()>(HANDLER.load(Ordering::Acquire));
    // SAFETY: libc's handler, of this type (it asks for SA_SIGINFO).
    let handler = unsafe { core::mem::transmute::<*const (), Handler>(handler) };
    // SAFETY: what the kernel gave us.
    unsafe { handler(arguments.signal, arguments.info, arguments.context) };
}

/// The wrapper. It may interrupt anything: it allocates nothing, takes no lock, and lends no
/// words, because libc's handler allocates nothing either.
unsafe extern "C" fn handle(signal: c_int, info: *mut c_void, context: *mut c_void) {
    let mut arguments = Arguments { signal, info, context };
    let arguments = (&raw mut arguments).cast();
    let machine_tp = tls::machine_tp();
    if machine_tp == 0 {
        // SAFETY: the arguments live across the call.
        unsafe { call(arguments) };
    } else {
        // SAFETY: the machine below the running green thread, which waits for it; `call` does not
        // unwind and takes the arguments.
        unsafe { arch::call_on(machine_tp, call, arguments) };
    }
}
