//! M:N green threads: `std::thread` semantics at the cost of a goroutine.
#![allow(dead_code)]

#[cfg(not(loom))]
mod arch;
#[cfg(not(loom))]
mod own_tls;
mod primitive;
#[cfg(not(loom))]
mod sys;
