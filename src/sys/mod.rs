//! The only place for libc: thin, safe-where-possible wrappers without any policy.
//!
//! Functions return `io::Result` with the kernel's error, retry `EINTR` where a caller could do
//! nothing else, and keep no state.

pub(crate) mod clock;
pub(crate) mod environment;
pub(crate) mod futex;
pub(crate) mod membarrier;
pub(crate) mod pages;
pub(crate) mod thread_end;
