//! `OnMachine` around mimalloc and jemalloc: 100,000 green threads that allocate cost no more than
//! with `GthreadAlloc`, because the heaps are the machines'. The control shows what it is for: the
//! same allocators without it build a heap for each green thread.
//!
//! Needs the feature `bench-allocators`, which brings the peers.
#![cfg(all(not(loom), feature = "bench-allocators"))]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::multiple_unsafe_ops_per_block,
    clippy::undocumented_unsafe_blocks,
    reason = "a test that unwraps is a test that fails, and it explains itself"
)]

mod common;

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use common::{Watchdog, in_child, is_child};
use gthread::alloc::{GthreadAlloc, OnMachine};
use mimalloc::MiMalloc;
use tikv_jemallocator::Jemalloc;

/// The allocators of a child, chosen before its first allocation.
struct Chosen;

static CHOICE: AtomicU8 = AtomicU8::new(0);
static WRAPPED_MIMALLOC: OnMachine<MiMalloc> = OnMachine::new(MiMalloc);
static WRAPPED_JEMALLOC: OnMachine<Jemalloc> = OnMachine::new(Jemalloc);
const NAMES: [&str; 5] =
    ["gthread", "mimalloc on machines", "jemalloc on machines", "mimalloc", "jemalloc"];

macro_rules! chosen {
    ($method:ident $arguments:tt) => {
        match CHOICE.load(Ordering::Relaxed) {
            0 => unsafe { GthreadAlloc.$method $arguments },
            1 => unsafe { WRAPPED_MIMALLOC.$method $arguments },
            2 => unsafe { WRAPPED_JEMALLOC.$method $arguments },
            3 => unsafe { MiMalloc.$method $arguments },
            _ => unsafe { Jemalloc.$method $arguments },
        }
    };
}

// SAFETY: every call goes to one and the same allocator for the life of the process.
unsafe impl GlobalAlloc for Chosen {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        chosen!(alloc(layout))
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        chosen!(dealloc(block, layout));
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        chosen!(alloc_zeroed(layout))
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        chosen!(realloc(block, layout, size))
    }
}

#[cfg(not(feature = "test-allocator"))]
#[global_allocator]
static GLOBAL: Chosen = Chosen;

/// Runs before `main` and before the first allocation.
extern "C" fn choose() {
    // SAFETY: a C string; no other thread is there yet.
    let choice = unsafe { libc::getenv(c"GTHREAD_TEST_ALLOCATOR".as_ptr()) };
    if !choice.is_null() {
        // SAFETY: a variable of the environment is a C string.
        CHOICE.store(unsafe { libc::atoi(choice) } as u8, Ordering::Relaxed);
    }
}

// SAFETY: the loader calls what it finds in this section with arguments that may be ignored.
#[used]
#[unsafe(link_section = ".init_array")]
static CHOOSE: extern "C" fn() = choose;

/// Resident KiB of this process.
fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Starts so many green threads which allocate, and are all alive with their blocks; prints by how
/// much resident memory grew.
fn child(threads: usize) {
    static STARTED: AtomicUsize = AtomicUsize::new(0);
    let _dog = Watchdog::new("on_machine", Duration::from_secs(300));
    let runtime = common::runtime(2);
    runtime.run(|| ());
    let before = resident_kib();
    let handles: Vec<_> = (0..threads)
        .map(|number| {
            runtime.spawn(move || {
                let kept: Vec<Vec<usize>> = (1..5).map(|n| vec![number; n * 7]).collect();
                STARTED.fetch_add(1, Ordering::Relaxed);
                gthread::park();
                let more = format!("{number} {}", kept.len());
                assert!(kept.iter().flatten().all(|&value| value == number));
                more
            })
        })
        .collect();
    while STARTED.load(Ordering::Relaxed) < threads {
        std::thread::sleep(Duration::from_millis(1));
    }
    println!("grew by {} KiB", resident_kib().saturating_sub(before));
    handles.iter().for_each(|handle| handle.thread().unpark());
    for (number, handle) in handles.into_iter().enumerate() {
        assert_eq!(handle.join().unwrap(), format!("{number} 4"));
    }
    runtime.shutdown();
}

const TEST: &str = "green_threads_on_allocators_of_machines";

/// Bytes of resident memory that a green thread costs in a child with this allocator.
fn cost(choice: usize, threads: usize) -> usize {
    let (choice_text, threads_text) = (choice.to_string(), threads.to_string());
    let variables =
        [("GTHREAD_TEST_ALLOCATOR", &*choice_text), ("GTHREAD_TEST_THREADS", &*threads_text)];
    let output = in_child(TEST, &variables);
    common::assert_passed(&output);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let kib = text.split("grew by ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    let bytes = kib.parse::<usize>().unwrap() * 1024 / threads;
    println!("{threads} green threads, {}: {bytes} bytes each", NAMES[choice]);
    bytes
}

#[test]
fn green_threads_on_allocators_of_machines() {
    if is_child(TEST) {
        child(std::env::var("GTHREAD_TEST_THREADS").unwrap().parse().unwrap());
        return;
    }
    if cfg!(feature = "test-allocator") {
        println!("skipped: the allocator of this build is chosen already");
        return;
    }
    let own = cost(0, 100_000);
    for choice in [1, 2] {
        let wrapped = cost(choice, 100_000);
        assert!(wrapped <= own + own / 5, "{wrapped} bytes each, {own} with our own");
    }
    // The control, with fewer: a heap each is what would not fit.
    let own = cost(0, 2_000);
    for choice in [3, 4] {
        let bare = cost(choice, 2_000);
        assert!(bare > own + own / 2, "{bare} bytes each, {own} with our own: no heap each?");
    }
}
