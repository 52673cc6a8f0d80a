//! What happens when a green thread runs out of stack: a line that names it, and the end.
//!
//! An access to a guard raises SIGSEGV (SIGBUS on some systems). The handler runs on the machine's
//! [`AlternateStack`], because there is no room left on the green thread's. It asks the table of
//! slabs whether the address lies in the guard of a bound slot; if so it writes
//! `green thread 'name' has overflowed its stack (262144 bytes)` and aborts, as `std` does for
//! threads. It takes no lock, allocates nothing, and reads no thread-local but `errno`.
//!
//! Every other fault goes on to whoever had the signal before, as if this handler were not there:
//! `std`'s, which knows the guards of OS threads, or a crash reporter, or the kernel. One thing
//! differs: a previous handler without `SA_ONSTACK` runs on the alternate stack nevertheless.
//! A handler that is installed later replaces this one and has to chain to it likewise.

use super::find;
use super::slot::nobody;
use super::table::GUARD_BYTES;
use crate::primitive::abort::Line;
use crate::primitive::atomic::{AtomicBool, AtomicPtr, Ordering};
use crate::primitive::cell::UnsafeCell;
use crate::sys::futex::{errno, set_errno};
use crate::sys::mem;
use crate::sys::signal::{self, Action, Disposition, SignalStack};
use std::fmt::Write as _;
use std::io;
use std::marker::PhantomData;

/// Writes the name of the green thread `owner` and returns `true`, or returns `false` if it has
/// none. Called in a signal handler: no allocation, no lock, no wait.
pub(crate) type Namer = fn(owner: *const (), out: &mut Line) -> bool;

/// The [`Namer`], or null.
static NAMER: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());

/// Says how the report finds a green thread's name.
pub(crate) fn set_namer(namer: Namer) {
    // ORDERING: Relaxed; a function is code, there is nothing to publish.
    NAMER.store(namer as *mut (), Ordering::Relaxed);
}

/// What a signal did before.
struct Previous {
    signal: i32,
    /// Written by `install` before the handler that reads it exists.
    action: UnsafeCell<Option<Action>>,
    /// A one-shot action (`SA_RESETHAND`) has been carried out.
    is_spent: AtomicBool,
}

// SAFETY: `signal` is constant and `is_spent` atomic; `action` is written once, under the `Once` of
// `install`, before the kernel learns of the only reader.
unsafe impl Sync for Previous {}

static PREVIOUS: [Previous; 2] = [Previous::of(signal::SEGV), Previous::of(signal::BUS)];

impl Previous {
    const fn of(signal: i32) -> Self {
        Self { signal, action: UnsafeCell::new(None), is_spent: AtomicBool::new(false) }
    }

    /// What to do now in place of the kernel.
    fn take_turn(&self) -> Action {
        // SAFETY: written before the handler was installed, and never since.
        let action = self.action.with(|action| unsafe { *action }).unwrap_or(Action::default());
        // ORDERING: Relaxed; the word is all there is. Two threads that fault at once must not
        // both carry a one-shot action out, which the RMW sees to.
        if action.is_one_shot() && self.is_spent.swap(true, Ordering::Relaxed) {
            return Action::default();
        }
        action
    }
}

/// Installs the handler for SIGSEGV and SIGBUS, once per process.
///
/// # Errors
/// The kernel refuses (a sandbox); overflows then end in a plain SIGSEGV.
pub(crate) fn install() -> io::Result<()> {
    static ONCE: std::sync::Once = std::sync::Once::new();
    let mut result = Ok(());
    ONCE.call_once(|| result = PREVIOUS.iter().try_for_each(install_one));
    result
}

fn install_one(previous: &Previous) -> io::Result<()> {
    let before = signal::action(previous.signal)?;
    // SAFETY: the `Once` of `install` makes this the only writer, and no reader exists yet.
    previous.action.with_mut(|action| unsafe { *action = Some(before) });
    // SAFETY: `on_fault` is a handler for SA_SIGINFO and does what handlers may.
    unsafe { signal::set_action(previous.signal, &Action::on_alternate_stack(on_fault)) }
}

