//! Running out of stack: a line that names the green thread, and the end by SIGABRT; every other
//! fault ends as it would without this crate.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that unwraps is a test that fails, and it explains itself"
)]

mod common;

use common::{assert_died_of, errors_of, in_child, is_child};
use gthread::Builder;
use std::hint::black_box;

/// Goes down, a few hundred bytes at a time, until the stack ends.
#[inline(never)]
fn descend(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    if black_box(depth) == u64::MAX { 0 } else { descend(depth + 1) + frame[63] }
}

/// Has frames that are larger than a guard of one page.
#[inline(never)]
fn descend_by_large_frames(depth: u64) -> u64 {
    let frame = black_box([depth as u8; 20_000]);
    if black_box(depth) == u64::MAX {
        return 0;
    }
    descend_by_large_frames(depth + 1) + u64::from(black_box(frame)[19_999])
}

/// Runs `overflow` in a process of its own and gives what it wrote; it must die of SIGABRT.
fn report(name: &str, overflow: fn()) -> String {
    if is_child(name) {
        overflow();
        unreachable!("the stack has no end");
    }
    let output = in_child(name, &[]);
    assert_died_of(&output, libc::SIGABRT);
    errors_of(&output)
}

#[test]
fn the_name_and_size_of_a_named_green_thread_are_told() {
    let text = report("the_name_and_size_of_a_named_green_thread_are_told", || {
        let builder = Builder::new().name("deep diver".into()).stack_size(64 << 10);
        let _ = builder.spawn(|| descend(0)).unwrap().join();
    });
    let told = "green thread 'deep diver' has overflowed its stack (65536 bytes)";
    assert!(text.contains(told), "{text}");
}

#[test]
fn an_unnamed_green_thread_is_told_as_such() {
    let text = report("an_unnamed_green_thread_is_told_as_such", || {
        let _ = gthread::spawn(|| descend(0)).join();
    });
    let told = "green thread '<unnamed>' has overflowed its stack (262144 bytes)";
    assert!(text.contains(told), "{text}");
}

#[test]
fn large_frames_do_not_jump_over_the_guard() {
    let text = report("large_frames_do_not_jump_over_the_guard", || {
        gthread::run(|| {
            let neighbours: Vec<_> = (0..64).map(|_| gthread::spawn(gthread::park)).collect();
            gthread::yield_now();
            let builder = Builder::new().name("leaps".into());
            let _ = builder.spawn(|| descend_by_large_frames(0)).unwrap().join();
            drop(neighbours);
        });
    });
    assert!(text.contains("green thread 'leaps' has overflowed its stack"), "{text}");
}

#[test]
fn a_green_thread_that_has_moved_pinned_and_lost_its_processor_is_named() {
    let name = "a_green_thread_that_has_moved_pinned_and_lost_its_processor_is_named";
    let text = report(name, || {
        let body = || {
            gthread::yield_now();
            gthread::sleep(std::time::Duration::from_millis(1));
            let _pinned = gthread::pin_to_machine();
            gthread::yield_now();
            gthread::blocking(|| descend(0))
        };
        let _ = Builder::new().name("traveller".into()).spawn(body).unwrap().join();
    });
    assert!(text.contains("green thread 'traveller' has overflowed its stack"), "{text}");
}

#[test]
fn a_very_long_name_neither_crashes_nor_hides_the_report() {
    let text = report("a_very_long_name_neither_crashes_nor_hides_the_report", || {
        let builder = Builder::new().name("long ".repeat(10_000));
        let _ = builder.spawn(|| descend(0)).unwrap().join();
    });
    assert!(text.contains("green thread 'long long "), "{text}");
}

#[test]
fn an_overflow_in_a_thread_local_destructor_is_named() {
    /// Overflows the stack when dropped.
    struct Diver;
    impl Drop for Diver {
        fn drop(&mut self) {
            descend(0);
        }
    }
    thread_local!(static DIVER: Diver = const { Diver });
    let text = report("an_overflow_in_a_thread_local_destructor_is_named", || {
        let builder = Builder::new().name("last words".into());
        let _ = builder.spawn(|| DIVER.with(|_| ())).unwrap().join();
    });
    assert!(text.contains("green thread 'last words' has overflowed its stack"), "{text}");
}

#[test]
fn overflows_of_os_threads_are_reported_by_std() {
    let name = "overflows_of_os_threads_are_reported_by_std";
    let text = report(name, || {
        gthread::run(gthread::yield_now);
        let builder = std::thread::Builder::new().name("plain".into()).stack_size(256 << 10);
        let _ = builder.spawn(|| descend(0)).unwrap().join();
    });
    assert!(text.contains("thread 'plain'") && text.contains("overflowed its stack"), "{text}");
    assert!(!text.contains("green thread"), "{text}");
}

#[test]
fn overflows_of_green_threads_that_are_os_threads_are_reported_by_std() {
    let name = "overflows_of_green_threads_that_are_os_threads_are_reported_by_std";
    let text = report(name, || {
        let runtime = gthread::Runtime::builder().os_threads(true).build().unwrap();
        let builder = Builder::new().name("stand-in".into());
        let _ = builder.spawn_on(&runtime, || descend(0)).unwrap().join();
    });
    assert!(text.contains("thread 'stand-in'") && text.contains("overflowed its stack"), "{text}");
}

#[test]
fn an_overflow_on_an_os_thread_that_a_green_thread_started_is_reported_by_std() {
    let name = "an_overflow_on_an_os_thread_that_a_green_thread_started_is_reported_by_std";
    let text = report(name, || {
        gthread::run(|| {
            let builder = std::thread::Builder::new().name("born green".into());
            let _ = builder.stack_size(256 << 10).spawn(|| descend(0)).unwrap().join();
        });
    });
    assert!(text.contains("thread 'born green'"), "{text}");
    assert!(text.contains("overflowed its stack") && !text.contains("green thread"), "{text}");
}

/// Faults at an address that is nobody's guard.
fn fault() {
    // SAFETY: it is not: the process is to die of it, which is what the test asks.
    unsafe { black_box(std::ptr::without_provenance_mut::<u8>(16)).write_volatile(1) };
}

#[test]
fn a_fault_elsewhere_dies_of_sigsegv() {
    let name = "a_fault_elsewhere_dies_of_sigsegv";
    if is_child(name) {
        gthread::run(|| gthread::spawn(fault).join()).unwrap();
    }
    let output = in_child(name, &[]);
    assert_died_of(&output, libc::SIGSEGV);
    assert!(!errors_of(&output).contains("overflowed"), "{output:?}");
}

#[test]
fn a_fault_on_an_os_thread_dies_of_sigsegv() {
    let name = "a_fault_on_an_os_thread_dies_of_sigsegv";
    if is_child(name) {
        gthread::run(gthread::yield_now);
        fault();
    }
    let output = in_child(name, &[]);
    assert_died_of(&output, libc::SIGSEGV);
    assert!(!errors_of(&output).contains("overflowed"), "{output:?}");
}
