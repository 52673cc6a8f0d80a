//! What everything else is built from: the `std`|loom façade, locks, fences, the thread-locals.
//!
//! Atomics, `UnsafeCell`, fences, locks and `thread_local!` are named here and nowhere else;
//! `tests/tidy.rs` holds that.

pub(crate) mod abort;
pub(crate) mod atomic;
pub(crate) mod cell;
pub(crate) mod fence;
pub(crate) mod lock;
#[cfg(all(test, loom))]
pub(crate) mod model;
#[cfg(not(loom))]
pub(crate) mod tls;

#[cfg(loom)]
pub(crate) mod futex;
#[cfg(not(loom))]
pub(crate) use crate::sys::futex;
