//! What is known about a slot: 32 bytes beside the slab, never in the slot.
//!
//! In the slot itself it would cost a page of memory for each stack that was ever used, and an
//! overflow could destroy what the report of the overflow needs. The table is type-stable: a
//! [`Slot`] is never freed, so a signal handler and `inspect` may read any of them at any time.

use crate::primitive::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering, ord};

/// Names a slot in the process: the slab in the upper half, the place in the slab in the lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SlotId(u32);

impl SlotId {
    /// No slot: the end of a list.
    pub(super) const NONE: Self = Self(u32::MAX);

    /// The slot `index` of slab `slab`.
    pub(super) fn new(slab: usize, index: usize) -> Self {
        debug_assert!(slab < usize::from(u16::MAX) && index <= usize::from(u16::MAX));
        Self((slab as u32) << 16 | index as u32)
    }

    /// The slab it belongs to.
    pub(super) fn slab(self) -> usize {
        (self.0 >> 16) as usize
    }

    /// Its place in the slab.
    pub(super) fn index(self) -> usize {
        (self.0 & 0xffff) as usize
    }

    /// The slot `n` places further up in the same slab.
    pub(super) fn plus(self, n: usize) -> Self {
        debug_assert!(self.index() + n <= usize::from(u16::MAX));
        Self(self.0 + n as u32)
    }

    /// The word to be kept in a link.
    fn word(self) -> u32 {
        self.0
    }
}

/// The record of a slot. All-zero is a valid one: free, no block, links not yet written.
///
/// # Fields
/// A slot has one *holder* at a time: a green thread's `Stack`, a cache, the scavenger, or the pool
/// (whoever holds the pool's lock). It changes hands through the pool's lock, or with the cache.
///
/// | field | written by | read by |
/// |---|---|---|
/// | `owner` | the holder | anybody, at any time (signal handlers too) |
/// | `block` | the holder | the holder |
/// | `next`, `below`, `len` | the holder | the holder |
/// | `age` | the holder | the holder |
///
/// # States of `owner`
/// | value | means |
/// |---|---|
/// | null | free: in a cache or in the pool |
/// | `NOBODY` | bound to a green thread that has not been announced yet |
/// | other | bound to the green thread at this address |
#[derive(Debug)]
#[cfg_attr(not(loom), repr(C, align(32)))]
pub(super) struct Slot {
    owner: AtomicPtr<()>,
    /// The thread pointer of the block built in this slot, 0 if there is none. It outlives the
    /// green thread: the next one renews it.
    block: AtomicUsize,
    /// The next slot of the same magazine.
    next: AtomicU32,
    /// In the head of a magazine: the head of the magazine below it.
    below: AtomicU32,
    /// In the head of a magazine: how many slots it has.
    len: AtomicU32,
    /// The age in which it was last given back; see `trim`.
    age: AtomicU32,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Slot>() == 32);

/// Stands for the owner of a slot that is bound but has not been announced.
static UNANNOUNCED: u8 = 0;

/// The owner of a slot that is bound but has not been announced.
pub(super) fn nobody() -> *const () {
    (&raw const UNANNOUNCED).cast()
}

impl Slot {
    /// A free slot: what zero-filled memory is.
    #[cfg(loom)]
    pub(super) fn new() -> Self {
        Self {
            owner: AtomicPtr::new(std::ptr::null_mut()),
            block: AtomicUsize::new(0),
            next: AtomicU32::new(0),
            below: AtomicU32::new(0),
            len: AtomicU32::new(0),
            age: AtomicU32::new(0),
        }
    }

    /// The owner; null if the slot is free.
    #[inline(always)]
    pub(super) fn owner(&self) -> *const () {
        // ORDERING: Acquire; pairs with the Release in `set_owner`; publishes what was written to
        // the owner before it was announced.
        self.owner.load(ord!("slot.owner.load", Acquire))
    }

    /// Announces the owner, or null when the slot is given back. Holder only.
    #[inline(always)]
    pub(super) fn set_owner(&self, owner: *const ()) {
        // ORDERING: Release; pairs with the Acquire in `owner`; publishes the owner's contents.
        self.owner.store(owner.cast_mut(), ord!("slot.owner.store", Release));
    }

    /// The thread pointer of the block in this slot. Holder only.
    #[inline(always)]
    pub(super) fn block(&self) -> Option<usize> {
        // ORDERING: Relaxed; the holder's own word, handed on by the pool's lock.
        Some(self.block.load(Ordering::Relaxed)).filter(|&word| word != 0)
    }

    /// Notes the block built in this slot. Holder only.
    #[inline(always)]
    pub(super) fn set_block(&self, word: Option<usize>) {
        // ORDERING: Relaxed; the holder's own word, handed on by the pool's lock.
        self.block.store(word.unwrap_or(0), Ordering::Relaxed);
    }

    /// The next slot of the magazine. Holder only.
    pub(super) fn next(&self) -> SlotId {
        // ORDERING: Relaxed; the holder's own word, handed on by the pool's lock.
        SlotId(self.next.load(Ordering::Relaxed))
    }

    /// Links the next slot of the magazine. Holder only.
    pub(super) fn set_next(&self, next: SlotId) {
        // ORDERING: Relaxed; the holder's own word, handed on by the pool's lock.
        self.next.store(next.word(), Ordering::Relaxed);
    }

    /// The magazine below the one this slot heads. Holder only.
    pub(super) fn below(&self) -> SlotId {
        // ORDERING: Relaxed; the holder's own word, handed on by the pool's lock.
        SlotId(self.below.load(Ordering::Relaxed))
    }

    /// Makes this slot the head of a magazine of `len` slots on top of `below`. Holder only.
    pub(super) fn set_head(&self, below: SlotId, len: usize) {
        // ORDERING: Relaxed; the holder's own word, handed on by the pool's lock.
        self.below.store(below.word(), Ordering::Relaxed);
        // ORDERING: Relaxed; as above.
        self.len.store(len as u32, Ordering::Relaxed);
    }

    /// How many slots the magazine has that this slot heads. Holder only.
    pub(super) fn len(&self) -> usize {
        // ORDERING: Relaxed; the holder's own word, handed on by the pool's lock.
        self.len.load(Ordering::Relaxed) as usize
    }

    /// The age in which the slot was last given back as `trim` counts them; 0 if it never was.
    /// Holder only.
    #[inline(always)]
    pub(super) fn age(&self) -> u32 {
        // ORDERING: Relaxed; the holder's own word, handed on by the pool's lock.
        self.age.load(Ordering::Relaxed)
    }

    /// Notes the age in which the slot is given back. Holder only.
    pub(super) fn set_age(&self, age: u32) {
        // ORDERING: Relaxed; the holder's own word, handed on by the pool's lock.
        self.age.store(age, Ordering::Relaxed);
    }
}
