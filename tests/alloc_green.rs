//! Green threads over `GthreadAlloc`: blocks change machines, the caches are the machines'.
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

use gthread::alloc::{self, GthreadAlloc};

#[cfg_attr(not(feature = "test-allocator"), global_allocator)]
#[cfg_attr(feature = "test-allocator", allow(dead_code))]
static GLOBAL: GthreadAlloc = GthreadAlloc::new();

/// Green threads allocate, yield (and so may migrate), check, and free.
#[test]
fn blocks_of_many_green_threads_survive_yields_and_migration() {
    for round in 0..10 {
        let threads: Vec<_> = (0..2000usize)
            .map(|index| {
                gthread::spawn(move || {
                    let mut live: Vec<Vec<usize>> = Vec::new();
                    for step in 0..20 {
                        live.push(vec![index ^ step; 1 + (index + step) % 100]);
                        if step % 5 == round % 5 {
                            gthread::yield_now();
                        }
                        if step % 3 == 0 {
                            let old = live.swap_remove(step % live.len());
                            assert!(old.iter().all(|&value| value == old[0]));
                        }
                    }
                    live
                })
            })
            .collect();
        for thread in threads {
            // The blocks come back to whoever joins: frees of another machine's blocks.
            let live = thread.join().expect("no panic");
            assert!(live.iter().flatten().count() > 0);
        }
    }
    let stats = alloc::stats();
    println!("{} caches", stats.caches);
    assert!(stats.committed_bytes < 256 << 20, "{stats}");
}
