//! The rows of all benches, one file per question.

pub(crate) mod channel;
pub(crate) mod echo;
pub(crate) mod handoff;
pub(crate) mod idle;
pub(crate) mod park_pingpong;
mod parked;
pub(crate) mod parked_memory;
pub(crate) mod skynet;
pub(crate) mod sleepers;
pub(crate) mod spawn;
pub(crate) mod switch;
pub(crate) mod sync;
mod ticker;
pub(crate) mod timers;
pub(crate) mod yielding;
