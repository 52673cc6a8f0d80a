//! Runtimes: bad input, values and panics of `run`, several at once, shutdown with and without
//! survivors, and what is left afterwards.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that unwraps is a test that fails, and it explains itself"
)]

mod common;

use common::{
    CARRIERS, Carrier, assert_died_of, assert_passed, errors_of, eventually, in_child, is_child,
    runtime, silence_panics_on_purpose, watch, with_each_carrier,
};
use gthread::{BuildErrorKind, Builder, Runtime};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The error of a description that must not be accepted.
fn refused(builder: gthread::RuntimeBuilder) -> (BuildErrorKind, String) {
    let error = builder.build().expect_err("refused");
    (error.kind(), error.to_string())
}

#[test]
fn a_number_of_processors_out_of_range_is_named_with_the_range() {
    for processors in [0, 1025, 1_000_000_000, usize::MAX] {
        let (kind, text) = refused(Runtime::builder().processors(processors));
        assert_eq!(kind, BuildErrorKind::Processors);
        assert!(text.contains(&processors.to_string()), "{text}");
        assert!(text.contains("1 to 1024") && text.contains("processors"), "{text}");
        let (kind, _) = refused(Runtime::builder().processors(processors).os_threads(true));
        assert_eq!(kind, BuildErrorKind::Processors);
    }
}

#[test]
fn a_stack_size_out_of_range_is_named_with_the_range() {
    let runtime = runtime(1);
    for bytes in [0, 1, 4_096, (1 << 30) + 1, usize::MAX - 4_095, usize::MAX] {
        let (kind, text) = refused(Runtime::builder().processors(1).stack_size(bytes));
        assert_eq!(kind, BuildErrorKind::StackSize);
        assert!(text.contains(&bytes.to_string()), "{text}");
        assert!(text.contains("stack size") && text.contains("to 1073741824"), "{text}");

        let error = Builder::new().stack_size(bytes).spawn_on(&runtime, || ()).err();
        let error = error.expect("refused");
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert_eq!(error.to_string(), text);
    }
    // The runtime stays usable.
    assert_eq!(runtime.run(|| 5), 5);
    runtime.shutdown();
}

/// The smallest accepted stack, as the error of a smaller one names it.
fn stack_size_min() -> usize {
    let (_, text) = refused(Runtime::builder().stack_size(1));
    let (_, range) = text.split_once("accepted are ").expect("a range");
    range.split(' ').next().and_then(|min| min.parse().ok()).expect("a number")
}

#[test]
fn the_bounds_of_the_stack_size_are_accepted_themselves() {
    let _dog = watch("stack sizes");
    let min = stack_size_min();
    for bytes in [min, min + 1, 64 << 10, 1 << 30] {
        let runtime = Runtime::builder().processors(1).stack_size(bytes).build().unwrap();
        let names = runtime.run(|| {
            gthread::yield_now();
            gthread::spawn(|| 5).join().unwrap()
        });
        assert_eq!(names, 5);
        runtime.shutdown();
        let on_default = common::runtime(1);
        let handle = Builder::new().stack_size(bytes).spawn_on(&on_default, || 6);
        assert_eq!(handle.unwrap().join().unwrap(), 6);
        on_default.shutdown();
    }
}

#[test]
fn bad_values_of_the_environment_are_named_with_variable_and_range() {
    if is_child("bad_values_of_the_environment_are_named_with_variable_and_range") {
        let value = std::env::var("GTHREAD_MAXPROCS").expect("set by the parent");
        let (kind, text) = refused(Runtime::builder());
        assert_eq!(kind, BuildErrorKind::Environment);
        assert!(text.contains(&format!("GTHREAD_MAXPROCS={value}")), "{text}");
        assert!(text.contains("1 to 1024"), "{text}");
        // What is said in the program goes before the environment.
        assert_eq!(Runtime::builder().processors(2).build().unwrap().processors(), 2);
        // The default runtime cannot be had: a panic with the same text.
        silence_panics_on_purpose();
        let panic = catch_unwind(|| gthread::spawn(|| ())).expect_err("no default runtime");
        let panic = panic.downcast_ref::<String>().expect("a text");
        assert!(panic.contains(&text), "{panic}");
        return;
    }
    for value in ["0", "-1", "1025", "1000000000", "99999999999999999999", "abc", "", "2.5", "1 2"]
    {
        assert_passed(&in_child(
            "bad_values_of_the_environment_are_named_with_variable_and_range",
            &[("GTHREAD_MAXPROCS", value)],
        ));
    }
}

