//! Free blocks in the build with the feature `alloc-hardened`.
//!
//! A free block holds two words:
//!
//! | word | holds | because |
//! |---|---|---|
//! | 0 | the *link*: `swap_bytes(next ^ key)`, `key` random for each span | a stray write gives an address that is nowhere: changing the lowest byte changes the highest of the address |
//! | 1 | the *mark*: `address ^ secret`, `secret` random for each process | says that this is a free block: a list that was led astray ends at a word that is no mark |
//!
//! 1. *Freeing* a block that has its mark is a double free, and aborts. The block's user writes
//!    over the word or it is zero from `take`, so an accident needs 64 bits to agree.
//! 2. *Handing out* a block without its mark aborts: somebody wrote to it after it was freed, or
//!    into its neighbour beyond the end, or the link before it was forged.
//! 3. *Order*: each cut of a span is handed out in a random order, and is at least
//!    [`CUT_BLOCKS_MIN`] blocks.
//! 4. *Quarantine*: what the owner frees is set aside until the list freed before it has been used
//!    up (`Owned::refill`), so a block is not handed out again before as many others as were freed
//!    in between; the quarantine of a span ends with the span.
//!
//! Blocks are at least 16 bytes. The checks cost one comparison of a word that lies on the line of
//! the link. They are no proof against somebody who can *read* free blocks: one link with a known
//! successor is the key.
//!
//! Rejected: signing each link with the address of its predecessor (snmalloc): a multiplication in
//! both fast paths; a ring of freed blocks per cache as quarantine: a store, a load and a cold
//! line in each `free`, where lists that wait one turn cost nothing; a bitmap of free blocks
//! (exact, see `debug`): a division in each `free`.
//!
//! Source: mimalloc's secure mode (encoded links, random order); snmalloc's checks on both ways.

use std::cell::Cell;
use std::ptr::NonNull;

use super::class::MIN_BLOCK_BYTES;
use crate::primitive::abort::rt_abort;
use crate::primitive::atomic::{AtomicU64, Ordering};
use crate::sys::environment;

/// Whether blocks that were freed wait a turn before they are handed out again.
pub(crate) const QUARANTINE: bool = true;

/// The fewest blocks that are cut at a time: below, a random order would be none.
const CUT_BLOCKS_MIN: u32 = 8;

/// What a first use touches otherwise.
const CUT_BYTES: u32 = 4096;

const _: () = assert!(MIN_BLOCK_BYTES >= size_of::<Block>());

/// The most blocks that are cut at a time.
const CUT_BLOCKS_MAX: usize = CUT_BYTES as usize / MIN_BLOCK_BYTES;

/// The random word of the process; 0 until [`start`] has run.
static SECRET: AtomicU64 = AtomicU64::new(0);

/// How many random words were drawn.
static DRAWN: AtomicU64 = AtomicU64::new(0);

/// Draws the secret, once, before the first span is made.
pub(crate) fn start() {
    let random = environment::random_word().unwrap_or(0);
    let secret = mix(random ^ (&raw const SECRET).addr() as u64) | 1;
    // ORDERING: Relaxed; `thread::key` publishes it and lets nobody pass before.
    SECRET.store(secret, Ordering::Relaxed);
}

fn secret() -> usize {
    // ORDERING: Relaxed; written once, before the first block exists.
    SECRET.load(Ordering::Relaxed) as usize
}

/// The finaliser of splitmix64: every bit of the result depends on every bit of the argument.
fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

/// The next random word.
fn draw() -> u64 {
    // ORDERING: Relaxed; a counter.
    let number = DRAWN.fetch_add(1, Ordering::Relaxed) + 1;
    // ORDERING: Relaxed; as in `secret`.
    let secret = SECRET.load(Ordering::Relaxed);
    mix(mix(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ secret).wrapping_add(secret))
}

/// What the links of a span are encoded with.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Key(usize);

impl Key {
    /// The key of a span that never has blocks; for constants.
    pub(crate) const NONE: Self = Self(0);

    /// A random key.
    pub(crate) fn new() -> Self {
        Self(draw() as usize)
    }
}

/// A free block; see the module.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Block {
    link: Cell<usize>,
    mark: Cell<usize>,
}

impl Block {
    #[inline(always)]
    fn mark_of(block: NonNull<Self>) -> usize {
        block.addr().get() ^ secret()
    }

    /// Makes a block a free one that `next` follows.
    ///
    /// # Safety
    /// - `block` is a free block of the span of `key` that only the caller knows.
    #[inline(always)]
    pub(crate) unsafe fn set_free(block: NonNull<Self>, key: Key, next: *mut Self) {
        let mark = Self::mark_of(block);
        // SAFETY: the caller's clause; blocks are aligned to 8 and hold at least two words.
        let block = unsafe { block.as_ref() };
        block.link.set((next.addr() ^ key.0).swap_bytes());
        block.mark.set(mark);
    }

