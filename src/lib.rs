//! M:N green threads: `std::thread` semantics at the cost of a goroutine.
#![allow(dead_code)]

mod collections;
mod primitive;
#[cfg(not(loom))]
mod sys;
mod timer;
