//! Own thread-locals: a block of ELF thread-locals and a thread control block per green thread.
//!
//! A green thread that moves from machine to machine must not find other thread-locals there: the
//! compiler keeps their addresses in registers over calls, `RefCell` guards and panic counts lie
//! in them, and libc finds the owner of a lock by them. So each green thread has a block of its
//! own, laid out exactly as libc lays out an OS thread's, at the top of its stack's slot; a
//! context switch changes the thread pointer together with the stack pointer. Then everything
//! that is per thread is per green thread: `thread_local!`, `errno`, `std::thread::current`, the
//! locale, `pthread_self`.
//!
//! # The parts
//! - `symbols`, `modules`, `layout`: what this process's glibc is like. Nothing is assumed.
//! - `block`: building a block, renewing it for the next green thread, discarding it.
//! - `words`: the lent words, which stay with the machine.
//! - `registry`: all blocks, for what concerns all of them.
//! - `exit`: what libc does when a thread ends, for a green thread.
//! - `self_test`: the start-up test; a process that fails it gets [`Unsupported`].
//! - `interposed`: calls of libc that would mistake a green thread for an OS thread, set right.
//!
//! # Invariants
//! - **OneRunner**: at most one OS thread runs on a block, from switch to switch.
//! - **SameOffsets**: a static thread-local is at the same distance from every thread pointer.
//! - **NoBlockMissed**: a block is registered before it is used and until it is discarded, and
//!   what is done to all blocks is done under the registry's lock.
//! - **TemplateFirst**: outside the template a block is as it was built, unless a green thread
//!   used the place; what a green thread can use there is put right when it ends (`exit`).
//!
//! # What is not supported on a green thread
//! Contended priority-inheritance mutexes and the death of an owner of a robust mutex: the kernel
//! looks the owner up by its id, and ours is none of its own. `pthread_exit` and
//! `pthread_cancel`. `pthread_setaffinity_np`, `pthread_setschedparam` and
//! `pthread_getcpuclockid` of `pthread_self()`. Forking by a raw system call. Collectors that
//! scan the stacks of OS threads.
//!
//! # Rejected
//! - A vector of modules (dtv) of our own in the slot: saves 300 bytes, and aborts when a module
//!   is loaded and libc reallocates it.
//! - The stack over the surplus: saves most of two kilobytes, and is overwritten by the first
//!   module loaded with initial-exec thread-locals.
//! - A map from thread-local to green thread by a compiler plug-in, or banning thread-locals:
//!   neither covers libc, std and C libraries.

mod block;
mod exit;
mod interposed;
mod layout;
mod modules;
mod registry;
mod rseq;
mod self_test;
mod symbols;
#[cfg(test)]
mod tests;
mod words;

pub(crate) use block::Block;
pub(crate) use interposed::{in_forked_child, on_forked_child, on_mask_changed, on_stack_asked};
pub(crate) use words::{lend, prefetch};

use crate::arch::{self, ThreadPointerMode};
use crate::primitive::atomic::{AtomicPtr, Ordering};
use crate::primitive::tls;
use core::ops::Range;
use interposed::{Fix, is_left_out};
use std::io;
use std::sync::OnceLock;

/// Why blocks cannot be had in this process: one sentence, in its `Display`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unsupported(&'static str);

impl Unsupported {
    const fn new(reason: &'static str) -> Self {
        Self(reason)
    }
}

impl std::fmt::Display for Unsupported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("green threads cannot have thread-locals of their own here: ")?;
        f.write_str(self.0)
    }
}

impl std::error::Error for Unsupported {}

/// What was found out about this process; constant but for `template`.
#[derive(Debug)]
pub(crate) struct Support {
    mode: ThreadPointerMode,
    symbols: symbols::Symbols,
    layout: layout::Layout,
    /// What a block keeps from one green thread to the next, from the thread pointer; usually
    /// empty. See [`words::Found::Absent`].
    kept: Range<isize>,
    /// The vector's generation when all modules are static; no generation when they are not.
    static_generation: usize,
    /// Replaced, never freed, when a module with static thread-locals is loaded later.
    template: AtomicPtr<block::Template>,
    /// The distance from the thread pointer to the crate's own words.
    local_offset: isize,
}

