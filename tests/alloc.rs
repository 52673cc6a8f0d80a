//! `GthreadAlloc` as the global allocator of a test program: random traces against a shadow, all
//! sizes and alignments, blocks that change threads, threads that come and go.
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

use std::alloc::{GlobalAlloc, Layout};
use std::sync::mpsc;
use std::thread;

use gthread::alloc::GthreadAlloc;

#[cfg_attr(not(feature = "test-allocator"), global_allocator)]
#[cfg_attr(feature = "test-allocator", allow(dead_code))]
static GLOBAL: GthreadAlloc = GthreadAlloc::new();

/// xorshift64*: the seed is printed and taken from `GTHREAD_SEED`.
struct Random(u64);

impl Random {
    fn new(stream: u64) -> Self {
        let seed = std::env::var("GTHREAD_SEED").ok().and_then(|text| text.parse().ok());
        let seed: u64 = seed.unwrap_or(0x9E37_79B9_7F4A_7C15);
        println!("GTHREAD_SEED={seed}");
        Self(seed ^ stream.wrapping_mul(0xD6E8_FEB8_6659_FD93) | 1)
    }

    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % n
    }

    /// Mostly small, now and then up to 8 MiB.
    fn size(&mut self) -> usize {
        let top = match self.below(100) {
            0..70 => 8,
            70..90 => 12,
            90..98 => 16,
            98 => 19,
            _ => 23,
        };
        1 + self.below(1 << top)
    }

    fn align(&mut self) -> usize {
        match self.below(20) {
            0..12 => 8,
            12..18 => 1 << self.below(7),
            18 => 1 << self.below(14),
            _ => 1 << self.below(22),
        }
    }
}

/// A block filled with a pattern of its own: the shadow of a live allocation.
struct Filled {
    block: *mut u8,
    layout: Layout,
    mark: u8,
}

// SAFETY: the block is plain memory that only this value refers to.
unsafe impl Send for Filled {}

impl Filled {
    fn new(layout: Layout, mark: u8, zeroed: bool) -> Self {
        // SAFETY: no test asks for size 0.
        let block =
            unsafe { if zeroed { GLOBAL.alloc_zeroed(layout) } else { GLOBAL.alloc(layout) } };
        assert!(!block.is_null());
        assert_eq!(block as usize % layout.align(), 0, "{layout:?}");
        let filled = Self { block, layout, mark };
        if zeroed {
            filled.check_all(0, layout.size());
        }
        filled.fill();
        filled
    }

    fn fill(&self) {
        // SAFETY: the block has the layout's size.
        unsafe { self.block.write_bytes(self.mark, self.layout.size()) };
    }

    fn check_all(&self, mark: u8, bytes: usize) {
        // SAFETY: `bytes` is at most the block's size, all of it initialised.
        let slice = unsafe { std::slice::from_raw_parts(self.block, bytes) };
        assert!(slice.iter().all(|&byte| byte == mark), "{:?} at {:p}", self.layout, self.block);
    }

    fn realloc(&mut self, size: usize) {
        // SAFETY: the block is live and has this layout; the size is not 0.
        self.block = unsafe { GLOBAL.realloc(self.block, self.layout, size) };
        assert!(!self.block.is_null());
        let kept = size.min(self.layout.size());
        self.layout = Layout::from_size_align(size, self.layout.align()).expect("small enough");
        assert_eq!(self.block as usize % self.layout.align(), 0);
        self.check_all(self.mark, kept);
        self.fill();
    }

    fn free(self) {
        self.check_all(self.mark, self.layout.size());
        // SAFETY: the block is live and has this layout.
        unsafe { GLOBAL.dealloc(self.block, self.layout) };
    }
}

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).expect("a valid layout")
}

/// A trace of random operations; blocks that `give` takes are freed elsewhere.
fn trace(stream: u64, operations: usize, mut give: impl FnMut(Filled) -> Option<Filled>) {
    let mut random = Random::new(stream);
    let mut live: Vec<Filled> = Vec::new();
    for _ in 0..operations {
        match random.below(10) {
            0..5 => {
                let layout = layout(random.size(), random.align());
                let zeroed = random.below(3) == 0;
                live.push(Filled::new(layout, random.below(256) as u8, zeroed));
            }
            5 if !live.is_empty() => {
                let index = random.below(live.len());
                let size = random.size();
                live[index].realloc(size);
            }
            _ if !live.is_empty() => {
                let block = live.swap_remove(random.below(live.len()));
                if let Some(block) = give(block) {
                    block.free();
                }
            }
            _ => {}
        }
        if live.len() > 2000 {
            live.drain(..1000).for_each(Filled::free);
        }
    }
    live.into_iter().for_each(Filled::free);
}

