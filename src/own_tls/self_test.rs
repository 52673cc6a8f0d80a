//! The start-up test: a scratch block is built, looked at from outside, and run on.
//!
//! From outside: the initial values of every static module are there, the crate's own words are
//! at the same distance, the running thread's own thread-locals are undisturbed. From inside (on
//! the scratch block's thread pointer): `errno` is in the block and works, `pthread_self` is the
//! block's, libc takes the block's id for the owner of a mutex, memory can be allocated and freed,
//! a panic is caught, a destructor of a thread-local runs. What does not hold is a sentence.
//!
//! The template is captured from the same scratch block, after its character tables were set and
//! before anything else has run on it.

use super::block::{Memory, Template};
use super::interposed::{Fix, is_left_out, keys};
use super::layout::{DTV, ORIENTATION, Orientation};
use super::modules::Modules;
use super::{Support, Unsupported, on_thread_pointer};
use crate::primitive::atomic::{AtomicPtr, AtomicUsize, Ordering};
use crate::primitive::tls;
use crate::{arch, sys};
use std::alloc::{Layout as Memory_, alloc_zeroed, dealloc};

/// The id of the scratch block: one that no registered block has.
const SCRATCH_ID: u32 = 1 << 22;

/// Zeroed pages for the scratch block.
struct Scratch {
    pages: *mut u8,
    layout: Memory_,
}

impl Scratch {
    fn new(bytes: usize, page: usize) -> Result<Self, Unsupported> {
        let layout = Memory_::from_size_align(bytes, page)
            .map_err(|_| Unsupported::new("the block has an odd size"))?;
        // SAFETY: a block is larger than nothing.
        let pages = unsafe { alloc_zeroed(layout) };
        if pages.is_null() {
            return Err(Unsupported::new("there is no memory for a scratch block"));
        }
        Ok(Self { pages, layout })
    }

    fn end(&self) -> usize {
        self.pages.expose_provenance() + self.layout.size()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout in `new`.
        unsafe { dealloc(self.pages, self.layout) };
    }
}

/// Captures the template and tests the support, which it completes.
pub(super) fn run(mut support: Support, modules: &Modules) -> Result<Support, Unsupported> {
    let scratch = Scratch::new(support.layout.block_bytes(), support.layout.page)?;
    let tp = support.layout.place(scratch.end()).thread_pointer();
    // SAFETY: zeroed memory of our own, as large as a block.
    let dtv = unsafe { support.allocate(tp) }
        .map_err(|_| Unsupported::new("glibc has no memory for a block"))?;
    let checked = check_from_outside(&support, modules, tp);
    // SAFETY: built, and nobody runs on it.
    unsafe { support.layout.inherit(tp) };
    // SAFETY: as above, with the vector glibc made for it.
    unsafe { support.layout.identify(tp, dtv, SCRATCH_ID) };
    if !is_left_out(Fix::Rseq) {
        // SAFETY: as above.
        unsafe { support.layout.mark_rseq(tp) };
    }
    if modules.dynamic == 0 {
        // SAFETY: the vector begins with its generation.
        support.static_generation = unsafe { Memory(dtv).read(0) };
    }
    let ctype_init = support.symbols.ctype_init;
    // SAFETY: takes nothing, and is run on the block whose tables it sets.
    let set_tables = || unsafe { ctype_init() };
    // SAFETY: the scratch block, which nobody else runs on.
    unsafe { on_thread_pointer(tp, set_tables) };
    // SAFETY: built, and nobody runs on it.
    let mut template = unsafe {
        Template::capture(support.layout.template.clone(), &support.skipped_by_renewals(), tp)
    };
    template.clear_words();
    support.template = AtomicPtr::new(Box::into_raw(Box::new(template)));
    let checked = checked.and_then(|()| check_inside(&support, tp));
    // SAFETY: glibc made the vector, and nobody uses the block any more; 0 keeps the memory.
    unsafe { (support.symbols.deallocate_tls)(tp, 0) };
    checked.map(|()| support)
}

fn holds(condition: bool, sentence: &'static str) -> Result<(), Unsupported> {
    if condition { Ok(()) } else { Err(Unsupported::new(sentence)) }
}

