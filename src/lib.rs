//! M:N green threads: `std::thread` semantics at the cost of a goroutine.
#![cfg_attr(loom, allow(dead_code))]

pub mod alloc;
#[cfg(not(loom))]
mod arch;
mod collections;
mod green;
#[cfg(not(loom))]
pub mod inspect;
mod machine;
#[cfg(not(loom))]
mod own_tls;
mod primitive;
mod processor;
#[cfg(not(loom))]
mod runtime;
mod sched;
mod stack;
#[cfg(not(loom))]
mod sys;
mod timer;

#[cfg(not(loom))]
pub use runtime::*;

/// For the fault-injection tests of this crate alone: makes calls of the kernel fail.
#[cfg(all(feature = "fault-injection", not(loom)))]
#[doc(hidden)]
pub mod fault {
    pub use crate::sys::fault::{Call, calls, clear, fail};
}