#[test]
fn good_values_of_the_environment_set_the_processors() {
    if is_child("good_values_of_the_environment_set_the_processors") {
        let _dog = watch("environment");
        let value = std::env::var("GTHREAD_MAXPROCS").expect("set by the parent");
        let runtime = Runtime::builder().build().unwrap();
        assert_eq!(runtime.processors().to_string(), value);
        assert_eq!(runtime.run(|| 5), 5);
        return runtime.shutdown();
    }
    for value in ["1", "2", "7", "1024"] {
        assert_passed(&in_child(
            "good_values_of_the_environment_set_the_processors",
            &[("GTHREAD_MAXPROCS", value)],
        ));
    }
}

#[test]
fn a_thousand_processors_start_and_work() {
    // Go: TestBigGOMAXPROCS.
    let _dog = watch("1024 processors");
    let runtime = runtime(1024);
    assert_eq!(runtime.processors(), 1024);
    let sum: u64 = runtime.run(|| {
        let handles: Vec<_> = (0..3_000_u64).map(|i| gthread::spawn(move || i)).collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).sum()
    });
    assert_eq!(sum, 3_000 * 2_999 / 2);
    runtime.shutdown();
}

#[test]
fn nested_runs_and_several_runtimes_do_not_disturb_each_other() {
    let _dog = watch("several runtimes");
    let runtimes: Arc<[Runtime]> = CARRIERS.map(Carrier::runtime).into();
    let total: u64 = std::thread::scope(|s| {
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let runtimes = runtimes.clone();
                s.spawn(move || {
                    let all = &runtimes;
                    (0..20_u64).map(|i| all[thread].run(|| deep(all, 3, i))).sum::<u64>()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(total, 4 * (0..20).map(|i| i + 3 + 12).sum::<u64>());
    runtimes.iter().for_each(Runtime::shutdown);
}

/// `number`, and one for each run on each runtime down to `depth` (the last only once).
fn deep(all: &[Runtime], depth: u64, number: u64) -> u64 {
    if depth == 0 {
        return number;
    }
    let others: u64 = all.iter().map(|runtime| runtime.run(|| 1)).sum();
    1 + others + all[depth as usize % all.len()].run(|| deep(all, depth - 1, number))
}

#[test]
fn a_shut_down_runtime_refuses_by_an_error_inside_and_outside() {
    silence_panics_on_purpose();
    with_each_carrier("shutdown refuses", |runtime| {
        let (ready, closed) = (AtomicBool::new(false), AtomicBool::new(false));
        std::thread::scope(|s| {
            s.spawn(|| {
                runtime.run(|| {
                    ready.store(true, Ordering::Release);
                    while !closed.load(Ordering::Acquire) {
                        gthread::yield_now();
                    }
                    let error = Builder::new().spawn(|| ()).expect_err("refused inside");
                    assert!(error.to_string().contains("shut down"), "{error}");
                    let panic = catch_unwind(|| gthread::spawn(|| ())).expect_err("a panic");
                    assert!(panic.downcast_ref::<String>().unwrap().contains("shut down"));
                    gthread::scope(|s| {
                        assert!(Builder::new().spawn_scoped(s, || ()).is_err());
                    });
                });
            });
            eventually("the main green thread runs", || ready.load(Ordering::Acquire));
            assert_eq!(runtime.shutdown_timeout(Duration::ZERO).len(), 1);
            assert!(Builder::new().spawn_on(runtime, || ()).is_err(), "refused outside");
            closed.store(true, Ordering::Release);
            runtime.shutdown();
        });
        assert!(Builder::new().spawn_on(runtime, || ()).is_err(), "still refused");
        let panic = catch_unwind(AssertUnwindSafe(|| runtime.run(|| ())));
        assert!(panic.is_err());
        runtime.shutdown();
    });
}

#[test]
fn shutdown_waits_for_all_and_may_be_called_by_many() {
    with_each_carrier("shutdown waits", |runtime| {
        let done = Arc::new(AtomicU64::new(0));
        for _ in 0..100 {
            let done = done.clone();
            drop(runtime.spawn(move || {
                gthread::sleep(Duration::from_millis(5));
                done.fetch_add(1, Ordering::AcqRel);
            }));
        }
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    runtime.shutdown();
                    assert_eq!(done.load(Ordering::Acquire), 100);
                });
            }
            let other = common::runtime(1);
            other.run(|| runtime.shutdown());
            assert_eq!(done.load(Ordering::Acquire), 100);
        });
    });
}

#[test]
fn spawns_race_with_shutdown_and_none_is_lost() {
    let _dog = watch("spawns race with shutdown");
    for round in 0..100 {
        let runtime = CARRIERS[round % CARRIERS.len()].runtime();
        let (accepted, ran) = (AtomicU64::new(0), Arc::new(AtomicU64::new(0)));
        std::thread::scope(|s| {
            for _ in 0..2 {
                s.spawn(|| {
                    loop {
                        let ran = ran.clone();
                        let body = move || ran.fetch_add(1, Ordering::AcqRel);
                        if Builder::new().spawn_on(&runtime, body).is_err() {
                            break;
                        }
                        accepted.fetch_add(1, Ordering::AcqRel);
                    }
                });
            }
            s.spawn(|| runtime.shutdown());
        });
        runtime.shutdown();
        assert_eq!(accepted.into_inner(), ran.load(Ordering::Acquire));
    }
}

