//! Own thread-locals under green threads that migrate at every yield.
//!
//! Each test runs in a process of its own ([`alone!`]), because it changes what belongs to the
//! process (signals, credentials, loaded modules) and because its failure may be a crash or a
//! hang. `fixes` runs tests again with one fix left out and expects them to fail.
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    clippy::print_stderr,
    reason = "the tests call libc as C does, with arguments made a line before"
)]
#![allow(dead_code, unused_imports, unused_macros, reason = "parts of the crate, until its API")]

#[path = "../../src/arch/mod.rs"]
mod arch;
#[path = "../../src/own_tls/mod.rs"]
mod own_tls;
#[path = "../../src/primitive/mod.rs"]
mod primitive;
#[path = "../../src/sys/mod.rs"]
mod sys;

#[macro_use]
mod harness;

mod calls;
mod exits;
mod fixes;
mod loading;
mod locals;
mod locks;
mod signals;
