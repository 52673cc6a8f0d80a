//! The cells of `benches/alloc.rs` under jemalloc.
#![allow(missing_docs, clippy::print_stdout, clippy::print_stderr)]

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What is switched on before a cell.
fn before() {}

include!("alloc/cell.rs");
