//! `GthreadAlloc`: the four operations of a global allocator.
//!
//! The fast paths are a handful of instructions and end in one cold call each. Nothing here
//! panics, logs, or allocates by itself, and out of memory is a null pointer.

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::NonNull;

use super::cache::{Cache, or_null};
use super::central;
use super::class::{Class, DIRECT_ALIGN_MAX, DIRECT_MAX};
use super::kind::Kind;
use super::large::{self, Contents};
use super::remote::Freed;
use super::span::{Owned, Span};
use super::thread;
use crate::primitive::abort::rt_abort;

/// The allocator, as a global allocator or by hand.
///
/// Any number of values are the same allocator. It works in every thread, with or without green
/// threads, before `main` and after it, in thread-local destructors and in forked children; not
/// in signal handlers that interrupt it.
///
/// Alignments up to 32 MiB are served; larger ones return null. The source of the design is Go's
/// page heap around mimalloc's spans.
///
/// # Examples
/// ```
/// use gthread::alloc::GthreadAlloc;
///
/// #[global_allocator]
/// static GLOBAL: GthreadAlloc = GthreadAlloc::new();
///
/// let words: Vec<String> = "the quick brown fox".split(' ').map(String::from).collect();
/// assert_eq!(words.len(), 4);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct GthreadAlloc;

impl GthreadAlloc {
    /// The allocator.
    pub const fn new() -> Self {
        Self
    }
}

cfg_if::cfg_if! {
    if #[cfg(feature = "alloc-debug")] {
        use super::debug::Checked as Entry;
    } else {
        use Core as Entry;
    }
}

