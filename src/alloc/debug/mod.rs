//! The build with the feature `alloc-debug`: a wrapper around the four operations that finds
//! misuse exactly and says what it was.
//!
//! ```text
//!  | size bytes of the user          | canary, 8 bytes or more | record |
//!  ^ the block, of a class or pages; 0xD0 when new               ^ size and alignment, scrambled
//! ```
//!
//! 1. Every block is asked for with [`TAIL_BYTES`] more: a *canary* from the last byte of the user
//!    to the *record*, which says how large and how aligned the user wanted it.
//! 2. Each span has two bitmaps out of band ([`audit`]): *live*, set when a block is handed out
//!    and cleared by whoever frees it, one atomic operation each, so of two frees exactly one
//!    finds it set; and *poisoned*, set when a freed block was filled with 0xDF.
//! 3. `dealloc` asks in this order: is the address in a window of ours, does a block begin there,
//!    is it live, does the layout agree with the record, is the canary whole. Each question has
//!    its own message, and reads only what the one before has shown to be there.
//! 4. A block that is handed out again must still be full of 0xDF behind the words of the free
//!    list, else somebody wrote to it after it was freed.
//!
//! `realloc` always moves, so that a pointer kept from before points to poison. Blocks above
//! 32 KiB are poisoned in their first [`POISON_BYTES_MAX`] bytes only, and not checked for writes
//! after the free: their pages go back to the heap.

mod audit;

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::NonNull;

use super::block;
use super::class::Class;
use super::geometry::{PAGE, WINDOW};
use super::global::Core;
use super::kind::Kind;
use super::large::Contents;
use super::span::Span;
use crate::primitive::abort::rt_abort;
pub(crate) use audit::{huge_closed, huge_opened, span_created, window_opened};

/// Bytes a block is longer than asked for: a canary of at least a word, and the record.
const TAIL_BYTES: usize = 16;

/// Bytes of the record.
const RECORD_BYTES: usize = 8;

/// The most bytes that are poisoned.
const POISON_BYTES_MAX: usize = 64 << 10;

/// What a new block is filled with.
const NEW: u8 = 0xD0;

/// What a freed block is filled with.
const FREED: u8 = 0xDF;

/// What the canary consists of.
const CANARY: u8 = 0xCA;

/// What a user's layout takes of the core.
pub(crate) fn padded(layout: Layout) -> Option<Layout> {
    let size = layout.size().checked_add(TAIL_BYTES)?;
    Layout::from_size_align(size, layout.align()).ok()
}

/// The checking wrapper around [`Core`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checked;

// SAFETY: blocks are `Core`'s, of the size and alignment asked for or more; what is written
// around the user's bytes lies in the block's tail or in a block that is not live.
unsafe impl GlobalAlloc for Checked {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        allocate(layout, Contents::Any)
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        allocate(layout, Contents::Zero)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let extent = begin_free(block, layout);
        // SAFETY: the live bit was this call's to clear, so the block is nobody's.
        unsafe { poison(&extent) };
        // SAFETY: the caller's contract, and a block of `Core` (checked above).
        unsafe { Core.dealloc(block, layout) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Ok(wanted) = Layout::from_size_align(size, layout.align()) else {
            return std::ptr::null_mut();
        };
        let extent = find(block);
        if !extent.is_live() {
            abort(block, "double free", "realloc of a block that was freed");
        }
        check_tail(&extent, layout);
        let moved = allocate(wanted, Contents::Any);
        if !moved.is_null() {
            let bytes = layout.size().min(size);
            // SAFETY: both blocks have `bytes` bytes, and the new one is nobody else's.
            unsafe { moved.copy_from_nonoverlapping(block, bytes) };
            // SAFETY: the caller's contract: the old block is the caller's to give up.
            unsafe { self.dealloc(block, layout) };
        }
        moved
    }
}

/// A block as the headers tell it.
#[derive(Debug)]
struct Extent {
    block: NonNull<u8>,
    /// All of it, the tail included.
    bytes: usize,
    /// Where its bits are; `None` for a mapping of its own.
    bits: Option<audit::Bits>,
}

impl Extent {
    fn is_live(&self) -> bool {
        match &self.bits {
            Some(bits) => bits.is_live(),
            None => audit::is_huge(self.block.as_ptr() as usize),
        }
    }

    /// The place of the record.
    fn record(&self) -> *mut u64 {
        // SAFETY: a block has at least the bytes of a record.
        unsafe { self.block.as_ptr().add(self.bytes - RECORD_BYTES) }.cast()
    }

    /// What the record of a block with this layout is.
    fn record_of(&self, layout: Layout) -> u64 {
        let told = (layout.size() as u64) << 6 | u64::from(layout.align().ilog2());
        told ^ scramble(self.block.as_ptr() as usize)
    }
}

/// A word that depends on the address, so that a record copied elsewhere is none.
fn scramble(address: usize) -> u64 {
    (address as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29)
}

