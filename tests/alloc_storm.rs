//! `GthreadAlloc` under storms: forks in the middle of everything, threads by the hundred
//! thousand, a million green threads whose blocks end on other machines.
//!
//! The sizes here are for every run; the tests that are ignored do the same at full size, in an
//! optimised build (`.ci/alloc`).
#![cfg(not(loom))]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::undocumented_unsafe_blocks,
    reason = "a test that unwraps is a test that fails, and it explains itself"
)]

mod common;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use common::{Random, Watchdog};
use gthread::alloc::{self, Collect, GthreadAlloc};

#[cfg_attr(not(feature = "test-allocator"), global_allocator)]
#[cfg_attr(feature = "test-allocator", allow(dead_code))]
static GLOBAL: GthreadAlloc = GthreadAlloc::new();

/// The tests look at the whole process: one after the other.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> std::sync::MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Allocates and frees, checks the contents, and returns how many bytes are alive at the end.
fn churn(random: &mut Random, rounds: usize) -> usize {
    let mut live: Vec<Vec<u8>> = Vec::new();
    for _ in 0..rounds {
        let mark = random.below(256) as u8;
        live.push(vec![mark; 1 + random.below(3000) as usize]);
        if live.len() > 64 {
            let old = live.swap_remove(random.below(64) as usize);
            assert!(old.iter().all(|&byte| byte == old[0]));
        }
    }
    live.iter().map(Vec::len).sum()
}

/// Waits for a child and fails unless it has ended well.
fn wait_for(child: libc::pid_t, round: usize) {
    let mut status = 0;
    // SAFETY: waits for a child of this process.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0, "round {round}");
}

