//! Spawning: handles, results, panics, names and scopes behave as those of `std::thread`, on every
//! number of processors and on OS threads.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that unwraps is a test that fails, and it explains itself"
)]

mod common;

use common::{
    Count, assert_died_of, assert_passed, errors_of, in_child, is_child, on_each_carrier, runtime,
    silence_panics_on_purpose, watch, with_each_carrier,
};
use gthread::{Builder, JoinHandle};
use std::any::Any;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// The text of a payload of `panic!`.
fn text(payload: &(dyn Any + Send)) -> &str {
    let owned = payload.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("neither String nor &str")
}

/// Lets others run until the flag is set.
fn yield_until(flag: &AtomicBool) {
    while !flag.load(Ordering::Acquire) {
        gthread::yield_now();
    }
}

#[test]
fn join_returns_the_result() {
    on_each_carrier("results", || {
        assert_eq!(gthread::spawn(|| 6 * 7).join().unwrap(), 42);
        let text = String::from("moved");
        assert_eq!(gthread::spawn(move || text + "!").join().unwrap(), "moved!");
        let handles: Vec<_> = (0..1_000_u64).map(|i| gthread::spawn(move || i * i)).collect();
        for (i, handle) in handles.into_iter().enumerate() {
            assert_eq!(handle.join().unwrap(), (i * i) as u64);
        }
    });
}

#[test]
fn values_of_any_size_and_alignment_travel_unharmed() {
    #[derive(Clone, Copy, Debug, PartialEq)]
    #[repr(align(64))]
    struct Line([u8; 64]);
    #[derive(Clone, Copy, Debug, PartialEq)]
    #[repr(align(4096))]
    struct Page([u8; 4096]);
    #[derive(Clone, Copy, Debug, PartialEq)]
    #[repr(align(32))]
    struct Small(u8);
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Nothing;

    /// There as a capture, back as a result.
    fn echo<T: Copy + PartialEq + std::fmt::Debug + Send + 'static>(value: T) {
        let aligned = |at: &T| std::ptr::from_ref(at).addr().is_multiple_of(align_of::<T>());
        let handle = gthread::spawn(move || {
            let kept = value;
            assert!(aligned(&kept));
            gthread::yield_now();
            kept
        });
        let back = handle.join().unwrap();
        assert!(aligned(&back));
        assert_eq!(back, value);
    }
    on_each_carrier("sizes", || {
        echo(());
        echo(Nothing);
        echo([0_u8; 0]);
        echo(7_u8);
        echo([1_u8; 79]);
        echo([2_u8; 80]);
        echo([3_u8; 88]);
        echo([4_u8; 95]);
        echo([5_u8; 96]);
        echo([6_u8; 97]);
        echo([7_u64; 512]);
        echo([8_u8; 8 << 10]);
        echo(u128::MAX);
        echo(Small(9));
        echo(Line([10; 64]));
        echo([Line([11; 64]); 3]);
        echo(Page([12; 4096]));
    });
}

#[test]
fn a_panic_is_carried_to_join_with_its_payload() {
    silence_panics_on_purpose();
    on_each_carrier("payloads", || {
        let error = gthread::spawn(|| panic!("on purpose, number {}", 1)).join().unwrap_err();
        assert_eq!(text(&*error), "on purpose, number 1");
        let error = gthread::spawn(|| panic!("on purpose")).join().unwrap_err();
        assert_eq!(text(&*error), "on purpose");
        let error = gthread::spawn(|| resume_unwind(Box::new(42_u32))).join().unwrap_err();
        assert_eq!(error.downcast_ref::<u32>(), Some(&42));
        let large = [7_u64; 64];
        let error = gthread::spawn(move || resume_unwind(Box::new(large))).join().unwrap_err();
        assert_eq!(error.downcast_ref::<[u64; 64]>(), Some(&large));
    });
}

