//! M: a machine.

pub(crate) mod bias;
#[cfg(all(test, loom))]
mod bias_model;
pub(crate) mod parker;
#[cfg(all(test, loom))]
mod parker_model;
