//! Why a runtime could not be built.

use std::fmt;

/// Why [`RuntimeBuilder::build`](crate::RuntimeBuilder::build) failed.
///
/// Its text names what was wrong: the variable or field, the value, and the accepted range.
#[derive(Debug)]
pub struct BuildError {
    kind: BuildErrorKind,
    text: String,
}

/// The kinds of [`BuildError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildErrorKind {
    /// The number of processors is out of range.
    Processors,
    /// The stack size is out of range.
    StackSize,
    /// An environment variable has a value that is not accepted.
    Environment,
    /// Green threads cannot have thread-locals of their own in this process; see
    /// [`RuntimeBuilder::os_threads`](crate::RuntimeBuilder::os_threads).
    Unsupported,
    /// The system refused a resource.
    System,
}

impl BuildError {
    pub(crate) fn new(kind: BuildErrorKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    /// What kind of error it is.
    pub fn kind(&self) -> BuildErrorKind {
        self.kind
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for BuildError {}
