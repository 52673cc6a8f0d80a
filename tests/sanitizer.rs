//! What the sanitizer steps and the emulator run: every kind of switch, by at most a thousand
//! green threads at a time, with plain data handed over at each of them.
//!
//! The data carries no synchronisation of its own, so a hand-over that the runtime fails to
//! order is a data race, and ThreadSanitizer says so. Two controls show that the sanitizers see
//! into green threads: a race and an overflow on purpose, each in a process of its own, which has
//! to be reported.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that unwraps is a test that fails, and it explains itself"
)]

use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Data that the tests hand over without an atomic.
#[derive(Default)]
struct Plain(UnsafeCell<Vec<usize>>);

// SAFETY: shared on purpose; the tests take turns by what the runtime orders.
unsafe impl Sync for Plain {}

impl Plain {
    /// Adds a number; one thread at a time may call it.
    fn push(&self, value: usize) {
        // SAFETY: the callers take turns.
        unsafe { &mut *self.0.get() }.push(value);
    }

    /// Replaces what is there by one number.
    #[cfg(any(gthread_tsan, gthread_asan))]
    fn overwrite(&self, value: usize) {
        // SAFETY: no element is added or removed; the race is what `controls` is about.
        unsafe { &mut *self.0.get() }.resize(1, value);
    }

    fn len(&self) -> usize {
        // SAFETY: the callers take turns.
        unsafe { &*self.0.get() }.len()
    }
}

/// A runtime of two processors of its own.
fn runtime() -> gthread::Runtime {
    gthread::Runtime::builder().processors(2).build().expect("two processors are had everywhere")
}

/// Spawns a tree and returns the number of its leaves.
fn leaves(depth: usize) -> usize {
    if depth == 0 {
        gthread::yield_now();
        return 1;
    }
    let branches =
        [gthread::spawn(move || leaves(depth - 1)), gthread::spawn(move || leaves(depth - 1))];
    branches.into_iter().map(|branch| branch.join().expect("leaves do not panic")).sum()
}

#[test]
fn a_tree_of_green_threads_is_counted() {
    assert_eq!(runtime().run(|| leaves(8)), 256);
}

#[test]
fn spawn_and_join_order_plain_data() {
    let total = runtime().run(|| {
        let data = Arc::new(Plain::default());
        for turn in 0..200 {
            data.push(turn);
            let theirs = data.clone();
            let child = gthread::spawn(move || {
                gthread::yield_now();
                theirs.push(turn);
            });
            child.join().expect("it does not panic");
        }
        data.len()
    });
    assert_eq!(total, 400);
}

/// Whose turn it is says a relaxed counter, which orders nothing: `unpark` and `park` do.
#[test]
fn unpark_and_park_order_plain_data() {
    const TURNS: usize = 500;
    fn play(me: usize, turns: &AtomicUsize, data: &Plain, unpark_other: impl Fn()) {
        for round in 0..TURNS {
            let mine = 2 * round + me;
            // At least one park each time: it is what orders the data.
            let mut may_go = mine == 0;
            while !may_go {
                gthread::park();
                may_go = turns.load(Ordering::Relaxed) == mine;
            }
            data.push(mine);
            turns.store(mine + 1, Ordering::Relaxed);
            unpark_other();
        }
    }
    let data = Plain::default();
    runtime().run(|| {
        let turns = AtomicUsize::new(0);
        let first = gthread::current();
        gthread::scope(|scope| {
            let second = scope.spawn(|| play(1, &turns, &data, || first.unpark()));
            play(0, &turns, &data, || second.thread().unpark());
        });
    });
    assert_eq!(data.len(), 2 * TURNS);
}

#[test]
fn panics_unwind_green_stacks_and_are_joined() {
    let caught = runtime().run(|| {
        let threads = (0..200usize).map(|n| {
            gthread::spawn(move || {
                let inner = catch_unwind(AssertUnwindSafe(|| deep(20, n)));
                gthread::yield_now();
                assert!(inner.is_err() == (n % 2 == 0), "odd ones do not panic");
                std::panic::resume_unwind(Box::new(n));
            })
        });
        let threads: Vec<_> = threads.collect();
        let payload = |thread: gthread::JoinHandle<()>| {
            let payload = thread.join().expect_err("all of them panic");
            *payload.downcast::<usize>().expect("with their number")
        };
        threads.into_iter().map(payload).sum::<usize>()
    });
    assert_eq!(caught, 199 * 200 / 2);
}

