//! G: a green thread, and with it everything that can wait.
//!
//! A [`Green`] is the header of a green thread: where its context is saved, what it waits for, who
//! joins it. Headers live in the [`arena`], are reused and never unmapped (Inv. TypeStable), so a
//! late waker may look at one that belongs to somebody else by now, and the sequence numbers of
//! [`wait`] tell it so. An OS thread that waits for something owns a header too, of the kind
//! [`Kind::Thread`]: it has no stack and no context here, and sleeps in the kernel.
//!
//! The stack and the block of thread-locals are bound at the first run and given up at the exit:
//! a green thread that was spawned and has not run costs its header.
//!
//! # Fields
//! "Carrier" is the machine that runs the green thread, or switches to or from it.
//!
//! | field | who, when |
//! |---|---|
//! | `context`, `thread_pointer`, `bound`, `machine`, `stack` | the carrier |
//! | `wait`, `join`, `permit` | anyone, by their own protocols |
//! | `link` | whoever owns the right to run it (Inv. Once of the run queue), or the arena |
//! | `stage` | the spawner until it is queued; the green thread; then whom `join` says |
//! | `joiner` | the joiner before it sets `JOINER`; the exit after it has seen `JOINER` |
//! | `vtable`, `runtime`, `id`, `name`, `location`, `stack_size` | written by the spawner before it is queued, constant until freed; `name` of an OS thread's by itself before its first handle |
//! | `deadline_ns`, `has_own_mask` | the thread itself |
//! | `pins`, `pinned_to` | the spawner, then the green thread itself; `pinned_to` the carrier of a fresh one; read by whoever owns the right to run it |
//! | `is_marked` | whoever writes `name`, `pinned_to` or `deadline_ns`; the last owner |
//! | `phase`, `since_ns` | written by the green thread and its carrier; read by the dump |

pub(crate) mod join;
pub(crate) mod permit;
#[cfg(all(test, loom))]
mod permit_model;
mod reason;
pub(crate) mod wait;

#[cfg(all(test, loom))]
mod join_model;
#[cfg(all(test, loom))]
mod wait_model;

#[cfg(not(loom))]
pub(crate) mod arena;
#[cfg(not(loom))]
mod header;
#[cfg(not(loom))]
mod id;
#[cfg(not(loom))]
pub(crate) mod stage;

#[cfg(not(loom))]
pub(crate) use header::{Flags, Green, Kind, Phase, Token, Vtable, current};
#[cfg(not(loom))]
pub use id::ThreadId;
pub(crate) use reason::Reason;
