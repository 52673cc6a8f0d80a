//! Own thread-locals under green threads that migrate at every yield, and without each fix.
//!
//! The tests are those of `tests/own_tls`, on a scheduler of their own and on the crate's modules
//! themselves, which are no public API. `fixes` runs tests again with one fix left out and
//! expects them to fail.
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    clippy::print_stderr,
    reason = "the tests call libc as C does, with arguments made a line before"
)]
#![allow(dead_code, unused_imports, unused_macros, reason = "the tests use parts of the crate")]

#[path = "../../src/arch/mod.rs"]
mod arch;
#[path = "../../src/own_tls/mod.rs"]
mod own_tls;
#[path = "../../src/primitive/mod.rs"]
mod primitive;
#[path = "../../src/sys/mod.rs"]
mod sys;

#[macro_use]
#[path = "../own_tls/harness.rs"]
mod harness;
mod scheduler;

#[path = "../own_tls/calls.rs"]
mod calls;
#[path = "../own_tls/exits.rs"]
mod exits;
mod fixes;
#[path = "../own_tls/loading.rs"]
mod loading;
#[path = "../own_tls/locals.rs"]
mod locals;
#[path = "../own_tls/locks.rs"]
mod locks;
mod memory;
#[path = "../own_tls/signals.rs"]
mod signals;
