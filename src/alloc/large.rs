//! Blocks above 32 KiB: runs of pages, and above 32 MiB mappings of their own.
//!
//! A large block is a run of the page heap. It grows in place when the pages behind it are free
//! and gives its tail back when it shrinks by a quarter.
//!
//! A huge block is a mapping of its own, aligned as a window, so that its header lies where every
//! header lies (Inv. Header): `base` is a multiple of a window, the header of the block's granule
//! is in the first pages, the block begins one granule (or its alignment) after `base`. It is
//! resized by `mremap`: the kernel moves page tables, 47 us for 64 MiB where a copy takes 28 ms.

use std::ptr::{NonNull, null_mut};

use super::geometry::{ALIGN_MAX, GRANULE, LARGE_MAX, PAGE, WINDOW};
use super::kind::Kind;
use super::page_heap::{self, HEAP};
use super::span::Span;
use crate::primitive::atomic::{AtomicUsize, Ordering};
use crate::sys::pages;

/// Bytes of all huge blocks' mappings.
static HUGE_BYTES: AtomicUsize = AtomicUsize::new(0);

/// Huge blocks.
static HUGE_BLOCKS: AtomicUsize = AtomicUsize::new(0);

/// Whether the caller needs the block to be zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contents {
    /// Any.
    Any,
    /// Zeros.
    Zero,
}

/// Number and mapped bytes of the huge blocks.
pub(crate) fn huge_counters() -> (usize, usize) {
    // ORDERING: Relaxed; statistics.
    (HUGE_BLOCKS.load(Ordering::Relaxed), HUGE_BYTES.load(Ordering::Relaxed))
}

/// A block of `size` bytes, more than a class has or aligned to more; null when memory is out.
#[cold]
pub(crate) fn allocate(size: usize, align: usize, contents: Contents) -> *mut u8 {
    if align > ALIGN_MAX || size > isize::MAX as usize - 2 * WINDOW {
        return null_mut();
    }
    if size > LARGE_MAX || align > LARGE_MAX {
        return allocate_huge(size, align);
    }
    let pages = size.div_ceil(PAGE).max(1);
    let Some(run) = page_heap::take(pages, align.div_ceil(GRANULE)) else {
        return null_mut();
    };
    // SAFETY: a run of the page heap lies in an opened window.
    unsafe { Span::of(run.address) }.set_large(Kind::Large(pages));
    let block = run.address as *mut u8;
    if contents == Contents::Zero && !run.zero {
        // SAFETY: the run has at least `size` bytes and is the caller's alone.
        unsafe { block.write_bytes(0, size) };
    }
    block
}

/// Frees a large block; `false` if somebody else has freed it this moment.
///
/// # Safety
/// - `span` is the header of a large block of `pages` pages that is live, which ends here.
#[must_use]
pub(crate) unsafe fn free(span: &'static Span, pages: usize) -> bool {
    let address = span.address();
    if span.replace_kind(Kind::Free) != Kind::Large(pages) {
        return false;
    }
    HEAP.lock().give(address, pages, pages);
    true
}

/// Makes a large block `size` bytes long where it is, if that can be.
///
/// # Safety
/// - `span` is the header of a live large block of `pages` pages; the caller frees what it may
///   cut off.
pub(crate) unsafe fn resize(span: &'static Span, pages: usize, size: usize) -> bool {
    let wanted = size.div_ceil(PAGE).max(1);
    if wanted == pages {
        return true;
    }
    let address = span.address();
    if wanted < pages {
        if wanted * 4 > pages * 3 {
            return true;
        }
        // The header first: the tail may be somebody else's as soon as it is given.
        span.set_kind(Kind::Large(wanted));
        HEAP.lock().give(address + wanted * PAGE, pages - wanted, pages - wanted);
        return true;
    }
    if size > LARGE_MAX || HEAP.lock().extend(address, pages, wanted - pages).is_none() {
        return false;
    }
    span.set_kind(Kind::Large(wanted));
    true
}

