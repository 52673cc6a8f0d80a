//! G: a green thread.

pub(crate) mod join;
#[cfg(all(test, loom))]
mod join_model;
pub(crate) mod wait;
#[cfg(all(test, loom))]
mod wait_model;
