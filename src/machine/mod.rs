//! M: a machine.

pub(crate) mod bias;
pub(crate) mod parker;
