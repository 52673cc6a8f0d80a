//! The kinds of channels, without their handles: who counts those is `counter`.

pub(crate) mod array;
mod block;
pub(crate) mod list;
#[cfg(not(loom))]
pub(crate) mod time;
pub(crate) mod zero;

#[cfg(all(test, loom))]
mod array_model;
#[cfg(all(test, loom))]
mod list_model;
#[cfg(all(test, loom))]
pub(crate) mod zero_model;
