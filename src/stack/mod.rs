//! Guarded stacks by the million.
//!
//! A *slot* is a guard, a stack and room for a block of thread-locals. Slots are carved out of
//! large mappings ([`slab`]), pooled by size ([`pool`]), cached by processors ([`cache`]), and used
//! again warm. A green thread that is spawned gets a *ticket*; the slot itself is bound at its
//! first run, so that a million green threads that wait for their first turn touch no stack.
//!
//! | promise | kept by |
//! |---|---|
//! | spawn may fail, a first run cannot | Inv. Backed: as many free slots in the pool as tickets |
//! | spawn and exit take no lock and no locked instruction | [`Cache`]: slots and units in batches |
//! | an overflow is a named diagnostic, never corruption | guards, [`overflow`] |
//! | a fault can be traced to its stack in a signal handler | Inv. TypeStable: [`table`] |
//! | what was touched once is given back | [`trim`] |
//!
//! The protocol between pool and caches, its invariants and their proof are in the README beside
//! this file; `model` checks them with loom.
//!
//! # Rejected
//! - *A mapping per stack*: two `mmap`s a stack, and two of the process's 65,530 mappings.
//! - *Copying or segmented stacks* (Go, early Rust): need a compiler that knows every pointer into
//!   a stack, or one that checks in every prologue.
//! - *Metadata in the slot*: one more page per stack, and an overflow of the neighbour hits it.
//! - *Taking the slot at spawn*: touches a stack a long time before it is used, and the warm slot
//!   of a green thread that ends meanwhile goes unused.

mod cache;
mod pool;
mod slot;
mod table;

cfg_if::cfg_if! {
    if #[cfg(not(loom))] {
        mod class;
        mod handle;
        mod inspect;
        pub(crate) mod overflow;
        mod size;
        mod slab;
        mod stats;
        mod trim;

        #[allow(unused_imports, reason = "used once the scheduler is in")]
        pub(crate) use handle::{Cache, Stack, Ticket, give_global, reserve, take_global};
        #[allow(unused_imports, reason = "used once the scheduler is in")]
        pub(crate) use inspect::{SlotInfo, find, for_each_bound};
        #[allow(unused_imports, reason = "used once the scheduler is in")]
        pub(crate) use size::{InvalidStackSize, StackSize};
        #[allow(unused_imports, reason = "used once the scheduler is in")]
        pub(crate) use slab::{GuardKind, set_block_bytes};
        #[allow(unused_imports, reason = "used once the scheduler is in")]
        pub(crate) use stats::{Stats, stats};
        #[allow(unused_imports, reason = "used once the scheduler is in")]
        pub(crate) use trim::{age, scavenge, trim_all, untrimmed};
    }
}

#[cfg(all(test, loom))]
mod model;
#[cfg(all(test, not(loom)))]
mod tests;