#[test]
fn a_panic_ends_its_own_green_thread_only() {
    silence_panics_on_purpose();
    on_each_carrier("isolation", || {
        let handles: Vec<_> = (0..200)
            .map(|i| {
                gthread::spawn(move || {
                    gthread::yield_now();
                    assert!(i % 3 != 0, "on purpose");
                    gthread::yield_now();
                    i
                })
            })
            .collect();
        for (i, handle) in handles.into_iter().enumerate() {
            assert_eq!(handle.join().ok(), (i % 3 != 0).then_some(i));
        }
    });
}

#[test]
fn whether_a_thread_panics_is_its_own_affair_even_while_it_waits() {
    silence_panics_on_purpose();
    /// Parks in a destructor during unwinding.
    struct Waits<'a>(&'a AtomicBool, &'a AtomicBool);
    impl Drop for Waits<'_> {
        fn drop(&mut self) {
            assert!(std::thread::panicking());
            self.0.store(true, Ordering::Release);
            yield_until(self.1);
            let child = gthread::spawn(std::thread::panicking);
            assert!(!child.join().unwrap());
            assert!(std::thread::panicking());
        }
    }
    on_each_carrier("panicking", || {
        let (unwinding, seen) = (AtomicBool::new(false), AtomicBool::new(false));
        gthread::scope(|s| {
            let panics = s.spawn(|| {
                let _waits = Waits(&unwinding, &seen);
                panic!("on purpose");
            });
            yield_until(&unwinding);
            assert!(!std::thread::panicking());
            assert!(catch_unwind(|| panic!("on purpose")).is_err());
            assert!(!std::thread::panicking());
            seen.store(true, Ordering::Release);
            assert!(panics.join().is_err());
        });
    });
}

#[test]
fn a_dropped_handle_detaches() {
    on_each_carrier("detach", || {
        let done = Arc::new(AtomicUsize::new(0));
        for _ in 0..500 {
            let done = done.clone();
            drop(gthread::spawn(move || {
                gthread::yield_now();
                done.fetch_add(1, Ordering::AcqRel);
            }));
        }
        while done.load(Ordering::Acquire) != 500 {
            gthread::yield_now();
        }
    });
}

#[test]
fn is_finished_says_whether_join_would_wait() {
    on_each_carrier("is_finished", || {
        let go = Arc::new(AtomicBool::new(false));
        let seen = go.clone();
        let handle = gthread::spawn(move || yield_until(&seen));
        for _ in 0..100 {
            assert!(!handle.is_finished());
            gthread::yield_now();
        }
        go.store(true, Ordering::Release);
        while !handle.is_finished() {
            gthread::yield_now();
        }
        handle.join().unwrap();
    });
}

#[test]
fn a_name_is_seen_inside_and_outside_and_after_the_end() {
    on_each_carrier("names", || {
        let named = |name: &str| Builder::new().name(name.into());
        let handle = named("Zoë the 3rd").spawn(|| gthread::current().name().map(String::from));
        let handle = handle.unwrap();
        let thread = handle.thread().clone();
        assert_eq!(handle.thread().name(), Some("Zoë the 3rd"));
        assert_eq!(handle.join().unwrap().as_deref(), Some("Zoë the 3rd"));
        assert_eq!(thread.name(), Some("Zoë the 3rd"));
        thread.unpark();

        let unnamed = gthread::spawn(|| gthread::current().name().map(String::from));
        assert_eq!(unnamed.thread().name(), None);
        assert_eq!(unnamed.join().unwrap(), None);

        let long = "n".repeat(10_000);
        assert_eq!(named(&long).spawn(|| ()).unwrap().thread().name(), Some(long.as_str()));
        assert_eq!(named("").spawn(|| ()).unwrap().thread().name(), Some(""));
    });
}

