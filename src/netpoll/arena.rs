//! Where slots live: chunks that are never given back, and a list of free slots.
//!
//! - **TypeStable**: an address that once was a slot is one for ever, and an index names the same
//!   slot for ever. Memory is bounded by the peak of live descriptors.
//!
//! Chunk *k* holds `64 << k` slots, so a table of [`CHUNKS`] pointers is enough for any number.

use super::slot::Slot;
use crate::primitive::abort::rt_abort;
use crate::primitive::atomic::{AtomicPtr, Ordering};
use crate::primitive::lock::{Lock, Rank};
use std::alloc::Layout;
use std::ptr::NonNull;

const CHUNKS: usize = 25;
const FIRST_CHUNK: usize = 64;

/// The chunks made so far; appended under the lock of [`FREE`], read by anyone.
static CHUNK_TABLE: [AtomicPtr<Slot>; CHUNKS] =
    [const { AtomicPtr::new(std::ptr::null_mut()) }; CHUNKS];

/// The list of free slots, and how many chunks there are.
static FREE: Lock<Free> = Lock::new(Rank(51), Free { head: None, chunks: 0 });

struct Free {
    head: Option<NonNull<Slot>>,
    chunks: usize,
}

// SAFETY: the list owns the slots in it; they are reached only under the lock.
unsafe impl Send for Free {}

/// A free slot; `None` when the system is out of memory.
pub(super) fn take() -> Option<&'static Slot> {
    let mut free = FREE.lock();
    if free.head.is_none() {
        free.grow()?;
    }
    // SAFETY: TypeStable.
    let slot: &'static Slot = unsafe { free.head?.as_ref() };
    free.head = slot.next_free.take();
    Some(slot)
}

/// Takes a free slot back.
pub(super) fn give(slot: &'static Slot) {
    let mut free = FREE.lock();
    slot.next_free.set(free.head);
    free.head = Some(NonNull::from(slot));
}

/// The slot of an index that some slot has.
pub(super) fn at(index: u32) -> &'static Slot {
    let nth = index as usize / FIRST_CHUNK + 1;
    let chunk = nth.ilog2() as usize;
    let offset = index as usize - FIRST_CHUNK * ((1 << chunk) - 1);
    // ORDERING: Acquire; pairs with the Release in `grow`; publishes the slots.
    let slots = CHUNK_TABLE[chunk].load(Ordering::Acquire);
    debug_assert!(!slots.is_null());
    // SAFETY: the index is a slot's, so its chunk exists and is that long.
    let slot = unsafe { slots.add(offset) };
    // SAFETY: TypeStable; shared references only, for ever.
    unsafe { &*slot }
}

/// Calls `f` with every slot there is, taken or free.
pub(super) fn for_each(mut f: impl FnMut(&'static Slot)) {
    for (index, chunk) in CHUNK_TABLE.iter().enumerate() {
        // ORDERING: Acquire; pairs with the Release in `grow`; publishes the slots.
        let chunk = chunk.load(Ordering::Acquire);
        if chunk.is_null() {
            return;
        }
        for offset in 0..FIRST_CHUNK << index {
            // SAFETY: chunk `index` holds that many slots.
            let slot = unsafe { chunk.add(offset) };
            // SAFETY: TypeStable; shared references only, for ever.
            f(unsafe { &*slot });
        }
    }
}

impl Free {
    /// Makes one more chunk; `None` when the system is out of memory.
    #[cold]
    fn grow(&mut self) -> Option<()> {
        let index = self.chunks;
        if index >= CHUNKS {
            rt_abort!("netpoll: more than {} descriptors", FIRST_CHUNK << CHUNKS);
        }
        let count = FIRST_CHUNK << index;
        let first = FIRST_CHUNK * ((1 << index) - 1);
        let layout = Layout::array::<Slot>(count).ok()?;
        // SAFETY: `Slot` is no zero-sized type, so neither is the layout.
        let chunk = NonNull::new(unsafe { std::alloc::alloc(layout) })?.cast::<Slot>();
        for offset in (0..count).rev() {
            // SAFETY: the chunk has room for `count` slots.
            let slot = unsafe { chunk.add(offset) };
            // SAFETY: fresh memory, large and aligned enough for one slot.
            unsafe { slot.write(Slot::free((first + offset) as u32)) };
            // SAFETY: just written, and not shared yet.
            unsafe { slot.as_ref() }.next_free.set(self.head);
            self.head = Some(slot);
        }
        // ORDERING: Release; pairs with the Acquire in `at` and `for_each`; publishes the slots.
        CHUNK_TABLE[index].store(chunk.as_ptr(), Ordering::Release);
        self.chunks += 1;
        Some(())
    }
}
