//! The workloads: each is a function of the number of threads that returns how many operations
//! (an operation is one allocation with its free) it did. Patterns are those of the allocator
//! literature, written anew from their descriptions; each comment says what it punishes.

use std::alloc::{GlobalAlloc, Layout};
use std::collections::{BTreeMap, HashMap};
use std::hint::black_box;
use std::sync::mpsc;
use std::sync::{Arc, Barrier};
use std::thread;

use super::ALLOCATOR;

#[path = "more.rs"]
mod more;

/// A workload.
pub type Cell = fn(usize) -> u64;

/// All workloads by name.
pub const CELLS: &[(&str, Cell)] = &[
    ("pair", pair),
    ("batch", batch),
    ("random", random),
    ("larson", larson),
    ("xmalloc", xmalloc),
    ("mstress", mstress),
    ("scratch", scratch),
    ("sh8", sh8),
    ("rptest", rptest),
    ("pareto", pareto),
    ("vec-growth", vec_growth),
    ("hashmap", hashmap),
    ("btreemap", btreemap),
    ("boxes", boxes),
    ("arc", arc),
    ("parked", parked),
    ("migrate", more::migrate),
    ("freed", more::freed),
];

/// xorshift64.
pub struct Random(u64);

impl Random {
    /// A stream of its own for each seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `n`.
    #[inline(always)]
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 32) as usize * n) >> 32
    }
}

/// A raw block; freed by hand.
struct Raw(*mut u8, u32);

// SAFETY: the block is plain memory that only this value refers to.
unsafe impl Send for Raw {}

impl Raw {
    #[inline(always)]
    fn new(size: usize) -> Self {
        // SAFETY: `size` is not 0 and 8 is a power of two.
        let block = unsafe { ALLOCATOR.alloc(Layout::from_size_align_unchecked(size, 8)) };
        assert!(!block.is_null());
        // SAFETY: the first byte of the block.
        unsafe { block.write(1) };
        Self(block, size as u32)
    }

    /// Writes to each page of the block, as its user would.
    pub fn touched(self) -> Self {
        for at in (0..self.1 as usize).step_by(4096) {
            // SAFETY: inside the block.
            unsafe { self.0.add(at).write(1) };
        }
        self
    }

    #[inline(always)]
    fn free(self) {
        // SAFETY: the layout of `new`.
        let layout = unsafe { Layout::from_size_align_unchecked(self.1 as usize, 8) };
        // SAFETY: the block is live and of this layout.
        unsafe { ALLOCATOR.dealloc(self.0, layout) };
    }
}

/// Runs `work` on that many threads and adds up the operations.
fn on_threads(threads: usize, work: impl Fn(usize) -> u64 + Send + Sync + 'static) -> u64 {
    let work = Arc::new(work);
    let running: Vec<_> = (0..threads)
        .map(|index| {
            let work = work.clone();
            thread::spawn(move || work(index))
        })
        .collect();
    running.into_iter().map(|thread| thread.join().expect("a workload does not panic")).sum()
}

/// One block at a time: the fast path alone.
fn pair(threads: usize) -> u64 {
    on_threads(threads, |_| {
        let rounds = 3_000_000;
        for _ in 0..rounds {
            for size in [16, 200, 1024, 30_000] {
                black_box(Raw::new(black_box(size))).free();
            }
        }
        rounds * 4
    })
}

/// 10,000 blocks, then all are freed: spans fill up and empty.
fn batch(threads: usize) -> u64 {
    on_threads(threads, |_| {
        let mut operations = 0;
        let mut live = Vec::with_capacity(10_000);
        for round in 0..480 {
            let size = [16, 64, 256, 1024][round % 4];
            live.extend((0..10_000).map(|_| Raw::new(size)));
            live.drain(..).for_each(Raw::free);
            operations += 10_000;
        }
        operations
    })
}

