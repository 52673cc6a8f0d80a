//! The end of a green thread's thread-locals: destructors have run when `join` returns, and may do
//! what other code may.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that unwraps is a test that fails, and it explains itself"
)]

mod common;

use common::{assert_died_of, errors_of, in_child, is_child, on_each_carrier, watch};
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Runs a closure when dropped.
struct AtExit(Option<Box<dyn FnOnce()>>);

impl Drop for AtExit {
    fn drop(&mut self) {
        if let Some(f) = self.0.take() {
            f();
        }
    }
}

thread_local! {
    static AT_EXIT: RefCell<Vec<AtExit>> = const { RefCell::new(Vec::new()) };
    static LATER: RefCell<Vec<AtExit>> = const { RefCell::new(Vec::new()) };
    static NUMBER: Cell<u64> = const { Cell::new(0) };
}

/// Leaves `f` to be run at the end of the running thread.
fn at_exit(f: impl FnOnce() + 'static) {
    AT_EXIT.with_borrow_mut(|all| all.push(AtExit(Some(Box::new(f)))));
}

#[test]
fn thread_locals_are_a_green_threads_own_across_waits() {
    on_each_carrier("own", || {
        let handles: Vec<_> = (1..200_u64)
            .map(|i| {
                gthread::spawn(move || {
                    assert_eq!(NUMBER.get(), 0, "fresh");
                    NUMBER.set(i);
                    for _ in 0..10 {
                        gthread::yield_now();
                        assert_eq!(NUMBER.get(), i);
                    }
                    gthread::sleep(Duration::from_micros(i));
                    assert_eq!(NUMBER.replace(0), i);
                })
            })
            .collect();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
    });
}

#[test]
fn destructors_have_run_when_join_returns() {
    on_each_carrier("destructors", || {
        for _ in 0..100 {
            let ran = Arc::new(AtomicUsize::new(0));
            let counted = ran.clone();
            let handle = gthread::spawn(move || {
                for _ in 0..3 {
                    let counted = counted.clone();
                    at_exit(move || {
                        counted.fetch_add(1, Ordering::Relaxed);
                    });
                }
            });
            handle.join().unwrap();
            assert_eq!(ran.load(Ordering::Relaxed), 3);
        }
    });
}

