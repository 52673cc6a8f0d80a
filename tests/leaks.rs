//! Nothing is left: descriptors, threads, mappings and memory are flat after many runtimes, green
//! threads and wakes; and what waits costs nothing.
//!
//! Each test counts things of the whole process, so each runs in a process of its own.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that unwraps is a test that fails, and it explains itself"
)]

mod common;

use common::{assert_passed, in_child, is_child, runtime, watch};
use std::time::Duration;

/// Runs `body` in a process of its own.
fn alone(name: &'static str, body: fn()) {
    if is_child(name) {
        let _dog = watch(name);
        return body();
    }
    let output = in_child(name, &[]);
    print!("{}", String::from_utf8_lossy(&output.stdout));
    assert_passed(&output);
}

/// How much of everything this process has.
#[derive(Clone, Copy, Debug)]
struct Has {
    descriptors: usize,
    threads: usize,
    mappings: usize,
    resident_kib: usize,
    heap_bytes: usize,
}

impl Has {
    /// Looks, when the threads that have been joined are gone for the kernel too.
    fn now(threads_before: usize) -> Self {
        let entries = |path: &str| std::fs::read_dir(path).unwrap().count();
        let start = std::time::Instant::now();
        while entries("/proc/self/task") > threads_before && start.elapsed().as_secs() < 10 {
            std::thread::yield_now();
        }
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let resident = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        // SAFETY: takes nothing and only reads malloc's counters.
        let heap = unsafe { libc::mallinfo2() };
        Self {
            descriptors: entries("/proc/self/fd"),
            threads: entries("/proc/self/task"),
            mappings: std::fs::read_to_string("/proc/self/maps").unwrap().lines().count(),
            resident_kib: resident.split_whitespace().nth(1).unwrap().parse().unwrap(),
            heap_bytes: heap.uordblks + heap.hblkhd,
        }
    }

    /// How many threads there are before the first runtime: the harness, the watchdog.
    fn threads() -> usize {
        std::fs::read_dir("/proc/self/task").unwrap().count()
    }

    /// Fails if there is more than before. malloc makes arenas for threads as it likes, so
    /// mappings and memory may grow by a little, once.
    fn assert_flat(before: Self, after: Self) {
        println!("before {before:?}\n after {after:?}");
        assert_eq!(after.descriptors, before.descriptors, "descriptors");
        assert_eq!(after.threads, before.threads, "threads");
        assert!(after.mappings <= before.mappings + 24, "mappings");
        assert!(after.resident_kib <= before.resident_kib + (16 << 10), "resident memory");
        assert!(after.heap_bytes <= before.heap_bytes + (1 << 20), "heap");
    }
}

/// More in a release build.
fn scaled(count: usize) -> usize {
    if cfg!(debug_assertions) { count / 10 } else { count }
}

#[test]
fn a_thousand_runtimes_leave_nothing() {
    alone("a_thousand_runtimes_leave_nothing", || {
        let threads = Has::threads();
        let one = |round: usize| {
            let runtime = match round % 5 {
                4 => gthread::Runtime::builder().os_threads(true).build().unwrap(),
                processors => runtime(1 + processors % 4),
            };
            runtime.run(|| {
                let handles: Vec<_> = (0..20)
                    .map(|i| {
                        let builder = gthread::Builder::new().name(format!("number {i}"));
                        let builder = if i == 7 { builder.pinned() } else { builder };
                        builder.spawn(gthread::yield_now).unwrap()
                    })
                    .collect();
                handles.into_iter().for_each(|handle| handle.join().unwrap());
                gthread::sleep(Duration::from_micros(10));
            });
        };
        (0..50).for_each(one);
        let before = Has::now(threads);
        (0..1_000).for_each(one);
        Has::assert_flat(before, Has::now(threads));
    });
}

