//! Two workloads of this project's own.

use std::collections::VecDeque;
use std::sync::Mutex;

use super::{Random, Raw, on_threads};

/// Green threads on `processors` processors: each allocates a batch, leaves it for others, yields,
/// and frees what it finds, so that blocks and green threads are on other machines by then.
///
/// An allocator with a heap per thread has one per green thread here, unless it is wrapped in
/// `OnMachine`, which these programs do not do: it would change their other cells.
pub fn migrate(processors: usize) -> u64 {
    const GREEN_THREADS: u64 = 200;
    const ROUNDS: u64 = 300;
    const BATCH: u64 = 32;
    let left: Mutex<VecDeque<Vec<Raw>>> = Mutex::new(VecDeque::new());
    let runtime = gthread::Runtime::builder().processors(processors).build();
    let runtime = runtime.expect("a runtime can be built");
    runtime.run(|| {
        gthread::scope(|scope| {
            for seed in 0..GREEN_THREADS {
                let left = &left;
                scope.spawn(move || {
                    let mut random = Random::new(seed + 1);
                    for _ in 0..ROUNDS {
                        let batch = (0..BATCH).map(|_| Raw::new(16 + random.below(500))).collect();
                        let taken = {
                            let mut left = left.lock().expect("nobody panics");
                            left.push_back(batch);
                            if left.len() > 64 { left.pop_front() } else { None }
                        };
                        gthread::yield_now();
                        taken.into_iter().flatten().for_each(Raw::free);
                    }
                });
            }
        });
    });
    runtime.shutdown();
    left.into_inner().expect("nobody panics").into_iter().flatten().for_each(Raw::free);
    GREEN_THREADS * ROUNDS * BATCH
}

/// 350 MB of blocks of all sizes, then all are freed: the question is what is kept 1.5 s later.
pub fn freed(threads: usize) -> u64 {
    on_threads(threads, move |index| {
        let mut random = Random::new(index as u64 + 51);
        let (mut bytes, mut blocks) = (0, Vec::new());
        while bytes < 350_000_000 / threads {
            let size = 16 + random.below(1500);
            bytes += size;
            blocks.push(Raw::new(size).touched());
        }
        let operations = blocks.len() as u64;
        blocks.into_iter().for_each(Raw::free);
        operations
    })
}
