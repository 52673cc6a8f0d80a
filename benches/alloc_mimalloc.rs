//! The cells of `benches/alloc.rs` under mimalloc 3.
#![allow(missing_docs, clippy::print_stdout, clippy::print_stderr)]

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What is switched on before a cell.
fn before() {}

include!("alloc/cell.rs");
