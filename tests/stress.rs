//! Stress: many green threads doing many things on 1, 2, 4 and 8 processors; nothing is left.
//!
//! `GTHREAD_STRESS=N` multiplies the amount of work; `GTHREAD_SEED` repeats a run.

#![allow(clippy::unwrap_used, reason = "a test that unwraps is a test that fails")]

mod common;

use common::{Random, Watchdog, runtime, stress_asked};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const PROCESSORS: [usize; 4] = [1, 2, 4, 8];

/// How much work: more in a release build, more if asked.
fn scale() -> u64 {
    stress_asked() * if cfg!(debug_assertions) { 1 } else { 10 }
}

fn watch(name: &'static str) -> Watchdog {
    Watchdog::new(name, Duration::from_secs(120))
}

/// All is given back when a runtime is dropped: green threads, machines, stacks.
fn assert_nothing_left(runtime: gthread::Runtime) {
    runtime.shutdown();
    drop(runtime);
    let metrics = gthread::inspect::metrics();
    assert_eq!(metrics.live, 0, "green threads are left");
    assert_eq!(metrics.machines, 0, "machines are left");
    assert_eq!(metrics.stacks_bound, 0, "stacks are left");
}

#[test]
fn a_hundred_thousand_spawns_and_joins_leave_nothing() {
    let _alone = common::one_at_a_time();
    let _dog = watch("spawn_join");
    for processors in PROCESSORS {
        let runtime = runtime(processors);
        let total = 10_000 * scale();
        let sum = runtime.run(move || {
            let mut sum = 0;
            for batch in 0..10 {
                let handles: Vec<_> = (0..total / 10)
                    .map(|i| gthread::spawn(move || batch * (total / 10) + i))
                    .collect();
                sum += handles.into_iter().map(|handle| handle.join().unwrap()).sum::<u64>();
            }
            sum
        });
        assert_eq!(sum, total * (total - 1) / 2);
        assert_nothing_left(runtime);
    }
}

/// The sum of the numbers of all leaves of a tree of green threads.
fn skynet(number: u64, size: u64) -> u64 {
    if size == 1 {
        return number;
    }
    let children: Vec<_> = (0..10)
        .map(|i| gthread::spawn(move || skynet(number + i * (size / 10), size / 10)))
        .collect();
    children.into_iter().map(|child| child.join().unwrap()).sum()
}

#[test]
fn skynet_adds_up() {
    let _alone = common::one_at_a_time();
    let _dog = watch("skynet");
    for processors in PROCESSORS {
        let runtime = runtime(processors);
        let leaves = if scale() >= 10 { 100_000 } else { 10_000 };
        assert_eq!(runtime.run(move || skynet(0, leaves)), leaves * (leaves - 1) / 2);
        assert_nothing_left(runtime);
    }
}

#[test]
fn parks_and_unparks_are_never_lost() {
    let _alone = common::one_at_a_time();
    let _dog = watch("park_unpark");
    for processors in PROCESSORS {
        let runtime = runtime(processors);
        let rounds = 1_000 * scale();
        runtime.run(move || {
            let pairs: Vec<_> = (0..8)
                .map(|_| {
                    gthread::spawn(move || {
                        let turn = Arc::new(AtomicU64::new(0));
                        let first = gthread::current();
                        let seen = turn.clone();
                        let second = gthread::spawn(move || {
                            for round in 0..rounds {
                                while seen.load(Ordering::Acquire) != 2 * round + 1 {
                                    gthread::park();
                                }
                                seen.store(2 * round + 2, Ordering::Release);
                                first.unpark();
                            }
                        });
                        for round in 0..rounds {
                            turn.store(2 * round + 1, Ordering::Release);
                            second.thread().unpark();
                            while turn.load(Ordering::Acquire) != 2 * round + 2 {
                                gthread::park();
                            }
                        }
                        second.join().unwrap();
                    })
                })
                .collect();
            pairs.into_iter().for_each(|pair| pair.join().unwrap());
        });
        assert_nothing_left(runtime);
    }
}

