//! The cells of `benches/alloc.rs` under the system's allocator.
#![allow(missing_docs, clippy::print_stdout, clippy::print_stderr)]

#[global_allocator]
static ALLOCATOR: std::alloc::System = std::alloc::System;

/// What is switched on before a cell.
fn before() {}

/// The peak in KiB.
fn peak_kib(_start_kib: u64) -> u64 {
    status_kib("VmHWM:")
}

include!("alloc/cell.rs");
