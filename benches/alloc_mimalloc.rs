//! The cells of `benches/alloc.rs` under mimalloc 3.
#![allow(missing_docs, clippy::print_stdout, clippy::print_stderr)]

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What is switched on before a cell.
fn before() {}

/// The peak in KiB.
fn peak_kib(_start_kib: u64) -> u64 {
    status_kib("VmHWM:")
}

include!("alloc/cell.rs");
