//! The scheduler.

pub(crate) mod idle;
