//! M:N green threads: `std::thread` semantics at the cost of a goroutine.
#![cfg_attr(loom, allow(dead_code))]

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

#[cfg(all(feature = "fault-injection", not(loom)))]
#[doc(hidden)]
pub use sys::fault::{
    Call as Fault, calls as faults_seen, clear as clear_faults, fail as plan_faults,
};
