//! G: a green thread.

pub(crate) mod join;
pub(crate) mod wait;
