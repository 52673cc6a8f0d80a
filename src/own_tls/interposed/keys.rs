//! F2: destructors of thread-specific keys run when a green thread ends.
//!
//! libc runs them in a function it does not export, and does not tell which destructor a key has.
//! So `pthread_key_create` notes them, by key, in a table as long as libc's own. A slot of the
//! table is only ever stored and loaded whole: no lock, which a fork could leave held.

use super::super::Support;
use super::super::block::Memory;
use super::super::layout::{KEY_BYTES, KEYS_PER_BLOCK};
use super::{Fix, interpose, is_left_out};
use crate::primitive::atomic::{AtomicUsize, Ordering};
use crate::{arch, sys};
use core::ffi::{c_int, c_uint, c_void};

/// What a key's destructor is.
type Destructor = unsafe extern "C" fn(*mut c_void);
type Create = unsafe extern "C" fn(*mut c_uint, Option<Destructor>) -> c_int;
type Delete = unsafe extern "C" fn(c_uint) -> c_int;

interpose!(pthread_key_create as Create, in libc ___pthread_key_create, to create);
interpose!(__pthread_key_create as Create, in libc ___pthread_key_create, to create);
interpose!(pthread_key_delete as Delete, in libc ___pthread_key_delete, to delete);

/// Whether the process calls these.
pub(super) fn are_bound() -> bool {
    pthread_key_create::is_bound()
        && __pthread_key_create::is_bound()
        && pthread_key_delete::is_bound()
}

/// How many keys there can be (`PTHREAD_KEYS_MAX`).
const KEYS_MAX: usize = 1024;
/// How often destructors may set values anew (`PTHREAD_DESTRUCTOR_ITERATIONS`).
const ROUNDS: usize = 4;

/// The destructor of each key, 0 for none.
static DESTRUCTORS: [AtomicUsize; KEYS_MAX] = [const { AtomicUsize::new(0) }; KEYS_MAX];
/// One more than the highest key that was ever created.
static END: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn create(key: *mut c_uint, destructor: Option<Destructor>) -> c_int {
    // SAFETY: libc's function, with the caller's arguments.
    let result = unsafe { pthread_key_create::next()(key, destructor) };
    if result == 0 {
        // SAFETY: libc stored the key there.
        let key = unsafe { key.read() } as usize;
        if let Some(slot) = DESTRUCTORS.get(key) {
            let destructor = destructor.map_or(0, |f| f as *const () as usize);
            // ORDERING: Release; pairs with the Acquire in `run_destructors`: the caller passes
            // the key on by its own means, and what it wrote before comes along.
            slot.store(destructor, Ordering::Release);
            // ORDERING: Release; as above.
            END.fetch_max(key + 1, Ordering::Release);
        }
    }
    result
}

unsafe extern "C" fn delete(key: c_uint) -> c_int {
    if let Some(slot) = DESTRUCTORS.get(key as usize) {
        // ORDERING: Release; pairs with the Acquire in `run_destructors`. Before libc forgets the
        // key, so that a key of the same number created meanwhile is not robbed of its own.
        slot.store(0, Ordering::Release);
    }
    // SAFETY: libc's function, with the caller's argument.
    unsafe { pthread_key_delete::next()(key) }
}

/// Runs the destructors of the running green thread's values, and then forgets all values.
///
/// # Safety
/// The caller runs on a built block that will not run user code afterwards.
pub(in super::super) unsafe fn end_values(support: &Support) {
    // ORDERING: Acquire; pairs with the Release in `create`.
    let end = END.load(Ordering::Acquire);
    if end == 0 || is_left_out(Fix::Keys) {
        return;
    }
    for _ in 0..ROUNDS {
        if !run_destructors(end) {
            break;
        }
    }
    // SAFETY: the caller's clause.
    unsafe { forget_values(support, end) };
}

/// One round over all keys; whether any destructor ran.
fn run_destructors(end: usize) -> bool {
    let mut ran = false;
    for (key, slot) in DESTRUCTORS.iter().enumerate().take(end) {
        // ORDERING: Acquire; pairs with the Release in `create`.
        let destructor = slot.load(Ordering::Acquire);
        if destructor == 0 {
            continue;
        }
        let value = sys::thread::take_specific(key as u32);
        if value.is_null() {
            continue;
        }
        ran = true;
        let destructor = core::ptr::with_exposed_provenance::<()>(destructor);
        // SAFETY: stored by `create` from a function of this type.
        let destructor = unsafe { core::mem::transmute::<*const (), Destructor>(destructor) };
        // SAFETY: the key's destructor takes the key's value, and this thread's value is taken.
        unsafe { destructor(value) };
    }
    ran
}

/// Clears values without a destructor, and frees the blocks of values of high keys.
///
/// # Safety
/// The caller runs on a built block that will not run user code afterwards.
unsafe fn forget_values(support: &Support, end: usize) {
    let block = Memory(arch::thread_pointer());
    let specific = support.layout.specific;
    let first_values = specific - (KEYS_PER_BLOCK * KEY_BYTES) as isize;
    // The first block of values lies in the record, on a page that is usually never touched: it
    // is only written where it was written before.
    for word in 0..(end.min(KEYS_PER_BLOCK) * KEY_BYTES / 8) as isize {
        let offset = first_values + word * 8;
        // SAFETY: the running block.
        if unsafe { block.read::<usize>(offset) } != 0 {
            // SAFETY: as above.
            unsafe { block.write(offset, 0_usize) };
        }
    }
    for index in 1..end.div_ceil(KEYS_PER_BLOCK) as isize {
        // SAFETY: as above.
        let values = unsafe { block.read::<usize>(specific + index * 8) };
        if values != 0 {
            // SAFETY: libc allocated it for this thread's values, which nobody reads any more.
            unsafe { sys::heap::free(values) };
            // SAFETY: as above.
            unsafe { block.write(specific + index * 8, 0_usize) };
        }
    }
}
