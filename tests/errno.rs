//! `errno` after operations that succeed is what it was before, on green threads and on OS threads.
//!
//! `std` promises no such thing (its own `park_timeout` leaves `ETIMEDOUT` behind), but code that
//! calls libc and then reads `last_os_error` a little late works on threads more often than not, and
//! here what starts and wakes green threads is the crate's own code, which keeps it. Whether
//! libc's allocator and `pthread_create` do is theirs to say; they do where this runs.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that unwraps is a test that fails, and it explains itself"
)]

mod common;

use common::{on_each_carrier, watch};
use std::time::{Duration, Instant};

/// Nobody's error.
const MARK: i32 = 4_242;
const SHORT: Duration = Duration::from_micros(300);

/// The running thread's `errno`.
fn errno() -> *mut i32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::__errno_location() }
}

/// Runs `f`, and fails if it has touched `errno`.
#[track_caller]
fn keeps<T>(what: &str, f: impl FnOnce() -> T) -> T {
    // SAFETY: the running thread's own.
    unsafe { *errno() = MARK };
    let value = f();
    // SAFETY: as above; asked anew, as this may be another OS thread.
    let after = unsafe { *errno() };
    assert_eq!(after, MARK, "{what} has left its errno behind");
    value
}

/// Everything that waits, or makes others go on.
fn waits() {
    keeps("yield_now", gthread::yield_now);
    keeps("sleep", || gthread::sleep(SHORT));
    keeps("sleep(0)", || gthread::sleep(Duration::ZERO));
    keeps("sleep_until", || gthread::sleep_until(Instant::now() + SHORT));
    keeps("park_timeout", || gthread::park_timeout(SHORT));
    keeps("a tick", || {
        let mut ticks = gthread::time::interval(SHORT);
        (ticks.tick(), ticks.tick())
    });
    keeps("timeout", || gthread::time::timeout(SHORT, || gthread::park_timeout(SHORT)));
    keeps("a token", || {
        gthread::current().unpark();
        gthread::park();
    });
    keeps("blocking", || gthread::blocking(|| ()));
    keeps("pin_to_machine", || {
        let _pinned = gthread::pin_to_machine();
        gthread::yield_now();
    });
    let parked = gthread::spawn(gthread::park);
    gthread::yield_now();
    let parked = keeps("join_timeout", || parked.join_timeout(SHORT)).expect_err("it parks");
    keeps("unpark", || parked.thread().unpark());
    keeps("join", || parked.join()).unwrap();
    keeps("metrics", gthread::inspect::metrics);
}

#[test]
fn waits_and_wakes_leave_errno_alone() {
    on_each_carrier("errno", || {
        let handles: Vec<_> = (0..8).map(|_| gthread::spawn(waits)).collect();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
    });
    let _dog = watch("errno on an OS thread");
    waits();
    std::thread::spawn(waits).join().unwrap();
}

#[test]
fn spawning_leaves_errno_alone_while_stacks_are_made() {
    on_each_carrier("errno and spawn", || {
        // More than any pool holds, so that stacks are made, guarded and named on the way.
        let handles: Vec<_> =
            (0..300).map(|_| keeps("spawn", || gthread::spawn(gthread::park))).collect();
        for handle in handles {
            keeps("unpark", || handle.thread().unpark());
            keeps("join", || handle.join()).unwrap();
        }
        for kib in [16, 48, 96, 1024] {
            let builder = gthread::Builder::new().stack_size(kib << 10).name("sized".into());
            keeps("a stack of its own size", || builder.spawn(|| ()).unwrap().join()).unwrap();
        }
        keeps("scope", || {
            gthread::scope(|scope| {
                scope.spawn(|| keeps("in a scope", gthread::yield_now));
            });
        });
    });
}
