//! The header of a span: 128 bytes, out of band, one for each granule of the heap.
//!
//! Who may touch which field, and the invariants named here, are in `README.md`. The owner's
//! fields are `Cell`s reached through [`Owned`], a token that says "this thread owns the span";
//! everything that others may read is an atomic.

use std::cell::Cell;
use std::ptr::{NonNull, null_mut};

use super::block::{Block, Key, Order, cut_count, quarantine};
use super::branch;
use super::class::Class;
use super::geometry::{GRANULE, HEADER, granule_address, header_address};
use super::kind::Kind;
use super::remote::{Drained, RemoteFrees, Slot};
use crate::primitive::abort::rt_abort;
use crate::primitive::atomic::{AtomicU32, AtomicUsize, Ordering};

/// The header; see the module.
#[derive(Debug)]
#[repr(C, align(128))]
pub(crate) struct Span {
    /// The address of the cache that owns the span, 0 if none does.
    owner: AtomicUsize,
    free: Cell<*mut Block>,
    local_free: Cell<*mut Block>,
    /// Blocks out, those in the remote list included.
    used: AtomicU32,
    /// Blocks cut so far; `capacity` when the span is cut up.
    fresh: Cell<u32>,
    capacity: Cell<u32>,
    block_bytes: Cell<u32>,
    next: Cell<Option<&'static Span>>,
    /// Written before the first block is handed out, read by whoever holds a block.
    shape: AtomicU32,
    /// All blocks of `free` but for their first words are zeros.
    free_is_zero: Cell<bool>,
    /// The pages read as zeros where they have not been cut yet.
    fresh_is_zero: Cell<bool>,
    /// Empty, but kept as the current span of its class.
    retired: Cell<bool>,
    /// The owner adopted it from others.
    adopted: Cell<bool>,
    /// For the links in free blocks.
    key: Cell<Key>,
    _line: [u8; 8 - size_of::<Key>()],
    /// On a line of its own: others write it, and only slow paths use what follows.
    remote: RemoteFrees,
    prev: Cell<Option<&'static Span>>,
    /// The cache that owned the span when it was last given up as full.
    origin: Cell<usize>,
    /// [`Span::seal`]: tells a header from other memory.
    seal: Cell<usize>,
    /// For a mapping of its own: bytes mapped from the start of its window on.
    mapped_bytes: Cell<usize>,
}

const _: () = assert!(size_of::<Span>() == HEADER);
const _: () = assert!(std::mem::offset_of!(Span, remote) == 64);

impl Span {
    /// A span that is owned by nobody and has no free block; for constants.
    pub(crate) const fn empty() -> Self {
        Self {
            owner: AtomicUsize::new(0),
            free: Cell::new(null_mut()),
            local_free: Cell::new(null_mut()),
            used: AtomicU32::new(0),
            fresh: Cell::new(0),
            capacity: Cell::new(0),
            block_bytes: Cell::new(0),
            next: Cell::new(None),
            shape: AtomicU32::new(0),
            free_is_zero: Cell::new(false),
            fresh_is_zero: Cell::new(false),
            retired: Cell::new(false),
            adopted: Cell::new(false),
            key: Cell::new(Key::NONE),
            _line: [0; 8 - size_of::<Key>()],
            remote: RemoteFrees::nobody(),
            prev: Cell::new(None),
            origin: Cell::new(0),
            seal: Cell::new(0),
            mapped_bytes: Cell::new(0),
        }
    }

    /// What `seal` holds in a header in use: its address, scrambled.
    fn sealed(&self) -> usize {
        (std::ptr::from_ref(self) as usize).rotate_left(17) ^ 0x6774_6872_6561_6421
    }

    /// Whether this is a header that was in use at some time, not some other memory.
    pub(crate) fn is_sealed(&self) -> bool {
        self.seal.get() == self.sealed()
    }

