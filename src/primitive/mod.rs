//! What everything else is built from: the `std`|loom façade, locks, fences, the thread-locals.
//!
//! Atomics, `UnsafeCell`, fences, locks and `thread_local!` are named here and nowhere else;
//! `tests/tidy.rs` holds that.

pub(crate) mod abort;
pub(crate) mod atomic;
pub(crate) mod cell;
pub(crate) mod fence;
pub(crate) mod lock;
#[cfg(not(loom))]
pub(crate) mod tls;
#[cfg(not(loom))]
pub(crate) mod tls_alloc;
