//! Size classes: 80 block sizes from 8 bytes to 32 KiB, eight to each doubling.
//!
//! Up to 64 bytes the step is 8; above, a doubling is cut into eight equal steps, so a block is
//! less than an eighth larger than what was asked for (mimalloc's bins; Go's table has as many
//! classes and the same bound). Every step is a power of two, and that settles alignment:
//!
//! **Inv. Aligned**: round the size up to a multiple of the alignment `a` (a power of two, at most
//! 32 KiB); the block size of the class of the rounded size is a multiple of `a`. If the step in
//! that range is at least `a`, every block size there is a multiple of the step; if it is smaller,
//! the rounded size is a multiple of the step and so is itself a block size. Spans begin on a
//! granule, so all their blocks are aligned to `a`.
//!
//! Rejected: Go's table, which minimises the tail of a span but needs a look-up; here the tail is
//! never touched, so it costs address space only.

use super::geometry::{GRANULE, GRANULE_MAX};

/// The largest block size of a class; what is larger is a run of pages.
pub(crate) const SMALL_MAX: usize = 32 << 10;

/// The number of classes.
pub(crate) const COUNT: usize = 80;

/// The largest size whose class the cache finds by its table ([`DIRECT`]) …
pub(crate) const DIRECT_MAX: usize = 2048;

/// … and the largest alignment: every block has it.
pub(crate) const DIRECT_ALIGN_MAX: usize = 8;

/// The index of the class of each size up to [`DIRECT_MAX`].
pub(crate) const DIRECT: [u8; DIRECT_MAX + 1] = {
    let mut table = [0; DIRECT_MAX + 1];
    let mut size = 0;
    while size <= DIRECT_MAX {
        table[size] = Class::of_size(if size < MIN_SIZE { MIN_SIZE } else { size }).0;
        size += 1;
    }
    table
};

/// The smallest block of a class in use: free blocks of hardened builds hold two words.
pub(crate) const MIN_BLOCK_BYTES: usize = if cfg!(feature = "alloc-hardened") { 16 } else { 8 };

/// The smallest size that has a class of its own.
const MIN_SIZE: usize = MIN_BLOCK_BYTES - 7;

/// One of the [`COUNT`] size classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Class(u8);

impl Class {
    /// The class of the smallest blocks that hold `size` bytes, `size` at most [`SMALL_MAX`].
    #[inline(always)]
    pub(crate) const fn of_size(size: usize) -> Self {
        debug_assert!(size <= SMALL_MAX);
        if size <= 64 {
            return Self((size.saturating_sub(1) >> 3) as u8);
        }
        let last = size - 1;
        let doubling = last.ilog2() as usize;
        let step = last >> (doubling - 3);
        Self(((doubling - 6) * 8 + step) as u8)
    }

    /// The class for a size and an alignment, or `None` if the block has to be a run of pages.
    #[inline(always)]
    pub(crate) const fn of(size: usize, align: usize) -> Option<Self> {
        if size > SMALL_MAX || align > SMALL_MAX {
            return None;
        }
        // Both are at most SMALL_MAX, which is a multiple of `align`: so is at most the sum.
        let size = if size < MIN_SIZE { MIN_SIZE } else { size };
        Some(Self::of_size((size + align - 1) & !(align - 1)))
    }

    /// The class with this index, which is below [`COUNT`].
    #[inline(always)]
    pub(crate) const fn from_index(index: usize) -> Self {
        debug_assert!(index < COUNT);
        Self(index as u8)
    }

    /// The index of this class.
    #[inline(always)]
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }

    /// Bytes of a block of this class.
    #[inline(always)]
    pub(crate) const fn block_bytes(self) -> usize {
        BLOCK_BYTES[self.0 as usize] as usize
    }

    /// Granules of a span of this class: enough for eight blocks.
    pub(crate) const fn span_granules(self) -> usize {
        let bytes = self.block_bytes() * 8;
        if bytes <= GRANULE { 1 } else { (bytes.div_ceil(GRANULE)).next_power_of_two() }
    }

    /// Blocks in a span of this class.
    pub(crate) const fn span_blocks(self) -> usize {
        self.span_granules() * GRANULE / self.block_bytes()
    }
}

const BLOCK_BYTES: [u32; COUNT] = {
    let mut table = [0; COUNT];
    let mut i = 0;
    while i < COUNT {
        table[i] = if i < 8 {
            (i as u32 + 1) * 8
        } else {
            (9 + (i as u32 & 7)) << (3 + (i as u32 - 8) / 8)
        };
        i += 1;
    }
    table
};

const _: () = {
    assert!(BLOCK_BYTES[COUNT - 1] as usize == SMALL_MAX);
    assert!(Class::from_index(COUNT - 1).span_granules() <= GRANULE_MAX);
};

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_class_of_every_size_is_the_smallest_that_holds_it() {
        for size in 1..=SMALL_MAX {
            let class = Class::of_size(size);
            assert!(class.block_bytes() >= size, "size {size}");
            if class.index() > 0 {
                let below = Class::from_index(class.index() - 1);
                assert!(below.block_bytes() < size, "size {size} fits {}", below.block_bytes());
            }
        }
        assert_eq!(Class::of_size(0), Class::of_size(1));
    }

    #[test]
    fn a_block_wastes_less_than_an_eighth_above_64_bytes() {
        for size in 65..=SMALL_MAX {
            let block = Class::of_size(size).block_bytes();
            assert!((block - size) * 8 < size, "size {size} takes {block}");
        }
        for size in 1..=64 {
            assert!(Class::of_size(size).block_bytes() - size < 8, "size {size}");
        }
    }

    #[test]
    fn every_block_has_every_alignment_asked_for() {
        for shift in 0..=15 {
            let align = 1 << shift;
            for size in 0..=SMALL_MAX {
                let block = Class::of(size, align).expect("small").block_bytes();
                assert!(
                    block >= size && block.is_multiple_of(align),
                    "size {size} align {align}: {block}"
                );
            }
        }
        assert_eq!(Class::of(SMALL_MAX + 1, 1), None);
        assert_eq!(Class::of(1, SMALL_MAX * 2), None);
    }

    #[test]
    fn the_table_names_the_class_of_every_size_at_every_alignment_it_serves() {
        for (size, index) in DIRECT.into_iter().enumerate() {
            for align in [1, 2, 4, 8] {
                let class = Class::of(size, align).expect("small");
                assert_eq!(usize::from(index), class.index(), "{size}, {align}");
            }
        }
        let is_aligned = |bytes: &u32| (*bytes as usize).is_multiple_of(DIRECT_ALIGN_MAX);
        assert!(BLOCK_BYTES.iter().all(is_aligned));
    }

    #[test]
    fn block_sizes_rise_and_index_is_their_inverse() {
        for index in 0..COUNT {
            let class = Class::from_index(index);
            assert_eq!(Class::of_size(class.block_bytes()), class);
            assert!(index == 0 || BLOCK_BYTES[index] > BLOCK_BYTES[index - 1]);
        }
    }

    #[test]
    fn a_span_holds_at_least_eight_blocks_and_its_tail_is_below_an_eighth() {
        for index in 0..COUNT {
            let class = Class::from_index(index);
            let bytes = class.span_granules() * GRANULE;
            let tail = bytes - class.span_blocks() * class.block_bytes();
            assert!(class.span_blocks() >= 8, "class {index}");
            assert!(tail * 8 <= bytes, "class {index}: tail {tail} of {bytes}");
            // Counts of blocks fit the 16 bits they have in the remote word.
            assert!(class.span_blocks() < 1 << 16);
        }
    }
}
