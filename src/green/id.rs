//! The public number of a thread.

use std::fmt;
use std::num::NonZero;

/// The number of a thread of this crate: unique in the process, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ThreadId(NonZero<u64>);

impl ThreadId {
    pub(crate) fn new(number: u64) -> Self {
        Self(NonZero::new(number).unwrap_or(NonZero::<u64>::MAX))
    }
}

impl fmt::Display for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
