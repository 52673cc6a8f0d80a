//! The scheduler.

pub(crate) mod idle;
#[cfg(all(test, loom))]
mod idle_model;
