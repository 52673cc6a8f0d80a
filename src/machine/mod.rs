//! M: a machine, an OS thread that runs green threads.
//!
//! A machine is data here: its root context, its bias, its parker. The loop it runs is
//! `sched::run`. Machines are kept by their runtime until it ends (Inv. MachineStable), so the
//! monitor and the dump may look at any of them at any time.
//!
//! # Fields
//! | field | who, when |
//! |---|---|
//! | `root`, `thread_pointer`, `processor`, `post`, `pending`, `locked`, `bursts`, `burst_start_ns` | its own OS thread: the loop, or the green thread it carries |
//! | `bias`, `parker` | by their own protocols |
//! | `current`, `tid`, `slice` | written by its own OS thread (`slice` by the monitor too); read by the monitor and the dump |

pub(crate) mod bias;
#[cfg(all(test, loom))]
mod bias_model;
pub(crate) mod parker;
#[cfg(all(test, loom))]
mod parker_model;

#[cfg(not(loom))]
mod state;

#[cfg(not(loom))]
pub(crate) use state::{Machine, Post, Slice};