/// The support, for the fast paths; null until [`support`] has returned `Ok`.
static INSTALLED: AtomicPtr<Support> = AtomicPtr::new(core::ptr::null_mut());

/// Finds out, once per process, how blocks are built here, and tests it.
///
/// # Errors
/// Where green threads cannot have thread-locals of their own, with the reason.
pub(crate) fn support() -> Result<&'static Support, Unsupported> {
    static SUPPORT: OnceLock<Result<Support, Unsupported>> = OnceLock::new();
    let support = SUPPORT.get_or_init(Support::find).as_ref().map_err(|error| *error)?;
    // ORDERING: Release; pairs with the Acquire in `installed`; publishes the support.
    INSTALLED.store(std::ptr::from_ref(support).cast_mut(), Ordering::Release);
    Ok(support)
}

/// Makes a thread-local word of the crate itself a lent one: it belongs to the machine. Only before
/// the first call of [`support`]; later ones change nothing.
pub(crate) fn lend_also(offset: isize) {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        words::register(offset);
    });
}

/// The support, if [`support`] has been asked for and found any.
#[inline(always)]
fn installed() -> Option<&'static Support> {
    // ORDERING: Acquire; pairs with the Release in `support`.
    let support = INSTALLED.load(Ordering::Acquire);
    // SAFETY: null or a reference to a static that is never written again.
    unsafe { support.as_ref() }
}

impl Support {
    /// Whole pages that a slot keeps free below its end for the block; 0 under a sanitizer.
    pub(crate) fn block_bytes(&self) -> usize {
        if self.is_lodger() { 0 } else { self.layout.block_bytes() }
    }

    /// The distance from any thread pointer to the words of `primitive::tls`.
    pub(crate) fn local_offset(&self) -> isize {
        self.local_offset
    }

    /// Whether the thread pointer is never changed, so that there are no blocks.
    #[inline(always)]
    fn is_lodger(&self) -> bool {
        self.mode == ThreadPointerMode::Lodger
    }

    /// The template in force.
    #[inline(always)]
    fn template(&self) -> &block::Template {
        // ORDERING: Acquire; pairs with the Release where a template is replaced; publishes it.
        let template = self.template.load(Ordering::Acquire);
        // SAFETY: a leaked box: it lives for ever and is not written again.
        unsafe { &*template }
    }

    /// The parts of the template that a renewal leaves as they are, in rising order.
    fn skipped_by_renewals(&self) -> [Range<isize>; 2] {
        [self.kept.clone(), self.layout.unused.clone()]
    }

    /// See [`support`].
    fn find() -> Result<Self, Unsupported> {
        interposed::read_left_out();
        // Leaked: the answer lives as long as the process.
        let mode = arch::choose().map_err(|error| Unsupported(error.to_string().leak()))?;
        let symbols = symbols::Symbols::find()?;
        let modules = modules::Modules::loaded(&symbols);
        let layout = layout::Layout::measure(&symbols, &modules.fixed)?;
        let kept = match words::find(&symbols)? {
            _ if is_left_out(Fix::Words) => 0..0,
            words::Found::Words(cache, arena) => {
                words::register(cache);
                words::register(arena);
                0..0
            }
            words::Found::Absent(range) => range,
        };
        let support = Self {
            mode,
            symbols,
            layout,
            kept,
            static_generation: usize::MAX,
            template: AtomicPtr::new(core::ptr::null_mut()),
            local_offset: tls::local_offset(arch::thread_pointer()),
        };
        if support.is_lodger() {
            return Ok(support);
        }
        interposed::check_bound()?;
        interposed::setxid::install()?;
        let support = self_test::run(support, &modules)?;
        let mut registry = registry::lock();
        registry.known = Some(modules.fixed);
        registry.marks_rseq = rseq::has_readers(&support);
        drop(registry);
        Ok(support)
    }
}

/// Builds a block at the end of a slot.
///
/// # Errors
/// Out of memory.
///
/// # Safety
/// - [`support`] has returned `Ok`.
/// - `end` is a multiple of the page size, and the [`Support::block_bytes`] bytes below it are
///   zeroed memory that nobody else uses until the block is discarded.
pub(crate) unsafe fn build(end: *mut u8) -> io::Result<Block> {
    let support = installed().ok_or(io::ErrorKind::Unsupported)?;
    // SAFETY: the caller's clauses.
    unsafe { support.build(end) }
}

