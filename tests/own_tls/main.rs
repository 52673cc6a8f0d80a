//! Own thread-locals under the runtime.
//!
//! Each test runs in a process of its own ([`alone!`]), because it changes what belongs to the
//! process (signals, credentials, loaded modules) and because its failure may be a crash or a
//! hang. `tests/own_tls_migrating` runs the same tests with a migration at every yield.
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    clippy::print_stderr,
    reason = "the tests call libc as C does, with arguments made a line before"
)]

#[macro_use]
mod harness;
mod scheduler;

mod calls;
mod exits;
mod loading;
mod locals;
mod locks;
mod signals;