#[test]
fn a_million_green_threads_leave_nothing() {
    alone("a_million_green_threads_leave_nothing", || {
        let runtime = runtime(2);
        let batch = || {
            runtime.run(|| {
                let handles: Vec<_> =
                    (0..5_000).map(|i| gthread::spawn(move || vec![i; 3])).collect();
                for (i, handle) in handles.into_iter().enumerate() {
                    if i % 3 != 0 {
                        assert_eq!(handle.join().unwrap(), [i; 3]);
                    }
                }
            });
        };
        (0..3).for_each(|_| batch());
        runtime.run(|| ());
        let threads = Has::threads() + 2;
        let before = Has::now(threads);
        (0..scaled(200)).for_each(|_| batch());
        let after = Has::now(threads);
        println!("before {before:?}\n after {after:?}");
        // The monitor keeps a few descriptors of machines that it suspects.
        assert!(after.descriptors <= before.descriptors + 8, "descriptors");
        // Machines come as they are needed; more than a few are not.
        assert!(after.threads <= before.threads + 4, "threads");
        assert!(after.mappings <= before.mappings + 24, "mappings");
        assert!(after.resident_kib <= before.resident_kib + (16 << 10), "resident memory");
        assert!(after.heap_bytes <= before.heap_bytes + (1 << 20), "heap");
        runtime.shutdown();
        assert_eq!(gthread::inspect::metrics().live, 0);
        assert_eq!(gthread::inspect::metrics().stacks_bound, 0);
    });
}

#[test]
fn every_kind_of_end_and_wait_leaves_nothing() {
    alone("every_kind_of_end_and_wait_leaves_nothing", || {
        common::silence_panics_on_purpose();
        let threads = Has::threads();
        let mut runtime = Some(runtime(2));
        let batch = |runtime: &gthread::Runtime| {
            runtime.run(|| {
                for _ in 0..20 {
                    let _ = gthread::spawn(|| panic!("on purpose")).join();
                    drop(gthread::spawn(|| panic!("on purpose")));
                    drop(gthread::spawn(|| vec![0_u8; 1_000]));
                    let parked = gthread::spawn(gthread::park);
                    gthread::park_timeout(Duration::from_micros(5));
                    parked.thread().unpark();
                    parked.join().unwrap();
                    gthread::scope(|s| {
                        s.spawn(|| ());
                        s.spawn(|| gthread::sleep(Duration::from_micros(5)));
                    });
                    let pinned = gthread::Builder::new().pinned().spawn(gthread::yield_now);
                    pinned.unwrap().join().unwrap();
                    assert!(gthread::Builder::new().stack_size(1).spawn(|| ()).is_err());
                    gthread::blocking(|| std::thread::sleep(Duration::from_micros(5)));
                }
            });
            let from_outside = runtime.spawn(gthread::park);
            std::thread::scope(|s| {
                s.spawn(|| from_outside.thread().unpark());
                s.spawn(|| gthread::park_timeout(Duration::from_micros(5)));
            });
            from_outside.join().unwrap();
        };
        let first = runtime.as_ref().unwrap();
        (0..5).for_each(|_| batch(first));
        first.shutdown();
        drop(runtime.take());
        let before = Has::now(threads);
        let second = common::runtime(2);
        (0..scaled(200)).for_each(|_| batch(&second));
        second.shutdown();
        drop(second);
        Has::assert_flat(before, Has::now(threads));
    });
}

#[test]
fn green_threads_keep_no_state_of_libraries_that_machines_should_keep() {
    // crossbeam-epoch registers each thread that pins with a record of more than 2 KiB on the
    // heap, and keeps it as long as that thread's thread-locals. Green threads that have spawned
    // (queues grow), woken each other and been stolen would have one each, if any of that ran on
    // their own thread pointer. So what the heap holds for each of them, while all live, is less.
    // The same bound covers parking_lot's records, and malloc's caches per thread.
    alone("green_threads_keep_no_state_of_libraries_that_machines_should_keep", || {
        const LIVE: usize = 5_000;
        let runtime = runtime(4);
        let heap = || {
            // SAFETY: takes nothing and only reads malloc's counters.
            let heap = unsafe { libc::mallinfo2() };
            let own = if cfg!(feature = "test-allocator") {
                gthread::alloc::stats().live_bytes
            } else {
                0
            };
            heap.uordblks + heap.hblkhd + own
        };
        let per_green_thread = |live: usize, pins: bool| {
            let before = heap();
            runtime.run(|| {
                let handles: Vec<_> = (0..live)
                    .map(|_| {
                        gthread::spawn(move || {
                            if pins {
                                let queue = crossbeam_deque::Worker::<u8>::new_fifo();
                                assert!(queue.stealer().steal().is_empty());
                            }
                            let children: Vec<_> =
                                (0..3).map(|_| gthread::spawn(gthread::park)).collect();
                            gthread::yield_now();
                            gthread::sleep(Duration::from_micros(50));
                            children.iter().for_each(|child| child.thread().unpark());
                            children.into_iter().for_each(|child| child.join().unwrap());
                            gthread::blocking(|| ());
                            gthread::park();
                        })
                    })
                    .collect();
                let parked = || {
                    let dump = gthread::inspect::dump();
                    dump.green_threads.iter().filter(|green| green.state.contains("park")).count()
                };
                while parked() < live {
                    gthread::sleep(Duration::from_millis(20));
                }
                let steals = gthread::inspect::metrics().steals;
                let bytes = heap().saturating_sub(before) / live;
                println!("{live} live: {bytes} bytes of heap each, {steals} steals so far");
                handles.iter().for_each(|handle| handle.thread().unpark());
                handles.into_iter().for_each(|handle| handle.join().unwrap());
                bytes
            })
        };
        // The first time makes headers and timers, which are kept for the second.
        per_green_thread(LIVE, false);
        let bytes = per_green_thread(LIVE, false);
        assert!(bytes < 1_000, "{bytes} bytes of heap for each green thread");
        // The control: each steals once on its own thread pointer, as nothing in the runtime does.
        let bytes = per_green_thread(LIVE, true);
        assert!(bytes > 1_500, "{bytes}: a record of crossbeam-epoch would not be seen");
        runtime.shutdown();
    });
}

