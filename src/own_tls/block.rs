//! Building a block, making it anew for the next green thread, taking it apart.
//!
//! **Building** lets glibc do what it does for a thread of its own: `_dl_allocate_tls` makes the
//! vector of modules (dtv) on the heap and copies the initial values. The vector must be glibc's:
//! it is reallocated when modules are loaded, and one of our own in the slot ends in "realloc():
//! invalid pointer" once it is too small.
//!
//! **Renewing** is one copy of a template and a few stores: no lock, no allocation. The template
//! is `[tp + start, tp + end)` of a scratch block right after it was built and its character
//! tables were set. What is the block's own is put back: pointers to itself, the vector of
//! modules, the id.
//!
//! Thread-locals of modules that were loaded later hang off the vector. A renewal must free
//! them, as glibc does for a cached stack. It sees whether there can be any by the vector's
//! generation: while that is the generation of a process in which all modules are static, there
//! is nothing to free. This costs one load and also sees modules that libc loads for itself
//! (name services, character sets), which an interposed `dlopen` does not.

use super::Support;
use super::interposed::{Fix, is_left_out};
use super::layout::{DTV, Layout, ORIENTATION, Orientation};
use super::modules::StaticModule;
use super::registry;
use crate::{arch, sys};
use core::ops::Range;
use std::io;

/// A built block of thread-locals: a plain address, copied freely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    tp: usize,
    stack_top: usize,
}

impl Block {
    /// No block: under a sanitizer the stack reaches to the end of the slot.
    pub(super) fn none(end: usize) -> Self {
        Self { tp: 0, stack_top: end & !15 }
    }

    /// What the thread pointer must be while the block is in use. Under a sanitizer it is 0 and
    /// not used.
    #[inline(always)]
    pub(crate) fn thread_pointer(self) -> usize {
        self.tp
    }

    /// Where the stack below the block begins, a multiple of 16.
    #[inline(always)]
    pub(crate) fn stack_top(self) -> *mut u8 {
        core::ptr::with_exposed_provenance_mut(self.stack_top)
    }
}

/// A block as memory: reads and writes by offset from the thread pointer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory(pub(super) usize);

impl Memory {
    /// The address at an offset.
    #[inline(always)]
    pub(super) fn at<T>(self, offset: isize) -> *mut T {
        core::ptr::with_exposed_provenance_mut(self.0.wrapping_add_signed(offset))
    }

    /// Reads a value.
    ///
    /// # Safety
    /// The offset lies in the block and is aligned for `T`, any bits are a `T`, and nobody writes
    /// there meanwhile.
    #[inline(always)]
    pub(super) unsafe fn read<T: Copy>(self, offset: isize) -> T {
        // SAFETY: the caller's clauses.
        unsafe { self.at::<T>(offset).read() }
    }

    /// Writes a value.
    ///
    /// # Safety
    /// The offset lies in the block and is aligned for `T`, and nobody else uses the place.
    #[inline(always)]
    pub(super) unsafe fn write<T: Copy>(self, offset: isize, value: T) {
        // SAFETY: the caller's clauses.
        unsafe { self.at::<T>(offset).write(value) }
    }
}

/// The initial contents of the part of a block that green threads usually touch.
#[derive(Debug)]
pub(super) struct Template {
    /// Where it goes, from the thread pointer.
    pub(super) range: Range<isize>,
    /// What goes there.
    pub(super) bytes: Box<[u8]>,
    /// What of it a renewal copies, in rising order.
    parts: Box<[Range<isize>]>,
}

impl Template {
    /// Copies the range out of a block. A renewal leaves out the ranges `skipped`.
    ///
    /// # Safety
    /// The block is built and nobody runs on it.
    pub(super) unsafe fn capture(range: Range<isize>, skipped: &[Range<isize>], tp: usize) -> Self {
        let source = Memory(tp).at::<u8>(range.start);
        // SAFETY: the range is part of the block, which nobody changes meanwhile.
        let bytes = unsafe { core::slice::from_raw_parts(source, range.len()) }.into();
        Self { parts: parts(&range, skipped), range, bytes }
    }

    /// The template with one more module, whose thread-locals lie in the surplus.
    pub(super) fn with_module(&self, module: &StaticModule, skipped: &[Range<isize>]) -> Self {
        let end = module.offset + module.bytes() as isize;
        let range = self.range.start.min(module.offset & -64)..self.range.end.max((end + 63) & -64);
        let mut bytes = vec![0; range.len()];
        bytes[(self.range.start - range.start) as usize..][..self.bytes.len()]
            .copy_from_slice(&self.bytes);
        bytes[(module.offset - range.start) as usize..][..module.bytes()]
            .copy_from_slice(&module.initial);
        Self { parts: parts(&range, skipped), range, bytes: bytes.into() }
    }

    /// Forgets the lent words, which are the machine's that made the scratch block.
    pub(super) fn clear_words(&mut self) {
        for offset in super::words::offsets() {
            let Some(index) = offset.checked_sub(self.range.start) else { continue };
            if let Some(word) = self.bytes.get_mut(index as usize..).and_then(|b| b.get_mut(..8)) {
                word.fill(0);
            }
        }
    }