/// The block that begins at `address`; aborts if none does.
fn find(address: *mut u8) -> Extent {
    let at = address as usize;
    let Some(block) = NonNull::new(address) else {
        abort(address, "invalid free", "a null pointer");
    };
    if audit::is_huge(at) {
        // SAFETY: the mapping of a huge block, the first pages of which are headers.
        let span = unsafe { Span::of(at) };
        let bytes = (at & !(WINDOW - 1)) + span.mapped_bytes().get() - at;
        if span.kind() != Kind::Huge || span.address() != at {
            abort(address, "invalid free", "not the start of a block");
        }
        return Extent { block, bytes, bits: None };
    }
    if !audit::is_window(at) {
        abort(address, "invalid free", "not an address of this allocator");
    }
    // SAFETY: an address in an opened window.
    let mut span = unsafe { Span::of(at) };
    if let Kind::Interior(back) = span.kind() {
        span = span.back(back);
    }
    let offset = at - span.address();
    let (bytes, index) = match span.kind() {
        Kind::Small(class) => (class.block_bytes(), offset / class.block_bytes()),
        Kind::Large(pages) => (pages * PAGE, 0),
        Kind::Free => abort(address, "invalid free", "its span was freed: a double free?"),
        Kind::Huge | Kind::Interior(_) => abort(address, "invalid free", "no span"),
    };
    if offset != index * bytes {
        abort(address, "invalid free", "not the start of a block");
    }
    Extent { block, bytes, bits: Some(audit::Bits::of(span.address(), index)) }
}

fn allocate(layout: Layout, contents: Contents) -> *mut u8 {
    let Some(padded) = padded(layout) else { return std::ptr::null_mut() };
    let class = Class::of(padded.size(), padded.align());
    let block = if class.is_none() && contents == Contents::Zero {
        // SAFETY: the size is not 0.
        unsafe { Core.alloc_zeroed(padded) }
    } else {
        // SAFETY: the size is not 0.
        unsafe { Core.alloc(padded) }
    };
    if block.is_null() {
        return block;
    }
    let extent = find(block);
    if class.is_some() {
        check_poison(&extent);
    }
    let (fill, bytes) = match contents {
        Contents::Any => (NEW, layout.size().min(POISON_BYTES_MAX)),
        Contents::Zero if class.is_some() => (0, layout.size()),
        Contents::Zero => (0, 0),
    };
    // SAFETY: the block has at least the layout's size and is this thread's alone.
    unsafe { block.write_bytes(fill, bytes) };
    let canary = extent.bytes - RECORD_BYTES - layout.size();
    // SAFETY: between the user's bytes and the record, which is the end of the block.
    let behind = unsafe { block.add(layout.size()) };
    // SAFETY: as above.
    unsafe { behind.write_bytes(CANARY, canary) };
    // SAFETY: the last word of the block.
    unsafe { extent.record().write_unaligned(extent.record_of(layout)) };
    if let Some(bits) = &extent.bits
        && !bits.set_live()
    {
        rt_abort!("alloc: {block:p} was handed out twice");
    }
    block
}

/// Checks everything that a free can be wrong about, and clears the live bit.
fn begin_free(block: *mut u8, layout: Layout) -> Extent {
    let extent = find(block);
    if let Some(bits) = &extent.bits
        && !bits.clear_live()
    {
        rt_abort!("alloc: double free of {block:p}, a block of {} bytes", extent.bytes);
    }
    check_tail(&extent, layout);
    extent
}

/// Aborts unless the record is of `layout`, and the canary whole.
fn check_tail(extent: &Extent, layout: Layout) {
    let block = extent.block;
    // SAFETY: the last word of a block that is in use.
    let record = unsafe { extent.record().read_unaligned() };
    if record != extent.record_of(layout) {
        let told = record ^ scramble(block.as_ptr() as usize);
        let (size, shift) = (told >> 6, told & 63);
        if size as usize > extent.bytes - TAIL_BYTES || shift > 30 {
            rt_abort!("alloc: overrun: the record behind {block:p} is gone, {layout:?} is freed");
        }
        rt_abort!(
            "alloc: wrong layout: {block:p} was allocated with size {size} and alignment {}, and \
             is freed with {} and {}",
            1u64 << shift,
            layout.size(),
            layout.align()
        );
    }
    let canary = layout.size()..extent.bytes - RECORD_BYTES;
    if let Some(at) = first_other(extent, canary, CANARY) {
        rt_abort!(
            "alloc: overrun: byte {at} of {block:p} was written to, whose size is {}",
            layout.size()
        );
    }
}

/// The first byte of `range` of the block that is not `byte`.
fn first_other(extent: &Extent, range: std::ops::Range<usize>, byte: u8) -> Option<usize> {
    range.into_iter().find(|&at| {
        // SAFETY: `range` lies in the block, and all of it has been written by this module.
        let place = unsafe { extent.block.as_ptr().add(at) };
        // SAFETY: as above. Volatile: what is looked for is what nobody may have written.
        unsafe { place.read_volatile() != byte }
    })
}

/// Aborts if a block that is about to be handed out was written to since it was freed.
fn check_poison(extent: &Extent) {
    if !extent.bits.as_ref().is_some_and(audit::Bits::take_poisoned) {
        return;
    }
    if let Some(at) = first_other(extent, block::FREE_BYTES..extent.bytes, FREED) {
        let block = extent.block;
        rt_abort!(
            "alloc: write after free: byte {at} of {block:p}, a free block of {} bytes",
            extent.bytes
        );
    }
}

/// Fills a freed block with poison.
///
/// # Safety
/// - The block is nobody's.
unsafe fn poison(extent: &Extent) {
    let bytes = extent.bytes.min(POISON_BYTES_MAX);
    // SAFETY: the block has so many bytes; the caller's clause.
    unsafe { extent.block.as_ptr().write_bytes(FREED, bytes) };
    if let Some(bits) = &extent.bits {
        bits.set_poisoned();
    }
}

#[cold]
#[inline(never)]
fn abort(block: *mut u8, what: &str, why: &str) -> ! {
    rt_abort!("alloc: {what} of {block:p}: {why}")
}
