//! P: a processor, the right to run green threads.
//!
//! Whoever holds a processor owns its run queue, its caches and its counters; all of that may be
//! used without a lock, and changes hands only by the protocols of `machine::bias` and
//! `sched::idle` (Inv. OneHolder). Thieves see the queue through its `Thief`, timers through
//! their shelf's lock, counters as relaxed atomics.
//!
//! # Fields
//! | field | who, when |
//! |---|---|
//! | `queue`, `stacks`, `headers`, `ids`, `lane` | the holder |
//! | `thief`, `timers` | anyone |
//! | `counters`, `tick`, `clock_ns` | written by the holder; read by anyone |
//! | `holder` | written by the machine that attaches; read by the monitor and the dump |

pub(crate) mod backlog;
pub(crate) mod deque;
mod fresh;
pub(crate) mod injectors;
pub(crate) mod run_queue;
#[cfg(all(test, loom))]
mod run_queue_model;

#[cfg(not(loom))]
pub(crate) mod counters;
#[cfg(not(loom))]
mod state;
#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(not(loom))]
pub(crate) use state::Processor;