// SAFETY: passed on with their arguments, to `Core` or to the wrapper that checks its callers.
unsafe impl GlobalAlloc for GthreadAlloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract.
        unsafe { Entry.alloc(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract.
        unsafe { Entry.dealloc(block, layout) };
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract.
        unsafe { Entry.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's contract.
        unsafe { Entry.realloc(block, layout, size) }
    }
}

/// The allocator itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Core;

// SAFETY: `alloc` returns null or a block of at least the layout's size and alignment (class
// table: Inv. Aligned; runs start on granules) that nobody else has until it is freed (README,
// Inv. Owner and OnceBack); `dealloc` and `realloc` take only what `alloc` gave; none unwinds.
unsafe impl GlobalAlloc for Core {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > DIRECT_ALIGN_MAX {
            return allocate_aligned(layout.size(), layout.align());
        }
        let cache = thread::cache();
        if layout.size() <= DIRECT_MAX
            && let Some((_, block)) = cache.pop_direct(layout.size())
        {
            return block.as_ptr();
        }
        allocate_general(layout.size(), layout.align())
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _layout: Layout) {
        // SAFETY: by the contract of `dealloc` the block is one of ours, so it is not null.
        let block = unsafe { NonNull::new_unchecked(block) };
        let cache = thread::cache();
        // SAFETY: every live block has a header (Inv. Header).
        let span = unsafe { Span::of(block.as_ptr() as usize) };
        if span.is_owned_by(cache.address()) {
            // SAFETY: this thread's cache owns the span (Inv. Me).
            let span = unsafe { Owned::assume(span) };
            // SAFETY: the block is the caller's to free, and its span is this one: only the first
            // granule of a span ever has an owner.
            if unsafe { span.push_local(block) } {
                look(span);
            }
        } else {
            // SAFETY: the caller's contract.
            unsafe { free_slow(block) };
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        allocate_zeroed(layout.size(), layout.align())
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: by the contract of `realloc` the block is one of ours, so it is not null.
        let block = unsafe { NonNull::new_unchecked(block) };
        // SAFETY: the caller's contract.
        unsafe { reallocate(block, layout.size(), layout.align(), size) }
    }
}

/// Everything but the fast path: other classes, empty spans, large blocks.
///
/// `extern "C"`, as all that the fast paths call: such a function does not unwind (a panic in it
/// aborts), so the callers jump to it and save no register.
#[inline(never)]
extern "C" fn allocate_general(size: usize, align: usize) -> *mut u8 {
    let cache = thread::cache();
    match Class::of(size, align) {
        Some(class) => or_null(cache.pop(class).or_else(|| pop_slow(cache, class))),
        None => large::allocate(size, align, Contents::Any),
    }
}

/// [`allocate_general`] under another name: two branches to the same place would be made one, with
/// two instructions more.
#[cold]
#[inline(never)]
extern "C" fn allocate_aligned(size: usize, align: usize) -> *mut u8 {
    allocate_general(size, align)
}

/// A block of `class` when the current span has none, or the thread has no cache.
#[cold]
#[inline(never)]
fn pop_slow(cache: &'static Cache, class: Class) -> Option<(Owned, NonNull<u8>)> {
    cache.current(class).forget_tries();
    if cache.is_live() {
        return cache.pop_slow(class);
    }
    if cache.is_dead() {
        return thread::pop_orphan(class);
    }
    thread::start()?.pop_slow(class)
}

#[inline(never)]
extern "C" fn allocate_zeroed(size: usize, align: usize) -> *mut u8 {
    let Some(class) = Class::of(size, align) else {
        return large::allocate(size, align, Contents::Zero);
    };
    let cache = thread::cache();
    let Some((span, block)) = cache.pop(class).or_else(|| pop_slow(cache, class)) else {
        return std::ptr::null_mut();
    };
    // An orphan's span may be in other hands by now: its flag says nothing to us.
    let is_zero = span.is_owned_by(cache.address()) && span.is_popped_zero();
    let bytes = if is_zero { size.min(size_of::<usize>()) } else { size };
    // SAFETY: the block has at least `size` bytes and is the caller's alone.
    unsafe { block.as_ptr().write_bytes(0, bytes) };
    block.as_ptr()
}

/// The running thread's span may have become empty by a free.
#[cold]
#[inline(never)]
extern "C" fn look(span: Owned) {
    if span.is_emptied() && !span.retired().get() {
        thread::cache().emptied(span);
    }
}

/// Frees a block whose header names another owner than the running thread's cache.
///
/// # Safety
/// - `block` is live and ends here.
#[cold]
#[inline(never)]
unsafe extern "C" fn free_slow(block: NonNull<u8>) {
    let cache = thread::cache();
    // SAFETY: every live block has a header (Inv. Header).
    let span = unsafe { Span::of(block.as_ptr() as usize) };
    if !span.is_sealed() {
        abort_invalid(block, "not an address of this allocator");
    }
    match span.kind() {
        Kind::Small(class) => {
            // SAFETY: the caller's clauses; a small span's first granule.
            unsafe { free_remote(cache, span, class, block) };
        }
        Kind::Interior(back) => {
            let span = span.back(back);
            let Kind::Small(class) = span.kind() else { abort_invalid(block, "no span") };
            if span.is_owned_by(cache.address()) {
                // SAFETY: this thread's cache owns the span (Inv. Me).
                let span = unsafe { Owned::assume(span) };
                // SAFETY: the block is the caller's to free, and its span is this one.
                if unsafe { span.push_local(block) } {
                    look(span);
                }
            } else {
                // SAFETY: the caller's clauses; a small span's first granule.
                unsafe { free_remote(cache, span, class, block) };
            }
        }
        Kind::Large(pages) => {
            // SAFETY: the caller's clauses.
            let freed =
                span.address() == block.as_ptr() as usize && unsafe { large::free(span, pages) };
            if !freed {
                abort_invalid(block, "not the start of a block, or freed twice at once");
            }
        }
        Kind::Huge => {
            if span.address() != block.as_ptr() as usize {
                abort_invalid(block, "not the start of a block");
            }
            // SAFETY: the caller's clauses.
            unsafe { large::free_huge(span) };
        }
        Kind::Free => abort_invalid(block, "its span was freed: a double free?"),
    }
}

/// Frees a block of a span that the running thread does not own.
///
/// # Safety
/// - `block` is a live block of the small span `span` of `class`, and ends here.
unsafe fn free_remote(
    cache: &'static Cache,
    span: &'static Span,
    class: Class,
    block: NonNull<u8>,
) {
    let address = block.as_ptr() as usize;
    if !(address - span.address()).is_multiple_of(class.block_bytes()) {
        abort_invalid(block, "not the start of a block");
    }
    // SAFETY: the caller's clause.
    unsafe { span.check_out(block) };
    let wanted = cache.is_live() && cache.has_room(class);
    let freed = span.remote().free(span.slot_of(address), wanted, |next| {
        // SAFETY: the block is free by the caller's word, and nobody knows it before the push.
        unsafe { span.link(block, next) };
    });
    if freed == Freed::Pushed {
        return;
    }
    // A push that was tried in vain has made the block look free.
    // SAFETY: the block is in this thread's hand.
    unsafe { span.unlink(block) };
    // SAFETY: all kinds of claim make this thread the owner (Inv. Owner).
    let span = unsafe { Owned::assume(span) };
    match freed {
        Freed::Pushed => return,
        // The block in hand was the last one out: nothing is kept of the span.
        Freed::ClaimedLast => return central::return_claimed(span, class),
        Freed::ClaimedListed { out } => central::adopt_claimed(span, class, out),
        Freed::ClaimedFull => {}
    }
    // SAFETY: the block is one of this span and is out. It is not the only one: a full span has
    // at least eight blocks out (Inv. FullIsFull), a listed one was claimed with two or more.
    if unsafe { span.push_local(block) } {
        let is_empty = span.is_emptied();
        debug_assert!(!is_empty);
    }
    if !(cache.is_live() && cache.adopt(span, class)) {
        central::list(span, class);
    }
}

/// # Safety
/// - As `GlobalAlloc::realloc`.
#[inline(never)]
unsafe extern "C" fn reallocate(
    block: NonNull<u8>,
    old_size: usize,
    align: usize,
    size: usize,
) -> *mut u8 {
    // SAFETY: every live block has a header (Inv. Header).
    let span = unsafe { Span::of(block.as_ptr() as usize) };
    match span.kind() {
        Kind::Small(_) | Kind::Interior(_) => {
            let span = match span.kind() {
                Kind::Interior(back) => span.back(back),
                _ => span,
            };
            let bytes = span.block_bytes();
            // In place unless more than half would be wasted.
            if size <= bytes && (size * 2 > bytes || bytes <= 32) {
                return block.as_ptr();
            }
        }
        Kind::Large(pages) => {
            // SAFETY: the header of the live block; the caller gives up what is behind `size`.
            if Class::of(size, align).is_none()
                // SAFETY: as above.
                && unsafe { large::resize(span, pages, size) }
            {
                return block.as_ptr();
            }
        }
        Kind::Huge => {
            // SAFETY: the header of the live block, whose alignment is the layout's.
            let moved = unsafe { large::resize_huge(span, block, align, size) };
            if !moved.is_null() {
                return moved;
            }
        }
        Kind::Free => abort_invalid(block, "realloc of a block that was freed"),
    }
    // SAFETY: the caller's contract: the old layout is valid.
    let layout = unsafe { Layout::from_size_align_unchecked(old_size, align) };
    // SAFETY: the caller's contract: `size` is not 0 and does not overflow when rounded up.
    unsafe { move_block(block, layout, size) }
}

/// Allocates, copies, frees.
///
/// # Safety
/// - As `GlobalAlloc::realloc`.
unsafe fn move_block(block: NonNull<u8>, layout: Layout, size: usize) -> *mut u8 {
    // SAFETY: the alignment is that of a layout, and `size` does not overflow when rounded up.
    let new_layout = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
    // SAFETY: by the contract of `realloc` the size is not 0.
    let moved = unsafe { Core.alloc(new_layout) };
    if moved.is_null() {
        return moved;
    }
    let bytes = layout.size().min(size);
    // SAFETY: both blocks have `bytes` bytes; the new one is nobody else's, so they are apart.
    unsafe { moved.copy_from_nonoverlapping(block.as_ptr(), bytes) };
    // SAFETY: the block is the caller's to give up.
    unsafe { Core.dealloc(block.as_ptr(), layout) };
    moved
}

/// Reports a free that cannot be one, and aborts.
#[cold]
#[inline(never)]
fn abort_invalid(block: NonNull<u8>, why: &str) -> ! {
    rt_abort!("alloc: invalid free of {block:p}: {why}")
}