/// The handler.
///
/// # Safety
/// Called by the kernel only, for one of the two signals.
unsafe extern "C" fn on_fault(
    signal: i32,
    info: *mut signal::Info,
    context: *mut std::ffi::c_void,
) {
    let saved = errno();
    // SAFETY: the kernel's second argument, in the handler of one of the two signals.
    let origin = unsafe { signal::origin(info) };
    if let Some(hit) = find(origin.address).filter(|hit| hit.is_in_guard && !hit.owner.is_null()) {
        report(hit.owner, hit.size);
    }
    let Some(previous) = PREVIOUS.iter().find(|previous| previous.signal == signal) else {
        return;
    };
    let action = previous.take_turn();
    match action.disposition() {
        Disposition::Ignore if !origin.is_fault => {}
        // The kernel takes the default action for a fault that is ignored.
        Disposition::Default | Disposition::Ignore => restore_default(signal, origin.is_fault),
        Disposition::Plain(handler) => {
            action.enter_mask(signal);
            // SAFETY: it is the process's handler for this signal, called as the kernel does.
            unsafe { handler(signal) };
        }
        Disposition::WithInfo(handler) => {
            action.enter_mask(signal);
            // SAFETY: as above, with the kernel's own arguments.
            unsafe { handler(signal, info, context) };
        }
    }
    set_errno(saved);
}

/// Lets the kernel take the default action as soon as the handler returns: a fault happens again,
/// anything else is sent again.
fn restore_default(signal: i32, is_fault: bool) {
    // SAFETY: the default action is no handler.
    let restored = unsafe { signal::set_action(signal, &Action::default()) };
    if restored.is_err() {
        std::process::abort();
    }
    if !is_fault {
        signal::raise_again(signal);
    }
}

/// Writes the line, in two pieces so that a long name cannot push the rest out, and aborts.
#[cold]
fn report(owner: *const (), size: usize) -> ! {
    let mut line = Line::new();
    // A `Line` never fails to be written to; what does not fit is cut.
    let _ = line.write_str("green thread '");
    // ORDERING: Relaxed; see `set_namer`.
    let namer = NAMER.load(Ordering::Relaxed);
    let is_named = owner != nobody() && !namer.is_null() && {
        // SAFETY: only `set_namer` stores other than null, and it stores a `Namer`.
        let namer = unsafe { std::mem::transmute::<*mut (), Namer>(namer) };
        namer(owner, &mut line)
    };
    if !is_named {
        let _ = line.write_str("<unnamed>");
    }
    line.emit();
    let mut line = Line::new();
    let _ = writeln!(line, "' has overflowed its stack ({size} bytes)");
    line.emit();
    std::process::abort()
}

/// The stack on which a machine handles signals, with a guard of its own.
///
/// `std` gives its threads one, too small for a report on processors with many registers; it is
/// replaced, and put back on drop. Belongs to the thread that made it.
#[derive(Debug)]
pub(crate) struct AlternateStack {
    mapping: *mut u8,
    bytes: usize,
    before: SignalStack,
    /// Not `Send`: the kernel keeps it with the thread.
    _local: PhantomData<*const ()>,
}

/// What a handler has beside the frame the kernel writes.
const HANDLER_BYTES: usize = 16 << 10;

impl AlternateStack {
    /// Gives the calling thread an alternate signal stack.
    ///
    /// # Errors
    /// No memory for it.
    pub(crate) fn new() -> io::Result<Self> {
        let before = SignalStack::current()?;
        let usable =
            (signal::frame_bytes_max() + HANDLER_BYTES).next_multiple_of(mem::page_bytes());
        let bytes = GUARD_BYTES + usable;
        let mapping = mem::reserve(bytes)?;
        let stack = Self { mapping, bytes, before, _local: PhantomData };
        // SAFETY: whole pages at the start of the mapping made above, not yet used.
        unsafe { mem::guard_install(mapping, GUARD_BYTES) }
            // SAFETY: as above.
            .or_else(|_| unsafe { mem::protect_none(mapping, GUARD_BYTES) })?;
        // SAFETY: the usable part lives until `drop`, which puts the one before back.
        unsafe { stack.own().set() }?;
        Ok(stack)
    }

    fn own(&self) -> SignalStack {
        SignalStack::new(self.mapping.wrapping_add(GUARD_BYTES), self.bytes - GUARD_BYTES)
    }
}

impl Drop for AlternateStack {
    fn drop(&mut self) {
        let current = SignalStack::current().map_or(std::ptr::null_mut(), |stack| stack.start());
        let is_mine = current == self.own().start();
        // SAFETY: the stack before was the thread's, and whoever installed it waits for it.
        if is_mine && unsafe { self.before.set() }.is_err() {
            // The kernel still has it; so it stays.
            return;
        }
        // SAFETY: mapped in `new`, and the kernel no longer has it for this thread.
        let _ = unsafe { mem::release(self.mapping, self.bytes) };
    }
}
