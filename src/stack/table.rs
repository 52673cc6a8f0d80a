//! The table of slabs: from an address, or from a slot's name, to what is known about it.
//!
//! Slabs are added and never removed, so a reader needs no lock and no reclamation: that is what
//! lets the overflow handler use it. An entry is written once and then published by its `end`.
//!
//! # Protocol
//! 1. A grower claims an entry ([`Table::claim`]): its number is unique from then on.
//! 2. It writes the entry, `end` last, with Release ([`Table::publish`]).
//! 3. A reader walks the claimed entries and reads `end` with Acquire; 0 is "not yet". What is not
//!    0 makes the rest of the entry, and the table of slots behind it, readable.
//! 4. `carved` counts the slots whose guards stand; it grows.

use super::slot::{Slot, SlotId};
use crate::primitive::atomic::{AtomicPtr, AtomicUsize, Ordering, ord};

/// The guard below each stack, in bytes: 16 pages of 4 KiB, because C does not probe its frames as
/// Rust does; whole pages at every page size Linux has (4, 16 and 64 KiB).
pub(super) const GUARD_BYTES: usize = 64 << 10;

/// Where a slab lies and how it is divided.
///
/// ```text
///  mapping                                                              end of mapping
///  │ Slot × slots │ guard │ usable │ block │ guard │ usable │ block │ … │ guard │
///                 ^ start                  ^ start + stride             ^ end
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slab {
    /// The first byte of the first slot, which is a guard.
    pub(super) start: usize,
    /// The end of the last slot.
    pub(super) end: usize,
    /// From slot to slot: guard, usable bytes, block.
    pub(super) stride: usize,
    /// The usable bytes of each stack.
    pub(super) usable: usize,
    /// The records of the slots.
    pub(super) slots: *const Slot,
}

impl Slab {
    /// The lowest usable address of a slot.
    pub(super) fn bottom(&self, index: usize) -> usize {
        self.start + index * self.stride + GUARD_BYTES
    }
}

/// An entry of the table; write-once, but for `carved`.
struct Entry {
    /// The end of the last slot; 0 until the entry is published.
    end: AtomicUsize,
    start: AtomicUsize,
    stride: AtomicUsize,
    usable: AtomicUsize,
    slots: AtomicPtr<Slot>,
    /// How many slots have their guards.
    carved: AtomicUsize,
}

impl Entry {
    #[cfg(not(loom))]
    const fn new() -> Self {
        Self {
            end: AtomicUsize::new(0),
            start: AtomicUsize::new(0),
            stride: AtomicUsize::new(0),
            usable: AtomicUsize::new(0),
            slots: AtomicPtr::new(std::ptr::null_mut()),
            carved: AtomicUsize::new(0),
        }
    }

    /// The slab, if it is published.
    fn slab(&self) -> Option<Slab> {
        // ORDERING: Acquire; pairs with the Release in `publish`; publishes the fields below.
        let end = self.end.load(ord!("table.end.load", Acquire));
        (end != 0).then(|| Slab {
            // ORDERING: Relaxed, all four; written once, before `end`.
            start: self.start.load(Ordering::Relaxed),
            end,
            // ORDERING: Relaxed; as above.
            stride: self.stride.load(Ordering::Relaxed),
            // ORDERING: Relaxed; as above.
            usable: self.usable.load(Ordering::Relaxed),
            // ORDERING: Relaxed; as above.
            slots: self.slots.load(Ordering::Relaxed),
        })
    }
}

/// At most `N` slabs.
pub(super) struct Table<const N: usize> {
    claimed: AtomicUsize,
    entries: [Entry; N],
}

impl<const N: usize> Table<N> {
    /// An empty table.
    #[cfg(not(loom))]
    pub(super) const fn new() -> Self {
        Self { claimed: AtomicUsize::new(0), entries: [const { Entry::new() }; N] }
    }