/// Bytes before a huge block in its mapping.
fn lead(align: usize) -> usize {
    align.max(GRANULE)
}

fn round_to_page(bytes: usize) -> usize {
    bytes.next_multiple_of(PAGE)
}

fn allocate_huge(size: usize, align: usize) -> *mut u8 {
    let bytes = round_to_page(lead(align) + size);
    let Some(base) = pages::reserve(bytes, WINDOW) else { return null_mut() };
    let base = base.as_ptr() as usize;
    // SAFETY: the reservation just made.
    if !unsafe { pages::open(base, bytes) } {
        // SAFETY: the reservation just made, unknown to anybody else.
        unsafe { pages::unmap(base, bytes) };
        return null_mut();
    }
    let block = base + lead(align);
    // SAFETY: the header is in the mapping's first 256 KiB, before or inside the lead.
    let span = unsafe { Span::of(block) };
    span.set_large(Kind::Huge);
    span.mapped_bytes().set(bytes);
    #[cfg(feature = "alloc-debug")]
    super::debug::huge_opened(base);
    // ORDERING: Relaxed; statistics.
    HUGE_BYTES.fetch_add(bytes, Ordering::Relaxed);
    // ORDERING: Relaxed; statistics.
    HUGE_BLOCKS.fetch_add(1, Ordering::Relaxed);
    block as *mut u8
}

/// Frees a huge block.
///
/// # Safety
/// - `span` is the header of a live huge block, which ends here.
pub(crate) unsafe fn free_huge(span: &'static Span) {
    let base = std::ptr::from_ref(span) as usize & !(WINDOW - 1);
    #[cfg(feature = "alloc-debug")]
    super::debug::huge_closed(base);
    let bytes = span.mapped_bytes().get();
    // ORDERING: Relaxed; statistics.
    HUGE_BYTES.fetch_sub(bytes, Ordering::Relaxed);
    // ORDERING: Relaxed; statistics.
    HUGE_BLOCKS.fetch_sub(1, Ordering::Relaxed);
    // SAFETY: the whole mapping of the block; by the caller's clause nobody uses it any more.
    unsafe { pages::unmap(base, bytes) };
}

/// Makes a huge block `size` bytes long, moved if need be; null if it cannot be done that way.
///
/// # Safety
/// - `block` is a live huge block of alignment `align`, and `span` its header. If the result is
///   not null, the old block ends here.
pub(crate) unsafe fn resize_huge(
    span: &'static Span,
    block: NonNull<u8>,
    align: usize,
    size: usize,
) -> *mut u8 {
    if size <= LARGE_MAX || size > isize::MAX as usize - 2 * WINDOW {
        return null_mut();
    }
    let base = block.as_ptr() as usize & !(WINDOW - 1);
    let old = span.mapped_bytes().get();
    let new = round_to_page(lead(align) + size);
    // SAFETY: the mapping of the block; what a shrink cuts off is behind the new size.
    let base = if unsafe { pages::resize(base, old, new) } {
        base
    } else {
        let Some(target) = pages::reserve(new, WINDOW) else { return null_mut() };
        let target = target.as_ptr() as usize;
        // SAFETY: the mapping of the block, and the reservation just made.
        if !unsafe { pages::move_to(base, old, target, new) } {
            // SAFETY: the reservation just made, unknown to anybody else.
            unsafe { pages::unmap(target, new) };
            return null_mut();
        }
        target
    };
    let block = base + lead(align);
    // SAFETY: the header has moved with the mapping.
    let span = unsafe { Span::of(block) };
    // The seal is the header's address, which may have changed.
    span.set_large(Kind::Huge);
    span.mapped_bytes().set(new);
    // ORDERING: Relaxed; statistics.
    HUGE_BYTES.fetch_add(new.wrapping_sub(old), Ordering::Relaxed);
    block as *mut u8
}
