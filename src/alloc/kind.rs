//! What a granule is used for: one word of its header; and how a header is told from other memory.

use std::cell::Cell;

use super::class::Class;

/// What a granule is used for, by its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing: no run begins here, or it was given back.
    Free,
    /// The first granule of a span of blocks of a class.
    Small(Class),
    /// A further granule of a span, this many after the first.
    Interior(usize),
    /// A large block, a run of this many pages.
    Large(usize),
    /// A block with a mapping of its own.
    Huge,
}

/// `Kind` in a word: `kind: 3 | value: 29`.
const KIND_BITS: u32 = 3;

impl Kind {
    /// The kind in a word.
    pub(super) fn from_word(word: u32) -> Self {
        let value = (word >> KIND_BITS) as usize;
        match word & 7 {
            1 => Self::Small(Class::from_index(value)),
            2 => Self::Interior(value),
            3 => Self::Large(value),
            4 => Self::Huge,
            _ => Self::Free,
        }
    }

    /// The word of a kind.
    pub(super) fn to_word(self) -> u32 {
        let (tag, value) = match self {
            Self::Free => (0, 0),
            Self::Small(class) => (1, class.index()),
            Self::Interior(back) => (2, back),
            Self::Large(pages) => (3, pages),
            Self::Huge => (4, 0),
        };
        tag | (value as u32) << KIND_BITS
    }
}

/// A word that holds the address of its header, scrambled, once that is in use.
#[derive(Debug)]
pub(crate) struct Seal(Cell<usize>);

impl Seal {
    /// That of a header which is not in use yet.
    pub(super) const fn none() -> Self {
        Self(Cell::new(0))
    }

    const fn scrambled(header: usize) -> usize {
        header.rotate_left(17) ^ 0x6774_6872_6561_6421
    }

    /// Marks the header at this address as one.
    pub(super) fn put(&self, header: usize) {
        self.0.set(Self::scrambled(header));
    }

    /// Whether it was put at this address.
    pub(super) fn is_of(&self, header: usize) -> bool {
        self.0.get() == Self::scrambled(header)
    }
}
