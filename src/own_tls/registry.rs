//! All built blocks of the process, in use or waiting for the next green thread.
//!
//! The registry is for what happens once in a while and concerns every block: a module loaded
//! later with static thread-locals, a reader of restartable sequences that appears. It is touched
//! when a block is built or discarded, never when one is used again.
//!
//! The number of a block in the registry also gives its green threads their ids. libc compares
//! thread ids to find the owner of a mutex, so two live green threads must never share one, and a
//! counter that wraps would let them. Each block has [`IDS_PER_BLOCK`] ids of its own and takes
//! them in turn.

use crate::primitive::lock::{Guard, Lock, Rank};

/// The first id that the kernel cannot give to a thread (`PID_MAX_LIMIT`, 2²²), rounded up.
const FIRST_ID: u32 = (1 << 22) + IDS_PER_BLOCK;
/// One past the last id: a futex has 30 bits for its owner.
const ID_END: u32 = 1 << 30;
/// How many green threads in a row have different ids in one block.
const IDS_PER_BLOCK: u32 = 16;

/// The registry; see the module.
#[derive(Debug)]
pub(super) struct Registry {
    /// Thread pointers of built blocks; a vacant entry holds the next vacant one, times two plus
    /// one, which no thread pointer is.
    blocks: Vec<usize>,
    /// The first vacant entry, or the length.
    vacant: usize,
}

static REGISTRY: Lock<Registry> = Lock::new(Rank(45), Registry { blocks: Vec::new(), vacant: 0 });

/// Takes the registry's lock. It ranks 45; the loader's own locks may be taken under it.
pub(super) fn lock() -> Guard<'static, Registry> {
    REGISTRY.lock()
}

impl Registry {
    /// Notes a block; returns the first of its ids, or `None` when all are taken.
    pub(super) fn insert(&mut self, tp: usize) -> Option<u32> {
        let index = self.vacant;
        let id = u32::try_from(index).ok()?.checked_mul(IDS_PER_BLOCK)?.checked_add(FIRST_ID)?;
        if id >= ID_END - IDS_PER_BLOCK {
            return None;
        }
        match self.blocks.get_mut(index) {
            Some(entry) => {
                self.vacant = *entry >> 1;
                *entry = tp;
            }
            None => {
                self.blocks.push(tp);
                self.vacant = self.blocks.len();
            }
        }
        Some(id)
    }

    /// Forgets the block that has this id.
    pub(super) fn remove(&mut self, id: u32) {
        let index = ((id - FIRST_ID) / IDS_PER_BLOCK) as usize;
        self.blocks[index] = self.vacant << 1 | 1;
        self.vacant = index;
    }

    /// The thread pointers of all blocks.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        self.blocks.iter().copied().filter(|entry| entry & 1 == 0)
    }
}

/// The id after `id` in the same block.
#[inline(always)]
pub(super) fn next_id(id: u32) -> u32 {
    // The ids of a block begin at a multiple of their number, which is a power of two.
    (id & !(IDS_PER_BLOCK - 1)) | (id.wrapping_add(1) & (IDS_PER_BLOCK - 1))
}

const _: () = assert!(FIRST_ID & (IDS_PER_BLOCK - 1) == 0 && IDS_PER_BLOCK.is_power_of_two());

/// In the child of a fork: makes the registry anew, with the one block that is still in use.
///
/// # Safety
/// No other thread exists, and this thread holds no guard.
pub(super) unsafe fn reset_in_child(running: Option<usize>) {
    let place = (&raw const REGISTRY).cast_mut();
    let _ = (place, running);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_live_blocks_differ_and_return() {
        let mut registry = Registry { blocks: Vec::new(), vacant: 0 };
        let first = registry.insert(64).expect("room");
        let second = registry.insert(128).expect("room");
        assert_eq!(first + IDS_PER_BLOCK, second);
        let mut id = first;
        for _ in 0..IDS_PER_BLOCK {
            id = next_id(id);
            assert!((first..second).contains(&id));
        }
        assert_eq!(id, first);
        registry.remove(next_id(first));
        assert_eq!(registry.iter().collect::<Vec<_>>(), [128]);
        assert_eq!(registry.insert(192), Some(first));
        assert_eq!(registry.insert(256), Some(second + IDS_PER_BLOCK));
        assert_eq!(registry.iter().collect::<Vec<_>>(), [192, 128, 256]);
    }
}
