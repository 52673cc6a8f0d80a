//! F3 and F8: loading and unloading modules.
//!
//! **F8.** Before the loader frees what a lookup may be reading it waits for all threads on
//! libc's list that are in one, by a flag in their record. A green thread's record is on no list.
//! So the loader runs on the machine's thread pointer. (A lookup by lazy binding on a green
//! thread's own is not covered; programs of Rust bind at start.) The text of the last error goes
//! along: it hangs off a thread-local, which is exchanged for the time of the call.
//!
//! **F3.** A module that was loaded later and has static thread-locals takes some of the surplus
//! of every block. The loader initialises it in the blocks of the threads on its list; we do in
//! all others, and in the template (Inv. NoBlockMissed).
//!
//! libc loads modules for itself, too (name services, character sets), without these symbols;
//! they have no static thread-locals on the systems known. A constructor of the module that
//! resumes green threads which already know it would find F3 not yet done.
//!
//! NOTE: the loader looks a bare file name up along the run path of the module that *calls*
//! `dlopen`, which is now always the program. A shared object that relies on a run path of its
//! own to find modules has to give paths with a slash, as under AddressSanitizer.

use super::super::block::Memory;
use super::super::modules::{Modules, StaticModule};
use super::super::{Support, installed, registry, rseq};
use super::{Fix, interpose, is_green, is_left_out, on_machine_with_errno};
use crate::primitive::atomic::{AtomicU64, Ordering};
use crate::primitive::tls;
use crate::{arch, sys};
use core::ffi::{c_char, c_int, c_long, c_void};

type Open = unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void;
type OpenIn = unsafe extern "C" fn(c_long, *const c_char, c_int) -> *mut c_void;
type Close = unsafe extern "C" fn(*mut c_void) -> c_int;

interpose!(dlopen as Open, in libc dlopen, to open);
interpose!(dlmopen as OpenIn, in libc dlmopen, to open_in);
interpose!(dlclose as Close, in libc dlclose, to close);

/// The symbols and where they should lead.
pub(super) fn entries() -> [(&'static core::ffi::CStr, usize); 3] {
    [dlopen::entry(), dlmopen::entry(), dlclose::entry()]
}

unsafe extern "C" fn open(file: *const c_char, flags: c_int) -> *mut c_void {
    // SAFETY: libc's function, with the caller's arguments.
    let module = loading(|| unsafe { dlopen::next()(file, flags) });
    note_modules();
    module
}

unsafe extern "C" fn open_in(list: c_long, file: *const c_char, flags: c_int) -> *mut c_void {
    // SAFETY: libc's function, with the caller's arguments.
    let module = loading(|| unsafe { dlmopen::next()(list, file, flags) });
    note_modules();
    module
}

unsafe extern "C" fn close(module: *mut c_void) -> c_int {
    // SAFETY: libc's function, with the caller's argument.
    let result = loading(|| unsafe { dlclose::next()(module) });
    forget_modules();
    result
}

/// Runs the loader on the machine's thread pointer, with the green thread's last error.
fn loading<R>(f: impl FnOnce() -> R) -> R {
    if !is_green() || is_left_out(Fix::Loader) {
        return f();
    }
    exchange_error();
    let result = on_machine_with_errno(f);
    exchange_error();
    result
}

/// Exchanges the last error of the running green thread and that of its machine.
fn exchange_error() {
    let Some(offset) = installed().and_then(|support| support.layout.loader_error) else { return };
    let own = Memory(arch::thread_pointer());
    let machine = Memory(tls::machine_tp());
    // SAFETY: libc's word in the running block.
    let ours = unsafe { own.read::<usize>(offset) };
    // SAFETY: the same word in the machine's block, which waits for this thread.
    let theirs = unsafe { machine.read::<usize>(offset) };
    // SAFETY: as above.
    unsafe { own.write(offset, theirs) };
    // SAFETY: as above.
    unsafe { machine.write(offset, ours) };
}

/// How many modules had been loaded when [`note_modules`] last looked.
static LOADS: AtomicU64 = AtomicU64::new(0);

/// After loading: initialises new static thread-locals in all blocks.
fn note_modules() {
    let Some(support) = installed() else { return };
    if support.is_lodger() {
        return;
    }
    let loads = sys::dl::loads();
    // ORDERING: Relaxed; a hint that saves work: two loads at once both look.
    if LOADS.swap(loads, Ordering::Relaxed) == loads {
        return;
    }
    let modules = Modules::loaded(&support.symbols);
    let has_readers = rseq::has_readers(support);
    let mut registry = registry::lock();
    let known = registry.known.get_or_insert_with(|| modules.fixed.clone());
    let new: Vec<StaticModule> =
        modules.fixed.iter().filter(|module| !known.contains(module)).copied().collect();
    known.extend_from_slice(&new);
    for module in &new {
        if !support.layout.contains(module.offset, module.bytes) || is_left_out(Fix::StaticModules)
        {
            continue;
        }
        // SAFETY: the module was just loaded.
        unsafe { support.add_to_template(module) };
        for tp in registry.iter() {
            // SAFETY: a built block; nobody knows the module but through the call that loads it,
            // which has not returned.
            unsafe { module.initialise(tp) };
        }
    }
    if has_readers && !registry.marks_rseq {
        registry.marks_rseq = true;
        for tp in registry.iter() {
            // SAFETY: a built block; the kernel does not know its area, and readers only read.
            unsafe { support.layout.mark_rseq(tp) };
        }
    }
}

/// After unloading: forgets modules that are gone, so that their numbers and places can return.
fn forget_modules() {
    let Some(support) = installed() else { return };
    let modules = Modules::loaded(&support.symbols);
    let mut registry = registry::lock();
    if let Some(known) = &mut registry.known {
        known.retain(|module| modules.fixed.contains(module));
    }
}

impl Support {
    /// Puts a module's initial values into the template, under the registry's lock.
    ///
    /// # Safety
    /// The module is loaded.
    unsafe fn add_to_template(&self, module: &StaticModule) {
        // SAFETY: the caller's clause.
        let template = unsafe { self.template().with_module(module, &self.skipped_by_renewals()) };
        // ORDERING: Release; pairs with the Acquire in `template`. The old one is not freed: a
        // renewal may be reading it, and there are as many as loads of this rare kind.
        self.template.store(Box::into_raw(Box::new(template)), Ordering::Release);
    }
}