/// The block that was built at the end of a slot.
#[inline(always)]
pub(crate) fn block_at(end: *mut u8) -> Block {
    match installed().filter(|support| !support.is_lodger()) {
        Some(support) => support.layout.place(end.addr()),
        None => Block::none(end.addr()),
    }
}

/// Makes a block anew for the next green thread.
///
/// # Safety
/// - The block is built and not discarded.
/// - Nobody runs on it: its green thread has run its destructors and was switched away from for
///   the last time.
#[inline(always)]
pub(crate) unsafe fn renew(block: Block) {
    if let Some(support) = installed() {
        // SAFETY: the caller's clauses.
        unsafe { support.renew(block) };
    }
}

/// Takes a block apart, before its memory is unmapped.
///
/// # Safety
/// As [`renew`], for the block with this thread pointer; and the block is not used any more.
pub(crate) unsafe fn discard(thread_pointer: usize) {
    if let Some(support) = installed() {
        // SAFETY: the caller's clauses.
        unsafe { support.discard(thread_pointer) };
    }
}

/// Ends the running green thread's thread-locals: destructors of thread-locals, destructors of
/// thread-specific keys, the resolver's state. They may park, spawn and panic as in std.
///
/// # Switches
/// Destructors are user code.
///
/// # Safety
/// The caller runs on a block that [`build`] made, which will not run user code afterwards.
pub(crate) unsafe fn run_destructors() {
    if let Some(support) = installed().filter(|support| !support.is_lodger()) {
        // SAFETY: the caller's clause.
        unsafe { exit::run(support) };
    }
}

/// Runs `f` on the machine's own thread pointer, on the present stack; a plain call when the
/// caller is on it already.
///
/// `f` never parks. A panic of `f` goes on in the caller.
#[inline]
pub(crate) fn on_machine<R>(f: impl FnOnce() -> R) -> R {
    let machine_tp = tls::machine_tp();
    if machine_tp == 0 {
        return f();
    }
    // SAFETY: `machine_tp` is the machine below the running green thread, which waits for it.
    unsafe { on_thread_pointer(machine_tp, f) }
}

/// Runs `f` on another thread pointer, on the present stack.
///
/// # Safety
/// `tp` is the thread pointer of a block nobody runs on until `f` has returned.
unsafe fn on_thread_pointer<F: FnOnce() -> R, R>(tp: usize, f: F) -> R {
    /// What travels through the trampoline: the closure in, the outcome out.
    enum Call<F, R> {
        Asked(F),
        Running,
        Done(std::thread::Result<R>),
    }
    unsafe extern "C" fn thunk<F: FnOnce() -> R, R>(call: *mut ()) {
        // SAFETY: `call` is the local of `on_thread_pointer`, lent for this call.
        let call = unsafe { &mut *call.cast::<Call<F, R>>() };
        if let Call::Asked(f) = core::mem::replace(call, Call::Running) {
            // The trampoline cannot be unwound through with the other thread pointer in force.
            *call = Call::Done(std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)));
        }
    }
    let mut call = Call::Asked(f);
    let own_tp = arch::thread_pointer();
    // SAFETY: the running block and the caller's.
    unsafe { lend(own_tp, tp) };
    // SAFETY: `support` has called `choose`; the block is the caller's and holds its own address;
    // the thunk fits its argument and catches every panic.
    unsafe { arch::call_on(tp, thunk::<F, R>, (&raw mut call).cast()) };
    // SAFETY: as above.
    unsafe { lend(tp, own_tp) };
    match call {
        Call::Done(Ok(result)) => result,
        Call::Done(Err(panic)) => std::panic::resume_unwind(panic),
        Call::Asked(_) | Call::Running => unreachable!("the thunk has run"),
    }
}

/// Runs `f` on a new OS thread: to see what libc gives a thread that it made itself.
fn on_fresh_thread<R: Send + 'static>(
    f: impl FnOnce() -> R + Send + 'static,
) -> Result<R, Unsupported> {
    std::thread::Builder::new()
        .name("gthread-probe".into())
        .spawn(f)
        .map_err(|_| Unsupported::new("the process cannot start a thread"))?
        .join()
        .map_err(|_| Unsupported::new("a probing thread panicked"))
}
