//! M:N green threads: `std::thread` semantics at the cost of a goroutine.
#![allow(dead_code)]

mod green;
mod machine;
mod primitive;
mod processor;
mod sched;
#[cfg(not(loom))]
mod sys;
