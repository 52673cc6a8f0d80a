//! Looking at slots from outside: by address, and all of them.

use super::slab::TABLE;
use super::slot::SlotId;
use super::table::{GUARD_BYTES, Slab};

/// A slot, as somebody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotInfo {
    /// The lowest usable address; the guard lies below.
    pub(crate) bottom: usize,
    /// The end of the block.
    pub(crate) end: usize,
    /// The usable bytes.
    pub(crate) size: usize,
    /// What `Stack::set_owner` set; null if the slot is free. Only where green threads are
    /// type-stable may it be followed, and what it shows may be the next one already.
    pub(crate) owner: *const (),
    /// Whether the address that was asked for lies in the guard.
    pub(crate) is_in_guard: bool,
}

impl SlotInfo {
    fn of(slab: &Slab, id: SlotId, offset: usize) -> Self {
        let (slot, end) = TABLE.slot(id);
        Self {
            bottom: slab.bottom(id.index()),
            end,
            size: slab.usable,
            owner: slot.owner(),
            is_in_guard: offset < GUARD_BYTES,
        }
    }
}

/// The slot an address lies in. Lock-free and async-signal-safe; linear in the number of slabs.
pub(crate) fn find(address: usize) -> Option<SlotInfo> {
    TABLE.find(address).map(|(id, offset, slab)| SlotInfo::of(&slab, id, offset))
}

/// Calls `look` with every slot that is bound at the moment it is looked at. Lock-free; linear in
/// the number of slots ever made.
#[allow(dead_code, reason = "for the dump of `inspect`")]
pub(crate) fn for_each_bound(mut look: impl FnMut(SlotInfo)) {
    for index in 0..TABLE.len() {
        let Some(slab) = TABLE.slab(index) else { continue };
        for place in 0..TABLE.carved(index) {
            let info = SlotInfo::of(&slab, SlotId::new(index, place), GUARD_BYTES);
            if !info.owner.is_null() {
                look(info);
            }
        }
    }
}
