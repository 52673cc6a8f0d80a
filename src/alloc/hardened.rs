//! Free blocks in the build with the feature `alloc-hardened`.
//!
//! A free block holds two words:
//!
//! | word | holds | because |
//! |---|---|---|
//! | 0 | the *link*: the mark of the next free block, 0 at the end | a stray write gives an address that is nowhere |
//! | 1 | the *mark*: `address * key`, `key` odd and random for each span | says that this is a free block: a list that was led astray ends at a word that is no mark |
//!
//! The heads of the lists are links, too. So what `free` computes is the mark, which it compares,
//! writes, and makes the head; and `alloc` decodes the head by the key's inverse modulo 2^64 and
//! compares that head with the mark. A product and not an exclusive or, at the same price: where a
//! byte of a link is changed, the address changes in all that is above it.
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
//! the link. They are no proof against somebody who can *read* free blocks: the mark of a
//! block at a known address is the key.
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
pub(crate) struct Key {
    factor: usize,
    /// Modulo 2^64.
    inverse: usize,
}

impl Key {
    /// The key of a span that never has blocks; for constants.
    pub(crate) const NONE: Self = Self { factor: 0, inverse: 0 };

    /// A random key.
    pub(crate) fn new() -> Self {
        let factor = draw() as usize | 1;
        // Newton's iteration: right in three bits at first, and in twice as many each time.
        let mut inverse = factor;
        for _ in 0..5 {
            let error = 2usize.wrapping_sub(factor.wrapping_mul(inverse));
            inverse = inverse.wrapping_mul(error);
        }
        Self { factor, inverse }
    }
}

/// A list: the mark of its first block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Link(usize);

impl Link {
    /// That of a list without blocks.
    pub(crate) const END: Self = Self(0);

    /// Whether there is no block.
    pub(crate) fn is_end(self) -> bool {
        self == Self::END
    }
}

/// A free block; see the module.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Block {
    link: Cell<Link>,
    mark: Cell<Link>,
}

impl Block {
    /// The link to a block, which is its mark.
    #[inline(always)]
    pub(crate) fn link(block: NonNull<Self>, key: Key) -> Link {
        Link(block.addr().get().wrapping_mul(key.factor))
    }

    /// Makes a block a free one that `rest` follows; returns the list of them.
    ///
    /// # Safety
    /// - `block` is a free block of the span of `key` that only the caller knows.
    #[inline(always)]
    pub(crate) unsafe fn set_free(block: NonNull<Self>, key: Key, rest: Link) -> Link {
        let mark = Self::link(block, key);
        // SAFETY: the caller's clause; blocks are aligned to 8 and hold at least two words.
        let block = unsafe { block.as_ref() };
        block.link.set(rest);
        block.mark.set(mark);
        mark
    }

    /// The first block of a list, and the rest of it; aborts if the block has lost its mark.
    ///
    /// # Safety
    /// - The list has a block, its blocks were made free with `key`, and only the caller knows it.
    #[inline(always)]
    pub(crate) unsafe fn split(list: Link, key: Key) -> (NonNull<Self>, Link) {
        let address = list.0.wrapping_mul(key.inverse);
        // Blocks are memory that user code is given by address: their provenance is exposed.
        let block = std::ptr::with_exposed_provenance_mut(address);
        // SAFETY: no block is at address 0, and its product with an odd number is not 0 either.
        let block = unsafe { NonNull::<Self>::new_unchecked(block) };
        // SAFETY: the caller's clause.
        let this = unsafe { block.as_ref() };
        if this.mark.get() != list {
            abort_written(block);
        }
        (block, this.link.get())
    }

    /// [`Block::split`] of a list whose first block is handed out.
    ///
    /// # Safety
    /// - As [`Block::split`].
    #[inline(always)]
    pub(crate) unsafe fn take(list: Link, key: Key) -> (NonNull<Self>, Link) {
        // SAFETY: the caller's clause.
        let (block, rest) = unsafe { Self::split(list, key) };
        // SAFETY: the caller's clause.
        unsafe { Self::unset_free(block) };
        (block, rest)
    }

    /// Aborts if the block, which somebody frees, is free already as far as it shows.
    ///
    /// # Safety
    /// - `block` is a block of the span of `key`.
    #[inline(always)]
    pub(crate) unsafe fn check_out(block: NonNull<Self>, key: Key) {
        let mark = Self::link(block, key);
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
        unsafe { block.as_ref() }.mark.set(Link::END);
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

/// The places of the blocks of a cut, in bytes from its start: from a random one on by a random
/// stride, modulo their number. For 256 blocks that is one of 8,192 orders.
#[derive(Debug)]
pub(crate) struct Order {
    at: usize,
    stride: usize,
    end: usize,
}

impl Order {
    /// The order of a cut of `count` blocks of `bytes` each.
    pub(crate) fn new(count: usize, bytes: usize) -> Self {
        let random = draw() as usize;
        let stride = usize::from(STRIDES[random % STRIDES.len()]) % count;
        Self { at: (random >> 8) % count * bytes, stride: stride * bytes, end: count * bytes }
    }

    /// The next place; as many as there are blocks.
    #[inline(always)]
    pub(crate) fn next_place(&mut self) -> usize {
        let next = self.at + self.stride;
        self.at = if next >= self.end { next - self.end } else { next };
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
                    let mut order = Order::new(count, 48);
                    (0..count).map(|_| order.next_place()).collect()
                })
                .collect();
            let others = orders.iter().filter(|order| **order != orders[0]).count();
            assert!(count < 8 || others > 30, "{others} of 50 orders of {count} differ");
            for mut order in orders {
                order.sort_unstable();
                assert!(order.into_iter().eq((0..count).map(|block| block * 48)));
            }
        }
    }

    #[test]
    fn a_link_is_decoded_with_its_key_and_a_changed_byte_leads_nowhere_near() {
        start();
        for _ in 0..1000 {
            let key = Key::new();
            let mut words = [0u64; 4];
            let first = NonNull::from(&mut words).cast::<Block>();
            // SAFETY: `words` is the test's own memory, of two blocks.
            let second = unsafe { first.add(1) };
            // SAFETY: as above.
            let rest = unsafe { Block::set_free(second, key, Link::END) };
            // SAFETY: as above.
            let list = unsafe { Block::set_free(first, key, rest) };
            assert_ne!(list.0, first.addr().get());
            // SAFETY: as above.
            assert_eq!(unsafe { Block::split(list, key) }, (first, rest));
            // SAFETY: as above.
            assert_eq!(unsafe { Block::take(rest, key) }, (second, Link::END));
            for byte in 0..8 {
                let astray = (rest.0 ^ 0x55 << (8 * byte)).wrapping_mul(key.inverse);
                let distance = astray.wrapping_sub(second.addr().get()) as isize;
                assert!(distance.unsigned_abs() > 64 << 20, "{distance:#x}");
            }
        }
    }
}
