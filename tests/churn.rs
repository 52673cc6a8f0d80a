//! Churn: runtimes that end with and without survivors, short-lived OS threads that join, late
//! unparks of whoever is gone, and a dump that looks on all the while; nothing is left.
//!
//! `GTHREAD_STRESS=N` multiplies the time; `GTHREAD_SEED` repeats a run, as far as it can.
#![allow(clippy::unwrap_used, reason = "a test that unwraps is a test that fails")]

mod common;

use common::{Random, Watchdog};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Handles of threads, most of which have ended.
static HANDLES: Mutex<Vec<gthread::Thread>> = Mutex::new(Vec::new());
const HANDLES_MAX: usize = 256;

fn handles() -> std::sync::MutexGuard<'static, Vec<gthread::Thread>> {
    HANDLES.lock().unwrap()
}

/// Replaces some handle by the caller's.
fn leave_handle(random: &mut Random) {
    let mut handles = handles();
    if handles.len() < HANDLES_MAX {
        handles.push(gthread::current());
    } else {
        handles[random.below(HANDLES_MAX as u64) as usize] = gthread::current();
    }
}

fn unpark_some(count: usize) {
    let some: Vec<_> = handles().iter().take(count).cloned().collect();
    some.iter().for_each(gthread::Thread::unpark);
}

/// A green thread that does random things. Its runtime may be shut down: a spawn may fail.
fn live(mut random: Random, depth: u32) {
    if random.below(4) == 0 {
        leave_handle(&mut random);
    }
    for _ in 0..random.below(6) {
        let child = random.fork();
        match random.below(10) {
            0 => gthread::park_timeout(Duration::from_micros(random.below(300))),
            1 => gthread::yield_now(),
            2 => gthread::blocking(|| std::thread::sleep(Duration::from_micros(30))),
            3 => std::thread::sleep(Duration::from_micros(30)),
            4 if depth > 0 => join_impatiently(random.fork(), child, depth),
            5 if depth > 0 => {
                let _ = gthread::Builder::new().spawn(move || live(child, depth - 1));
            }
            6 if depth > 0 => count_in_a_scope(),
            7 if random.below(4) == 0 => {
                let _pinned = gthread::pin_to_machine();
                gthread::park_timeout(Duration::from_micros(50));
                gthread::yield_now();
            }
            8 if depth > 0 => {
                let builder = gthread::Builder::new().pinned();
                if let Ok(pinned) = builder.spawn(move || live(child, depth - 1)) {
                    pinned.join().unwrap();
                }
            }
            _ => unpark_some(8),
        }
    }
}

/// Joins by deadlines that race with the end.
fn join_impatiently(mut random: Random, child: Random, depth: u32) {
    let Ok(mut handle) = gthread::Builder::new().spawn(move || live(child, depth - 1)) else {
        return;
    };
    loop {
        match handle.join_timeout(Duration::from_micros(random.below(60))) {
            Ok(result) => return result.unwrap(),
            Err(unfinished) => handle = unfinished,
        }
    }
}

fn count_in_a_scope() {
    let count = AtomicU64::new(0);
    let mut spawned = 0;
    gthread::scope(|s| {
        for _ in 0..3 {
            let counter = || count.fetch_add(1, Ordering::Relaxed);
            spawned += u64::from(gthread::Builder::new().spawn_scoped(s, counter).is_ok());
        }
    });
    assert_eq!(count.into_inner(), spawned);
}

/// Builds a runtime, fills it, and lets go of it in one of several ways.
fn one_life(random: &mut Random) {
    let builder = gthread::Runtime::builder().processors(1 + random.below(3) as usize);
    let runtime = builder.os_threads(random.below(8) == 0).build().unwrap();
    let mut green: Vec<_> = (0..random.below(20))
        .map(|_| {
            let random = random.fork();
            runtime.spawn(move || live(random, 3))
        })
        .collect();
    let joiners: Vec<_> = green
        .drain(..green.len() / 2)
        .map(|handle| std::thread::spawn(move || handle.join().unwrap()))
        .collect();
    if random.below(2) == 0 {
        runtime.shutdown();
    }
    drop(runtime);
    joiners.into_iter().for_each(|joiner| joiner.join().unwrap());
    if random.below(2) == 0 {
        green.into_iter().for_each(|handle| handle.join().unwrap());
    }
}

#[test]
fn whatever_comes_late_finds_nothing_to_harm() {
    let asked = std::env::var("GTHREAD_STRESS").ok().and_then(|text| text.parse().ok());
    let time = Duration::from_secs(2 * asked.unwrap_or(1));
    let _dog = Watchdog::new("churn", time + Duration::from_secs(60));
    let mut random = Random::new("churn");
    let end = Instant::now() + time;
    std::thread::scope(|s| {
        for _ in 0..3 {
            let mut random = random.fork();
            s.spawn(move || {
                while Instant::now() < end {
                    one_life(&mut random);
                }
            });
        }
        s.spawn(|| {
            while Instant::now() < end {
                assert!(!gthread::inspect::dump().to_string().is_empty());
                unpark_some(HANDLES_MAX);
            }
        });
    });
    // Survivors and their machines end by themselves; the watchdog waits for them.
    loop {
        let metrics = gthread::inspect::metrics();
        if metrics.live == 0 && metrics.machines == 0 && metrics.stacks_bound == 0 {
            return;
        }
        std::thread::yield_now();
    }
}
