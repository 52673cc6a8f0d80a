//! A free block: its first word links it to the next one of its list.
//!
//! In the plain build the link is an address and nothing else is written. With the feature
//! `alloc-hardened` the same four operations encode the link, mark the block as free in its
//! second word, and abort when a mark is missing or is there already: see `hardened.rs`.

cfg_if::cfg_if! {
    if #[cfg(feature = "alloc-hardened")] {
        pub(crate) use super::hardened::{Block, Key, Order, cut_count, quarantine};
    } else {
        pub(crate) use plain::{Block, Key, Order, cut_count, quarantine};
    }
}

/// What the free lists need of a free block.
#[cfg(feature = "alloc-debug")]
pub(crate) const FREE_BYTES: usize = size_of::<Block>();

#[cfg(not(feature = "alloc-hardened"))]
mod plain {
    use std::cell::Cell;
    use std::ptr::NonNull;

    /// How many of the blocks freed last wait, in a span of so many: none.
    #[inline(always)]
    pub(crate) fn quarantine(_capacity: u32) -> u32 {
        0
    }

    /// A free block: its first word links it to the next.
    #[derive(Debug)]
    #[repr(C)]
    pub(crate) struct Block {
        next: Cell<*mut Block>,
    }

    /// What the links of a span are encoded with: nothing, in this build.
    #[derive(Clone, Copy, Debug, Default)]
    pub(crate) struct Key;

    impl Key {
        /// The key of a span that never has blocks; for constants.
        pub(crate) const NONE: Self = Self;

        /// The key of a new span.
        pub(crate) fn new() -> Self {
            Self
        }
    }

    impl Block {
        /// Makes a block a free one that `next` follows.
        ///
        /// # Safety
        /// - `block` is a free block of the span of `key` that only the caller knows.
        #[inline(always)]
        pub(crate) unsafe fn set_free(block: NonNull<Self>, _key: Key, next: *mut Self) {
            // SAFETY: the caller's clause; blocks are aligned to 8 and hold at least a word.
            unsafe { block.as_ref() }.next.set(next);
        }

        /// The block that follows.
        ///
        /// # Safety
        /// - `block` was made free with `key` and is on a list that only the caller knows.
        #[inline(always)]
        pub(crate) unsafe fn next(block: NonNull<Self>, _key: Key) -> *mut Self {
            // SAFETY: the caller's clause.
            unsafe { block.as_ref() }.next.get()
        }

        /// The block that follows, of one that is taken off its list to be handed out.
        ///
        /// # Safety
        /// - As [`Block::next`].
        #[inline(always)]
        pub(crate) unsafe fn take(block: NonNull<Self>, key: Key) -> *mut Self {
            // SAFETY: the caller's clause.
            unsafe { Self::next(block, key) }
        }

        /// Aborts if the block, which somebody frees, is free already as far as it shows.
        ///
        /// # Safety
        /// - `block` is a block of a span.
        #[inline(always)]
        pub(crate) unsafe fn check_out(_block: NonNull<Self>, _key: Key) {}

        /// Takes back what [`Block::set_free`] has said of a block that is not on a list yet.
        ///
        /// # Safety
        /// - As [`Block::set_free`].
        #[inline(always)]
        pub(crate) unsafe fn unset_free(_block: NonNull<Self>) {}
    }

    /// How many blocks of `bytes` each are cut at a time.
    #[inline(always)]
    pub(crate) fn cut_count(bytes: u32) -> u32 {
        /// What a first use touches.
        const CUT_BYTES: u32 = 4096;
        (CUT_BYTES / bytes).max(1)
    }

    /// The positions of the blocks of a cut, the one that is handed out last first: here they are
    /// handed out in the order of their addresses.
    #[derive(Debug)]
    pub(crate) struct Order {
        left: usize,
    }

    impl Order {
        /// The order of a cut of `count` blocks.
        #[inline(always)]
        pub(crate) fn new(count: usize) -> Self {
            Self { left: count }
        }

        /// The next position; as many as there are blocks.
        #[inline(always)]
        pub(crate) fn next_position(&mut self) -> usize {
            self.left -= 1;
            self.left
        }
    }
}