    /// Copies all of the template into a block.
    ///
    /// # Safety
    /// The block is built and nobody runs on it.
    unsafe fn copy_to(&self, tp: usize) {
        // SAFETY: the caller's clause.
        unsafe { self.copy_part(tp, &self.range) };
    }

    /// Copies what a renewal copies.
    ///
    /// # Safety
    /// The block is built and nobody runs on it.
    #[inline(always)]
    unsafe fn copy_parts_to(&self, tp: usize) {
        for part in &self.parts {
            // SAFETY: the caller's clause.
            unsafe { self.copy_part(tp, part) };
        }
    }

    /// Copies a part of the template into a block.
    ///
    /// # Safety
    /// The block is built and nobody runs on it; the part lies in the template.
    #[inline(always)]
    unsafe fn copy_part(&self, tp: usize, part: &Range<isize>) {
        let from = self.bytes.as_ptr().wrapping_offset(part.start - self.range.start);
        let to = Memory(tp).at::<u8>(part.start);
        let bytes = part.end.wrapping_sub(part.start) as usize;
        // SAFETY: the part is part of the template and of the block, which nobody uses meanwhile.
        unsafe { core::ptr::copy_nonoverlapping(from, to, bytes) };
    }
}

/// `range` without the ranges `skipped`, which rise and lie in it, or are empty.
fn parts(range: &Range<isize>, skipped: &[Range<isize>]) -> Box<[Range<isize>]> {
    let mut parts = Vec::new();
    let mut start = range.start;
    for skip in skipped.iter().filter(|skip| !skip.is_empty()) {
        parts.push(start..skip.start);
        start = skip.end;
    }
    parts.push(start..range.end);
    parts.into()
}

impl Layout {
    /// The block of the slot that ends at `end`, a multiple of the page size.
    pub(super) fn place(&self, end: usize) -> Block {
        let tp = end - self.cold_bytes() - self.hot_above;
        Block { tp, stack_top: (tp - self.below) & !15 }
    }

    /// Writes what differs from block to block.
    ///
    /// # Safety
    /// `tp` is the thread pointer of a block nobody runs on, `dtv` its vector of modules.
    #[inline(always)]
    pub(super) unsafe fn identify(&self, tp: usize, dtv: usize, id: u32) {
        let block = Memory(tp);
        let own = |offset: isize| tp.wrapping_add_signed(offset);
        let words = [
            (DTV, dtv),
            (self.list, own(self.list)),
            (self.list + 8, own(self.list)),
            (self.robust - 8, own(self.robust)),
            (self.robust, own(self.robust)),
        ];
        if !is_left_out(Fix::Resolver) {
            // SAFETY: the caller's block; the pointer lies in it.
            unsafe { block.write(self.resolver_pointer, own(self.resolver)) };
        }
        for (offset, word) in words {
            // SAFETY: the caller's block; every offset of the layout lies in it, 8-aligned.
            unsafe { block.write(offset, word) };
        }
        if ORIENTATION == Orientation::LocalsBelow {
            for offset in [0, 16] {
                // SAFETY: as above; the two words of the block that hold its own address.
                unsafe { block.write(offset, tp) };
            }
        }
        // SAFETY: as above.
        unsafe { block.write(self.tid, id) };
    }

    /// Writes what is the same in every block but not in a module's image: copied from the
    /// running thread's block.
    ///
    /// # Safety
    /// As [`Layout::identify`].
    pub(super) unsafe fn inherit(&self, tp: usize) {
        let running = Memory(arch::thread_pointer());
        let block = Memory(tp);
        let words: &[isize] = match ORIENTATION {
            // Stack guard, pointer guard, features of the processor in force.
            Orientation::LocalsBelow => &[0x28, 0x30, 0x48],
            Orientation::LocalsAbove => &[],
        };
        for &offset in words {
            // SAFETY: the head of the running thread's own block.
            let word = unsafe { running.read::<usize>(offset) };
            // SAFETY: the caller's block.
            unsafe { block.write(offset, word) };
        }
        let multiple_threads = match ORIENTATION {
            Orientation::LocalsBelow => 0x18,
            Orientation::LocalsAbove => self.pthread,
        };
        // SAFETY: the caller's block; a `u32` near the start of the record.
        unsafe { block.write(multiple_threads, 1_u32) };
        // The distance from an entry of the robust list to its futex.
        // SAFETY: constant since the thread started.
        let distance = unsafe { running.read::<usize>(self.robust + 8) };
        // SAFETY: the caller's block.
        unsafe { block.write(self.robust + 8, distance) };
    }

    /// Says in the restartable-sequence area that the kernel does not know it (-2), so that
    /// readers ask the kernel instead of taking 0 for a processor.
    ///
    /// # Safety
    /// As [`Layout::identify`].
    pub(super) unsafe fn mark_rseq(&self, tp: usize) {
        const RSEQ_CPU_ID_REGISTRATION_FAILED: i32 = -2;
        if let Some(offset) = self.rseq_cpu.filter(|offset| self.contains(*offset, 4)) {
            // SAFETY: the caller's block, and the offset lies in it.
            unsafe { Memory(tp).write(offset, RSEQ_CPU_ID_REGISTRATION_FAILED) };
        }
    }
}