#[test]
fn shutdown_from_inside_refuses_and_does_not_wait_for_itself() {
    for carrier in CARRIERS {
        let _dog = watch("shutdown from inside");
        let runtime = Arc::new(carrier.runtime());
        let inner = runtime.clone();
        runtime.run(move || {
            inner.shutdown();
            assert!(Builder::new().spawn(|| ()).is_err());
            let survivors = inner.shutdown_timeout(Duration::from_secs(3_600));
            assert_eq!(survivors.len(), 1, "{survivors:?}");
            assert_eq!(survivors[0].id(), gthread::current().id());
        });
        runtime.shutdown();
    }
}

#[test]
fn survivors_are_named_with_their_state_and_go_on_unharmed() {
    for carrier in CARRIERS {
        let _dog = watch("survivors");
        // One of them sleeps for a time. Where the machine stands still for longer, it may be awake
        // when it is looked at; that says nothing, and the next one sleeps longer.
        let mut sleep = Duration::from_millis(400);
        while !survivors_are_named(&carrier.runtime(), sleep) {
            sleep *= 2;
        }
    }
}

/// Looks at survivors of which one sleeps for `sleep`; whether they were looked at in that time.
fn survivors_are_named(runtime: &Runtime, sleep: Duration) -> bool {
    let stop = Arc::new(AtomicBool::new(false));
    let seen = stop.clone();
    let awake_at = Instant::now() + sleep;
    let named = |name: &str| Builder::new().name(name.into());
    let parked = named("parked").spawn_on(runtime, gthread::park).unwrap();
    let sleeps = named("sleeps").spawn_on(runtime, move || gthread::sleep(sleep)).unwrap();
    let spins = named("spins").spawn_on(runtime, move || {
        while !seen.load(Ordering::Acquire) {
            gthread::yield_now();
        }
    });
    let is_up = |name: &str, state: &str| {
        let dump = gthread::inspect::dump();
        let mut all = dump.green_threads.iter();
        all.any(|green| green.name.as_deref() == Some(name) && green.state.contains(state))
    };
    eventually("one parks", || is_up("parked", "park"));
    eventually("one sleeps", || is_up("sleeps", "sleep") || Instant::now() >= awake_at);

    let mut survivors = runtime.shutdown_timeout(Duration::from_millis(20));
    survivors.sort_by_key(|survivor| survivor.name().map(String::from));
    let names: Vec<_> = survivors.iter().filter_map(gthread::Survivor::name).collect();
    let in_time = Instant::now() < awake_at;
    if in_time {
        assert_eq!(names, ["parked", "sleeps", "spins"], "{survivors:?}");
        assert!(survivors[0].state().contains("park"), "{survivors:?}");
        assert!(survivors[1].state().contains("sleep"), "{survivors:?}");
        assert!(survivors[2].state().contains("run"), "{survivors:?}");
        assert_eq!(survivors[0].id(), parked.thread().id());
    }

    // They go on, and the runtime can wait for them again.
    parked.thread().unpark();
    parked.join().unwrap();
    stop.store(true, Ordering::Release);
    spins.unwrap().join().unwrap();
    sleeps.join().unwrap();
    assert!(runtime.shutdown_timeout(Duration::from_secs(30)).is_empty());
    in_time
}

/// The machines of this process by the names of their threads, which live no longer than they.
fn machine_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("/proc");
    let names = tasks.flatten().map(|task| std::fs::read_to_string(task.path().join("comm")));
    names.flatten().filter(|name| name.starts_with("gthread-")).count()
}

#[test]
fn a_runtime_dropped_with_survivors_ends_with_the_last_of_them() {
    if !is_child("a_runtime_dropped_with_survivors_ends_with_the_last_of_them") {
        let name = "a_runtime_dropped_with_survivors_ends_with_the_last_of_them";
        return assert_passed(&in_child(name, &[]));
    }
    let _dog = watch("dropped with survivors");
    for round in 0..60 {
        let runtime = CARRIERS[round % CARRIERS.len()].runtime();
        let stop = Arc::new(AtomicBool::new(false));
        let survivors: Vec<_> = (0..10)
            .map(|i| {
                let stop = stop.clone();
                let builder = if i % 4 == 1 { Builder::new().pinned() } else { Builder::new() };
                let survivor = builder.spawn_on(&runtime, move || {
                    while !stop.load(Ordering::Acquire) {
                        match i % 3 {
                            0 => gthread::yield_now(),
                            1 => gthread::park(),
                            _ => gthread::sleep(Duration::from_micros(300)),
                        }
                    }
                    assert!(Builder::new().spawn(|| ()).is_err(), "refused");
                    i
                });
                survivor.unwrap()
            })
            .collect();
        drop(runtime);
        stop.store(true, Ordering::Release);
        for (i, survivor) in survivors.into_iter().enumerate() {
            survivor.thread().unpark();
            assert_eq!(survivor.join().unwrap(), i);
        }
    }
    eventually("all machines and monitors end", || machine_threads() == 0);
    assert_eq!(gthread::inspect::metrics().live, 0);
}