    /// The block that follows; aborts if the block has lost its mark.
    ///
    /// # Safety
    /// - `block` was made free with `key` and is on a list that only the caller knows.
    #[inline(always)]
    pub(crate) unsafe fn next(block: NonNull<Self>, key: Key) -> *mut Self {
        let mark = Self::mark_of(block);
        // SAFETY: the caller's clause.
        let this = unsafe { block.as_ref() };
        if this.mark.get() != mark {
            abort_written(block);
        }
        // Blocks are memory that user code is given by address: their provenance is exposed.
        std::ptr::with_exposed_provenance_mut(this.link.get().swap_bytes() ^ key.0)
    }

    /// The block that follows, of one that is taken off its list to be handed out.
    ///
    /// # Safety
    /// - As [`Block::next`].
    #[inline(always)]
    pub(crate) unsafe fn take(block: NonNull<Self>, key: Key) -> *mut Self {
        // SAFETY: the caller's clause.
        let next = unsafe { Self::next(block, key) };
        // SAFETY: the caller's clause.
        unsafe { block.as_ref() }.mark.set(0);
        next
    }

    /// Aborts if the block, which somebody frees, is free already as far as it shows.
    ///
    /// # Safety
    /// - `block` is a block of a span.
    #[inline(always)]
    pub(crate) unsafe fn check_out(block: NonNull<Self>) {
        let mark = Self::mark_of(block);
        // SAFETY: the caller's clause. Its user has no reference left: it frees the block.
        let word = unsafe { block.as_ref() }.mark.as_ptr();
        // Volatile: the user may have left the word uninitialised, and any value but one will do.
        // SAFETY: as above.
        if unsafe { word.read_volatile() } == mark {
            abort_double(block);
        }
    }
}

#[cold]
#[inline(never)]
fn abort_written(block: NonNull<Block>) -> ! {
    rt_abort!("alloc: write after free: the free block {block:p} has lost its mark")
}

#[cold]
#[inline(never)]
fn abort_double(block: NonNull<Block>) -> ! {
    rt_abort!("alloc: double free of {block:p}")
}

/// How many blocks of `bytes` each are cut at a time.
#[inline(always)]
pub(crate) fn cut_count(bytes: u32) -> u32 {
    (CUT_BYTES / bytes).max(CUT_BLOCKS_MIN)
}

/// In which order the blocks of a cut are handed out: a random one.
#[derive(Debug)]
pub(crate) struct Order([u16; CUT_BLOCKS_MAX]);

impl Order {
    /// The order of a cut of `count` blocks: each is as likely as the others (Fisher and Yates),
    /// but for the bias of a remainder.
    pub(crate) fn new(count: usize) -> Self {
        let mut order = [0; CUT_BLOCKS_MAX];
        let mut random = draw();
        for index in 0..count {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let other = (random >> 32) as usize % (index + 1);
            order[index] = order[other];
            order[other] = index as u16;
        }
        Self(order)
    }

    /// The position of the block that comes as number `index`.
    pub(crate) fn at(&self, index: usize) -> usize {
        usize::from(self.0[index])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_a_permutation_and_differs_from_cut_to_cut() {
        start();
        let mut in_order = 0;
        for count in [1, 2, 8, 63, CUT_BLOCKS_MAX] {
            for _ in 0..50 {
                let order = Order::new(count);
                let mut seen: Vec<_> = (0..count).map(|index| order.at(index)).collect();
                in_order += usize::from(count >= 8 && seen.is_sorted());
                seen.sort_unstable();
                assert!(seen.into_iter().eq(0..count));
            }
        }
        assert!(in_order <= 1, "{in_order} of 150 shuffles changed nothing");
    }

    #[test]
    fn a_link_is_decoded_with_its_key_and_a_changed_byte_leads_nowhere_near() {
        start();
        let key = Key::new();
        let mut words = [0u64; 4];
        let first = words.as_mut_ptr();
        let block = NonNull::new(first.cast::<Block>()).expect("a place");
        let next = first.wrapping_add(2).cast::<Block>();
        // SAFETY: `words` is the test's own memory, of two blocks.
        unsafe { Block::set_free(block, key, next) };
        // SAFETY: as above.
        let link = unsafe { first.read() };
        assert_ne!(link, next.addr() as u64);
        // SAFETY: as above.
        assert_eq!(unsafe { Block::next(block, key) }, next);
        // An overrun by one byte: what comes out is not even in the same half of the space.
        // SAFETY: as above.
        unsafe { first.write(link ^ 0x55) };
        // SAFETY: as above.
        let astray = unsafe { Block::next(block, key) };
        assert_eq!((astray.addr() ^ next.addr()) as u64, 0x55 << 56);
    }
}
