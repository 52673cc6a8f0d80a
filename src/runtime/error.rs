//! Why a runtime could not be built.

use std::fmt;
use std::io;

/// Why [`RuntimeBuilder::build`](crate::RuntimeBuilder::build) failed.
///
/// Its text names what was wrong: the variable or field, the value, and the accepted range.
#[derive(Debug)]
pub struct BuildError {
    kind: BuildErrorKind,
    text: String,
    source: Option<io::Error>,
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
        Self { kind, text: text.into(), source: None }
    }

    /// The system refused what `needed` says; the text names both.
    pub(super) fn of_system(needed: &str, error: io::Error) -> Self {
        let text = format!("cannot start a runtime: {needed}: {error}");
        Self { kind: BuildErrorKind::System, text, source: Some(error) }
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

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

impl From<BuildError> for io::Error {
    /// Of the kernel's kind, if it was the kernel; else `InvalidInput` or `Unsupported`.
    fn from(error: BuildError) -> Self {
        let kind = match (&error.source, error.kind) {
            (Some(source), _) => source.kind(),
            (None, BuildErrorKind::Unsupported) => io::ErrorKind::Unsupported,
            (None, BuildErrorKind::System) => io::ErrorKind::Other,
            (None, _) => io::ErrorKind::InvalidInput,
        };
        Self::new(kind, error)
    }
}