#[test]
fn park_timeouts_race_with_unparks() {
    let _alone = common::one_at_a_time();
    let _dog = watch("park_timeout");
    for processors in PROCESSORS {
        let runtime = runtime(processors);
        let mut random = Random::new("park_timeout");
        let rounds = 100 * scale();
        runtime.run(move || {
            let handles: Vec<_> = (0..16)
                .map(|_| {
                    let mut random = random.fork();
                    gthread::spawn(move || {
                        let sleeper = gthread::spawn(move || {
                            let mut parked = 0_u64;
                            for _ in 0..rounds {
                                gthread::park_timeout(Duration::from_micros(50));
                                parked += 1;
                            }
                            parked
                        });
                        for _ in 0..rounds {
                            sleeper.thread().unpark();
                            match random.below(3) {
                                0 => gthread::yield_now(),
                                1 => gthread::sleep(Duration::from_micros(random.below(100))),
                                _ => {}
                            }
                        }
                        assert_eq!(sleeper.join().unwrap(), rounds);
                    })
                })
                .collect();
            handles.into_iter().for_each(|handle| handle.join().unwrap());
        });
        assert_nothing_left(runtime);
    }
}

#[test]
fn a_mixture_of_everything_ends() {
    let _alone = common::one_at_a_time();
    let _dog = watch("mixture");
    for processors in PROCESSORS {
        let runtime = runtime(processors);
        let mut random = Random::new("mixture");
        let total = 300 * scale();
        runtime.run(move || {
            std::panic::set_hook(Box::new(|_| {}));
            let handles: Vec<_> = (0..total)
                .map(|_| {
                    let random = random.fork();
                    gthread::spawn(move || mixture(random, 3))
                })
                .collect();
            for handle in handles {
                let _ = handle.join();
            }
            let _ = std::panic::take_hook();
        });
        assert_nothing_left(runtime);
    }
}

/// One green thread of the mixture: does random things, spawns children down to `depth`.
fn mixture(mut random: Random, depth: u32) {
    for _ in 0..random.below(8) {
        match random.below(10) {
            0 => gthread::sleep(Duration::from_micros(random.below(200))),
            1 => gthread::yield_now(),
            2 => gthread::blocking(|| std::thread::sleep(Duration::from_micros(20))),
            3 => std::thread::sleep(Duration::from_micros(20)),
            4 => {
                let mut sum = 0_u64;
                for i in 0..random.below(20_000) {
                    sum = std::hint::black_box(sum + i);
                }
            }
            5 if depth > 0 => {
                let children: Vec<_> = (0..random.below(4))
                    .map(|_| {
                        let random = random.fork();
                        gthread::spawn(move || mixture(random, depth - 1))
                    })
                    .collect();
                for child in children {
                    let _ = child.join();
                }
            }
            6 if depth > 0 => {
                let counter = AtomicU64::new(0);
                let n = random.below(5);
                gthread::scope(|s| {
                    for _ in 0..n {
                        s.spawn(|| counter.fetch_add(1, Ordering::Relaxed));
                    }
                });
                assert_eq!(counter.into_inner(), n);
            }
            7 if depth > 0 => drop(gthread::spawn(gthread::yield_now)),
            8 if depth > 0 => {
                let _pinned = gthread::pin_to_machine();
                gthread::yield_now();
                gthread::sleep(Duration::from_micros(20));
            }
            9 if random.below(20) == 0 => panic!("on purpose"),
            _ => {}
        }
    }
}

#[test]
fn os_threads_wake_green_threads_and_are_woken() {
    let _alone = common::one_at_a_time();
    let _dog = watch("os_threads");
    for processors in PROCESSORS {
        let runtime = runtime(processors);
        let rounds = 500 * scale();
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    let me = gthread::current();
                    let count = Arc::new(AtomicU64::new(0));
                    let counted = count.clone();
                    let green = runtime.spawn(move || {
                        for round in 1..=rounds {
                            while counted.load(Ordering::Acquire) < 2 * round - 1 {
                                gthread::park();
                            }
                            counted.store(2 * round, Ordering::Release);
                            me.unpark();
                        }
                    });
                    for round in 1..=rounds {
                        count.store(2 * round - 1, Ordering::Release);
                        green.thread().unpark();
                        while count.load(Ordering::Acquire) < 2 * round {
                            gthread::park();
                        }
                    }
                    green.join().unwrap();
                });
            }
        });
        assert_nothing_left(runtime);
    }
}

#[test]
fn runtimes_come_and_go() {
    let _alone = common::one_at_a_time();
    let _dog = watch("runtimes");
    for round in 0..20 * scale() {
        let runtime = runtime(1 + (round % 4) as usize);
        runtime.run(|| {
            let handles: Vec<_> = (0..50).map(|_| gthread::spawn(gthread::yield_now)).collect();
            handles.into_iter().for_each(|handle| handle.join().unwrap());
        });
        assert_nothing_left(runtime);
    }
}
