//! A signal mask that one green thread changes is its own, and never the next one's.
//!
//! Without own thread-locals (sanitizers) nothing is interposed, and a mask is its machine's.
#![cfg(not(any(gthread_tsan, gthread_asan)))]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that unwraps is a test that fails, and it explains itself"
)]

mod common;

use common::{on_each_carrier, runtime, watch};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

type Change = unsafe extern "C" fn(i32, *const libc::sigset_t, *mut libc::sigset_t) -> i32;

/// Changes whether SIGUSR2 is blocked, by either function of libc.
fn change(by: Change, how: i32) {
    // SAFETY: a signal set of zeros is one.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is a signal set.
    unsafe { libc::sigaddset(&raw mut set, libc::SIGUSR2) };
    // SAFETY: `set` is a signal set, and the old one is not asked for.
    assert_eq!(unsafe { by(how, &raw const set, std::ptr::null_mut()) }, 0);
}

fn block() {
    change(libc::pthread_sigmask, libc::SIG_BLOCK);
}

fn unblock() {
    change(libc::pthread_sigmask, libc::SIG_UNBLOCK);
}

/// Whether SIGUSR2 is blocked, by the kernel's own word.
fn is_blocked() -> bool {
    let mut mask = 0_u64;
    let (nothing, place) = (std::ptr::null::<u64>(), &raw mut mask);
    // SAFETY: no new mask is given; the old one is written to `mask`.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_BLOCK, nothing, place, 8_usize) };
    mask >> (libc::SIGUSR2 - 1) & 1 == 1
}

#[test]
fn a_mask_stays_with_its_green_thread_over_waits() {
    on_each_carrier("masks", || {
        let body = |by: Change| {
            move || {
                for _ in 0..10 {
                    change(by, libc::SIG_BLOCK);
                    gthread::yield_now();
                    assert!(is_blocked(), "lost at a yield");
                    gthread::sleep(Duration::from_micros(200));
                    assert!(is_blocked(), "lost at a sleep");
                    gthread::blocking(|| assert!(is_blocked()));
                    change(by, libc::SIG_UNBLOCK);
                    gthread::yield_now();
                    assert!(!is_blocked());
                }
            }
        };
        let maskers: Vec<_> = (0..8)
            .map(|n| {
                let by: Change = if n % 2 == 0 { libc::pthread_sigmask } else { libc::sigprocmask };
                gthread::spawn(body(by))
            })
            .collect();
        let others: Vec<_> = (0..8)
            .map(|_| {
                gthread::spawn(|| {
                    for _ in 0..200 {
                        assert!(!is_blocked(), "somebody else's mask");
                        gthread::yield_now();
                    }
                })
            })
            .collect();
        maskers.into_iter().chain(others).for_each(|handle| handle.join().unwrap());
    });
}

#[test]
fn the_next_on_the_machine_does_not_get_it() {
    // One machine's worth of processors: without the fix whoever comes next runs with the mask.
    let _dog = watch("the next");
    let runtime = runtime(1);
    runtime.run(|| {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = stop.clone();
        let masker = gthread::spawn(move || {
            block();
            while !seen.load(Ordering::Acquire) {
                gthread::yield_now();
                assert!(is_blocked());
            }
        });
        for _ in 0..50 {
            gthread::yield_now();
            assert!(!is_blocked());
            // A fresh one begins with the runtime's mask.
            gthread::spawn(|| assert!(!is_blocked())).join().unwrap();
        }
        stop.store(true, Ordering::Release);
        masker.join().unwrap();
        // It ended with its mask.
        for _ in 0..50 {
            gthread::spawn(|| assert!(!is_blocked())).join().unwrap();
        }
    });
    runtime.shutdown();
}

#[test]
fn a_mask_is_not_inherited_by_spawn() {
    let _dog = watch("spawn");
    let runtime = runtime(2);
    runtime.run(|| {
        block();
        gthread::spawn(|| assert!(!is_blocked())).join().unwrap();
        gthread::scope(|scope| {
            scope.spawn(|| assert!(!is_blocked()));
        });
        // An OS thread does inherit, as from any OS thread.
        assert!(std::thread::spawn(is_blocked).join().unwrap());
        assert!(is_blocked());
        unblock();
    });
    runtime.shutdown();
}

