//! M:N green threads: `std::thread` semantics at the cost of a goroutine.
#![allow(dead_code)]

mod primitive;
mod stack;
#[cfg(not(loom))]
mod sys;
