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

use super::modules::StaticModule;
use crate::primitive::atomic::{AtomicUsize, Ordering};
use crate::primitive::lock::{Guard, Lock, Rank};

/// The first id that the kernel cannot give to a thread (`PID_MAX_LIMIT`, 2²²), rounded up.
const FIRST_ID: u32 = (1 << 22) + IDS_PER_BLOCK;
/// One past the last id: a futex has 30 bits for its owner.
const ID_END: u32 = 1 << 30;
/// How many green threads in a row have different ids in one block.
const IDS_PER_BLOCK: u32 = 16;
/// How many registries there are, for children that were forked while the registry was held.
const LEVELS: usize = 8;
/// Room for blocks in the first registry and in each further one.
const ROOM: [usize; 2] = [1 << 25, 1 << 22];

const _: () = assert!(FIRST_ID & (IDS_PER_BLOCK - 1) == 0 && IDS_PER_BLOCK.is_power_of_two());
const _: () = assert!(
    FIRST_ID as usize + (ROOM[0] + (LEVELS - 1) * ROOM[1]) * IDS_PER_BLOCK as usize
        <= ID_END as usize
);

/// The registry; see the module.
#[derive(Debug)]
pub(super) struct Registry {
    /// Thread pointers of built blocks; a vacant entry holds the next vacant one, times two plus
    /// one, which no thread pointer is.
    blocks: Vec<usize>,
    /// The first vacant entry, or the length.
    vacant: usize,
    /// The number of the first entry, over all registries.
    first: usize,
    /// The block that ran the fork which made this registry, or 0.
    forked: usize,
    /// The modules with static thread-locals that every block has; `None` before the first look.
    pub(super) known: Option<Vec<StaticModule>>,
    /// Whether every block says that restartable sequences are off, on a page that is otherwise
    /// not touched.
    pub(super) marks_rseq: bool,
}

static REGISTRIES: [Lock<Registry>; LEVELS] =
    [const { Lock::new(Rank(45), Registry::new(0)) }; LEVELS];
/// Which registry is in force.
static LEVEL: AtomicUsize = AtomicUsize::new(0);

/// Takes the registry's lock. It ranks 45; the loader's own locks may be taken under it.
pub(super) fn lock() -> Guard<'static, Registry> {
    // ORDERING: Relaxed; changes only while the process has one thread.
    REGISTRIES[LEVEL.load(Ordering::Relaxed)].lock()
}

impl Registry {
    const fn new(first: usize) -> Self {
        Self { blocks: Vec::new(), vacant: 0, first, forked: 0, known: None, marks_rseq: false }
    }

    /// Notes a block; returns the first of its ids, or `None` when all are taken.
    pub(super) fn insert(&mut self, tp: usize) -> Option<u32> {
        let index = self.vacant;
        if index >= ROOM[usize::from(self.first != 0)] {
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
        Some(FIRST_ID + (self.first + index) as u32 * IDS_PER_BLOCK)
    }

    /// Forgets the block that has this id.
    pub(super) fn remove(&mut self, id: u32) {
        let number = (id.wrapping_sub(FIRST_ID) / IDS_PER_BLOCK) as usize;
        let index = number.wrapping_sub(self.first);
        // A block that was built before a fork may be unknown in the child.
        if let Some(entry) = self.blocks.get_mut(index) {
            *entry = self.vacant << 1 | 1;
            self.vacant = index;
        }
    }

    /// The thread pointers of all blocks.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        let forked = Some(self.forked).filter(|tp| *tp != 0);
        self.blocks.iter().copied().filter(|entry| entry & 1 == 0).chain(forked)
    }
}

/// The id after `id` in the same block.
#[inline(always)]
pub(super) fn next_id(id: u32) -> u32 {
    // The ids of a block begin at a multiple of their number, which is a power of two.
    (id & !(IDS_PER_BLOCK - 1)) | (id.wrapping_add(1) & (IDS_PER_BLOCK - 1))
}

/// In the child of a fork: takes the next registry if the present one was held by a thread that
/// stayed behind. Allocates nothing.
///
/// # Safety
/// No other thread exists, and this thread holds no guard.
pub(super) unsafe fn reset_in_child(running: Option<usize>) {
    // ORDERING: Relaxed; the process has one thread.
    let level = LEVEL.load(Ordering::Relaxed);
    if REGISTRIES[level].try_lock().is_some() || level + 1 == LEVELS {
        return;
    }
    // ORDERING: Relaxed; as above.
    LEVEL.store(level + 1, Ordering::Relaxed);
    let mut registry = lock();
    registry.first = ROOM[0] + level * ROOM[1];
    registry.forked = running.unwrap_or(0);
    registry.marks_rseq = true;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_live_blocks_differ_and_return() {
        let mut registry = Registry::new(0);
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
