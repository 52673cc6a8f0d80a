//! Giving memory back: what a stack once touched stays resident until somebody says otherwise.
//!
//! | when | what | cost |
//! |---|---|---|
//! | the first return of a slot in each [`age`] | all below its top 64 KiB | 0.6 us, once an age |
//! | [`scavenge`], when idle | all but the block, of slots not wanted between two visits | 0.6-7 us |
//! | [`trim_all`], when a runtime ends | all; the block too if it can be discarded | the same |
//!
//! A return does not look how deep a stack was, because looking costs more than trimming:
//! `mincore` over 192 KiB takes 1.3 us, `MADV_DONTNEED` with nothing there 0.6 us. A canary word
//! 64 KiB below the top takes 5 ns to read, but 660 ns the first time, and a frame that skips the
//! word, or leaves zero in it, hides a deep stack for ever. Trimming every 128th return of a slot
//! costs a spawn 5 ns on average, and says nothing about time: where green threads live for a
//! second, memory would stay for minutes. An age, a second of the monitor's, bounds both: a slot is
//! trimmed at most once an age, and what it held before the last one is gone after its next return.
//! The first return of a new slot only notes the age: a million green threads that are spawned once
//! pay nothing. What is not used again at all is the scavenger's.
//!
//! The scavenger and `trim_all` hold a slot outside of the pool while they trim it. They take it
//! only together with an unsold unit (`Pool::withdraw`), so that no ticket loses its slot.

use super::class::Class;
use super::pool::{BATCH, Pool, Warmth};
use super::slab::{Slabs, TABLE, block_bytes};
use super::slot::{Slot, SlotId};
use super::table::GUARD_BYTES;
use crate::primitive::atomic::{AtomicU32, Ordering};
use crate::sys::mem;

/// What a slot keeps at its top when it is given back.
const KEPT_BYTES: usize = 64 << 10;
/// The present age; see [`age`].
static AGE: AtomicU32 = AtomicU32::new(1);

/// Begins a new age. Called by the monitor about once a second, whether the process is idle or not.
pub(crate) fn age() {
    // ORDERING: Relaxed; only that it changes is asked for.
    AGE.fetch_add(1, Ordering::Relaxed);
}

/// Trims a slot that has just been given up, once an age.
#[inline(always)]
pub(super) fn on_give(slot: &Slot, id: SlotId, class: Class) {
    // ORDERING: Relaxed; a little late is in time.
    let age = AGE.load(Ordering::Relaxed);
    if slot.age() != age {
        on_first_give(slot, age, id, class.usable());
    }
}

#[cold]
#[inline(never)]
fn on_first_give(slot: &Slot, age: u32, id: SlotId, usable: usize) {
    let is_new = slot.age() == 0;
    slot.set_age(age);
    if !is_new && usable > KEPT_BYTES {
        let bottom = TABLE.slot(id).1 - block_bytes() - usable;
        trim_range(bottom, usable - KEPT_BYTES);
    }
}

/// Visits the cached stacks: trims up to `slots_max` of those that were not wanted since the last
/// visit, all but their blocks, and begins a new [`age`]. Returns how many cached stacks still hold
/// more than their blocks; as long as that is not 0 and the process is idle, another visit pays.
///
/// Slots in the caches of processors are not reached; a processor that goes idle flushes its own.
pub(crate) fn scavenge(slots_max: usize) -> usize {
    age();
    let mut trimmed = 0;
    for pool in Class::all().map(Class::pool) {
        let before = trimmed;
        while trimmed < slots_max {
            let batch = (slots_max - trimmed).min(BATCH);
            match move_some(pool, Warmth::Cool, Warmth::Cold, batch, trim_stack) {
                0 => break,
                moved => trimmed += moved,
            }
        }
        pool.count_trimmed(trimmed - before);
        pool.cool_down();
    }
    untrimmed()
}

/// How many cached stacks hold more than their blocks; those in the caches of processors apart.
pub(crate) fn untrimmed() -> usize {
    Class::all().map(|class| class.pool().count(&[Warmth::Warm, Warmth::Cool])).sum()
}

/// Trims every cached stack of every size, when a runtime has ended; returns how many.
///
/// With `discard` the blocks go too: it is called with the word of each block
/// (`Stack::block_word`) before the memory below it vanishes. Address space and guards stay, for
/// the next runtime.
pub(crate) fn trim_all(discard: Option<fn(usize)>) -> usize {
    let (piles, to) = match discard {
        Some(_) => (&[Warmth::Warm, Warmth::Cool, Warmth::Cold][..], Warmth::Bare),
        None => (&[Warmth::Warm, Warmth::Cool][..], Warmth::Cold),
    };
    let trim = |id| match discard {
        Some(discard) => trim_wholly(id, discard),
        None => trim_stack(id),
    };
    let mut trimmed = 0;
    for pool in Class::all().map(Class::pool) {
        let moved = piles.iter().map(|&from| move_all(pool, from, to, trim)).sum();
        pool.count_trimmed(moved);
        trimmed += moved;
    }
    trimmed
}

/// Takes what one pile has at present, trims it and puts it on another. Returns how many slots.
fn move_all(pool: &Pool<Slabs>, from: Warmth, to: Warmth, trim: impl Fn(SlotId) + Copy) -> usize {
    // Others may give slots meanwhile: what was there at the start is enough.
    let all = pool.count(&[from]);
    let mut moved = 0;
    while moved < all {
        match move_some(pool, from, to, (all - moved).min(BATCH), trim) {
            0 => break,
            more => moved += more,
        }
    }
    moved
}

/// Takes up to `slots_max` slots from one pile, trims them and puts them on another.
fn move_some(
    pool: &Pool<Slabs>,
    from: Warmth,
    to: Warmth,
    slots_max: usize,
    trim: impl Fn(SlotId),
) -> usize {
    let mut slots = [SlotId::NONE; BATCH];
    let taken = pool.withdraw(from, &mut slots[..slots_max]);
    slots[..taken].iter().copied().for_each(trim);
    pool.put(&slots[..taken], taken, to);
    taken
}

/// Trims a stack but not the block above it; all of the slot if no block was built.
fn trim_stack(id: SlotId) {
    let (slot, end) = TABLE.slot(id);
    let slab = TABLE.slab(id.slab()).expect("a slot's slab is published");
    let bottom = end - slab.stride + GUARD_BYTES;
    let kept = if slot.block().is_some() { block_bytes() } else { 0 };
    trim_range(bottom, end - kept - bottom);
}

/// Trims the whole slot, after its block was discarded.
fn trim_wholly(id: SlotId, discard: fn(usize)) {
    let (slot, _) = TABLE.slot(id);
    if let Some(word) = slot.block() {
        discard(word);
        slot.set_block(None);
    }
    trim_stack(id);
}

fn trim_range(bottom: usize, bytes: usize) {
    // SAFETY: whole pages of a slot whose only holder is the caller; what a green thread left
    // there is nobody's, and the next one expects nothing. On failure the memory is merely kept.
    let _ = unsafe { mem::dontneed(bottom as *mut u8, bytes) };
}
