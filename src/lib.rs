//! M:N green threads: `std::thread` semantics at the cost of a goroutine.
#![cfg_attr(loom, allow(dead_code))]

pub mod alloc;
#[cfg(not(loom))]
mod arch;
pub mod channel;
mod collections;
mod green;
#[cfg(not(loom))]
pub mod inspect;
mod machine;
#[cfg(not(loom))]
pub mod net;
mod netpoll;
#[cfg(not(loom))]
mod own_tls;
mod primitive;
mod processor;
#[cfg(not(loom))]
mod runtime;
mod sched;
mod stack;
pub mod sync;
#[cfg(not(loom))]
mod sys;
#[cfg(not(loom))]
pub mod time;
mod timer;

#[cfg(not(loom))]
pub use runtime::*;

/// For the fault-injection tests of this crate alone: makes calls of the kernel fail.
#[cfg(all(feature = "fault-injection", not(loom)))]
#[doc(hidden)]
pub mod fault {
    pub use crate::sys::fault::{Call, calls, clear, fail};
}