#[test]
fn a_name_with_a_nul_neither_hangs_nor_leaks() {
    silence_panics_on_purpose();
    with_each_carrier("NUL", |runtime| {
        // As std, a runtime may refuse it by a panic; it may not lose count of its threads.
        let spawned = catch_unwind(AssertUnwindSafe(|| {
            Builder::new().name("a\0b on purpose".into()).spawn_on(runtime, || 5)
        }));
        if let Ok(handle) = spawned {
            assert_eq!(handle.unwrap().join().unwrap(), 5);
        }
        assert!(runtime.shutdown_timeout(std::time::Duration::from_secs(20)).is_empty());
    });
}

#[test]
fn thread_ids_are_never_used_twice() {
    let all = Mutex::new(HashSet::new());
    let note = |id| assert!(all.lock().unwrap().insert(id), "{id} is used twice");
    with_each_carrier("ids", |runtime| {
        runtime.run(|| {
            note(gthread::current().id());
            gthread::scope(|s| {
                for _ in 0..4 {
                    s.spawn(|| {
                        note(gthread::current().id());
                        for _ in 0..300 {
                            let handle = gthread::spawn(|| gthread::current().id());
                            let id = handle.thread().id();
                            note(id);
                            assert_eq!(handle.join().unwrap(), id);
                        }
                    });
                }
            });
        });
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    note(gthread::current().id());
                    (0..50).for_each(|_| note(runtime.spawn(|| ()).thread().id()));
                });
            }
        });
    });
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

