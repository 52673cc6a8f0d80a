//! P: a processor.

pub(crate) mod deque;
pub(crate) mod run_queue;
#[cfg(all(test, loom))]
mod run_queue_model;