#[test]
fn a_random_trace_never_overlaps_and_never_loses_contents() {
    trace(1, 20_000, Some);
}

#[test]
fn random_traces_that_free_each_others_blocks() {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..4).map(|_| mpsc::channel::<Filled>()).unzip();
    let threads: Vec<_> = receivers
        .into_iter()
        .enumerate()
        .map(|(index, receiver)| {
            let to = senders[(index + 1) % 4].clone();
            thread::spawn(move || {
                let mut turn = 0;
                trace(index as u64 + 2, 6_000, |block| {
                    receiver.try_iter().for_each(Filled::free);
                    turn += 1;
                    if turn % 2 == 0 {
                        return Some(block);
                    }
                    to.send(block).err().map(|error| error.0)
                });
                drop(to);
                receiver
            })
        })
        .collect();
    drop(senders);
    for thread in threads {
        let receiver = thread.join().expect("a trace does not panic");
        receiver.try_iter().for_each(Filled::free);
    }
}

/// Phases of threads that end, whose survivors go to the threads of the next: several threads free
/// into the same spans at the same moment, full ones and those that ended threads have left.
#[test]
fn threads_of_each_phase_free_what_the_last_has_left() {
    let mut left: Vec<Vec<Filled>> = (0..4).map(|_| Vec::new()).collect();
    for phase in 0..8 {
        // Everybody gets a part of what each of the others has left.
        let mut parts: Vec<Vec<Filled>> = (0..4).map(|_| Vec::new()).collect();
        for (index, block) in left.into_iter().flatten().enumerate() {
            parts[index % 4].push(block);
        }
        let run = |mut live: Vec<Filled>, stream: u64| {
            let mut random = Random::new(stream);
            for _ in 0..6_000 {
                live.push(Filled::new(layout(8 << random.below(6), 8), stream as u8, false));
                if live.len() > 100 && random.below(100) < 90 {
                    live.swap_remove(random.below(live.len())).free();
                }
            }
            live.drain(live.len().min(2000)..).for_each(Filled::free);
            live
        };
        let threads: Vec<_> = (0..)
            .zip(parts)
            .map(|(index, live)| thread::spawn(move || run(live, phase * 4 + index)))
            .collect();
        left = threads.into_iter().map(|thread| thread.join().expect("no panic")).collect();
    }
    left.into_iter().flatten().for_each(Filled::free);
}

/// Spans of few blocks fill up all the time while others free into them: a push that is overtaken
/// by the owner's giving the span up turns into a claim.
#[test]
fn spans_fill_up_while_others_free_into_them() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static SLOTS: [AtomicUsize; 40] = [const { AtomicUsize::new(0) }; 40];
    let layout = layout(6000, 8);
    // SAFETY: what was taken out of a slot by a swap is the taker's, live, and of this layout.
    let end = |block: usize| unsafe { GLOBAL.dealloc(block as *mut u8, layout) };
    let run = |stream: u64| {
        let mut random = Random::new(stream);
        for _ in 0..150_000 {
            // SAFETY: the size is not 0.
            let block = unsafe { GLOBAL.alloc(layout) } as usize;
            let old = SLOTS[random.below(SLOTS.len())].swap(block, Ordering::AcqRel);
            if old != 0 {
                end(old);
            }
        }
    };
    thread::scope(|scope| (0..4).for_each(|stream| drop(scope.spawn(move || run(stream)))));
    SLOTS.iter().map(|slot| slot.swap(0, Ordering::AcqRel)).filter(|&old| old != 0).for_each(end);
}

