//! The only place for libc: thin, safe-where-possible wrappers without any policy.
//!
//! Functions return `io::Result` with the kernel's error, retry `EINTR` where a caller could do
//! nothing else, and keep no state.

pub(crate) mod clock;
pub(crate) mod cpu;
pub(crate) mod dl;
pub(crate) mod environment;
pub(crate) mod epoll;
pub(crate) mod fault;
pub(crate) mod futex;
pub(crate) mod heap;
pub(crate) mod mem;
pub(crate) mod membarrier;
pub(crate) mod pages;
pub(crate) mod raw_signal;
pub(crate) mod schedule;
pub(crate) mod signal;
pub(crate) mod socket;
pub(crate) mod splice;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod thread;
pub(crate) mod thread_end;
pub(crate) mod userfault;
pub(crate) mod valgrind;