#[test]
fn destructors_run_after_a_panic_too() {
    common::silence_panics_on_purpose();
    on_each_carrier("after a panic", || {
        let ran = Arc::new(AtomicUsize::new(0));
        let counted = ran.clone();
        let handle = gthread::spawn(move || {
            at_exit(move || {
                assert!(!std::thread::panicking());
                counted.fetch_add(1, Ordering::Relaxed);
            });
            panic!("on purpose");
        });
        assert!(handle.join().is_err());
        assert_eq!(ran.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn destructors_may_wait_spawn_and_register_more() {
    on_each_carrier("busy destructors", || {
        let ran = Arc::new(AtomicUsize::new(0));
        let handles: Vec<_> = (0..50)
            .map(|_| {
                let counted = ran.clone();
                gthread::spawn(move || {
                    at_exit(move || {
                        gthread::yield_now();
                        gthread::sleep(Duration::from_micros(50));
                        gthread::park_timeout(Duration::from_micros(50));
                        gthread::current().unpark();
                        gthread::park();
                        let child = counted.clone();
                        let child = gthread::spawn(move || child.fetch_add(1, Ordering::Relaxed));
                        child.join().unwrap();
                        gthread::blocking(|| std::thread::sleep(Duration::from_micros(20)));
                        let lent = counted.clone();
                        gthread::scope(|s| {
                            s.spawn(|| lent.fetch_add(1, Ordering::Relaxed));
                        });
                        LATER.with_borrow_mut(|all| {
                            let counted = counted.clone();
                            all.push(AtExit(Some(Box::new(move || {
                                gthread::yield_now();
                                counted.fetch_add(1, Ordering::Relaxed);
                            }))));
                        });
                    });
                })
            })
            .collect();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
        assert_eq!(ran.load(Ordering::Relaxed), 150);
    });
}

#[test]
fn destructors_of_a_pinned_green_thread_run_on_its_machine() {
    let _dog = watch("pinned destructors");
    let runtime = common::runtime(2);
    runtime.run(|| {
        let handles: Vec<_> = (0..20)
            .map(|_| {
                let body = || {
                    let machine = thread_number();
                    at_exit(move || {
                        gthread::yield_now();
                        gthread::sleep(Duration::from_micros(50));
                        assert_eq!(thread_number(), machine);
                    });
                };
                gthread::Builder::new().pinned().spawn(body).unwrap()
            })
            .collect();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
    });
    runtime.shutdown();
}

/// The kernel's number of the OS thread that runs this.
fn thread_number() -> i64 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::syscall(libc::SYS_gettid) }
}

#[test]
fn shutdown_waits_for_destructors() {
    for processors in [1, 2, 4] {
        let _dog = watch("shutdown and destructors");
        let runtime = common::runtime(processors);
        let ran = Arc::new(AtomicUsize::new(0));
        for _ in 0..50 {
            let ran = ran.clone();
            drop(runtime.spawn(move || {
                at_exit(move || {
                    gthread::sleep(Duration::from_millis(1));
                    ran.fetch_add(1, Ordering::Relaxed);
                });
            }));
        }
        runtime.shutdown();
        assert_eq!(ran.load(Ordering::Relaxed), 50);
    }
}

#[test]
fn an_os_thread_may_use_the_api_in_its_destructors() {
    let _dog = watch("destructors of an OS thread");
    for _ in 0..20 {
        let ran = Arc::new(AtomicUsize::new(0));
        let counted = ran.clone();
        let thread = std::thread::spawn(move || {
            // Registered before this thread is known to the runtime, so it runs after that ends.
            at_exit(move || {
                let inner = counted.clone();
                gthread::spawn(move || inner.fetch_add(1, Ordering::Relaxed)).join().unwrap();
                gthread::park_timeout(Duration::from_micros(50));
                counted.fetch_add(1, Ordering::Relaxed);
            });
            gthread::park_timeout(Duration::from_micros(50));
        });
        thread.join().unwrap();
        assert_eq!(ran.load(Ordering::Relaxed), 2);
    }
}

#[test]
fn the_api_works_in_destructors_of_keys_after_those_of_thread_locals() {
    static RAN: AtomicUsize = AtomicUsize::new(0);
    unsafe extern "C" fn destroy(_value: *mut libc::c_void) {
        gthread::sleep(Duration::from_micros(10));
        RAN.fetch_add(gthread::spawn(|| 1).join().unwrap(), Ordering::AcqRel);
        assert_eq!(gthread::current().name(), None, "a thread that ends has lost its name");
    }
    let _dog = watch("destructors of keys");
    let threads = (0..10).map(|number| {
        let name = format!("thread {number}");
        let body = || {
            // Known to both: `std` forgets the thread at its end, and so does this crate.
            assert!(gthread::current().name().is_some());
            let mut key = 0;
            // SAFETY: a place for a key, and a destructor that takes any value.
            assert_eq!(unsafe { libc::pthread_key_create(&raw mut key, Some(destroy)) }, 0);
            // SAFETY: the key was just made, and the value is never followed.
            let set = unsafe { libc::pthread_setspecific(key, std::ptr::dangling()) };
            assert_eq!(set, 0);
        };
        std::thread::Builder::new().name(name).spawn(body).unwrap()
    });
    threads.for_each(|thread| thread.join().unwrap());
    assert_eq!(RAN.load(Ordering::Acquire), 10);
}

#[test]
fn a_panic_in_a_destructor_aborts() {
    // As in std: "fatal runtime error: thread local panicked on drop".
    let name = "a_panic_in_a_destructor_aborts";
    if is_child(name) {
        let _dog = watch("panic in a destructor");
        let handle = gthread::spawn(|| at_exit(|| panic!("on purpose")));
        let _ = handle.join();
        return;
    }
    let output = in_child(name, &[]);
    assert_died_of(&output, libc::SIGABRT);
    assert!(errors_of(&output).contains("thread local panicked on drop"), "{output:?}");
}