/// Blocks change hands by nothing but atomics, which a sanitizer sees even where `std` is not
/// instrumented: this is the test that ThreadSanitizer runs with the allocator installed.
#[test]
fn threads_exchange_blocks_by_atomics() {
    use std::sync::atomic::{AtomicPtr, Ordering};
    static SLOTS: [AtomicPtr<Vec<u8>>; 64] = [const { AtomicPtr::new(std::ptr::null_mut()) }; 64];
    fn end(text: *mut Vec<u8>) {
        if !text.is_null() {
            // SAFETY: it came from `Box::into_raw`, and a swap took it out.
            let text = unsafe { Box::from_raw(text) };
            assert!(text.iter().all(|&byte| byte == text[0]));
        }
    }
    let run = |stream: u64| {
        let mut random = Random::new(stream);
        for round in 0..10_000 {
            let mut text = Box::new(vec![stream as u8; 1 + random.below(500)]);
            if round % 100 == 0 {
                text.resize(1 + random.below(200_000), stream as u8);
            }
            let slot = &SLOTS[random.below(SLOTS.len())];
            end(slot.swap(Box::into_raw(text), Ordering::AcqRel));
        }
    };
    for round in 0..3 {
        let threads: Vec<_> = (0..4).map(|n| thread::spawn(move || run(n + round * 4))).collect();
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    }
    SLOTS.iter().for_each(|slot| end(slot.swap(std::ptr::null_mut(), Ordering::AcqRel)));
}

#[test]
fn every_small_size_and_power_of_two_alignment() {
    for shift in 0..=16 {
        let mut live = Vec::new();
        for size in (1..=33_000).step_by(if shift > 6 { 509 } else { 61 }) {
            live.push(Filled::new(layout(size, 1 << shift), shift as u8, size % 2 == 0));
        }
        live.into_iter().for_each(Filled::free);
    }
}

#[test]
fn alignments_up_to_32_mib_are_served_and_larger_ones_are_null() {
    for shift in 16..=25 {
        for size in [1, 100_000, 5 << 20, 40 << 20] {
            let block = layout(size, 1 << shift);
            // SAFETY: the size is not 0.
            let block_at = unsafe { GLOBAL.alloc_zeroed(block) };
            assert!(!block_at.is_null() && block_at as usize % (1 << shift) == 0, "{block:?}");
            // SAFETY: the first byte of a live block, then its free.
            unsafe { *block_at = 1 };
            // SAFETY: live, and of this layout.
            unsafe { GLOBAL.dealloc(block_at, block) };
        }
    }
    // SAFETY: the size is not 0.
    assert!(unsafe { GLOBAL.alloc(layout(1, 1 << 26)) }.is_null());
    // SAFETY: the size is not 0.
    assert!(unsafe { GLOBAL.alloc(layout(isize::MAX as usize - 8, 8)) }.is_null());
}

#[test]
fn a_block_grows_from_a_byte_to_200_mib_and_shrinks_back() {
    let mut block = Filled::new(layout(1, 8), 7, false);
    let mut size = 1;
    while size < 200 << 20 {
        size = size * 3 / 2 + 1;
        block.realloc(size);
    }
    while size > 1 {
        size = size * 2 / 5 + 1;
        block.realloc(size);
        if size <= 2 {
            break;
        }
    }
    block.free();
}

#[test]
fn zeroed_blocks_are_zero_after_the_memory_was_used() {
    for size in [8, 24, 1000, 5000, 30_000, 100_000, 3 << 20] {
        for _ in 0..3 {
            let blocks: Vec<_> =
                (0..40).map(|_| Filled::new(layout(size, 8), 0xEE, true)).collect();
            blocks.into_iter().for_each(Filled::free);
        }
    }
}

#[test]
fn threads_that_end_leave_their_blocks_to_others() {
    for _ in 0..300 {
        let blocks = thread::spawn(|| {
            let mut random = Random(12345);
            let blocks: Vec<_> = (0..300)
                .map(|index| Filled::new(layout(random.size().min(9000), 8), index as u8, false))
                .collect();
            blocks
        });
        let blocks = blocks.join().expect("no panic");
        thread::spawn(|| blocks.into_iter().for_each(Filled::free)).join().expect("no panic");
    }
}

#[test]
fn thread_local_destructors_may_allocate_and_free() {
    use std::cell::RefCell;
    struct Last(Vec<Box<u64>>);
    impl Drop for Last {
        fn drop(&mut self) {
            let more: Vec<String> = self.0.iter().map(|value| value.to_string()).collect();
            assert_eq!(more.len(), self.0.len());
        }
    }
    thread_local! {
        static LAST: RefCell<Last> = const { RefCell::new(Last(Vec::new())) };
    }
    for _ in 0..50 {
        thread::spawn(|| LAST.with(|last| last.borrow_mut().0.extend((0..100).map(Box::new))))
            .join()
            .expect("no panic");
    }
}