#[test]
fn guards_and_masks_nest() {
    on_each_carrier("guards and masks", || {
        let handles: Vec<_> = (0..8)
            .map(|n| {
                gthread::spawn(move || {
                    let guard = gthread::pin_to_machine();
                    block();
                    gthread::yield_now();
                    if n % 2 == 0 {
                        unblock();
                        drop(guard);
                        gthread::yield_now();
                        assert!(!is_blocked());
                        return;
                    }
                    // Its mask outlives the guard.
                    drop(guard);
                    gthread::yield_now();
                    assert!(is_blocked());
                    let guard = gthread::pin_to_machine();
                    unblock();
                    gthread::yield_now();
                    drop(guard);
                    gthread::yield_now();
                    assert!(!is_blocked());
                })
            })
            .collect();
        for _ in 0..100 {
            gthread::yield_now();
            assert!(!is_blocked(), "somebody else's mask");
        }
        handles.into_iter().for_each(|handle| handle.join().unwrap());
    });
}

#[test]
fn who_has_put_its_mask_back_keeps_no_machine() {
    // In a process of its own: the metrics tell of all runtimes.
    let name = "who_has_put_its_mask_back_keeps_no_machine";
    if !common::is_child(name) {
        return common::assert_passed(&common::in_child(name, &[]));
    }
    let _dog = watch(name);
    let runtime = runtime(2);
    runtime.run(|| {
        let machines_while_parked = |blocks: bool| {
            let parked: Vec<_> = (0..100)
                .map(|_| {
                    gthread::spawn(move || {
                        block();
                        if !blocks {
                            unblock();
                        }
                        gthread::park();
                        assert_eq!(is_blocked(), blocks);
                    })
                })
                .collect();
            let waiting = || {
                let dump = gthread::inspect::dump();
                dump.green_threads.iter().filter(|green| green.state.contains("park")).count()
            };
            while waiting() < 100 {
                gthread::yield_now();
            }
            let machines = gthread::inspect::dump().machines.len();
            parked.iter().for_each(|parked| parked.thread().unpark());
            parked.into_iter().for_each(|parked| parked.join().unwrap());
            machines
        };
        let machines = machines_while_parked(false);
        assert!(machines < 50, "{machines} machines");
        // The control: one each.
        assert!(machines_while_parked(true) >= 100);
    });
    runtime.shutdown();
}

#[test]
fn a_handler_may_change_the_mask() {
    // What it does ends with it, also when it interrupts the runtime.
    let name = "a_handler_may_change_the_mask";
    if !common::is_child(name) {
        return common::assert_passed(&common::in_child(name, &[]));
    }
    extern "C" fn handler(_signal: i32) {
        block();
        unblock();
        block();
    }
    let _dog = watch(name);
    // SAFETY: an action of zeros is one, and gets a handler for it.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: `action` is an action whose handler keeps to what a handler may.
    unsafe { libc::sigaction(libc::SIGPROF, &raw const action, std::ptr::null_mut()) };
    let tick = libc::timeval { tv_sec: 0, tv_usec: 500 };
    let timer = libc::itimerval { it_interval: tick, it_value: tick };
    let runtime = runtime(2);
    // SAFETY: `timer` is one.
    unsafe { libc::setitimer(libc::ITIMER_PROF, &raw const timer, std::ptr::null_mut()) };
    runtime.run(|| {
        for _ in 0..20 {
            let handles: Vec<_> = (0..20)
                .map(|_| {
                    gthread::spawn(|| {
                        for _ in 0..200 {
                            gthread::yield_now();
                            assert!(!is_blocked(), "a handler's mask");
                        }
                    })
                })
                .collect();
            handles.into_iter().for_each(|handle| handle.join().unwrap());
        }
    });
    let off = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let off = libc::itimerval { it_interval: off, it_value: off };
    // SAFETY: `off` is a timer.
    unsafe { libc::setitimer(libc::ITIMER_PROF, &raw const off, std::ptr::null_mut()) };
    runtime.shutdown();
}
