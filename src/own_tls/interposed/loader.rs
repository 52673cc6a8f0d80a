//! F3 and F8: loading and unloading modules.
//!
//! **F8.** Before the loader frees what a lookup may be reading it waits for all threads on
//! libc's list that are in one, by a flag in their record. A green thread's record is on no list.
//! So the loader runs on the machine's thread pointer. (Not covered are a lookup by lazy binding,
//! `dlsym`, and what libc loads for itself, on a green thread's own while another thread unloads;
//! programs of Rust bind at start.) The text of the last error goes
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

/// Whether the process calls these.
pub(super) fn are_bound() -> bool {
    dlopen::is_bound() && dlmopen::is_bound() && dlclose::is_bound()
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

/// How many modules had been loaded when [`note_modules`] last left none undone.
static SETTLED: AtomicU64 = AtomicU64::new(0);

/// After loading: initialises new static thread-locals in all blocks.
///
/// 1. See which modules there are.
/// 2. Wait for loads that are under way in other threads: what was seen in 1 is complete now. A
///    module that came meanwhile is left to the call that loads it.
/// 3. Under the registry's lock, look again, and do what is not yet done for those seen in 1.
fn note_modules() {
    let Some(support) = installed().filter(|support| !support.is_lodger()) else { return };
    // ORDERING: Acquire; pairs with the Release below; what was done to the blocks comes along.
    if SETTLED.load(Ordering::Acquire) == sys::dl::loads() {
        return;
    }
    let seen = Modules::loaded(&support.symbols).fixed;
    sys::dl::wait_for_loader();
    let mut registry = registry::lock();
    let loads = sys::dl::loads();
    let modules = Modules::loaded(&support.symbols).fixed;
    let has_readers = rseq::has_readers(support);
    let known = registry.known.get_or_insert_with(|| modules.clone());
    let is_new = |module: &StaticModule| {
        let is_it = |other: &StaticModule| other.identity == module.identity;
        seen.iter().any(is_it) && !known.iter().any(is_it)
    };
    let new: Vec<StaticModule> = modules.iter().filter(|module| is_new(module)).cloned().collect();
    known.extend_from_slice(&new);
    let is_settled = modules.iter().all(|module| known.contains(module));
    for module in &new {
        let is_inside = support.layout.contains(module.offset, module.bytes());
        if !is_inside || is_left_out(Fix::StaticModules) {
            continue;
        }
        support.add_to_template(module);
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
    if is_settled {
        // ORDERING: Release; pairs with the Acquire above.
        SETTLED.store(loads, Ordering::Release);
    }
}

/// After unloading: forgets modules that are gone.
fn forget_modules() {
    let Some(support) = installed().filter(|support| !support.is_lodger()) else { return };
    let mut registry = registry::lock();
    let modules = Modules::loaded(&support.symbols).fixed;
    if let Some(known) = &mut registry.known {
        known.retain(|module| modules.iter().any(|other| other.identity == module.identity));
    }
}

impl Support {
    /// Puts a module's initial values into the template, under the registry's lock.
    fn add_to_template(&self, module: &StaticModule) {
        let template = self.template().with_module(module, &self.skipped_by_renewals());
        // ORDERING: Release; pairs with the Acquire in `template`. The old one is not freed: a
        // renewal may be reading it, and there are as many as loads of this rare kind.
        self.template.store(Box::into_raw(Box::new(template)), Ordering::Release);
    }
}
