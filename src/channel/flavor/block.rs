//! The blocks of the unbounded channel, and the slots in them; see `list`, whose invariants these
//! keep.

use crate::channel::snooze::Snooze;
use crate::primitive::atomic::{AtomicPtr, AtomicU32, ord};
use crate::primitive::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

/// Slots of a block.
pub(super) const SLOTS: u64 = if cfg!(loom) { 2 } else { 31 };
/// Steps of an index from block to block.
pub(super) const LAP: u64 = SLOTS + 1;
/// One step.
pub(super) const STEP: u64 = 2;
/// In `tail`: disconnected. In `head`: the tail is in a later block.
pub(super) const MARK: u64 = 1;

/// The states of a slot.
pub(super) const EMPTY: u32 = 0;
pub(super) const WRITTEN: u32 = 1;
/// The sender has given up.
pub(super) const VOID: u32 = 2;

/// Some slots in a row.
#[derive(Debug)]
pub(super) struct Block<T> {
    pub(super) next: AtomicPtr<Self>,
    /// How many slots receivers are done with.
    pub(super) taken: AtomicU32,
    pub(super) slots: [Slot<T>; SLOTS as usize],
}

#[derive(Debug)]
pub(super) struct Slot<T> {
    pub(super) state: AtomicU32,
    pub(super) value: UnsafeCell<MaybeUninit<T>>,
}

/// A slot that was reserved. The block lives until its receiver has counted it.
pub(super) struct Reserved<T> {
    pub(super) block: NonNull<Block<T>>,
    pub(super) offset: u64,
}

impl<T> Block<T> {
    /// Built in place: a block of large values would not fit on a green thread's stack.
    pub(super) fn new() -> Box<Self> {
        let mut block = Box::<Self>::new_uninit();
        let place = block.as_mut_ptr();
        // SAFETY: `place` is allocated; the field is within it.
        let next = unsafe { &raw mut (*place).next };
        // SAFETY: valid for writes, aligned.
        unsafe { next.write(AtomicPtr::new(ptr::null_mut())) };
        // SAFETY: as above.
        let taken = unsafe { &raw mut (*place).taken };
        // SAFETY: as above.
        unsafe { taken.write(AtomicU32::new(0)) };
        // SAFETY: as above.
        let slots = unsafe { &raw mut (*place).slots }.cast::<Slot<T>>();
        for index in 0..SLOTS as usize {
            // SAFETY: within the array.
            let slot = unsafe { slots.add(index) };
            let state = AtomicU32::new(EMPTY);
            // SAFETY: valid for writes, aligned.
            unsafe { slot.write(Slot { state, value: UnsafeCell::new(MaybeUninit::uninit()) }) };
        }
        // SAFETY: all fields and all elements are written above.
        unsafe { block.assume_init() }
    }

    /// The block behind this one, whose last slot the caller has reserved.
    ///
    /// # Switches
    pub(super) fn wait_for_next(&self) -> *mut Self {
        let mut snooze = Snooze::new();
        loop {
            // ORDERING: Acquire; pairs with the Release in `append`: the block.
            let next = self.next.load(ord!("list.next", Acquire));
            if !next.is_null() {
                return next;
            }
            snooze.wait();
        }
    }
}

impl<T> Slot<T> {
    /// Waits until its sender is done: what has become of it.
    ///
    /// # Switches
    #[inline(always)]
    pub(super) fn wait_for_sender(&self) -> u32 {
        let mut snooze = Snooze::new();
        loop {
            // ORDERING: Acquire; pairs with the Release in `put`: the message.
            let state = self.state.load(ord!("list.state", Acquire));
            if state != EMPTY {
                return state;
            }
            snooze.wait();
        }
    }
}

impl<T> Reserved<T> {
    #[inline(always)]
    pub(super) fn slot(&self) -> &Slot<T> {
        // SAFETY: reserved and not yet counted: the block lives (BlockLives).
        unsafe { &self.block.as_ref().slots[self.offset as usize] }
    }

    /// The receiver is done with it: frees the block if it was the last of all its slots.
    #[inline(always)]
    pub(super) fn count(self) {
        // SAFETY: as above; it is counted by this.
        let block = unsafe { self.block.as_ref() };
        // ORDERING: AcqRel; Release: our use of the block comes before it is freed; Acquire: so
        // does everybody's, for who frees it.
        if u64::from(block.taken.fetch_add(1, ord!("list.taken", AcqRel))) + 1 == SLOTS {
            // Models are told that this ends all use of the values.
            #[cfg(loom)]
            block.slots.iter().for_each(|slot| slot.value.with_mut(|_| ()));
            // SAFETY: all slots were counted: nobody else has the block (BlockLives).
            drop(unsafe { Box::from_raw(self.block.as_ptr()) });
        }
    }
}

/// The offset of an index in its block; [`SLOTS`]: between two blocks.
#[inline(always)]
pub(super) fn offset(index: u64) -> u64 {
    index / STEP % LAP
}

/// The number of the block of an index.
#[inline(always)]
pub(super) fn lap(index: u64) -> u64 {
    index / STEP / LAP
}