#[test]
fn parks_and_wakes_do_not_grow_the_heap() {
    alone("parks_and_wakes_do_not_grow_the_heap", || {
        let runtime = runtime(4);
        let rounds = scaled(250_000) / 8;
        let wake = || {
            runtime.run(|| {
                let pairs: Vec<_> = (0..8)
                    .map(|_| {
                        gthread::spawn(move || {
                            let me = gthread::current();
                            let other = gthread::spawn(move || {
                                for _ in 0..rounds {
                                    me.unpark();
                                    gthread::park_timeout(Duration::from_millis(1));
                                }
                            });
                            while !other.is_finished() {
                                other.thread().unpark();
                                gthread::park_timeout(Duration::from_millis(1));
                            }
                            other.join().unwrap();
                        })
                    })
                    .collect();
                pairs.into_iter().for_each(|pair| pair.join().unwrap());
            });
        };
        wake();
        let threads = Has::threads() + 8;
        let before = Has::now(threads);
        (0..4).for_each(|_| wake());
        let after = Has::now(threads);
        println!("before {before:?}\n after {after:?}");
        // The monitor keeps a few descriptors of machines that it suspects.
        assert!(after.descriptors <= before.descriptors + 8, "descriptors");
        assert!(after.heap_bytes <= before.heap_bytes + (256 << 10), "heap");
        runtime.shutdown();
    });
}

/// The context switches of all threads of this process so far.
fn context_switches() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let statuses =
        tasks.filter_map(|task| std::fs::read_to_string(task.path().join("status")).ok());
    statuses
        .map(|status| {
            let lines = status.lines().filter(|line| line.contains("ctxt_switches"));
            lines.filter_map(|line| line.rsplit('\t').next()?.parse::<u64>().ok()).sum::<u64>()
        })
        .sum()
}

#[test]
fn ten_thousand_parked_green_threads_cost_nothing() {
    if !is_child("ten_thousand_parked_green_threads_cost_nothing") {
        let output = in_child("ten_thousand_parked_green_threads_cost_nothing", &[]);
        print!("{}", String::from_utf8_lossy(&output.stdout));
        return assert_passed(&output);
    }
    // No watchdog: it would be what wakes up.
    let runtime = runtime(2);
    let parked: Vec<_> = (0..10_000).map(|_| runtime.spawn(gthread::park)).collect();
    let sleeper = runtime.spawn(|| gthread::sleep(Duration::from_secs(3_600)));
    runtime.run(gthread::yield_now);
    // All is quiet when two looks in a row see next to nothing.
    let switches_in = |duration| {
        let before = context_switches();
        std::thread::sleep(duration);
        context_switches() - before
    };
    let mut quiet = 0;
    for _ in 0..100 {
        quiet = if switches_in(Duration::from_millis(100)) <= 4 { quiet + 1 } else { 0 };
        if quiet == 2 {
            break;
        }
    }
    // What wakes by itself does so in each of these times; what comes to rest late, in the first.
    let is_calm = (0..5).any(|_| {
        let switches = switches_in(Duration::from_secs(3));
        println!("10,000 parked: {switches} context switches of the whole process in 3 s");
        switches <= 30
    });
    assert!(is_calm, "more than 30 context switches in 3 s, time and again");
    for handle in parked {
        handle.thread().unpark();
        handle.join().unwrap();
    }
    assert!(!sleeper.is_finished());
}
