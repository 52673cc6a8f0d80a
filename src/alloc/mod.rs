//! The allocator: page-granular, size-classed, owned by the machine.
//!
//! `README.md` in this directory tells the whole story: units, spans, the remote word with its
//! state table and proof, caches, fork. This subtree needs nothing of the scheduler.

mod class;
mod geometry;
#[cfg(not(loom))]
mod page_heap;
mod remote;
