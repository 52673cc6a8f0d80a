//! Free blocks in the build with the feature `alloc-hardened`.
//!
//! A free block holds two words:
//!
//! | word | holds | because |
//! |---|---|---|
//! | 0 | the *link*: `swap_bytes(next ^ key)`, `key` random for each span | a stray write gives an address that is nowhere: changing the lowest byte changes the highest of the address |
//! | 1 | the *mark*: `address ^ key` | says that this is a free block: a list that was led astray ends at a word that is no mark |
//!
//! 1. *Freeing* a block that has its mark is a double free, and aborts. The block's user writes
//!    over the word or it is zero from `take`, so an accident needs 64 bits to agree.
//! 2. *Handing out* a block without its mark aborts: somebody wrote to it after it was freed, or
//!    into its neighbour beyond the end, or the link before it was forged.
//! 3. *Order*: the blocks of each cut are handed out from a random one on, by a random stride
//!    ([`Order`]); a cut is at least [`CUT_BLOCKS_MIN`] blocks.
//! 4. *Quarantine*: of what the owner frees into a span, the newest blocks stay aside
//!    (`Owned::refill`): as many as an eighth of the span, at most four. A block is not handed out
//!    again before so many others were freed into the span, unless nothing else is left in it.
//!
//! Blocks are at least 16 bytes. The checks cost one comparison of a word that lies on the line of
//! the link. They are no proof against somebody who can *read* free blocks: one link with a known
//! successor is the key.
//!
//! Rejected: signing each link with the address of its predecessor (snmalloc): a multiplication in
//! both fast paths. A shuffle of each cut: the bench's cell `batch` took 2.0 times the instructions
//! of the plain build instead of 1.4. A ring of freed blocks per cache as quarantine: a store, a
//! load and a cold line in each `free`. A list that waits until the one before is used up: a fifth
//! more memory in the cells `larson` and `pareto`. A bitmap of free blocks (exact, see `debug`): a
//! division in each `free`.
//!
//! Source: mimalloc's secure mode (encoded links, random order); snmalloc's checks on both ways.

use std::cell::Cell;
use std::ptr::NonNull;

use super::class::MIN_BLOCK_BYTES;
use crate::primitive::abort::rt_abort;
use crate::primitive::atomic::{AtomicU64, Ordering};
use crate::sys::environment;

/// How many of the blocks freed last wait, in a span of so many.
pub(crate) fn quarantine(capacity: u32) -> u32 {
    (capacity / 8).min(4)
}

/// The fewest blocks that are cut at a time: below, a random order would be none.
const CUT_BLOCKS_MIN: u32 = 4;

/// What a first use touches otherwise.
const CUT_BYTES: u32 = 4096;

const _: () = assert!(MIN_BLOCK_BYTES >= size_of::<Block>());

/// The random word of the process; 0 until [`start`] has run.
static SECRET: AtomicU64 = AtomicU64::new(0);

/// How many random words were drawn.
static DRAWN: AtomicU64 = AtomicU64::new(0);

/// Draws the secret, once, before the first span is made.
pub(crate) fn start() {
    let random = environment::random_word().unwrap_or(0);
    let secret = mix(random ^ (&raw const SECRET).addr() as u64) | 1;
    // ORDERING: Relaxed; `OnceNumber` publishes it and lets nobody pass before.
    SECRET.store(secret, Ordering::Relaxed);
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
    // ORDERING: Relaxed; written once, before the first span is made.
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
    fn mark_of(block: NonNull<Self>, key: Key) -> usize {
        block.addr().get() ^ key.0
    }

    /// Makes a block a free one that `next` follows.
    ///
    /// # Safety
    /// - `block` is a free block of the span of `key` that only the caller knows.
    #[inline(always)]
    pub(crate) unsafe fn set_free(block: NonNull<Self>, key: Key, next: *mut Self) {
        let mark = Self::mark_of(block, key);
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
        let mark = Self::mark_of(block, key);
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
        unsafe { Self::unset_free(block) };
        next
    }

    /// Aborts if the block, which somebody frees, is free already as far as it shows.
    ///
    /// # Safety
    /// - `block` is a block of the span of `key`.
    #[inline(always)]
    pub(crate) unsafe fn check_out(block: NonNull<Self>, key: Key) {
        let mark = Self::mark_of(block, key);
        // SAFETY: the caller's clause. Its user has no reference left: it frees the block.
        let word = unsafe { block.as_ref() }.mark.as_ptr();
        // Volatile: the user may have left the word uninitialised, and any value but one will do.
        // SAFETY: as above.
        if unsafe { word.read_volatile() } == mark {
            abort_double(block);
        }
    }

    /// Takes back what [`Block::set_free`] has said of a block that is not on a list yet.
    ///
    /// # Safety
    /// - As [`Block::set_free`].
    #[inline(always)]
    pub(crate) unsafe fn unset_free(block: NonNull<Self>) {
        // SAFETY: the caller's clause.
        unsafe { block.as_ref() }.mark.set(0);
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

/// Primes above the number of blocks in any cut: a stride by one of them meets every block once.
const STRIDES: [u16; 32] = [
    521, 523, 541, 547, 557, 563, 569, 571, 577, 587, 593, 599, 601, 607, 613, 617, 619, 631, 641,
    643, 647, 653, 659, 661, 673, 677, 683, 691, 701, 709, 719, 727,
];

const _: () = assert!(CUT_BYTES as usize / MIN_BLOCK_BYTES < STRIDES[0] as usize);

/// The positions of the blocks of a cut: from a random one on by a random stride, modulo their
/// number. For 256 blocks that is one of 8,192 orders.
#[derive(Debug)]
pub(crate) struct Order {
    at: usize,
    stride: usize,
    count: usize,
}

impl Order {
    /// The order of a cut of `count` blocks.
    pub(crate) fn new(count: usize) -> Self {
        let random = draw() as usize;
        let stride = usize::from(STRIDES[random % STRIDES.len()]) % count;
        Self { at: (random >> 8) % count, stride, count }
    }

    /// The next position; as many as there are blocks.
    #[inline(always)]
    pub(crate) fn next_position(&mut self) -> usize {
        let next = self.at + self.stride;
        self.at = if next >= self.count { next - self.count } else { next };
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_meets_every_block_once_and_differs_from_cut_to_cut() {
        start();
        for count in [1, 2, 8, 9, 63, 210, CUT_BYTES as usize / MIN_BLOCK_BYTES] {
            let orders: Vec<Vec<_>> = (0..50)
                .map(|_| {
                    let mut order = Order::new(count);
                    (0..count).map(|_| order.next_position()).collect()
                })
                .collect();
            let others = orders.iter().filter(|order| **order != orders[0]).count();
            assert!(count < 8 || others > 30, "{others} of 50 orders of {count} differ");
            for mut order in orders {
                order.sort_unstable();
                assert!(order.into_iter().eq(0..count));
            }
        }
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
