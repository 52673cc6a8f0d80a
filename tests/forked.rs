//! The child of a fork that a green thread made: it has that one thread, which goes on as an OS
//! thread, and ends with it.
//!
//! `own_tls::calls` has what libc does in such a child; here is what this crate does.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that unwraps is a test that fails, and it explains itself"
)]

mod common;

use common::{Carrier, watch};
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(2);

/// Runs `child` in a forked child, and gives the status it ended with.
fn status_of(child: impl FnOnce()) -> Option<i32> {
    // SAFETY: the child has one thread, and does what a child of this crate's may do.
    let id = unsafe { libc::fork() };
    assert!(id >= 0, "fork");
    if id == 0 {
        child();
        // Returns, through the caller, to the end of the green thread.
        return None;
    }
    let mut status = 0;
    // SAFETY: a place for the status of our own child.
    assert_eq!(gthread::blocking(|| unsafe { libc::waitpid(id, &raw mut status, 0) }), id);
    Some(status)
}

/// In a green thread of its own: runs `child` in a forked child, and fails unless that ends with
/// status 0.
fn ends_well(runtime: &gthread::Runtime, child: fn()) {
    let forker = runtime.spawn(move || {
        if let Some(status) = status_of(child) {
            assert_eq!(status, 0, "the child ended otherwise");
        }
    });
    forker.join().unwrap();
}

/// Each body in a process of its own: what is forked must not be a test harness with many threads.
fn alone(name: &'static str, body: fn(Carrier)) {
    if !common::is_child(name) {
        return common::assert_passed(&common::in_child(name, &[]));
    }
    let _dog = watch(name);
    common::CARRIERS.into_iter().for_each(body);
}

#[test]
fn the_child_ends_with_the_green_thread_that_forked() {
    alone("the_child_ends_with_the_green_thread_that_forked", |carrier| {
        let runtime = carrier.runtime();
        ends_well(&runtime, || ());
        ends_well(&runtime, || {
            struct AtEnd;
            impl Drop for AtEnd {
                fn drop(&mut self) {
                    gthread::sleep(SHORT);
                }
            }
            thread_local!(static AT_END: AtEnd = const { AtEnd });
            AT_END.with(|_| ());
        });
        // The parent has noticed nothing.
        assert_eq!(runtime.run(|| gthread::spawn(|| 5).join().unwrap()), 5);
        runtime.shutdown();
    });
}

#[test]
fn the_child_waits_in_the_kernel_and_spawns_nothing() {
    alone("the_child_waits_in_the_kernel_and_spawns_nothing", |carrier| {
        let runtime = carrier.runtime();
        ends_well(&runtime, || {
            let start = Instant::now();
            gthread::sleep(SHORT);
            gthread::park_timeout(SHORT);
            gthread::time::timeout(SHORT, || gthread::park_timeout(100 * SHORT));
            gthread::yield_now();
            gthread::current().unpark();
            gthread::park();
            let _pinned = gthread::pin_to_machine();
            gthread::blocking(|| ());
            // A failure here would end the child by a panic, which is no status: say it by one.
            if start.elapsed() < 3 * SHORT {
                std::process::exit(1);
            }
        });
        runtime.shutdown();
    });
}
