//! The cells of `benches/alloc.rs` under an allocator that counts: its "peak" is what a perfect
//! allocator would need, the program and the largest sum of the sizes asked for.
#![allow(missing_docs, clippy::print_stdout, clippy::print_stderr)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // ORDERING: Relaxed; counters.
        let live = LIVE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        // ORDERING: Relaxed; a counter.
        PEAK.fetch_max(live, Ordering::Relaxed);
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // ORDERING: Relaxed; a counter.
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(block, layout) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // ORDERING: Relaxed; a counter.
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // ORDERING: Relaxed; counters.
        let live = LIVE.fetch_add(size, Ordering::Relaxed) + size;
        // ORDERING: Relaxed; a counter.
        PEAK.fetch_max(live, Ordering::Relaxed);
        // SAFETY: the caller's contract.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What is switched on before a cell.
fn before() {}

/// The peak in KiB, for a cell that began with `start_kib` resident.
fn peak_kib(start_kib: u64) -> u64 {
    // ORDERING: Relaxed; the cell is over.
    start_kib + PEAK.load(Ordering::Relaxed) as u64 / 1024
}

include!("alloc/cell.rs");