/// 4,096 slots, one replaced at random: free lists in random order.
fn random(threads: usize) -> u64 {
    on_threads(threads, |index| {
        let mut random = Random::new(index as u64 + 1);
        let mut slots: Vec<Option<Raw>> = (0..4096).map(|_| None).collect();
        let rounds = 4_000_000;
        for _ in 0..rounds {
            let slot = &mut slots[random.below(4096)];
            if let Some(old) = slot.take() {
                old.free();
            }
            *slot = Some(Raw::new(8 + random.below(1024)));
        }
        slots.into_iter().flatten().for_each(Raw::free);
        rounds
    })
}

/// A server: each thread replaces blocks of a set it got from its predecessor, and hands the set
/// to its successor: blocks outlive their threads.
fn larson(threads: usize) -> u64 {
    on_threads(threads, |index| {
        let (generations, rounds) = (120, 25_000);
        let mut set: Vec<Raw> = (0..1000).map(|_| Raw::new(100)).collect();
        for generation in 0..generations {
            let seed = (index * 1000 + generation + 1) as u64;
            let next = thread::spawn(move || {
                let mut random = Random::new(seed);
                for _ in 0..rounds {
                    let slot = random.below(set.len());
                    let new = Raw::new(10 + random.below(490));
                    std::mem::replace(&mut set[slot], new).free();
                }
                set
            });
            set = next.join().expect("no panic");
        }
        set.into_iter().for_each(Raw::free);
        generations as u64 * rounds
    })
}

/// Producers allocate, consumers free: every free is remote.
fn xmalloc(threads: usize) -> u64 {
    on_threads(threads, |index| {
        let (sender, receiver) = mpsc::sync_channel::<Vec<Raw>>(16);
        let batches = 12_000;
        let producer = thread::spawn(move || {
            let mut random = Random::new(index as u64 + 7);
            for _ in 0..batches {
                let blocks = (0..256).map(|_| Raw::new(16 + random.below(240))).collect();
                sender.send(blocks).expect("the consumer lives");
            }
        });
        let mut operations = 0;
        for batch in receiver {
            operations += batch.len() as u64;
            batch.into_iter().for_each(Raw::free);
        }
        producer.join().expect("no panic");
        operations
    })
}

/// Phases of many threads with survivors from phase to phase, sizes powers of two.
fn mstress(threads: usize) -> u64 {
    let mut survivors: Vec<Vec<Raw>> = (0..threads * 4).map(|_| Vec::new()).collect();
    let mut operations = 0;
    for phase in 0..30 {
        let running: Vec<_> = survivors
            .drain(..)
            .enumerate()
            .map(|(index, mut live)| {
                thread::spawn(move || {
                    let mut random = Random::new((phase * 100 + index + 1) as u64);
                    let rounds = 20_000;
                    for _ in 0..rounds {
                        live.push(Raw::new(8 << random.below(9)));
                        if live.len() > 100 && random.below(100) < 90 {
                            let slot = random.below(live.len());
                            live.swap_remove(slot).free();
                        }
                    }
                    live.truncate_free(3000);
                    (live, rounds)
                })
            })
            .collect();
        for thread in running {
            let (live, rounds) = thread.join().expect("no panic");
            operations += rounds;
            survivors.push(live);
        }
        // Everybody gets what another has left.
        survivors.rotate_left(1);
    }
    survivors.into_iter().flatten().for_each(Raw::free);
    operations
}

trait TruncateFree {
    fn truncate_free(&mut self, len: usize);
}

impl TruncateFree for Vec<Raw> {
    fn truncate_free(&mut self, len: usize) {
        if self.len() > len {
            self.drain(len..).for_each(Raw::free);
        }
    }
}

