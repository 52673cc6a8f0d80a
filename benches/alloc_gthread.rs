//! The cells of `benches/alloc.rs` under gthread's own allocator.
#![allow(missing_docs, clippy::print_stdout, clippy::print_stderr)]

#[global_allocator]
static ALLOCATOR: gthread::alloc::GthreadAlloc = gthread::alloc::GthreadAlloc::new();

/// What is switched on before a cell.
fn before() {}

include!("alloc/cell.rs");