#[test]
fn a_runtime_may_be_dropped_by_its_own_green_thread() {
    if !is_child("a_runtime_may_be_dropped_by_its_own_green_thread") {
        let name = "a_runtime_may_be_dropped_by_its_own_green_thread";
        return assert_passed(&in_child(name, &[]));
    }
    let _dog = watch("dropped from inside");
    for round in 0..60 {
        let runtime = Arc::new(CARRIERS[round % CARRIERS.len()].runtime());
        let inner = runtime.clone();
        let go = Arc::new(AtomicBool::new(false));
        let seen = go.clone();
        let last = runtime.spawn(move || {
            while !seen.load(Ordering::Acquire) {
                gthread::yield_now();
            }
            drop(inner);
            gthread::yield_now();
            gthread::sleep(Duration::from_micros(100));
            5
        });
        drop(runtime);
        go.store(true, Ordering::Release);
        assert_eq!(last.join().unwrap(), 5);
    }
    eventually("all machines and monitors end", || machine_threads() == 0);
}

#[test]
fn a_runtime_may_live_and_end_on_a_green_thread_of_another() {
    if !is_child("a_runtime_may_live_and_end_on_a_green_thread_of_another") {
        let name = "a_runtime_may_live_and_end_on_a_green_thread_of_another";
        return assert_passed(&in_child(name, &[]));
    }
    let _dog = watch("runtime on a green thread");
    for outer in [1, 2, 4] {
        let outer = runtime(outer);
        outer.run(|| {
            let handles: Vec<_> = (0..20_usize)
                .map(|i| {
                    gthread::spawn(move || {
                        let inner = CARRIERS[i % CARRIERS.len()].runtime();
                        assert_eq!(inner.run(|| gthread::spawn(|| 5).join().unwrap()), 5);
                        drop(inner);
                    })
                })
                .collect();
            handles.into_iter().for_each(|handle| handle.join().unwrap());
        });
        outer.shutdown();
        drop(outer);
        eventually("all machines and monitors end", || machine_threads() == 0);
    }
}

#[test]
fn a_dropped_runtime_has_joined_its_machines() {
    if !is_child("a_dropped_runtime_has_joined_its_machines") {
        return assert_passed(&in_child("a_dropped_runtime_has_joined_its_machines", &[]));
    }
    let _dog = watch("joined machines");
    for processors in [1, 2, 4, 64] {
        for _ in 0..10 {
            let runtime = runtime(processors);
            runtime.run(|| {
                let handles: Vec<_> =
                    (0..100).map(|_| gthread::spawn(gthread::yield_now)).collect();
                handles.into_iter().for_each(|handle| handle.join().unwrap());
            });
            drop(runtime);
            // A joined thread may be seen for a moment yet: the kernel wakes its joiner first.
            eventually("no machine is left", || machine_threads() == 0);
        }
    }
}

#[test]
fn a_process_ends_while_green_threads_live() {
    if is_child("a_process_ends_while_green_threads_live") {
        for _ in 0..20 {
            drop(gthread::spawn(gthread::park));
            drop(gthread::spawn(|| {
                loop {
                    gthread::yield_now();
                }
            }));
        }
        gthread::run(gthread::yield_now);
        return;
    }
    for _ in 0..10 {
        assert_passed(&in_child("a_process_ends_while_green_threads_live", &[]));
    }
}

#[test]
fn a_green_thread_may_end_the_process() {
    if is_child("a_green_thread_may_end_the_process") {
        gthread::run(|| gthread::spawn(|| std::process::exit(7)).join()).unwrap();
    }
    for _ in 0..10 {
        let output = in_child("a_green_thread_may_end_the_process", &[]);
        assert_eq!(output.status.code(), Some(7), "{}", errors_of(&output));
    }
}

#[test]
fn an_abort_on_a_green_thread_is_an_abort() {
    if is_child("an_abort_on_a_green_thread_is_an_abort") {
        gthread::run(|| std::process::abort());
    }
    assert_died_of(&in_child("an_abort_on_a_green_thread_is_an_abort", &[]), libc::SIGABRT);
}