/// Passive false sharing: small blocks made by one thread are freed and made anew by others, who
/// then write to them.
fn scratch(threads: usize) -> u64 {
    let first: Vec<Raw> = (0..threads).map(|_| Raw::new(8)).collect();
    let barrier = Arc::new(Barrier::new(threads));
    let running: Vec<_> = first
        .into_iter()
        .map(|block| {
            let barrier = barrier.clone();
            thread::spawn(move || {
                barrier.wait();
                block.free();
                let rounds = 30_000;
                for _ in 0..rounds {
                    let block = Raw::new(8);
                    for turn in 0..100 {
                        // SAFETY: the first byte of a live block.
                        unsafe { block.0.write_volatile(turn) };
                    }
                    block.free();
                }
                rounds
            })
        })
        .collect();
    running.into_iter().map(|thread| thread.join().expect("no panic")).sum()
}

/// Blocks freed in the order, in reverse order and at random, a third of them by a neighbour.
fn sh8(threads: usize) -> u64 {
    let (senders, receivers): (Vec<_>, Vec<_>) =
        (0..threads).map(|_| mpsc::sync_channel::<Vec<Raw>>(4)).unzip();
    let running: Vec<_> = receivers
        .into_iter()
        .enumerate()
        .map(|(index, receiver)| {
            let to = senders[(index + 1) % threads].clone();
            thread::spawn(move || {
                let mut random = Random::new(index as u64 + 3);
                let rounds = 3000;
                for _ in 0..rounds {
                    let mut blocks: Vec<_> = (0..900).map(|_| Raw::new(1 + random.below(400))).collect();
                    let mut rest = blocks.split_off(300);
                    if let Err(mpsc::TrySendError::Full(blocks) | mpsc::TrySendError::Disconnected(blocks)) =
                        to.try_send(blocks)
                    {
                        blocks.into_iter().for_each(Raw::free);
                    }
                    rest.drain(300..).rev().for_each(Raw::free);
                    rest.into_iter().for_each(Raw::free);
                    receiver.try_iter().flatten().for_each(Raw::free);
                }
                drop(to);
                (receiver, rounds * 900)
            })
        })
        .collect();
    drop(senders);
    let mut operations = 0;
    for thread in running {
        let (receiver, done) = thread.join().expect("no panic");
        operations += done;
        receiver.try_iter().flatten().for_each(Raw::free);
    }
    operations
}

/// 16 to 8,000 bytes, small ones more often, in rounds over a set of slots, with some frees by
/// others.
fn rptest(threads: usize) -> u64 {
    let (sender, receiver) = mpsc::sync_channel::<Raw>(1024);
    let receiver = Arc::new(std::sync::Mutex::new(receiver));
    on_threads(threads, move |index| {
        let mut random = Random::new(index as u64 + 11);
        let mut slots: Vec<Option<Raw>> = (0..3000).map(|_| None).collect();
        let rounds = 2_000_000;
        for round in 0..rounds {
            let slot = random.below(3000);
            let size = 16 + random.below(8000) * random.below(8000) / 8000;
            if let Some(old) = slots[slot].replace(Raw::new(size)) {
                if round % 16 == 0 {
                    if let Err(mpsc::TrySendError::Full(old) | mpsc::TrySendError::Disconnected(old)) =
                        sender.try_send(old)
                    {
                        old.free();
                    }
                } else {
                    old.free();
                }
            }
            if round % 1024 == 0
                && let Ok(receiver) = receiver.try_lock()
            {
                receiver.try_iter().for_each(Raw::free);
            }
        }
        slots.into_iter().flatten().for_each(Raw::free);
        if let Ok(receiver) = receiver.lock() {
            receiver.try_iter().for_each(Raw::free);
        }
        rounds
    })
}

/// Sizes with a long tail, lifetimes too.
fn pareto(threads: usize) -> u64 {
    on_threads(threads, |index| {
        let mut random = Random::new(index as u64 + 23);
        let mut slots: Vec<Option<Raw>> = (0..20_000).map(|_| None).collect();
        let rounds = 3_000_000;
        for _ in 0..rounds {
            // Pareto with exponent 1: 1 / uniform.
            let size = (16_000_000 / (1000 + random.below(1_000_000))).clamp(8, 16_000);
            let near = random.below(20_000);
            let slot = near * random.below(20_000) / 20_000;
            if let Some(old) = slots[slot].replace(Raw::new(size)) {
                old.free();
            }
        }
        slots.into_iter().flatten().for_each(Raw::free);
        rounds
    })
}

