//! What a granule is used for: one word of its header.

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
