//! M:N green threads: `std::thread` semantics at the cost of a goroutine.
#![allow(dead_code)]

pub mod alloc;
mod primitive;
#[cfg(not(loom))]
mod sys;
