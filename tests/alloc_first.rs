//! A fork while another thread makes the process's first allocation from `GthreadAlloc`: the child
//! finds no lock taken and no key half made.
//!
//! The global allocator is the system's: in this program nobody allocates from `GthreadAlloc` but
//! the children of the test.
#![cfg(all(not(loom), not(feature = "test-allocator")))]
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "a test of system calls, which say what they do by their names"
)]

mod common;

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use gthread::alloc::GthreadAlloc;

/// Whether a block can be had.
fn allocates() -> bool {
    let layout = Layout::new::<[u64; 20]>();
    let block = unsafe { GthreadAlloc.alloc(layout) };
    if block.is_null() {
        return false;
    }
    unsafe { block.write_bytes(7, layout.size()) };
    unsafe { GthreadAlloc.dealloc(block, layout) };
    true
}

/// Forks a child that runs `f` and ends with 0 if it says yes, or by an alarm if it hangs; its
/// status.
fn status_of_child(f: impl FnOnce() -> bool) -> libc::c_int {
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork");
    if child == 0 {
        unsafe { libc::alarm(60) };
        let is_well = f();
        unsafe { libc::_exit(i32::from(!is_well)) };
    }
    let mut status = 0;
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    status
}

/// Passes a little time.
fn spin(turns: usize) {
    (0..turns).for_each(|_| std::hint::spin_loop());
}

/// In a process in which nobody has allocated: another thread does while this one forks, each so
/// many turns of a loop after a common moment; whether the child can allocate.
fn fork_beside_the_first(before_fork: usize, before_first: usize) -> bool {
    static IS_READY: AtomicBool = AtomicBool::new(false);
    static IS_BEGUN: AtomicBool = AtomicBool::new(false);
    let first = thread::spawn(move || {
        IS_READY.store(true, Ordering::Relaxed);
        while !IS_BEGUN.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
        spin(before_first);
        allocates()
    });
    while !IS_READY.load(Ordering::Relaxed) {
        std::hint::spin_loop();
    }
    IS_BEGUN.store(true, Ordering::Relaxed);
    spin(before_fork);
    let status = status_of_child(allocates);
    first.join().is_ok_and(|is_well| is_well) && status == 0
}

#[test]
fn a_fork_beside_the_first_allocation_leaves_the_child_an_allocator() {
    let name = "a_fork_beside_the_first_allocation_leaves_the_child_an_allocator";
    let _watch = common::Watchdog::new(name, Duration::from_secs(300));
    for round in 0..100 {
        for (before_fork, before_first) in [(round * 10, 0), (0, round * 10)] {
            let status = status_of_child(|| fork_beside_the_first(before_fork, before_first));
            assert_eq!(status, 0, "turns {before_fork}, {before_first}: status of the child");
        }
    }
}
