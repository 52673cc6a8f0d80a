//! Waiting for one of several operations.

pub(crate) mod core;
#[cfg(not(loom))]
pub(crate) mod dynamic;
#[cfg(not(loom))]
pub(crate) mod macros;
#[cfg(all(test, loom))]
mod model;
#[cfg(not(loom))]
mod shuffle;