/// Eight threads allocate, hand blocks to each other, end and begin; one forks, and every child
/// allocates, starts no thread, and exits.
fn fork_storm(rounds: usize) {
    let _alone = alone();
    let mut random = Random::new("fork_storm");
    let stop = AtomicBool::new(false);
    let passed_on: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..8 {
            let (stop, passed_on, mut random) = (&stop, &passed_on, random.fork());
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let mut inner = random.fork();
                    thread::scope(|scope| {
                        scope.spawn(move || churn(&mut inner, 100));
                    });
                    churn(&mut random, 500);
                    let others = std::mem::take(&mut *passed_on.lock().unwrap());
                    drop(others);
                    passed_on.lock().unwrap().extend((0..50).map(|_| vec![1; 700]));
                }
            });
        }
        for round in 0..rounds {
            let mut random = random.fork();
            // SAFETY: the child only allocates, which the fork handlers allow, and ends by `_exit`.
            let child = unsafe { libc::fork() };
            assert!(child >= 0, "fork");
            if child == 0 {
                // SAFETY: an alarm ends a child that hangs.
                unsafe { libc::alarm(120) };
                let sum = churn(&mut random, 1000) + vec![1u8; 1 << 20].len();
                // SAFETY: ends the child at once.
                unsafe { libc::_exit(i32::from(sum == 0)) };
            }
            wait_for(child, round);
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn forked_children_allocate() {
    fork_storm(40);
}

#[test]
#[ignore = "full size"]
fn forked_children_allocate_a_thousand_times() {
    fork_storm(1000);
}

/// So many threads, four at a time, each with blocks of the one before; returns committed bytes.
fn thread_churn(threads: usize) -> usize {
    let mut random = Random::new("thread_churn");
    let passed_on: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
    for _ in 0..threads / 4 {
        thread::scope(|scope| {
            let threads = [(); 4].map(|()| {
                let (passed_on, mut random) = (&passed_on, random.fork());
                scope.spawn(move || {
                    churn(&mut random, 40);
                    let others = std::mem::take(&mut *passed_on.lock().unwrap());
                    passed_on.lock().unwrap().extend((0..20).map(|i| vec![1; 20 + i * 100]));
                    drop(others);
                })
            });
            // By name: a scope alone does not wait until their caches are gone.
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
    }
    drop(passed_on);
    alloc::collect(Collect::Everything);
    alloc::stats().committed_bytes
}

fn threads_leave_nothing(threads: usize) {
    let _alone = alone();
    let before = thread_churn(threads / 20);
    let after = thread_churn(threads);
    let stats = alloc::stats();
    assert!(after <= before + (4 << 20), "{before} bytes before, {after} after: {stats}");
    assert!(stats.caches < 64, "{} caches are in use", stats.caches);
}

#[test]
fn threads_by_the_thousand_leave_nothing() {
    threads_leave_nothing(4000);
}

#[test]
#[ignore = "full size"]
fn threads_by_the_hundred_thousand_leave_nothing() {
    threads_leave_nothing(100_000);
}

/// What is free on this machine, in KiB.
fn memory_available_kib() -> usize {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap();
    let line = text.lines().find(|line| line.starts_with("MemAvailable")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// A block that says who made it and on which OS thread.
struct Made {
    number: usize,
    by: i64,
    filling: Vec<usize>,
}

impl Made {
    fn new(number: usize) -> Box<Self> {
        Box::new(Self { number, by: os_thread(), filling: vec![number; 1 + number % 50] })
    }

    fn check(&self) {
        assert!(self.filling.iter().all(|&value| value == self.number));
    }
}

fn os_thread() -> i64 {
    // SAFETY: a system call without arguments. (`std::thread::current` is the green thread's.)
    unsafe { libc::syscall(libc::SYS_gettid) }
}

/// `threads` green threads that are all alive at once: each swaps a block of its own for one of
/// somebody else's, checks and frees that, and leaves a block to the OS thread that joins it.
/// Returns how many blocks were freed on another machine than the one that made them.
fn generation(runtime: &gthread::Runtime, threads: usize) -> usize {
    static EXCHANGE: [AtomicPtr<Made>; 512] = [const { AtomicPtr::new(std::ptr::null_mut()) }; 512];
    static STARTED: AtomicUsize = AtomicUsize::new(0);
    static ELSEWHERE: AtomicUsize = AtomicUsize::new(0);
    fn take(made: *mut Made) {
        if !made.is_null() {
            // SAFETY: what was put there came from `Box::into_raw`, and the swap took it out.
            let made = unsafe { Box::from_raw(made) };
            made.check();
            ELSEWHERE.fetch_add(usize::from(made.by != os_thread()), Ordering::Relaxed);
        }
    }
    STARTED.store(0, Ordering::Relaxed);
    ELSEWHERE.store(0, Ordering::Relaxed);
    let handles: Vec<_> = (0..threads)
        .map(|number| {
            runtime.spawn(move || {
                let slot = &EXCHANGE[number % EXCHANGE.len()];
                take(slot.swap(Box::into_raw(Made::new(number)), Ordering::AcqRel));
                STARTED.fetch_add(1, Ordering::Relaxed);
                let kept = Made::new(number);
                gthread::park();
                Made::check(&kept);
                kept
            })
        })
        .collect();
    while STARTED.load(Ordering::Relaxed) < threads {
        thread::sleep(Duration::from_millis(1));
    }
    for handle in &handles {
        handle.thread().unpark();
    }
    for (number, handle) in handles.into_iter().enumerate() {
        let made = handle.join().expect("no panic");
        assert_eq!(made.number, number);
        // This OS thread is no machine: a free of somebody else's block.
        take(Box::into_raw(made));
    }
    for slot in &EXCHANGE {
        take(slot.swap(std::ptr::null_mut(), Ordering::AcqRel));
    }
    ELSEWHERE.load(Ordering::Relaxed)
}

/// `threads` green threads in all, as many at once as a quarter of the free memory has room for.
fn green_threads(threads: usize) {
    let _alone = alone();
    let _dog = Watchdog::new("green_threads", Duration::from_secs(600));
    // A green thread that is parked takes two pages of stack, two of thread-locals, a header.
    let at_once = threads.min(memory_available_kib() / 4 / 20);
    if at_once < threads / 16 {
        println!("skipped: MemAvailable has room for {at_once} of {threads} green threads");
        return;
    }
    let runtime = common::runtime(4);
    let (mut left, mut elsewhere, mut committed) = (threads, 0, Vec::new());
    while left > 0 {
        let now = left.min(at_once);
        elsewhere += generation(&runtime, now);
        committed.push(alloc::stats().committed_bytes >> 20);
        left -= now;
    }
    runtime.shutdown();
    println!("{threads} green threads, {at_once} at once; {elsewhere} blocks freed elsewhere");
    println!("MiB committed after each generation: {committed:?}");
    assert!(elsewhere >= threads, "{elsewhere}");
    alloc::collect(Collect::Everything);
}

#[test]
fn blocks_of_green_threads_end_on_other_machines() {
    green_threads(5000);
}

#[test]
#[ignore = "full size"]
fn blocks_of_a_million_green_threads_end_on_other_machines() {
    green_threads(1_000_000);
}
