//! The edges of a thread's life under `GthreadAlloc` and of memory: destructors after the cache is
//! gone, memory that runs out, memory that goes back, statistics.
#![cfg(not(loom))]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::multiple_unsafe_ops_per_block,
    clippy::undocumented_unsafe_blocks,
    clippy::manual_is_multiple_of,
    clippy::vec_box,
    reason = "a test that unwraps is a test that fails, and it explains itself"
)]

mod common;

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use gthread::alloc::{self, Collect, GthreadAlloc};

#[cfg_attr(not(feature = "test-allocator"), global_allocator)]
#[cfg_attr(feature = "test-allocator", allow(dead_code))]
static GLOBAL: GthreadAlloc = GthreadAlloc::new();

#[test]
fn destructors_of_keys_made_later_may_allocate_and_free() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    unsafe extern "C" fn last(value: *mut libc::c_void) {
        // SAFETY: what `set` was given below.
        let text = unsafe { Box::from_raw(value.cast::<String>()) };
        let more: Vec<String> = (0..100).map(|index| format!("{text} {index}")).collect();
        RUNS.fetch_add(more.len(), Ordering::Relaxed);
    }
    let _alone = common::one_at_a_time();
    let mut key = 0;
    // SAFETY: `key` is a valid place, `last` takes what is set.
    assert_eq!(unsafe { libc::pthread_key_create(&raw mut key, Some(last)) }, 0);
    for _ in 0..40 {
        thread::spawn(move || {
            let text = Box::into_raw(Box::new(String::from("a text of some length")));
            // SAFETY: the key was made above; the destructor takes the box back.
            assert_eq!(unsafe { libc::pthread_setspecific(key, text.cast()) }, 0);
        })
        .join()
        .expect("no panic");
    }
    assert_eq!(RUNS.load(Ordering::Relaxed), 4000);
}

#[test]
fn everything_freed_goes_back_to_the_kernel() {
    let _alone = common::one_at_a_time();
    let before = alloc::stats();
    let blocks: Vec<Vec<u8>> = (0..40_000).map(|index| vec![1; 64 + index % 8000]).collect();
    let peak = alloc::stats();
    assert!(peak.live_bytes > before.live_bytes + (150 << 20), "{peak}");
    drop(blocks);
    alloc::collect(Collect::Everything);
    // With what the scavenger that another test has started gave, if it was quicker.
    let given = alloc::stats().scavenged_bytes - before.scavenged_bytes;
    assert!(given > 100 << 20, "{given}");
    // The thread of a test that has just ended may free a page between the two calls.
    let all_went = (0..100).any(|_| {
        alloc::collect(Collect::Everything);
        let after = alloc::stats();
        assert!(after.resident_bytes < before.resident_bytes + (20 << 20), "{after}");
        after.retained_bytes == 0
    });
    assert!(all_went, "{}", alloc::stats());
}

#[test]
fn the_scavenger_gives_back_what_nobody_asks_it_for() {
    let _alone = common::one_at_a_time();
    assert!(alloc::start_scavenger());
    drop((0..40_000).map(|index| vec![1u8; 64 + index % 8000]).collect::<Vec<_>>());
    let _dog = common::watch("the_scavenger_gives_back_what_nobody_asks_it_for");
    while alloc::stats().retained_bytes > 30 << 20 {
        thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn the_counts_of_the_statistics_are_those_of_the_program() {
    let _alone = common::one_at_a_time();
    let layout = Layout::from_size_align(3000, 8).expect("valid");
    let class = alloc::size_class(layout);
    let live = || {
        let stats = alloc::stats();
        stats.classes.iter().find(|row| row.block_bytes == class).map_or(0, |row| row.live_blocks)
    };
    // The harness's thread may take or give a block of the class meanwhile, now and then.
    let mut counts = Vec::new();
    let counts_right = (0..10).any(|_| {
        let before = live();
        // SAFETY: the size is not 0.
        let blocks: Vec<_> = (0..1000).map(|_| unsafe { GLOBAL.alloc(layout) } as usize).collect();
        let full = live();
        for block in blocks {
            // SAFETY: live, and of this layout.
            unsafe { GLOBAL.dealloc(block as *mut u8, layout) };
        }
        counts.push((before, full, live()));
        counts.last() == Some(&(before, before + 1000, before))
    });
    assert!(counts_right, "before, full, after: {counts:?}");
    assert!(alloc::stats().to_string().contains("retained"));
}

/// Every request to the kernel fails once, and all after it: allocation returns null, nothing is
/// lost, and everything works again afterwards.
#[cfg(feature = "fault-injection")]
#[test]
fn memory_that_runs_out_at_any_point_is_a_null_pointer() {
    // In a process of its own: memory runs out for the threads of other tests too.
    let name = "memory_that_runs_out_at_any_point_is_a_null_pointer";
    if !common::is_child(name) {
        return common::assert_passed(&common::in_child(name, &[]));
    }
    let sizes = [16, 3000, 40_000, 5 << 20, 40 << 20, 100 << 20];
    let mut blocks: Vec<(usize, Layout)> = Vec::with_capacity(1000);
    for count in 0.. {
        assert!(count < 1000, "it never succeeds");
        alloc::fail_memory_after(count);
        let mut nulls = 0;
        for round in 0..60 {
            let layout = Layout::from_size_align(sizes[round % sizes.len()], 8).expect("valid");
            // SAFETY: the size is not 0.
            let block = unsafe { GLOBAL.alloc(layout) };
            if block.is_null() {
                nulls += 1;
            } else {
                // SAFETY: the first byte of a live block.
                unsafe { block.write(1) };
                blocks.push((block as usize, layout));
            }
            if blocks.len() == blocks.capacity() {
                break;
            }
        }
        alloc::fail_memory_after(u64::MAX);
        for (block, layout) in blocks.drain(..) {
            // `alloc-debug` moves at every `realloc`: not these.
            if cfg!(feature = "alloc-debug") && layout.size() > 1 << 20 {
                // SAFETY: live, and of this layout.
                unsafe { GLOBAL.dealloc(block as *mut u8, layout) };
                continue;
            }
            // SAFETY: live, and of this layout; growing may fail and then changes nothing.
            let grown = unsafe { GLOBAL.realloc(block as *mut u8, layout, layout.size() + 9000) };
            assert!(!grown.is_null());
            let layout = Layout::from_size_align(layout.size() + 9000, 8).expect("valid");
            // SAFETY: live, and of this layout.
            unsafe { GLOBAL.dealloc(grown, layout) };
        }
        if nulls == 0 && count > 20 {
            break;
        }
    }
}
