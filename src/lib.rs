//! M:N green threads: `std::thread` semantics at the cost of a goroutine.
#![allow(dead_code)]

#[cfg(not(loom))]
mod arch;
mod collections;
mod green;
mod machine;
#[cfg(not(loom))]
mod own_tls;
mod primitive;
mod processor;
mod sched;
#[cfg(not(loom))]
mod stack;
#[cfg(not(loom))]
mod sys;
mod timer;
