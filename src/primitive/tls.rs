//! THE thread-locals of the crate: who runs on this stack, and whose machine carries it.
//!
//! Every green thread has a block of thread-locals of its own (see `own_tls`), so these words are
//! the green thread's. `current` is written once, when the block is bound, and is constant for
//! the life of the green thread: no caching of the address or the value by a compiler can make it
//! wrong. `machine_tp` is the thread pointer of the machine that carries the green thread; it is
//! written from outside at each switch, by address arithmetic from the block's thread pointer
//! ([`write_machine_tp`]), never through `thread_local!`. On an OS thread that is no green thread
//! `machine_tp` is 0: it already runs on its own thread pointer.
//!
//! **Rule**: no function touches a thread-local both before and after it changes the thread
//! pointer itself.
//!
//! Under a sanitizer (`gthread_tsan`, `gthread_asan`) the thread pointer stays the machine's. Then
//! `current` is rewritten at each switch and read through a function that is never inlined.

use std::cell::Cell;

/// The words; one instance in each block of thread-locals.
struct Local {
    /// The `Green` that owns this block of thread-locals, or null on a machine and on an OS
    /// thread that has not yet waited for anything.
    current: Cell<*const ()>,
    /// The thread pointer of the machine below, 0 when this block is an OS thread's own.
    machine_tp: Cell<usize>,
}

thread_local! {
    static LOCAL: Local =
        const { Local { current: Cell::new(std::ptr::null()), machine_tp: Cell::new(0) } };
}

/// Runs a function when the OS thread ends.
struct AtExit(Cell<Option<fn(*const ())>>);

impl Drop for AtExit {
    fn drop(&mut self) {
        if let Some(f) = self.0.get() {
            f(current());
        }
    }
}

thread_local! {
    static AT_EXIT: AtExit = const { AtExit(Cell::new(None)) };
}

/// Calls `f(current)` when the running OS thread ends. `false`: never, because its thread-locals are
/// being destroyed already; what `current` names is then lost to reuse, a few hundred bytes.
pub(crate) fn at_thread_exit(f: fn(*const ())) -> bool {
    AT_EXIT.try_with(|at_exit| at_exit.0.set(Some(f))).is_ok()
}

/// Whether what [`at_thread_exit`] was given has been called, or cannot be: the OS thread ends.
pub(crate) fn is_thread_exiting() -> bool {
    AT_EXIT.try_with(|_| ()).is_err()
}

/// The word `current` of the running thread, untyped: `green` gives it its type.
#[cfg_attr(not(any(gthread_tsan, gthread_asan)), inline(always))]
#[cfg_attr(any(gthread_tsan, gthread_asan), inline(never))]
pub(crate) fn current() -> *const () {
    LOCAL.with(|local| local.current.get())
}

/// Writes `current` of the running thread itself: for OS threads, and for sanitizer builds.
#[cfg_attr(not(any(gthread_tsan, gthread_asan)), inline(always))]
#[cfg_attr(any(gthread_tsan, gthread_asan), inline(never))]
pub(crate) fn set_current(green: *const ()) {
    LOCAL.with(|local| local.current.set(green));
}

/// The thread pointer of the machine that carries the running green thread; 0 off green threads.
#[inline(always)]
pub(crate) fn machine_tp() -> usize {
    LOCAL.with(|local| local.machine_tp.get())
}

/// The distance from a thread pointer to `LOCAL`: the same in every block of the process, because
/// the crate is part of the executable or of a module loaded at start (the self-test checks it).
pub(crate) fn local_offset(thread_pointer: usize) -> isize {
    LOCAL.with(|local| std::ptr::from_ref(local) as isize) - thread_pointer as isize
}

/// Sets both words in the block at `thread_pointer`, which must not be the running one.
///
/// # Safety
/// - `thread_pointer` is the thread pointer of a built block of thread-locals.
/// - `offset` is [`local_offset`] of this process.
/// - No thread runs on that block.
#[inline(always)]
pub(crate) unsafe fn write(
    thread_pointer: usize,
    offset: isize,
    current: *const (),
    machine_tp: usize,
) {
    let local = thread_pointer.wrapping_add_signed(offset) as *const Local;
    // SAFETY: the caller's first two clauses make `local` valid, the third makes it unshared.
    let local = unsafe { &*local };
    local.current.set(current);
    local.machine_tp.set(machine_tp);
}

/// Sets only `machine_tp` in the block at `thread_pointer`: the write at each switch.
///
/// # Safety
/// As [`write()`].
#[inline(always)]
pub(crate) unsafe fn write_machine_tp(thread_pointer: usize, offset: isize, machine_tp: usize) {
    let local = thread_pointer.wrapping_add_signed(offset) as *const Local;
    // SAFETY: the caller's first two clauses make `local` valid, the third makes it unshared.
    let local = unsafe { &*local };
    local.machine_tp.set(machine_tp);
}