/// A chain of frames of a kilobyte that yields at its end, and unwinds if `n` is even.
fn deep(depth: usize, n: usize) -> usize {
    let frame = [n as u8; 1024];
    let below = if depth == 0 {
        gthread::yield_now();
        if n.is_multiple_of(2) {
            std::panic::resume_unwind(Box::new(n));
        }
        0
    } else {
        deep(depth - 1, n)
    };
    below + std::hint::black_box(&frame).len()
}

#[test]
fn a_scope_lends_what_lies_on_a_green_stack() {
    let sum = runtime().run(|| {
        let mut parts = [0usize; 64];
        gthread::scope(|scope| {
            for (index, part) in parts.iter_mut().enumerate() {
                scope.spawn(move || {
                    gthread::yield_now();
                    *part = index;
                });
            }
        });
        parts.iter().sum::<usize>()
    });
    assert_eq!(sum, 63 * 64 / 2);
}

#[test]
fn sleepers_and_blocked_ones_come_back() {
    let wait = |n: u64| match n % 3 {
        0 => gthread::sleep(Duration::from_micros(n * 37)),
        1 => gthread::blocking(|| std::thread::sleep(Duration::from_micros(200))),
        _ => gthread::park_timeout(Duration::from_micros(n * 11)),
    };
    let done = runtime().run(|| {
        let threads: Vec<_> = (0..150).map(|n| gthread::spawn(move || wait(n))).collect();
        threads.into_iter().map(gthread::JoinHandle::join).filter(Result::is_ok).count()
    });
    assert_eq!(done, 150);
}

#[test]
fn os_threads_and_green_threads_meet() {
    let runtime = runtime();
    let data = Plain::default();
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..4usize)
            .map(|n| {
                scope.spawn({
                    let runtime = &runtime;
                    move || runtime.spawn(move || n * 2).join().expect("it does not panic")
                })
            })
            .collect();
        for handle in handles {
            data.push(handle.join().expect("it does not panic"));
        }
    });
    assert_eq!(data.len(), 4);
}

/// Controls: what they do on purpose has to be reported. They run in processes of their own.
#[cfg(any(gthread_tsan, gthread_asan))]
mod controls {
    use super::*;

    /// Runs the ignored test `name` and requires that it is reported as `report`.
    fn require(name: &str, report: &str) {
        let program = std::env::current_exe().expect("a test knows its program");
        let arguments = ["--exact", name, "--ignored", "--nocapture"];
        let output = std::process::Command::new(program).args(arguments).output();
        let output = output.expect("a test can start itself");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains(report), "not reported:\n{text}");
    }

    #[cfg(gthread_tsan)]
    #[test]
    fn a_race_between_green_threads_is_reported() {
        require("controls::race", "ThreadSanitizer: data race");
    }

    #[test]
    #[ignore = "started by a_race_between_green_threads_is_reported"]
    fn race() {
        let (data, started) = (Plain::default(), AtomicUsize::new(0));
        runtime().run(|| {
            gthread::scope(|scope| {
                for n in 0..2 {
                    let (data, started) = (&data, &started);
                    scope.spawn(move || {
                        // Relaxed: they meet, and nothing is ordered by it. Whoever comes first
                        // computes for longer than a slice, so that the other can come.
                        started.fetch_add(1, Ordering::Relaxed);
                        while started.load(Ordering::Relaxed) < 2 {
                            std::hint::spin_loop();
                        }
                        (0..1_000_000).for_each(|_| data.overwrite(n));
                    });
                }
            });
        });
    }

    #[cfg(gthread_asan)]
    #[test]
    fn an_overflow_of_an_array_on_a_green_stack_is_reported() {
        require("controls::overflow", "stack-buffer-overflow");
    }

    #[test]
    #[ignore = "started by an_overflow_of_an_array_on_a_green_stack_is_reported"]
    fn overflow() {
        runtime().run(|| {
            gthread::yield_now();
            let array = [1u8; 64];
            let behind = std::hint::black_box(&array).as_ptr().wrapping_add(64);
            // SAFETY: none, on purpose: the process ends here with a report.
            std::hint::black_box(unsafe { behind.read() });
        });
    }
}
