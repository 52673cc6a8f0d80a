//! Scopes: they lend, wait, nest and panic as those of `std::thread`, on every number of processors
//! and on OS threads.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may")]

mod common;

use common::{on_each_carrier, silence_panics_on_purpose, watch};
use gthread::Builder;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The text of a payload of `panic!`.
fn text(payload: &(dyn Any + Send)) -> &str {
    let owned = payload.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("neither String nor &str")
}

#[test]
fn a_scope_lends_and_waits() {
    on_each_carrier("scope", || {
        let mut numbers = vec![1, 2, 3];
        let counter = AtomicUsize::new(0);
        let value = gthread::scope(|s| {
            s.spawn(|| {
                gthread::yield_now();
                numbers.push(4);
            });
            for _ in 0..100 {
                s.spawn(|| {
                    gthread::yield_now();
                    counter.fetch_add(1, Ordering::Relaxed);
                });
            }
            "value"
        });
        assert_eq!((value, numbers.len(), counter.into_inner()), ("value", 4, 100));
        assert_eq!(gthread::scope(|_| 3), 3);
    });
}

#[test]
fn scopes_nest_and_grow_from_inside() {
    on_each_carrier("nested scopes", || {
        let counter = AtomicUsize::new(0);
        let counter = &counter;
        gthread::scope(|outer| {
            for _ in 0..5 {
                outer.spawn(move || {
                    gthread::scope(|inner| {
                        for _ in 0..5 {
                            inner.spawn(|| counter.fetch_add(1, Ordering::Relaxed));
                        }
                    });
                    // After its own scope: a grandchild of the outer one.
                    outer.spawn(move || {
                        gthread::yield_now();
                        outer.spawn(move || counter.fetch_add(1, Ordering::Relaxed));
                    });
                });
            }
        });
        assert_eq!(counter.load(Ordering::Relaxed), 30);
    });
}

#[test]
fn a_scope_on_an_os_thread_waits_too() {
    let _dog = watch("scope on an OS thread");
    let counter = AtomicUsize::new(0);
    for _ in 0..50 {
        gthread::scope(|s| {
            for _ in 0..20 {
                s.spawn(|| counter.fetch_add(1, Ordering::Relaxed));
            }
        });
    }
    assert_eq!(counter.into_inner(), 1_000);
}

#[test]
fn a_scope_panics_for_whom_nobody_joined() {
    silence_panics_on_purpose();
    on_each_carrier("scope panics", || {
        // Joined: the scope does not panic.
        gthread::scope(|s| {
            assert!(s.spawn(|| panic!("on purpose")).join().is_err());
        });
        // Not joined: it does, after all have ended.
        let ended = AtomicBool::new(false);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            gthread::scope(|s| {
                s.spawn(|| resume_unwind(Box::new("quiet")));
                s.spawn(|| {
                    (0..10).for_each(|_| gthread::yield_now());
                    ended.store(true, Ordering::Release);
                });
            });
        }));
        assert!(text(&*outcome.unwrap_err()).contains("scoped"));
        assert!(ended.into_inner());
    });
}

#[test]
fn the_panic_of_the_scope_itself_goes_before_those_of_its_threads() {
    silence_panics_on_purpose();
    on_each_carrier("scope's own panic", || {
        let ended = AtomicBool::new(false);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            gthread::scope(|s| {
                s.spawn(|| resume_unwind(Box::new("quiet")));
                s.spawn(|| {
                    (0..10).for_each(|_| gthread::yield_now());
                    ended.store(true, Ordering::Release);
                });
                panic!("on purpose: the scope");
            });
        }));
        assert_eq!(text(&*outcome.unwrap_err()), "on purpose: the scope");
        assert!(ended.into_inner());
    });
}

#[test]
fn a_scope_waits_for_threads_whose_handles_were_forgotten() {
    silence_panics_on_purpose();
    on_each_carrier("forgotten", || {
        let ended = AtomicUsize::new(0);
        gthread::scope(|s| {
            for _ in 0..10 {
                std::mem::forget(s.spawn(|| {
                    gthread::yield_now();
                    ended.fetch_add(1, Ordering::Relaxed);
                    Box::new(5)
                }));
            }
        });
        assert_eq!(ended.into_inner(), 10);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            gthread::scope(|s| std::mem::forget(s.spawn(|| panic!("on purpose"))));
        }));
        assert!(outcome.is_err());
    });
}

#[test]
fn unclaimed_results_are_dropped_before_the_scope_returns() {
    /// Uses what it borrows when dropped.
    struct Borrows<'a>(&'a AtomicUsize);
    impl Drop for Borrows<'_> {
        fn drop(&mut self) {
            gthread::yield_now();
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    on_each_carrier("borrowing results", || {
        for _ in 0..30 {
            let dropped = AtomicUsize::new(0);
            let lent = &dropped;
            gthread::scope(|s| {
                for i in 0..6 {
                    let handle = s.spawn(move || Borrows(lent));
                    if i % 3 == 0 {
                        drop(handle);
                    } else if i % 3 == 1 {
                        // Held by a sibling, dropped unjoined when that one ends.
                        s.spawn(move || drop(handle));
                    } else {
                        // In the unclaimed result of a sibling.
                        s.spawn(move || handle);
                    }
                }
            });
            assert_eq!(dropped.into_inner(), 6);
        }
    });
}

#[test]
fn scoped_handles_know_their_thread() {
    on_each_carrier("scoped handles", || {
        let name = String::from("lent");
        gthread::scope(|s| {
            let builder = Builder::new().name("scoped".into());
            let handle = builder.spawn_scoped(s, || gthread::current().name() == Some("scoped"));
            let handle = handle.unwrap();
            assert_eq!(handle.thread().name(), Some("scoped"));
            while !handle.is_finished() {
                gthread::yield_now();
            }
            assert!(handle.join().unwrap());
            // An error leaves the scope as it was.
            let refused = Builder::new().stack_size(usize::MAX).spawn_scoped(s, || name.len());
            assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
            assert_eq!(s.spawn(|| name.len()).join().unwrap(), 4);
        });
    });
}

#[test]
fn scopes_are_used_while_unwinding() {
    silence_panics_on_purpose();
    /// Opens a scope when dropped.
    struct Scoped<'a>(&'a AtomicUsize);
    impl Drop for Scoped<'_> {
        fn drop(&mut self) {
            gthread::scope(|s| {
                s.spawn(|| self.0.fetch_add(1, Ordering::Relaxed));
                s.spawn(|| self.0.fetch_add(1, Ordering::Relaxed));
            });
        }
    }
    on_each_carrier("unwinding", || {
        let counter = Arc::new(AtomicUsize::new(0));
        let inner = counter.clone();
        let handle = gthread::spawn(move || {
            let _scoped = Scoped(&inner);
            panic!("on purpose");
        });
        assert!(handle.join().is_err());
        assert_eq!(counter.load(Ordering::Relaxed), 2);
    });
}