    /// An empty table; loom's atomics have no constant form.
    #[cfg(loom)]
    pub(super) fn new() -> Self {
        let entry = || Entry {
            end: AtomicUsize::new(0),
            start: AtomicUsize::new(0),
            stride: AtomicUsize::new(0),
            usable: AtomicUsize::new(0),
            slots: AtomicPtr::new(std::ptr::null_mut()),
            carved: AtomicUsize::new(0),
        };
        Self { claimed: AtomicUsize::new(0), entries: std::array::from_fn(|_| entry()) }
    }

    /// How many entries are claimed.
    pub(super) fn len(&self) -> usize {
        // ORDERING: Relaxed; says how far to look, each entry says whether it is there.
        self.claimed.load(Ordering::Relaxed).min(N)
    }

    /// Claims an entry for a new slab; `None` when the table is full.
    pub(super) fn claim(&self) -> Option<usize> {
        // ORDERING: Relaxed; only uniqueness is asked for, the entry is published by its `end`.
        let index = self.claimed.fetch_add(1, Ordering::Relaxed);
        (index < N).then_some(index)
    }

    /// Publishes a slab in the entry its caller claimed.
    ///
    /// # Safety
    /// - The caller claimed `index` and has not published it.
    /// - `slab.slots` points to as many slots as lie between `start` and `end`, for ever.
    pub(super) unsafe fn publish(&self, index: usize, slab: Slab) {
        let entry = &self.entries[index];
        // ORDERING: Relaxed, all four; published by `end` below.
        entry.start.store(slab.start, Ordering::Relaxed);
        // ORDERING: Relaxed; as above.
        entry.stride.store(slab.stride, Ordering::Relaxed);
        // ORDERING: Relaxed; as above.
        entry.usable.store(slab.usable, Ordering::Relaxed);
        // ORDERING: Relaxed; as above.
        entry.slots.store(slab.slots.cast_mut(), Ordering::Relaxed);
        // ORDERING: Release; pairs with the Acquire in `Entry::slab`; publishes the stores above.
        entry.end.store(slab.end, ord!("table.end.store", Release));
    }

    /// Says that the first `carved` slots of a slab have their guards. The grower only.
    pub(super) fn set_carved(&self, index: usize, carved: usize) {
        // ORDERING: Relaxed; the records of slots are readable since `publish`, this only bounds
        // an enumeration.
        self.entries[index].carved.store(carved, Ordering::Relaxed);
    }

    /// How many slots of a slab have their guards.
    pub(super) fn carved(&self, index: usize) -> usize {
        // ORDERING: Relaxed; as in `set_carved`.
        self.entries[index].carved.load(Ordering::Relaxed)
    }

    /// The slab of this number, if it is published.
    pub(super) fn slab(&self, index: usize) -> Option<Slab> {
        self.entries.get(index)?.slab()
    }

    /// The record of a slot and the end of its memory.
    #[inline(always)]
    pub(super) fn slot(&self, id: SlotId) -> (&Slot, usize) {
        let entry = &self.entries[id.slab()];
        // ORDERING: Relaxed, all three; whoever has a slot's name got it, by way of the pool's
        // lock, from the grower that published the entry.
        let slots = entry.slots.load(Ordering::Relaxed);
        // ORDERING: Relaxed; as above.
        let (start, stride) =
            (entry.start.load(Ordering::Relaxed), entry.stride.load(Ordering::Relaxed));
        // SAFETY: names are made by the grower for slots of a published slab only, so the place is
        // inside the table of slots.
        let slot = unsafe { slots.add(id.index()) };
        // SAFETY: slots live for ever (Inv. TypeStable) and are shared by atomics.
        (unsafe { &*slot }, start + (id.index() + 1) * stride)
    }

    /// The slot an address lies in, and how far above the start of its guard. Takes no lock and
    /// touches nothing but the table: usable in a signal handler.
    pub(super) fn find(&self, address: usize) -> Option<(SlotId, usize, Slab)> {
        (0..self.len()).find_map(|index| {
            let slab = self.slab(index)?;
            let offset = address.checked_sub(slab.start).filter(|_| address < slab.end)?;
            let place = offset / slab.stride;
            let is_carved = place < self.carved(index);
            is_carved.then(|| (SlotId::new(index, place), offset % slab.stride, slab))
        })
    }
}
