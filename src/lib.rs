//! M:N green threads: `std::thread` semantics at the cost of a goroutine.
#![allow(dead_code)]

#[cfg(not(loom))]
mod arch;
mod primitive;
#[cfg(not(loom))]
mod sys;