/// Vectors that grow by pushing, small and large: realloc.
fn vec_growth(threads: usize) -> u64 {
    on_threads(threads, |index| {
        let mut random = Random::new(index as u64 + 31);
        let mut operations = 0;
        for _ in 0..3000 {
            let len = 1 << (4 + random.below(15));
            let mut vec = Vec::new();
            for value in 0..len {
                vec.push(value);
            }
            black_box(&vec);
            operations += (len as u64).ilog2() as u64;
        }
        operations
    })
}

/// String keys and values that come and go.
fn hashmap(threads: usize) -> u64 {
    on_threads(threads, |index| {
        let mut random = Random::new(index as u64 + 37);
        let mut map: HashMap<String, String> = HashMap::new();
        let rounds = 500_000;
        for round in 0..rounds {
            let key = random.below(50_000);
            if round % 3 == 2 {
                map.remove(&format!("key number {key}"));
            } else {
                map.insert(format!("key number {key}"), "v".repeat(key % 100));
            }
        }
        rounds * 3
    })
}

/// An ordered map that grows and shrinks.
fn btreemap(threads: usize) -> u64 {
    on_threads(threads, |index| {
        let mut random = Random::new(index as u64 + 41);
        let mut map: BTreeMap<u64, Box<[u8]>> = BTreeMap::new();
        let rounds = 500_000;
        for round in 0..rounds {
            let key = random.below(100_000) as u64;
            if (round / 100_000) % 2 == 1 {
                map.remove(&key);
            } else {
                map.insert(key, vec![0u8; key as usize % 60].into_boxed_slice());
            }
        }
        rounds
    })
}

/// A tree of small boxes, built and dropped.
fn boxes(threads: usize) -> u64 {
    struct Tree {
        _value: u64,
        _children: Option<[Box<Tree>; 2]>,
    }
    fn build(depth: u32) -> Box<Tree> {
        let children = (depth > 0).then(|| [build(depth - 1), build(depth - 1)]);
        Box::new(Tree { _value: u64::from(depth), _children: children })
    }
    on_threads(threads, |_| {
        let rounds = 150;
        for _ in 0..rounds {
            black_box(build(14));
        }
        rounds * ((1 << 15) - 1)
    })
}

/// Shared values made by one thread and dropped last by another.
fn arc(threads: usize) -> u64 {
    on_threads(threads, |_| {
        let (sender, receiver) = mpsc::sync_channel::<Vec<Arc<[u64; 5]>>>(8);
        let other = thread::spawn(move || receiver.iter().map(|batch| batch.len()).sum::<usize>());
        let rounds = 8000;
        for round in 0..rounds {
            let batch: Vec<_> = (0..200).map(|value| Arc::new([value + round; 5])).collect();
            let copy = batch.clone();
            sender.send(copy).expect("the other lives");
        }
        drop(sender);
        other.join().expect("no panic");
        rounds * 200
    })
}

/// 200 threads, one after the other, fill a megabyte with blocks of all sizes, free it and park:
/// the peak is what 200 parked threads keep.
fn parked(_threads: usize) -> u64 {
    let mut operations = 0;
    let mut running = Vec::new();
    for seed in 0..200 {
        let (ready, is_ready) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut random = Random::new(seed + 1);
            let blocks: Vec<_> = (0..1000).map(|_| Raw::new(16 + random.below(2000))).collect();
            blocks.into_iter().for_each(Raw::free);
            ready.send(()).expect("the main thread waits");
            thread::park();
        });
        is_ready.recv().expect("the thread gets there");
        running.push(thread);
        operations += 1000;
    }
    for thread in running {
        thread.thread().unpark();
        thread.join().expect("no panic");
    }
    operations
}
