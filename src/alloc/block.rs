//! A free block: its first word links it to the next one of its list.
//!
//! In the plain build a link is an address and nothing else is written. With the feature
//! `alloc-hardened` the same operations encode the link, mark the block as free in its second
//! word, and abort when a mark is missing or is there already: see `hardened.rs`.

cfg_if::cfg_if! {
    if #[cfg(feature = "alloc-hardened")] {
        pub(crate) use super::hardened::{Block, Key, Link, Order, cut_count, quarantine};
    } else {
        pub(crate) use plain::{Block, Key, Link, Order, cut_count, quarantine};
    }
}

/// What the free lists need of a free block.
#[cfg(feature = "alloc-debug")]
pub(crate) const FREE_BYTES: usize = size_of::<Block>();

#[cfg(not(feature = "alloc-hardened"))]
mod plain {
    use std::cell::Cell;
    use std::ptr::{NonNull, null_mut};

    /// How many of the blocks freed last wait, in a span of so many: none.
    #[inline(always)]
    pub(crate) fn quarantine(_capacity: u32) -> u32 {
        0
    }

    /// A free block: its first word links it to the next.
    #[derive(Debug)]
    #[repr(C)]
    pub(crate) struct Block {
        next: Cell<Link>,
    }

    /// A list: the address of its first block.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[repr(transparent)]
    pub(crate) struct Link(*mut Block);

    impl Link {
        /// That of a list without blocks.
        pub(crate) const END: Self = Self(null_mut());

        /// Whether there is no block.
        pub(crate) fn is_end(self) -> bool {
            self == Self::END
        }
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
        /// The link to a block.
        pub(crate) fn link(block: NonNull<Self>, _key: Key) -> Link {
            Link(block.as_ptr())
        }

        /// Makes a block a free one that `rest` follows; returns the list of them.
        ///
        /// # Safety
        /// - `block` is a free block of the span of `key` that only the caller knows.
        #[inline(always)]
        pub(crate) unsafe fn set_free(block: NonNull<Self>, _key: Key, rest: Link) -> Link {
            // SAFETY: the caller's clause; blocks are aligned to 8 and hold at least a word.
            unsafe { block.as_ref() }.next.set(rest);
            Link(block.as_ptr())
        }

        /// The first block of a list, and the rest of it.
        ///
        /// # Safety
        /// - The list has a block, its blocks were made free with `key`, and only the caller
        ///   knows it.
        #[inline(always)]
        pub(crate) unsafe fn split(list: Link, _key: Key) -> (NonNull<Self>, Link) {
            // SAFETY: the caller's clause: the end is the only null.
            let block = unsafe { NonNull::new_unchecked(list.0) };
            // SAFETY: the caller's clause.
            (block, unsafe { block.as_ref() }.next.get())
        }

        /// [`Block::split`] of a list whose first block is handed out.
        ///
        /// # Safety
        /// - As [`Block::split`].
        #[inline(always)]
        pub(crate) unsafe fn take(list: Link, key: Key) -> (NonNull<Self>, Link) {
            // SAFETY: the caller's clause.
            unsafe { Self::split(list, key) }
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

    /// The places of the blocks of a cut, in bytes from its start, the one that is handed out last
    /// first: here they are handed out in the order of their addresses.
    #[derive(Debug)]
    pub(crate) struct Order {
        at: usize,
        block_bytes: usize,
    }

    impl Order {
        /// The order of a cut of `count` blocks of `bytes` each.
        #[inline(always)]
        pub(crate) fn new(count: usize, bytes: usize) -> Self {
            Self { at: count * bytes, block_bytes: bytes }
        }

        /// The next place; as many as there are blocks.
        #[inline(always)]
        pub(crate) fn next_place(&mut self) -> usize {
            self.at -= self.block_bytes;
            self.at
        }
    }
}
