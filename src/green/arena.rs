//! Where headers live: chunks that are never given back, and lists of free headers.
//!
//! - **TypeStable**: an address that once was a header is one for ever. That is what lets a late
//!   waker compare a sequence number and lose, and lets the dump walk all of them. Memory is
//!   bounded by the peak of live green threads, 320 bytes each.
//! - Free headers are kept by the processors ([`Cache`], no lock) and in one global list.
//!
//! Chunk *k* holds `64 << k` headers, so a table of [`CHUNKS`] pointers is enough for any number.

use super::Green;
use crate::primitive::abort::rt_abort;
use crate::primitive::atomic::{AtomicPtr, Ordering};
use crate::primitive::lock::{Lock, Rank};
use std::alloc::Layout;
use std::cell::Cell;
use std::ptr::NonNull;

const CHUNKS: usize = 26;
const FIRST_CHUNK: usize = 64;
/// How many free headers move between a cache and the global list at once.
const BATCH: usize = 64;
/// How many free headers a cache keeps.
const CACHE_MAX: usize = 4 * BATCH;

/// The chunks made so far; appended under the lock of [`FREE`], read by anyone.
static CHUNK_TABLE: [AtomicPtr<Green>; CHUNKS] =
    [const { AtomicPtr::new(std::ptr::null_mut()) }; CHUNKS];

/// The global list of free headers, and how many chunks there are.
static FREE: Lock<Free> = Lock::new(Rank(50), Free { head: None, chunks: 0 });

struct Free {
    head: Option<NonNull<Green>>,
    chunks: usize,
}

// SAFETY: the list owns the headers in it; they are reached only under the lock.
unsafe impl Send for Free {}

/// The free headers of one processor.
///
/// Only the holder of the processor touches it (Inv. OneHolder of `machine::bias`).
#[derive(Debug)]
pub(crate) struct Cache {
    head: Cell<Option<NonNull<Green>>>,
    len: Cell<usize>,
}

impl Cache {
    /// An empty cache.
    pub(crate) const fn new() -> Self {
        Self { head: Cell::new(None), len: Cell::new(0) }
    }

    /// A free header; `None` when the system is out of memory.
    #[inline(always)]
    pub(crate) fn take(&self) -> Option<NonNull<Green>> {
        if self.head.get().is_none() {
            self.refill()?;
        }
        let green = self.head.get()?;
        // SAFETY: TypeStable, and a free header is its list's alone.
        let next = unsafe { green.as_ref() }.link.get();
        self.head.set(next);
        self.len.set(self.len.get() - 1);
        Some(green)
    }

    /// Takes a free header back.
    #[inline(always)]
    pub(crate) fn give(&self, green: NonNull<Green>) {
        // SAFETY: TypeStable, and a freed header is its giver's alone.
        unsafe { green.as_ref() }.link.set(self.head.get());
        self.head.set(Some(green));
        self.len.set(self.len.get() + 1);
        if self.len.get() > CACHE_MAX {
            self.spill(CACHE_MAX / 2);
        }
    }

    /// Gives everything back to the global list.
    pub(crate) fn flush(&self) {
        self.spill(0);
    }

    #[cold]
    fn refill(&self) -> Option<()> {
        let mut free = FREE.lock();
        for _ in 0..BATCH {
            let Some(green) = free.pop() else { break };
            // SAFETY: TypeStable, and a free header is its list's alone.
            unsafe { green.as_ref() }.link.set(self.head.get());
            self.head.set(Some(green));
            self.len.set(self.len.get() + 1);
        }
        self.head.get().map(|_| ())
    }

    #[cold]
    fn spill(&self, keep: usize) {
        let mut free = FREE.lock();
        while self.len.get() > keep {
            let Some(green) = self.head.get() else { break };
            // SAFETY: TypeStable, and a free header is its list's alone.
            let green_ref = unsafe { green.as_ref() };
            self.head.set(green_ref.link.get());
            green_ref.link.set(free.head);
            free.head = Some(green);
            self.len.set(self.len.get() - 1);
        }
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.flush();
    }
}

/// A free header from the global list, for a thread without a processor.
pub(crate) fn take() -> Option<NonNull<Green>> {
    FREE.lock().pop()
}

/// Takes a free header back, from a thread without a processor.
pub(crate) fn give(green: NonNull<Green>) {
    let mut free = FREE.lock();
    // SAFETY: TypeStable, and a freed header is its giver's alone.
    unsafe { green.as_ref() }.link.set(free.head);
    free.head = Some(green);
}

/// Calls `f` with every header there is, live or free; `f` reads atomics first.
pub(crate) fn for_each(mut f: impl FnMut(&Green)) {
    for (index, slot) in CHUNK_TABLE.iter().enumerate() {
        // ORDERING: Acquire; pairs with the Release in `grow`; publishes the headers.
        let chunk = slot.load(Ordering::Acquire);
        if chunk.is_null() {
            return;
        }
        for offset in 0..FIRST_CHUNK << index {
            // SAFETY: chunk `index` holds that many headers.
            let green = unsafe { chunk.add(offset) };
            // SAFETY: TypeStable; all fields that others write are atomics or read by protocol.
            f(unsafe { &*green });
        }
    }
}

impl Free {
    fn pop(&mut self) -> Option<NonNull<Green>> {
        if self.head.is_none() {
            self.grow()?;
        }
        let green = self.head?;
        // SAFETY: TypeStable, and a free header is its list's alone.
        self.head = unsafe { green.as_ref() }.link.get();
        Some(green)
    }

    /// Makes one more chunk; `None` when the system is out of memory.
    #[cold]
    fn grow(&mut self) -> Option<()> {
        let index = self.chunks;
        if index >= CHUNKS {
            rt_abort!("green: more than {} green threads", FIRST_CHUNK << CHUNKS);
        }
        let count = FIRST_CHUNK << index;
        let layout = Layout::array::<Green>(count).ok()?;
        // SAFETY: `Green` is no zero-sized type, so neither is the layout.
        let chunk = NonNull::new(unsafe { std::alloc::alloc(layout) })?.cast::<Green>();
        for offset in (0..count).rev() {
            // SAFETY: the chunk has room for `count` headers.
            let green = unsafe { chunk.add(offset) };
            // SAFETY: fresh memory, large and aligned enough for one header.
            unsafe { green.write(Green::free()) };
            // SAFETY: just written, and not shared yet.
            unsafe { green.as_ref() }.link.set(self.head);
            self.head = Some(green);
        }
        // ORDERING: Release; pairs with the Acquire in `for_each`; publishes the headers.
        CHUNK_TABLE[index].store(chunk.as_ptr(), Ordering::Release);
        self.chunks += 1;
        Some(())
    }
}
