//! The header of a span: 128 bytes, out of band, one for each granule of the heap.
//!
//! Who may touch which field, and the invariants named here, are in `README.md`. The owner's
//! fields are `Cell`s reached through [`Owned`], a token that says "this thread owns the span";
//! everything that others may read is an atomic.

use std::cell::Cell;
use std::ptr::NonNull;

use super::block::{Block, Key, Link, Order, cut_count, quarantine};
use super::branch;
use super::class::Class;
use super::counts::Counts;
use super::geometry::{GRANULE, HEADER, granule_address, header_address};
use super::kind::{Kind, Seal};
use super::remote::{Drained, RemoteFrees, Slot};
use crate::primitive::abort::rt_abort;
use crate::primitive::atomic::{AtomicU32, AtomicUsize, Ordering};

/// The header; see the module.
#[derive(Debug)]
#[repr(C, align(128))]
pub(crate) struct Span {
    /// The address of the cache that owns the span, 0 if none does.
    owner: AtomicUsize,
    free: Cell<Link>,
    local_free: Cell<Link>,
    /// Blocks out, those in the remote list included.
    counts: Counts,
    /// Blocks cut so far; `capacity` when the span is cut up.
    fresh: Cell<u32>,
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
    _line: [u8; 16 - size_of::<Key>()],
    /// On a line of its own: others write it, and only slow paths use what follows.
    remote: RemoteFrees,
    prev: Cell<Option<&'static Span>>,
    next: Cell<Option<&'static Span>>,
    capacity: Cell<u32>,
    block_bytes: Cell<u32>,
    /// The cache that owned the span when it was last given up as full.
    origin: Cell<usize>,
    /// Tells a header from other memory.
    seal: Seal,
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
            free: Cell::new(Link::END),
            local_free: Cell::new(Link::END),
            counts: Counts::new(),
            fresh: Cell::new(0),
            shape: AtomicU32::new(0),
            free_is_zero: Cell::new(false),
            fresh_is_zero: Cell::new(false),
            retired: Cell::new(false),
            adopted: Cell::new(false),
            key: Cell::new(Key::NONE),
            _line: [0; 16 - size_of::<Key>()],
            remote: RemoteFrees::nobody(),
            prev: Cell::new(None),
            next: Cell::new(None),
            capacity: Cell::new(0),
            block_bytes: Cell::new(0),
            origin: Cell::new(0),
            seal: Seal::none(),
            mapped_bytes: Cell::new(0),
        }
    }

    /// Whether this is a header that was in use at some time, not some other memory.
    pub(crate) fn is_sealed(&self) -> bool {
        self.seal.is_of(std::ptr::from_ref(self) as usize)
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
        self.seal.put(std::ptr::from_ref(self) as usize);
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

    /// Blocks out: exact for the owner, any number at all for others.
    pub(crate) fn used(&self) -> u32 {
        self.counts.used()
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

    /// The list of a slot's block and those it is linked to.
    fn list_of(&self, slot: Option<Slot>) -> Link {
        let Some(slot) = slot else { return Link::END };
        let block = (self.address() + slot.offset()) as *mut Block;
        NonNull::new(block).map_or(Link::END, |block| Block::link(block, self.key.get()))
    }

    /// Writes into `block`, which is free and in the caller's hand, that the one at `next` follows.
    ///
    /// # Safety
    /// - `block` is a free block of this span that only the caller knows.
    pub(crate) unsafe fn link(&self, block: NonNull<u8>, next: Option<Slot>) {
        // SAFETY: the caller's clause.
        unsafe { Block::set_free(block.cast(), self.key.get(), self.list_of(next)) };
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
        self.0.counts.set(0, 0);
        self.0.free.set(Link::END);
        self.0.local_free.set(Link::END);
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
        const READY: usize = std::mem::offset_of!(Span, counts) + Counts::READY;
        // SAFETY: `ready` is there, and only the owner writes it (Inv. Owner), or it is that of
        // the empty span, which is never more than 0.
        if unsafe { branch::decrement_below_zero::<_, READY>(self.0) } {
            return None;
        }
        // SAFETY: `free` holds as many blocks as are ready, the owner's alone (Inv. Owner).
        let (block, rest) = unsafe { Block::take(self.0.free.get(), self.0.key.get()) };
        self.0.free.set(rest);
        Some(block.cast())
    }

    /// After a [`Owned::pop`] that found nothing; also of `Span::empty()`.
    pub(crate) fn forget_tries(self) {
        self.0.counts.forget_tries();
    }

    /// Frees a block by the owner; returns whether to look ([`Owned::is_emptied`]).
    ///
    /// # Safety
    /// - `block` is a block of this span, handed out and not freed since.
    #[inline(always)]
    #[must_use]
    pub(crate) unsafe fn push_local(self, block: NonNull<u8>) -> bool {
        // SAFETY: the caller's clause.
        unsafe { self.0.check_out(block) };
        let rest = self.0.local_free.get();
        // SAFETY: the caller's clause.
        let list = unsafe { Block::set_free(block.cast(), self.0.key.get(), rest) };
        self.0.local_free.set(list);
        const DUE: usize = std::mem::offset_of!(Span, counts) + Counts::DUE;
        // SAFETY: `due` is there, and only the owner writes it (Inv. Owner).
        unsafe { branch::decrement_to_zero::<_, DUE>(self.0) }
    }

    /// After [`Owned::push_local`] has said "look": whether no block is out. Aborts if the span
    /// was empty before that.
    pub(crate) fn is_emptied(self) -> bool {
        let used = self.check_used();
        self.0.counts.look(used);
        used == 0
    }

    /// Whether `free` has no block.
    pub(crate) fn free_is_empty(self) -> bool {
        self.0.free.get().is_end()
    }

    /// Whether [`Owned::refill`] would find a block, or needs not.
    pub(crate) fn has_blocks(self) -> bool {
        !self.free_is_empty()
            || self.0.remote.has_blocks()
            || match quarantine(self.0.capacity.get()) {
                0 => !self.0.local_free.get().is_end(),
                waiting => self.0.fresh.get().saturating_sub(self.0.used()) > waiting,
            }
    }

    /// Puts blocks into the empty `free`: those freed locally (hardened: but for the newest), else
    /// those freed by others. `false`: there are none.
    pub(crate) fn refill(self) -> bool {
        debug_assert!(self.free_is_empty());
        let used = self.check_used();
        // What was cut, and is neither out nor in `free`, is in `local_free`.
        let freed = self.0.fresh.get() - used;
        let waiting = quarantine(self.0.capacity.get());
        if freed > waiting {
            let list = self.take_behind(waiting);
            self.make_ready(list, used, freed - waiting);
            return true;
        }
        if self.0.remote.has_blocks() {
            self.drain();
            return true;
        }
        false
    }

    /// Makes the list of `count` blocks that were in use before the ones to pop; `used` are out.
    fn make_ready(self, list: Link, used: u32, count: u32) {
        self.0.free.set(list);
        self.0.free_is_zero.set(false);
        self.0.counts.set(used, count);
    }

    /// Takes all blocks of `local_free` but the first `count`, of which there are more.
    fn take_behind(self, count: u32) -> Link {
        let (mut last, mut rest) = (None, self.0.local_free.get());
        for _ in 0..count {
            let (block, behind) = self.split(rest);
            (last, rest) = (Some(block), behind);
        }
        match last {
            None => self.0.local_free.set(Link::END),
            // SAFETY: a block of `local_free`, the owner's alone.
            Some(last) => _ = unsafe { Block::set_free(last, self.0.key.get(), Link::END) },
        }
        rest
    }

    /// The first block of a list of this span's, and the rest.
    fn split(self, list: Link) -> (NonNull<Block>, Link) {
        // SAFETY: blocks on the list are free blocks of the span, the owner's alone.
        unsafe { Block::split(list, self.0.key.get()) }
    }

    /// Puts the blocks in quarantine into the empty `free`, when there are no others. `false`:
    /// there are none either.
    pub(crate) fn end_quarantine(self) -> bool {
        let list = self.0.local_free.replace(Link::END);
        let used = self.check_used();
        self.make_ready(list, used, self.0.fresh.get() - used);
        !list.is_end()
    }

    /// Aborts if fewer blocks are out than none: a cheap look at the sanity of the counts.
    fn check_used(self) -> u32 {
        let used = self.0.used();
        if used > self.0.fresh.get() {
            rt_abort!(
                "alloc: double free: span {:#x} got more back than went out",
                self.0.address()
            );
        }
        used
    }

    /// Moves the remote blocks to `free` if that is empty, else counts them in by hand.
    pub(crate) fn drain(self) {
        let Drained { head, count } = self.0.remote.drain();
        let list = self.0.list_of(head);
        if list.is_end() {
            return;
        }
        let (used, ready) = (self.0.used().wrapping_sub(count), self.0.counts.ready());
        self.0.counts.set(used, ready);
        self.check_used();
        if ready == 0 {
            return self.make_ready(list, used, count);
        }
        let (mut last, mut rest) = self.split(list);
        while !rest.is_end() {
            (last, rest) = self.split(rest);
        }
        // SAFETY: drained blocks are free blocks of the span, the owner's alone.
        unsafe { Block::set_free(last, self.0.key.get(), self.0.local_free.get()) };
        self.0.local_free.set(list);
    }

    /// Cuts the next few blocks; `false` if the span is cut up.
    pub(crate) fn cut(self) -> bool {
        let (first, bytes) = (self.0.fresh.get(), self.0.block_bytes.get());
        let count = cut_count(bytes).min(self.0.capacity.get() - first);
        if count == 0 {
            return false;
        }
        let start = self.0.address() + first as usize * bytes as usize;
        let (key, mut order) = (self.0.key.get(), Order::new(count as usize, bytes as usize));
        let mut list = Link::END;
        for _ in 0..count {
            // SAFETY: a block of the span is not at address 0.
            let block = unsafe { NonNull::new_unchecked((start + order.next_place()) as *mut _) };
            // SAFETY: inside the span's run, not cut before, so known to nobody.
            list = unsafe { Block::set_free(block, key, list) };
        }
        self.make_ready(list, self.0.used(), count);
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
        self.free_is_empty()
            && self.0.local_free.get().is_end()
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
