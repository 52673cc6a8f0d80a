//! The cells of `benches/alloc.rs` under gthread's own allocator.
#![allow(missing_docs, clippy::print_stdout, clippy::print_stderr)]

#[global_allocator]
static ALLOCATOR: gthread::alloc::GthreadAlloc = gthread::alloc::GthreadAlloc::new();

/// What is switched on before a cell: the thread that gives memory back, as a program without a
/// gthread runtime would. Its processor time counts.
fn before() {
    gthread::alloc::start_scavenger();
}

/// The peak in KiB.
fn peak_kib(_start_kib: u64) -> u64 {
    status_kib("VmHWM:")
}

include!("alloc/cell.rs");
