//! Captures, results and payloads are dropped exactly once, however a green thread ends or never
//! begins.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that unwraps is a test that fails, and it explains itself"
)]

mod common;

use common::{
    Count, assert_died_of, errors_of, in_child, is_child, on_each_carrier, watch, with_each_carrier,
};
use gthread::Builder;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Lets others run until the flag is set.
fn yield_until(flag: &AtomicBool) {
    while !flag.load(Ordering::Acquire) {
        gthread::yield_now();
    }
}

/// The ways a green thread can come to its end, each with values of the size of `PAD`.
fn every_end_drops_once<const PAD: usize>() {
    let count = Count::default();
    let new = || (count.one(), [0_u8; PAD]);

    // Joined.
    let value = new();
    drop(gthread::spawn(move || value).join().unwrap());
    assert_eq!(count.alive(), 0);

    // Joined, with a panic: the closure's captures and the payload.
    let (captured, payload) = (new(), new());
    let error = gthread::spawn(move || {
        let _captured = &captured;
        resume_unwind(Box::new(payload))
    });
    let error = error.join().unwrap_err();
    assert_eq!(count.alive(), 1);
    drop(error);
    assert_eq!(count.alive(), 0);

    // Detached before the end.
    let go = Arc::new(AtomicBool::new(false));
    let (value, seen) = (new(), go.clone());
    drop(gthread::spawn(move || {
        yield_until(&seen);
        value
    }));
    assert_eq!(count.alive(), 1);
    go.store(true, Ordering::Release);
    count.wait_for_none();

    // Detached after the end.
    let value = new();
    let handle = gthread::spawn(move || value);
    while !handle.is_finished() {
        gthread::yield_now();
    }
    assert_eq!(count.alive(), 1);
    drop(handle);
    assert_eq!(count.alive(), 0);

    // Detached around the end: nobody knows who drops.
    for _ in 0..200 {
        let value = new();
        drop(gthread::spawn(move || value));
    }
    count.wait_for_none();

    // Detached, with a panic.
    let (captured, payload) = (new(), new());
    drop(gthread::spawn(move || {
        let _captured = captured;
        resume_unwind(Box::new(payload))
    }));
    count.wait_for_none();

    // Never run: a stack size out of range.
    let value = new();
    assert!(Builder::new().stack_size(1).spawn(move || value).is_err());
    assert_eq!(count.alive(), 0);
}

#[test]
fn captures_results_and_payloads_are_dropped_exactly_once() {
    on_each_carrier("drops", || {
        every_end_drops_once::<0>();
        every_end_drops_once::<200>();
        every_end_drops_once::<2_000>();
    });
}

#[test]
fn a_refused_closure_is_dropped_once() {
    with_each_carrier("refused", |runtime| {
        let count = Count::default();
        runtime.shutdown();
        let small = count.one();
        let large = (count.one(), [0_u8; 300]);
        assert!(Builder::new().spawn_on(runtime, move || drop(small)).is_err());
        assert!(Builder::new().spawn_on(runtime, move || drop(large)).is_err());
        assert_eq!(count.alive(), 0);
    });
}

#[test]
fn the_drop_of_a_result_may_wait_and_spawn() {
    /// Spawns, joins and yields when dropped.
    struct Busy(Arc<AtomicUsize>);
    impl Drop for Busy {
        fn drop(&mut self) {
            gthread::yield_now();
            let done = self.0.clone();
            gthread::spawn(move || done.fetch_add(1, Ordering::AcqRel)).join().unwrap();
        }
    }
    on_each_carrier("busy drops", || {
        let done = Arc::new(AtomicUsize::new(0));
        for _ in 0..50 {
            let busy = Busy(done.clone());
            drop(gthread::spawn(move || busy));
        }
        while done.load(Ordering::Acquire) != 50 {
            gthread::yield_now();
        }
    });
}

#[test]
fn an_unclaimed_result_that_panics_on_drop_aborts() {
    /// As in std, there is nobody to tell.
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }
    if is_child("an_unclaimed_result_that_panics_on_drop_aborts") {
        let _dog = watch("bomb");
        let handle = gthread::spawn(|| Bomb);
        while !handle.is_finished() {
            gthread::yield_now();
        }
        drop(handle);
        return;
    }
    let output = in_child("an_unclaimed_result_that_panics_on_drop_aborts", &[]);
    assert_died_of(&output, libc::SIGABRT);
    assert!(errors_of(&output).contains("panicked on drop"), "{output:?}");
}
