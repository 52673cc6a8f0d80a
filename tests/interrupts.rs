//! Signals from outside: a storm of them loses no wake and cuts no sleep short, on the smallest
//! stacks too; a process that is stopped and continued goes on.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may")]

mod common;

use common::{CARRIERS, assert_passed, in_child, is_child, watch};
use gthread::{Builder, Runtime};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

static SIGNALS: AtomicU64 = AtomicU64::new(0);

/// Counts signals, with what a handler may use.
extern "C" fn count(_signal: i32) {
    SIGNALS.fetch_add(1, Ordering::Relaxed);
}

/// Has `signal` sent to this process every so many microseconds of `clock`.
fn storm(signal: i32, clock: i32, micros: i64, flags: i32) {
    // SAFETY: an action of zeros is the default one.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = count as *const () as usize;
    action.sa_flags = flags;
    // SAFETY: `count` is a handler of that kind.
    assert_eq!(unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) }, 0);
    let interval = libc::timeval { tv_sec: 0, tv_usec: micros };
    let timer = libc::itimerval { it_interval: interval, it_value: interval };
    // SAFETY: the kernel reads the timer.
    assert_eq!(unsafe { libc::setitimer(clock, &raw const timer, std::ptr::null_mut()) }, 0);
}

/// Waits of every kind, each of which is a hang when its wake is lost.
fn waits() {
    let me = gthread::current();
    for _ in 0..5 {
        let start = Instant::now();
        gthread::sleep(Duration::from_micros(500));
        assert!(start.elapsed() >= Duration::from_micros(500));
        let waker = me.clone();
        let child = gthread::spawn(move || waker.unpark());
        gthread::park();
        child.join().unwrap();
        let start = Instant::now();
        gthread::park_timeout(Duration::from_micros(300));
        assert!(start.elapsed() >= Duration::from_micros(300));
        gthread::scope(|s| {
            s.spawn(gthread::yield_now);
            s.spawn(|| gthread::blocking(|| std::thread::sleep(Duration::from_micros(100))));
        });
        std::thread::sleep(Duration::from_micros(300));
    }
}

/// Rounds of waits on every kind of runtime, and on OS threads; how many.
fn work(rounds: usize, stack_size: Option<usize>) {
    for round in 0..rounds {
        let runtime = CARRIERS[round % CARRIERS.len()].runtime();
        let handles: Vec<_> = (0..8)
            .map(|_| {
                let builder = match stack_size {
                    Some(bytes) => Builder::new().stack_size(bytes),
                    None => Builder::new(),
                };
                builder.spawn_on(&runtime, waits).unwrap()
            })
            .collect();
        std::thread::scope(|s| {
            s.spawn(|| {
                for _ in 0..5 {
                    let start = Instant::now();
                    gthread::sleep(Duration::from_micros(500));
                    assert!(start.elapsed() >= Duration::from_micros(500));
                    let me = gthread::current();
                    runtime.spawn(move || me.unpark());
                    gthread::park();
                }
            });
        });
        handles.into_iter().for_each(|handle| handle.join().unwrap());
        runtime.shutdown();
    }
}

#[test]
fn a_storm_of_signals_loses_no_wake() {
    let name = "a_storm_of_signals_loses_no_wake";
    if is_child(name) {
        let _dog = watch(name);
        storm(libc::SIGALRM, libc::ITIMER_REAL, 200, 0);
        work(12, None);
        println!("{} signals", SIGNALS.load(Ordering::Relaxed));
        assert!(SIGNALS.load(Ordering::Relaxed) > 10);
        return;
    }
    assert_passed(&in_child(name, &[]));
}

#[test]
fn a_profilers_signals_find_room_on_the_smallest_stacks() {
    let name = "a_profilers_signals_find_room_on_the_smallest_stacks";
    if is_child(name) {
        let _dog = watch(name);
        storm(libc::SIGPROF, libc::ITIMER_PROF, 1_000, libc::SA_RESTART);
        let text = Runtime::builder().stack_size(1).build().expect_err("too small").to_string();
        let (_, range) = text.split_once("accepted are ").unwrap();
        let min: usize = range.split(' ').next().unwrap().parse().unwrap();
        let runtime = common::runtime(2);
        let total = Arc::new(AtomicU64::new(0));
        // Until signals have arrived on them many times.
        while SIGNALS.load(Ordering::Relaxed) < 50 {
            let handles: Vec<_> = (0..16)
                .map(|_| {
                    let total = total.clone();
                    let body = move || {
                        for i in 0..200_000_u64 {
                            total.fetch_add(i, Ordering::Relaxed);
                        }
                        gthread::yield_now();
                    };
                    Builder::new().stack_size(min).spawn_on(&runtime, body).unwrap()
                })
                .collect();
            handles.into_iter().for_each(|handle| handle.join().unwrap());
        }
        return runtime.shutdown();
    }
    assert_passed(&in_child(name, &[]));
}

#[test]
fn a_process_that_is_stopped_and_continued_goes_on() {
    let name = "a_process_that_is_stopped_and_continued_goes_on";
    if is_child(name) {
        let _dog = watch(name);
        return work(24, None);
    }
    let mut child = common::child(name, &[]).spawn().unwrap();
    let signal = |signal| {
        // SAFETY: a child that has not been waited for keeps its number.
        unsafe { libc::kill(child.id() as i32, signal) };
        std::thread::sleep(Duration::from_millis(15));
    };
    for _ in 0..10 {
        signal(libc::SIGSTOP);
        signal(libc::SIGCONT);
    }
    assert!(child.wait().unwrap().success());
}
