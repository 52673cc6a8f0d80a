//! A slab whose keys tell a live entry from a former tenant of the same slot.
//!
//! Entries lie in one `Vec`; a freed slot goes on a free list threaded through the slots
//! themselves (LIFO, so the next tenant finds it warm). Each slot counts its tenants in a
//! `generation`, odd while it is taken, even while it is free; a [`Key`] carries the generation
//! it was made with, so a stale key never reaches a later tenant.
//!
//! **Invariants**
//! - *Parity*: a slot's generation is odd iff the slot is taken.
//! - *FreeList*: the free list from `free` through `next_free` holds exactly the free slots that
//!   are not retired, each once.
//! - *NoWrap*: a slot whose generation would wrap is retired: it never gets another tenant. It
//!   costs one slot per 2³¹ tenants, and makes a key exact for ever, not only probably.
//!
//! Values are `Copy`, so a free slot keeps the bits of its last tenant and the slab needs neither
//! `unsafe` nor an `Option` around the value.

use crate::collections::prefetch::prefetch;
use crate::primitive::abort::rt_abort;
use crate::primitive::atomic::mutant;
use std::num::NonZeroU32;

/// Ends the free list.
const NIL: u32 = u32::MAX;
/// Leaves users room for a few positions and marks of their own in 32 bits.
const SLOTS_MAX: usize = 1 << 31;

/// A place for many small values, found again by [`Key`].
#[derive(Debug)]
pub(crate) struct Slab<T> {
    slots: Vec<Slot<T>>,
    /// The slot that was freed last, or `NIL`.
    free: u32,
    len: usize,
}

/// One slot; 24 bytes for a 16-byte value.
#[derive(Debug)]
struct Slot<T> {
    value: T,
    /// Odd: taken. Even: free.
    generation: u32,
    /// The next free slot, or `NIL`; meaningless while the slot is taken.
    next_free: u32,
}

/// Names one tenancy of one slot; 8 bytes, and so is `Option<Key>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    index: u32,
    /// The generation of a taken slot is odd, so never 0.
    generation: NonZeroU32,
}

impl Key {
    /// The slot this key names; two live keys never share it.
    #[inline(always)]
    pub(crate) fn index(self) -> u32 {
        self.index
    }
}

impl<T: Copy> Slab<T> {
    /// An empty slab; allocates nothing.
    pub(crate) const fn new() -> Self {
        Self { slots: Vec::new(), free: NIL, len: 0 }
    }

    /// How many slots are taken.
    #[inline(always)]
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Takes a slot for `value`.
    #[inline]
    pub(crate) fn insert(&mut self, value: T) -> Key {
        self.len += 1;
        let index = self.free;
        let Some(slot) = self.slots.get_mut(index as usize) else {
            return self.insert_slow(value);
        };
        self.free = slot.next_free;
        slot.value = value;
        slot.generation += 1;
        Key { index, generation: odd(slot.generation) }
    }

    /// Adds a slot: no free one is left.
    #[cold]
    fn insert_slow(&mut self, value: T) -> Key {
        let index = self.slots.len();
        if index >= SLOTS_MAX {
            rt_abort!("slab: more than {SLOTS_MAX} entries");
        }
        self.slots.push(Slot { value, generation: 1, next_free: NIL });
        Key { index: index as u32, generation: odd(1) }
    }

    /// Whether the tenancy that `key` names still lasts.
    #[inline(always)]
    pub(crate) fn contains(&self, key: Key) -> bool {
        let slot = self.slots.get(key.index as usize);
        let same = |slot: &Slot<T>| slot.generation == key.generation.get();
        slot.is_some_and(|slot| same(slot) || mutant!("collections.slab.generation"))
    }

    /// Starts to fetch the slot `index`, which is about to be removed.
    #[inline(always)]
    pub(crate) fn prefetch(&self, index: u32) {
        prefetch(self.slots.as_ptr().wrapping_add(index as usize));
    }

    /// How many bytes the slab holds on to.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot<T>>()
    }

    /// Ends the tenancy of the taken slot `index` and gives its value back.
    ///
    /// Aborts if the slot is free: the caller keeps track of what it has put here.
    #[inline]
    pub(crate) fn remove_at(&mut self, index: u32) -> T {
        let slot = &mut self.slots[index as usize];
        if slot.generation & 1 == 0 {
            rt_abort!("slab: slot {index} was freed twice");
        }
        slot.generation = slot.generation.wrapping_add(1);
        self.len -= 1;
        let value = slot.value;
        // Inv. NoWrap: generation 0 again means that 2^31 keys are out for this slot.
        if slot.generation != 0 {
            slot.next_free = self.free;
            self.free = index;
        }
        value
    }
}

/// The generation of a taken slot as a niche.
#[inline(always)]
fn odd(generation: u32) -> NonZeroU32 {
    NonZeroU32::new(generation).expect("the generation of a taken slot is odd (Inv. Parity)")
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_stale_key_does_not_name_the_next_tenant() {
        let mut slab = Slab::new();
        let first = slab.insert('a');
        assert_eq!(slab.remove_at(first.index()), 'a');
        let second = slab.insert('b');
        assert_eq!(second.index(), first.index());
        assert!(!slab.contains(first));
        assert!(slab.contains(second));
    }

    #[test]
    fn a_freed_slot_is_reused_at_once() {
        let mut slab = Slab::new();
        let keys: Vec<Key> = (0..10).map(|n| slab.insert(n)).collect();
        for key in &keys {
            slab.remove_at(key.index());
        }
        for n in 0..10 {
            slab.insert(n);
        }
        assert_eq!((slab.len(), slab.slots.len()), (10, 10));
    }

    #[test]
    fn a_slot_with_a_spent_generation_is_retired() {
        let mut slab = Slab::new();
        let key = slab.insert(1);
        slab.slots[0].generation = u32::MAX;
        slab.remove_at(key.index());
        let next = slab.insert(2);
        assert_eq!((next.index(), slab.len()), (1, 1));
    }

    #[test]
    fn keys_are_small() {
        assert_eq!(size_of::<Option<Key>>(), 8);
        assert_eq!(size_of::<Slot<(usize, u64)>>(), 24);
    }
}