impl Support {
    /// Lets glibc make the vector of modules and copy the initial values; returns the vector.
    ///
    /// # Safety
    /// `tp` is where [`Layout::place`] says, in zeroed memory of the caller's.
    pub(super) unsafe fn allocate(&self, tp: usize) -> io::Result<usize> {
        // A block may be built on a green thread's thread pointer, for another one.
        let errno = sys::futex::errno();
        // SAFETY: the caller's memory, as large as glibc says a block is.
        let allocated = unsafe { (self.symbols.allocate_tls)(tp) };
        sys::futex::set_errno(errno);
        if allocated != tp {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        // SAFETY: the call above stored it there.
        Ok(unsafe { Memory(tp).read(DTV) })
    }

    /// See [`super::build`].
    pub(super) unsafe fn build(&self, end: *mut u8) -> io::Result<Block> {
        let end = end.expose_provenance();
        if self.is_lodger() {
            return Ok(Block::none(end));
        }
        sys::fault::check(sys::fault::Call::Block)?;
        let block = self.layout.place(end);
        let mut registry = registry::lock();
        let Some(id) = registry.insert(block.tp) else {
            return Err(io::ErrorKind::OutOfMemory.into());
        };
        // Under the registry's lock: a module that is loaded meanwhile is initialised either by
        // the loader in here or by `loader` in all registered blocks (Inv. NoBlockMissed).
        // SAFETY: the caller's clauses.
        let dtv = match unsafe { self.allocate(block.tp) } {
            Ok(dtv) => dtv,
            Err(error) => {
                registry.remove(id);
                return Err(error);
            }
        };
        // SAFETY: built, and nobody runs on it.
        unsafe { self.template().copy_to(block.tp) };
        // SAFETY: as above, with the vector glibc made for it.
        unsafe { self.layout.identify(block.tp, dtv, id) };
        if registry.marks_rseq {
            // SAFETY: as above.
            unsafe { self.layout.mark_rseq(block.tp) };
        }
        Ok(block)
    }

    /// See [`super::renew`].
    #[inline(always)]
    pub(super) unsafe fn renew(&self, block: Block) {
        if self.is_lodger() {
            return;
        }
        let memory = Memory(block.tp);
        // SAFETY: built, and nobody runs on it.
        let dtv = unsafe { memory.read::<usize>(DTV) };
        // SAFETY: as above.
        let id = unsafe { memory.read::<u32>(self.layout.tid) };
        // SAFETY: the vector begins with its generation.
        if unsafe { Memory(dtv).read::<usize>(0) } != self.static_generation {
            // SAFETY: the vector of a block nobody runs on.
            unsafe { free_dynamic(dtv) };
        }
        // SAFETY: built, and nobody runs on it.
        unsafe { self.template().copy_parts_to(block.tp) };
        // SAFETY: as above, with its own vector.
        unsafe { self.layout.identify(block.tp, dtv, registry::next_id(id)) };
        if !self.kept.is_empty() {
            // SAFETY: as above; libc's word, which was kept with the rest.
            unsafe { memory.write(self.layout.errno, 0_i32) };
        }
    }

    /// See [`super::discard`].
    pub(super) unsafe fn discard(&self, tp: usize) {
        if self.is_lodger() {
            return;
        }
        // SAFETY: built, and nobody runs on it.
        let id = unsafe { Memory(tp).read::<u32>(self.layout.tid) };
        registry::lock().remove(id);
        // SAFETY: glibc made the vector, and nobody uses the block any more; 0 keeps the memory.
        unsafe { (self.symbols.deallocate_tls)(tp, 0) };
    }
}

/// Frees the thread-locals of modules that were loaded later, so that they are made anew when
/// they are next used.
///
/// # Safety
/// `dtv` is the vector of a block nobody runs on.
#[cold]
unsafe fn free_dynamic(dtv: usize) {
    /// An entry of the vector: the place of the thread-locals, and what to free.
    const ENTRY_BYTES: isize = 16;
    /// What glibc has as the place of thread-locals that do not exist yet.
    const UNALLOCATED: usize = usize::MAX;
    let dtv = Memory(dtv);
    // SAFETY: the entry before the generation says how many entries follow it.
    let entries = unsafe { dtv.read::<usize>(-ENTRY_BYTES) };
    for index in 1..=entries as isize {
        let entry = index * ENTRY_BYTES;
        // SAFETY: one of the entries.
        let to_free = unsafe { dtv.read::<usize>(entry + 8) };
        if to_free == 0 {
            continue;
        }
        // SAFETY: glibc allocated it for this block alone.
        unsafe { sys::heap::free(to_free) };
        // SAFETY: one of the entries.
        unsafe { dtv.write(entry, UNALLOCATED) };
        // SAFETY: as above.
        unsafe { dtv.write(entry + 8, 0_usize) };
    }
}
