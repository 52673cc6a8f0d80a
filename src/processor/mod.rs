//! P: a processor.

pub(crate) mod deque;
pub(crate) mod run_queue;