#[test]
fn os_threads_spawn_on_the_default_runtime() {
    if !is_child("os_threads_spawn_on_the_default_runtime") {
        let variables = [("GTHREAD_MAXPROCS", "3")];
        return assert_passed(&in_child("os_threads_spawn_on_the_default_runtime", &variables));
    }
    let _dog = watch("default runtime");
    assert_eq!(gthread::inspect::metrics().processors, 0, "nothing runs unasked");
    let sum: usize = std::thread::scope(|s| {
        let threads: Vec<_> =
            (0..4).map(|i| s.spawn(move || gthread::spawn(move || i).join().unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(sum, 6);
    assert_eq!(gthread::inspect::metrics().processors, 3);
    assert_eq!(gthread::run(|| gthread::run(|| 5)), 5);
}

#[test]
fn a_green_thread_spawns_on_its_own_runtime_and_on_others() {
    with_each_carrier("other runtime", |first| {
        for second in common::CARRIERS.map(common::Carrier::runtime) {
            let second = Arc::new(second);
            let inner = second.clone();
            let ids = first.run(move || {
                let there = inner.spawn(|| {
                    let child = gthread::spawn(gthread::current);
                    (gthread::current().id(), child.join().unwrap().id())
                });
                let here = gthread::spawn(|| gthread::current().id());
                (there.join().unwrap(), here.join().unwrap())
            });
            assert_ne!(ids.0.0, ids.0.1);
            assert_ne!(ids.0.0, ids.1);
            second.shutdown();
        }
    });
}

#[test]
fn handles_may_be_joined_by_anyone_in_any_order() {
    on_each_carrier("join chain", || {
        // A chain: each joins the one before.
        let mut last: Option<JoinHandle<usize>> = None;
        for _ in 0..300 {
            let before = last.take();
            last = Some(gthread::spawn(move || 1 + before.map_or(0, |h| h.join().unwrap())));
        }
        assert_eq!(last.unwrap().join().unwrap(), 300);
        // Joined on an OS thread.
        let handle = gthread::spawn(|| 5);
        assert_eq!(std::thread::spawn(move || handle.join().unwrap()).join().unwrap(), 5);
    });
}

#[test]
fn a_thread_handle_outlives_its_thread() {
    on_each_carrier("handles", || {
        let threads: Vec<_> = (0..200)
            .map(|_| {
                let handle = gthread::spawn(gthread::current);
                let thread = handle.thread().clone();
                assert_eq!(handle.join().unwrap().id(), thread.id());
                thread
            })
            .collect();
        // Their headers may not have gone to others: waking them wakes nobody.
        let sleeper = gthread::spawn(|| {
            gthread::park();
            7
        });
        for thread in &threads {
            thread.unpark();
            assert_eq!(thread.name(), None);
        }
        for _ in 0..20 {
            gthread::yield_now();
        }
        assert!(!sleeper.is_finished());
        sleeper.thread().unpark();
        assert_eq!(sleeper.join().unwrap(), 7);
    });
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

#[test]
fn a_panic_that_is_caught_across_waits_stays_with_its_thread() {
    silence_panics_on_purpose();
    on_each_carrier("caught", || {
        let handles: Vec<_> = (0..100_usize)
            .map(|i| {
                gthread::spawn(move || {
                    for round in 0..5_usize {
                        let caught = catch_unwind(|| {
                            gthread::yield_now();
                            panic_any(format!("on purpose {i} {round}"));
                        });
                        let payload = caught.unwrap_err();
                        gthread::yield_now();
                        assert_eq!(text(&*payload), format!("on purpose {i} {round}"));
                    }
                })
            })
            .collect();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
    });
}

#[test]
fn run_lends_and_returns_the_value_or_the_panic() {
    silence_panics_on_purpose();
    with_each_carrier("run", |runtime| {
        let local = String::from("lent");
        let borrowed: &str = runtime.run(|| local.as_str());
        assert_eq!(borrowed, "lent");
        let panicked = catch_unwind(AssertUnwindSafe(|| runtime.run(|| panic!("on purpose 3"))));
        assert_eq!(text(&*panicked.unwrap_err()), "on purpose 3");
        assert_eq!(runtime.run(|| runtime.run(|| gthread::run(|| 4))), 4);
    });
}

#[test]
fn two_processors_spawn_onto_each_other() {
    let _dog = watch("cross spawn");
    let (first, second) = (Arc::new(runtime(1)), Arc::new(runtime(2)));
    let spawn = |from: &Arc<gthread::Runtime>, to: &Arc<gthread::Runtime>| {
        let to = to.clone();
        from.spawn(move || {
            let handles: Vec<_> = (0..2_000).map(|i| to.spawn(move || i)).collect();
            handles.into_iter().map(|handle| handle.join().unwrap()).sum::<u64>()
        })
    };
    let handles = [spawn(&first, &second), spawn(&second, &first)];
    assert_eq!(handles.map(|handle| handle.join().unwrap()), [1_999_000; 2]);
    first.shutdown();
    second.shutdown();
}

#[test]
fn the_dump_says_where_each_green_thread_was_spawned() {
    let _dog = watch("spawned at");
    let runtime = runtime(1);
    let here = |line: u32| format!("{}:{line}:", file!());
    let at = |id: gthread::ThreadId| {
        let dump = gthread::inspect::dump();
        let mut all = dump.green_threads.into_iter();
        all.find(|green| green.id == id).map(|green| green.spawned_at).unwrap_or_default()
    };
    let line = line!() + 1;
    runtime.run(|| {
        assert!(at(gthread::current().id()).starts_with(&here(line)), "run");
        let nested = line!() + 1;
        gthread::run(|| assert!(at(gthread::current().id()).starts_with(&here(nested)), "run"));
        let (handle, line) = (gthread::spawn(gthread::park), line!());
        assert!(at(handle.thread().id()).starts_with(&here(line)), "spawn");
        handle.thread().unpark();
        let (handle, line) = (Builder::new().spawn(gthread::park).unwrap(), line!());
        assert!(at(handle.thread().id()).starts_with(&here(line)), "Builder::spawn");
        handle.thread().unpark();
        gthread::scope(|s| {
            let (handle, line) = (s.spawn(gthread::park), line!());
            assert!(at(handle.thread().id()).starts_with(&here(line)), "Scope::spawn");
            handle.thread().unpark();
        });
    });
    let (handle, line) = (runtime.spawn(gthread::park), line!());
    assert!(at(handle.thread().id()).starts_with(&here(line)), "Runtime::spawn");
    handle.thread().unpark();
    handle.join().unwrap();
    runtime.shutdown();
}