    /// The header of the granule that holds `address`.
    ///
    /// # Safety
    /// - `address` lies in an opened window, or in a huge block that is live (Inv. Header).
    #[inline(always)]
    pub(crate) unsafe fn of(address: usize) -> &'static Self {
        // SAFETY: by the caller's clause a header is mapped there; zeros are a valid one.
        unsafe { &*(header_address(address) as *const Self) }
    }

    /// The address of the granule this header is for.
    pub(crate) fn address(&self) -> usize {
        granule_address(std::ptr::from_ref(self) as usize)
    }

    /// Whether the cache at this address owns the span: exact if it is the caller's, who reads its
    /// own last write or a later one (Inv. Me).
    #[inline(always)]
    pub(crate) fn is_owned_by(&self, cache: usize) -> bool {
        branch::holds(&self.owner, cache)
    }

    /// Writes the owner, by the owner: the address of the caller's cache, or 0 before the span is
    /// given up.
    pub(crate) fn set_owner(&self, cache: usize) {
        // ORDERING: Relaxed; only "is it me" is ever asked (Inv. Me).
        self.owner.store(cache, Ordering::Relaxed);
    }

    /// What the granule is used for.
    pub(crate) fn kind(&self) -> Kind {
        // ORDERING: Relaxed; a holder of a block got it after the write; others count only.
        Kind::from_word(self.shape.load(Ordering::Relaxed))
    }

    /// Says what the granule is used for; by whoever holds the run.
    pub(crate) fn set_kind(&self, kind: Kind) {
        self.seal.set(self.sealed());
        // ORDERING: Relaxed; published by handing out the first block.
        self.shape.store(kind.to_word(), Ordering::Relaxed);
    }

    /// Says what the granule is used for from now on, and returns what it was used for: of two
    /// threads that free the same run one gets the run.
    pub(crate) fn replace_kind(&self, kind: Kind) -> Kind {
        // ORDERING: Relaxed; only the question "was it I" is asked.
        Kind::from_word(self.shape.swap(kind.to_word(), Ordering::Relaxed))
    }

    /// The header `granules` before this one.
    pub(crate) fn back(&'static self, granules: usize) -> &'static Self {
        // SAFETY: an interior granule lies behind the first of its span, in the same window.
        unsafe { Self::of(self.address() - granules * GRANULE) }
    }

    /// Blocks out: exact for the owner, a moment of the past for others.
    #[inline(always)]
    pub(crate) fn used(&self) -> u32 {
        // ORDERING: Relaxed; only the owner writes, others count.
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes of a block.
    pub(crate) fn block_bytes(&self) -> usize {
        self.block_bytes.get() as usize
    }

    /// The remote word.
    pub(crate) fn remote(&self) -> &RemoteFrees {
        &self.remote
    }

    /// The cache that owned the span when it was last given up as full; the owner's.
    pub(crate) fn origin(&self) -> &Cell<usize> {
        &self.origin
    }

    /// Makes the header that of a large or huge block, which nobody owns.
    pub(crate) fn set_large(&self, kind: Kind) {
        // ORDERING: Relaxed; only the creator knows the run.
        self.owner.store(0, Ordering::Relaxed);
        self.set_kind(kind);
    }

    /// Bytes mapped for a huge block, from the start of its window.
    pub(crate) fn mapped_bytes(&self) -> &Cell<usize> {
        &self.mapped_bytes
    }

    /// The links, for the list the span is on (Inv. Linked).
    pub(crate) fn links(&self) -> (&Cell<Option<&'static Span>>, &Cell<Option<&'static Span>>) {
        (&self.prev, &self.next)
    }

    /// The slot of the block at `block`.
    pub(crate) fn slot_of(&self, block: usize) -> Slot {
        Slot::from_offset(block - self.address())
    }

    fn block_at(&self, slot: Slot) -> *mut Block {
        (self.address() + slot.offset()) as *mut Block
    }

    /// Writes into `block`, which is free and in the caller's hand, that the one at `next` follows.
    ///
    /// # Safety
    /// - `block` is a free block of this span that only the caller knows.
    pub(crate) unsafe fn link(&self, block: NonNull<u8>, next: Option<Slot>) {
        let next = next.map_or(null_mut(), |slot| self.block_at(slot));
        // SAFETY: the caller's clause.
        unsafe { Block::set_free(block.cast(), self.key.get(), next) };
    }

    /// Takes back what [`Span::link`] has written into a block that came on no list.
    ///
    /// # Safety
    /// - As [`Span::link`].
    pub(crate) unsafe fn unlink(&self, block: NonNull<u8>) {
        // SAFETY: the caller's clause.
        unsafe { Block::unset_free(block.cast()) };
    }

    /// Aborts if the block is free already, as far as it shows: hardened builds look.
    ///
    /// # Safety
    /// - `block` is a block of this span.
    #[inline(always)]
    pub(crate) unsafe fn check_out(&self, block: NonNull<u8>) {
        // SAFETY: the caller's clause.
        unsafe { Block::check_out(block.cast(), self.key.get()) };
    }
}

/// A span, and the right to touch its owner's fields (Inv. Owner).
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(crate) struct Owned(&'static Span);

impl std::ops::Deref for Owned {
    type Target = Span;
    #[inline(always)]
    fn deref(&self) -> &Span {
        self.0
    }
}

impl Owned {
    /// Takes the right.
    ///
    /// # Safety
    /// - The calling thread is the owner (Inv. Owner), and drops the token and its copies before
    ///   it gives the span up; or the span is `Span::empty()`, of which nothing is ever written.
    #[inline(always)]
    pub(crate) const unsafe fn assume(span: &'static Span) -> Self {
        Self(span)
    }

    /// The span without the right.
    #[inline(always)]
    pub(crate) fn span(self) -> &'static Span {
        self.0
    }

    /// Makes a new span of `class` out of the run at its granule.
    pub(crate) fn create(self, class: Class, zero: bool) {
        // ORDERING: Relaxed; only the creator knows the span.
        self.0.used.store(0, Ordering::Relaxed);
        self.0.free.set(null_mut());
        self.0.local_free.set(null_mut());
        self.0.fresh.set(0);
        self.0.capacity.set(class.span_blocks() as u32);
        self.0.block_bytes.set(class.block_bytes() as u32);
        self.0.free_is_zero.set(false);
        self.0.fresh_is_zero.set(zero);
        self.0.retired.set(false);
        self.0.adopted.set(false);
        self.0.key.set(Key::new());
        self.0.remote.reset_owned();
        self.0.set_kind(Kind::Small(class));
        #[cfg(feature = "alloc-debug")]
        super::debug::span_created(self.0.address(), class.span_granules());
        for back in 1..class.span_granules() {
            // SAFETY: the run has this many granules, all in one window.
            let interior = unsafe { Span::of(self.0.address() + back * GRANULE) };
            // ORDERING: Relaxed; only the creator knows the granule.
            interior.owner.store(0, Ordering::Relaxed);
            interior.set_kind(Kind::Interior(back));
        }
    }

    /// Takes a block off `free`.
    #[inline(always)]
    pub(crate) fn pop(self) -> Option<NonNull<u8>> {
        let block = NonNull::new(self.0.free.get())?;
        // SAFETY: blocks on `free` are free blocks of the span, the owner's alone (Inv. Owner).
        let next = unsafe { Block::take(block, self.0.key.get()) };
        self.0.free.set(next);
        self.add_used(1);
        Some(block.cast())
    }

    /// Frees a block by the owner; returns whether the span is empty now, or was already.
    ///
    /// # Safety
    /// - `block` is a block of this span, handed out and not freed since.
    #[inline(always)]
    #[must_use]
    pub(crate) unsafe fn push_local(self, block: NonNull<u8>) -> bool {
        // SAFETY: the caller's clause.
        unsafe { self.0.check_out(block) };
        let block = block.cast::<Block>();
        // SAFETY: the caller's clause.
        unsafe { Block::set_free(block, self.0.key.get(), self.0.local_free.get()) };
        self.0.local_free.set(block.as_ptr());
        const USED: usize = std::mem::offset_of!(Span, used);
        // SAFETY: `used` is there, and only the owner writes it (Inv. Owner).
        unsafe { branch::decrement_to_zero::<_, USED>(self.0) }
    }

    /// After [`Owned::push_local`] has said that the span is empty: aborts if it was already.
    pub(crate) fn check_emptied(self) {
        if self.0.used() != 0 {
            rt_abort!("alloc: double free: the span at {:#x} had no block out", self.0.address());
        }
    }

    /// Adds to `used`, modulo 2^32: one instruction.
    #[inline(always)]
    fn add_used(self, blocks: u32) {
        // ORDERING: Relaxed; only the owner writes (Inv. Owner).
        let used = self.0.used.load(Ordering::Relaxed).wrapping_add(blocks);
        // ORDERING: Relaxed; statistics may read it at any time.
        self.0.used.store(used, Ordering::Relaxed);
    }

    /// Whether `free` has no block.
    pub(crate) fn free_is_empty(self) -> bool {
        self.0.free.get().is_null()
    }

    /// Whether [`Owned::refill`] would find a block, or needs not.
    pub(crate) fn has_blocks(self) -> bool {
        !self.0.free.get().is_null()
            || self.0.remote.has_blocks()
            || match self.newest() {
                None => !self.0.local_free.get().is_null(),
                Some(last) => self.behind(last).is_some(),
            }
    }

    /// Puts blocks into the empty `free`: those freed locally (hardened: but for the newest), else
    /// those freed by others. `false`: there are none.
    pub(crate) fn refill(self) -> bool {
        debug_assert!(self.0.free.get().is_null());
        self.check_used();
        let local = match self.newest() {
            None => self.0.local_free.replace(null_mut()),
            Some(last) => self.behind(last).map_or(null_mut(), |rest| {
                // SAFETY: a block of `local_free`, the owner's alone.
                unsafe { Block::set_free(last, self.0.key.get(), null_mut()) };
                rest.as_ptr()
            }),
        };
        if !local.is_null() {
            self.0.free.set(local);
            self.0.free_is_zero.set(false);
            return true;
        }
        if self.0.remote.has_blocks() {
            self.drain();
            return true;
        }
        false
    }

    /// The last of the newest blocks in `local_free`, which are in quarantine; `None` if this
    /// build has none.
    fn newest(self) -> Option<NonNull<Block>> {
        let mut last = NonNull::new(self.0.local_free.get())?;
        let count = quarantine(self.0.capacity.get());
        for _ in 1..count {
            let Some(next) = self.behind(last) else { break };
            last = next;
        }
        (count > 0).then_some(last)
    }

    /// The block behind one of `local_free`.
    fn behind(self, block: NonNull<Block>) -> Option<NonNull<Block>> {
        // SAFETY: blocks on the list are free blocks of the span, the owner's alone.
        NonNull::new(unsafe { Block::next(block, self.0.key.get()) })
    }

    /// Puts the blocks in quarantine into the empty `free`, when there are no others. `false`:
    /// there are none either.
    pub(crate) fn end_quarantine(self) -> bool {
        let local = self.0.local_free.replace(null_mut());
        self.0.free.set(local);
        self.0.free_is_zero.set(false);
        !local.is_null()
    }

    /// Aborts if fewer blocks are out than none: a cheap look at the sanity of the counts.
    fn check_used(self) {
        if self.0.used() > self.0.fresh.get() {
            rt_abort!(
                "alloc: double free: more blocks of the span at {:#x} came back than went out",
                self.0.address()
            );
        }
    }

    /// Moves the remote blocks to `free` if that is empty, else counts them in by hand.
    pub(crate) fn drain(self) {
        let Drained { head, count } = self.0.remote.drain();
        let Some(head) = head else { return };
        let Some(head) = NonNull::new(self.0.block_at(head)) else { return };
        self.add_used(count.wrapping_neg());
        self.check_used();
        if self.0.free.get().is_null() {
            self.0.free.set(head.as_ptr());
            self.0.free_is_zero.set(false);
            return;
        }
        let mut last = head;
        while let Some(next) = self.behind(last) {
            last = next;
        }
        // SAFETY: drained blocks are free blocks of the span, the owner's alone.
        unsafe { Block::set_free(last, self.0.key.get(), self.0.local_free.get()) };
        self.0.local_free.set(head.as_ptr());
    }

    /// Cuts the next few blocks; `false` if the span is cut up.
    pub(crate) fn cut(self) -> bool {
        let (first, bytes) = (self.0.fresh.get(), self.0.block_bytes.get());
        let count = cut_count(bytes).min(self.0.capacity.get() - first);
        if count == 0 {
            return false;
        }
        let start = self.0.address() + first as usize * bytes as usize;
        let (key, mut order) = (self.0.key.get(), Order::new(count as usize));
        let mut next = null_mut();
        for _ in 0..count {
            let block = (start + order.next_position() * bytes as usize) as *mut Block;
            // SAFETY: a block of the span is not at address 0.
            let place = unsafe { NonNull::new_unchecked(block) };
            // SAFETY: inside the span's run, not cut before, so known to nobody.
            unsafe { Block::set_free(place, key, next) };
            next = block;
        }
        self.0.free.set(next);
        self.0.fresh.set(first + count);
        self.0.free_is_zero.set(self.0.fresh_is_zero.get());
        true
    }

    /// Whether a block just popped is zero but for its first word.
    #[inline(always)]
    pub(crate) fn is_popped_zero(self) -> bool {
        self.0.free_is_zero.get()
    }

    /// Whether there is certainly nothing free: no list, nothing to cut; others' frees aside.
    pub(crate) fn is_exhausted(self) -> bool {
        self.0.free.get().is_null()
            && self.0.local_free.get().is_null()
            && self.0.fresh.get() == self.0.capacity.get()
    }

    /// Bytes from the start of the span that may have been written to.
    pub(crate) fn touched_bytes(self) -> usize {
        self.0.fresh.get() as usize * self.0.block_bytes()
    }

    /// Bytes that stay resident if the span is kept though empty: what this use has touched, or
    /// all of it if an earlier use may have.
    pub(crate) fn kept_bytes(self) -> usize {
        if self.0.fresh_is_zero.get() {
            return self.touched_bytes();
        }
        self.0.capacity.get() as usize * self.block_bytes()
    }

    /// The flag "empty, but kept".
    pub(crate) fn retired(&self) -> &Cell<bool> {
        &self.0.retired
    }

    /// The flag "adopted from others".
    pub(crate) fn adopted(&self) -> &Cell<bool> {
        &self.0.adopted
    }
}