fn check_from_outside(support: &Support, modules: &Modules, tp: usize) -> Result<(), Unsupported> {
    let layout = &support.layout;
    // SAFETY: the first word of the running block.
    let own = unsafe { Memory(arch::thread_pointer()).read::<usize>(0) };
    holds(
        ORIENTATION == Orientation::LocalsAbove || own == arch::thread_pointer(),
        "the thread pointer does not point to itself",
    )?;
    for module in &modules.fixed {
        let values = Memory(tp).at::<u8>(module.offset);
        holds(layout.contains(module.offset, module.bytes()), "a module lies outside the block")?;
        // SAFETY: the block, by the line above.
        let values = unsafe { core::slice::from_raw_parts(values, module.bytes()) };
        holds(*module.initial == *values, "a module's initial values are not in a new block")?;
    }
    // SAFETY: the block's vector.
    let dtv = unsafe { Memory(tp).read::<usize>(DTV) };
    // SAFETY: the entry before the generation holds the number of entries.
    let entries = unsafe { Memory(dtv).read::<usize>(-16) };
    holds((1..1 << 20).contains(&entries), "the vector of modules is laid out otherwise")
}

/// What `check_inside` found on the scratch block.
#[derive(Debug, Default)]
struct Seen {
    errno: usize,
    errno_works: bool,
    thread: usize,
    owner: Option<u32>,
    allocates: bool,
    catches: bool,
    local_offset: isize,
}

static DESTROYED: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn destroy(_argument: *mut ()) {
    // ORDERING: Relaxed; read by the same OS thread.
    DESTROYED.fetch_add(1, Ordering::Relaxed);
}

#[inline(never)]
fn look_around(call_tls_dtors: super::symbols::Nullary) -> Seen {
    sys::thread::call_at_exit(destroy);
    // SAFETY: takes nothing; runs the scratch block's one destructor.
    unsafe { call_tls_dtors() };
    let boxed = std::hint::black_box(vec![1_u8; 100]);
    let caught = std::panic::catch_unwind(|| std::panic::resume_unwind(Box::new(())));
    sys::futex::set_errno(77);
    Seen {
        errno: sys::thread::errno_address(),
        errno_works: sys::futex::errno() == 77,
        thread: sys::thread::handle(),
        owner: sys::thread::owner_of_new_mutex(),
        allocates: boxed.len() == 100,
        catches: caught.is_err() && !std::thread::panicking(),
        local_offset: tls::local_offset(arch::thread_pointer()),
    }
}

fn check_inside(support: &Support, tp: usize) -> Result<(), Unsupported> {
    let layout = &support.layout;
    let own_errno = (sys::thread::errno_address(), sys::futex::errno());
    // ORDERING: Relaxed; written by this OS thread only.
    let destroyed = DESTROYED.load(Ordering::Relaxed);
    let dtors = support.symbols.call_tls_dtors;
    // SAFETY: the scratch block, which nobody else runs on.
    let seen = unsafe { on_thread_pointer(tp, || look_around(dtors)) };
    // An allocator with a heap for each thread has met a thread on the scratch block: jemalloc has
    // linked the block into a list. Its key's destructor must run before the block goes.
    // SAFETY: the scratch block, which runs no user code afterwards.
    let end_values = || unsafe { keys::end_values(support) };
    // SAFETY: the scratch block, which nobody else runs on.
    unsafe { on_thread_pointer(tp, end_values) };
    let errno = seen.errno.wrapping_sub(tp) as isize;
    let words = super::words::offsets();
    let is_there = layout.is_in_template(errno) && errno == layout.errno;
    holds(is_there && seen.errno_works, "errno is not in the block")?;
    holds(
        (sys::thread::errno_address(), sys::futex::errno()) == own_errno,
        "running on a block disturbs the thread below",
    )?;
    holds(
        seen.thread == tp.wrapping_add_signed(layout.pthread),
        "pthread_self is not the block's",
    )?;
    holds(seen.owner == Some(SCRATCH_ID), "libc takes somebody else for the owner of a mutex")?;
    holds(seen.allocates && seen.catches, "memory or panics do not work on a block")?;
    holds(
        // ORDERING: Relaxed; written by this OS thread only.
        DESTROYED.load(Ordering::Relaxed) == destroyed + 1,
        "destructors of thread-locals do not run on a block",
    )?;
    holds(
        seen.local_offset == support.local_offset && layout.is_in_template(seen.local_offset),
        "the crate is part of a shared object that was loaded late",
    )?;
    holds(
        words.iter().all(|offset| layout.is_in_template(*offset)),
        "the allocator's words lie outside the block",
    )
}
