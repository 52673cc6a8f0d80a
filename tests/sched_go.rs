//! The semantics of the tests of Go's scheduler (`runtime/proc_test.go`), each named after the one
//! it mirrors. No test asserts a time: what must not happen is a hang, which the watchdog sees.
//!
//! Others of them are elsewhere: YieldProgress and TimerFairness in `api_wait`, BigGOMAXPROCS in
//! `api_runtime`, Preemption and PreemptionAfterSyscall in `handoff`, LockOSThread, YieldLocked and
//! BlockLocked in `api_pinned`, ThreadExhaustion in `faults`. SchedLocalQueue and LocalQueueSteal
//! are models (`processor::run_queue_model`). Not mirrored: the reports of deadlocks (a program
//! whose green threads all wait may be waited for from outside), SchedPauseMetrics (nothing pauses).
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that unwraps is a test that fails, and it explains itself"
)]

mod common;

use common::{Random, runtime, watch};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// As many spinning green threads as there are processors, which end only when all of them run at
/// once.
fn spin_together(processors: u64) {
    let running = Arc::new(AtomicU64::new(0));
    let handles: Vec<_> = (0..processors)
        .map(|_| {
            let running = running.clone();
            gthread::spawn(move || {
                running.fetch_add(1, Ordering::AcqRel);
                while running.load(Ordering::Acquire) < processors {
                    std::hint::spin_loop();
                }
            })
        })
        .collect();
    handles.into_iter().for_each(|handle| handle.join().unwrap());
}

#[test]
fn spinning_green_threads_all_run_at_once() {
    // TestGoroutineParallelism.
    for processors in [1, 2, 4] {
        let _dog = watch("GoroutineParallelism");
        let runtime = runtime(processors);
        runtime.run(|| (0..50).for_each(|_| spin_together(processors as u64)));
        runtime.shutdown();
    }
}

#[test]
fn spinning_green_threads_run_at_once_after_any_kind_of_rest() {
    // TestGoroutineParallelism2, and work conservation after idle times (Go #45867).
    for processors in [2, 4] {
        let _dog = watch("GoroutineParallelism2");
        let runtime = runtime(processors);
        runtime.run(|| {
            let mut random = Random::new("GoroutineParallelism2");
            for _ in 0..60 {
                match random.below(5) {
                    0 => gthread::sleep(Duration::from_micros(random.below(2_000))),
                    1 => std::thread::sleep(Duration::from_micros(random.below(2_000))),
                    2 => {
                        let load: Vec<_> = (0..random.below(200))
                            .map(|_| gthread::spawn(gthread::yield_now))
                            .collect();
                        load.into_iter().for_each(|load| load.join().unwrap());
                    }
                    3 => gthread::sleep(Duration::from_millis(random.below(80))),
                    _ => {}
                }
                spin_together(processors as u64);
            }
        });
        runtime.shutdown();
    }
}

#[test]
fn work_from_outside_wakes_enough_machines() {
    for processors in [2_u64, 4] {
        let _dog = watch("work from outside");
        let runtime = runtime(processors as usize);
        let mut random = Random::new("work from outside");
        for _ in 0..60 {
            let running = Arc::new(AtomicU64::new(0));
            let handles: Vec<_> = (0..processors)
                .map(|_| {
                    let running = running.clone();
                    runtime.spawn(move || {
                        running.fetch_add(1, Ordering::AcqRel);
                        while running.load(Ordering::Acquire) < processors {
                            std::hint::spin_loop();
                        }
                    })
                })
                .collect();
            handles.into_iter().for_each(|handle| handle.join().unwrap());
            gthread::sleep(Duration::from_micros(random.below(3_000)));
        }
        runtime.shutdown();
    }
}

#[test]
fn each_processor_gives_its_work_to_each_other() {
    // TestStealOrder, by what follows from it: whoever's queue work lies in, everybody comes.
    let _dog = watch("StealOrder");
    let processors = 4_u64;
    let runtime = runtime(processors as usize);
    runtime.run(|| {
        for _ in 0..30 {
            // One of these per processor; one of them spawns for all.
            let (chosen, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
            let parents: Vec<_> = (0..processors)
                .map(|_| {
                    let (chosen, done) = (chosen.clone(), done.clone());
                    gthread::spawn(move || {
                        if chosen.fetch_add(1, Ordering::AcqRel) == 0 {
                            spin_together(processors);
                            done.store(true, Ordering::Release);
                        }
                        while !done.load(Ordering::Acquire) {
                            gthread::yield_now();
                        }
                    })
                })
                .collect();
            parents.into_iter().for_each(|parent| parent.join().unwrap());
        }
    });
    runtime.shutdown();
}

#[test]
fn a_woken_green_thread_does_not_wait_for_a_waker_that_computes() {
    // The next slot of a processor whose holder spins is stolen, or the processor is taken.
    for processors in [1, 2, 4] {
        let _dog = watch("next slot");
        let runtime = runtime(processors);
        runtime.run(|| {
            for _ in 0..20 {
                let done = Arc::new(AtomicBool::new(false));
                let seen = done.clone();
                let sleeper = gthread::spawn(move || {
                    gthread::park();
                    seen.store(true, Ordering::Release);
                });
                gthread::yield_now();
                sleeper.thread().unpark();
                while !done.load(Ordering::Acquire) {
                    std::hint::spin_loop();
                }
                sleeper.join().unwrap();
            }
        });
        runtime.shutdown();
    }
}

/// Two green threads that wake each other and count to `work` at each turn; how far they came.
fn pair(work: u64, stop: &Arc<AtomicBool>) -> (Arc<AtomicU64>, Vec<gthread::JoinHandle<()>>) {
    let count = Arc::new(AtomicU64::new(0));
    let turn = Arc::new(AtomicU64::new(0));
    let run = |number: u64| {
        let (count, turn, stop) = (count.clone(), turn.clone(), stop.clone());
        move |other: Box<dyn Fn() -> gthread::Thread>| {
            while !stop.load(Ordering::Acquire) {
                if turn.load(Ordering::Acquire) % 2 != number {
                    gthread::park();
                    continue;
                }
                for _ in 0..work {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                turn.fetch_add(1, Ordering::AcqRel);
                other().unpark();
            }
            other().unpark();
        }
    };
    let (send, receive) = std::sync::mpsc::channel::<gthread::Thread>();
    let (first, second) = (run(0), run(1));
    let second = gthread::spawn(move || {
        let other = receive.recv().unwrap();
        second(Box::new(move || other.clone()));
    });
    let other = second.thread().clone();
    let first = gthread::spawn(move || {
        send.send(gthread::current()).unwrap();
        first(Box::new(move || other.clone()));
    });
    (count, vec![first, second])
}

#[test]
fn a_pair_that_works_much_and_one_that_works_little_share_the_processor() {
    // TestPingPongHog, whose bound is a factor of 20 between the two.
    let _dog = watch("PingPongHog");
    let runtime = runtime(1);
    let (hogs, lights) = runtime.run(|| {
        let stop = Arc::new(AtomicBool::new(false));
        let (hogs, hog_handles) = pair(1_000_000, &stop);
        let (lights, light_handles) = pair(1_000, &stop);
        // However long it takes; a unit test of the run queue counts it exactly.
        let is_fair = || {
            let (hogs, lights) = (hogs.load(Ordering::Relaxed), lights.load(Ordering::Relaxed));
            hogs.min(lights) > 1_000_000 && hogs / lights < 20 && lights / hogs < 20
        };
        while !is_fair() {
            gthread::sleep(Duration::from_millis(5));
        }
        stop.store(true, Ordering::Release);
        hog_handles.into_iter().chain(light_handles).for_each(|handle| handle.join().unwrap());
        (hogs.load(Ordering::Relaxed), lights.load(Ordering::Relaxed))
    });
    println!(
        "the hogs counted to {hogs}, the light ones to {lights}: {}",
        hogs as f64 / lights as f64
    );
    runtime.shutdown();
}

#[test]
fn a_timer_fires_beside_those_who_only_make_system_calls() {
    // TestTimerFairness2: calls that return at once, one after the other.
    for processors in [1, 2] {
        let _dog = watch("TimerFairness2");
        let runtime = runtime(processors);
        runtime.run(|| {
            let stop = Arc::new(AtomicBool::new(false));
            let callers: Vec<_> = (0..3)
                .map(|_| {
                    let stop = stop.clone();
                    gthread::spawn(move || {
                        while !stop.load(Ordering::Acquire) {
                            // SAFETY: takes nothing and only returns a number.
                            unsafe { libc::syscall(libc::SYS_getppid) };
                        }
                    })
                })
                .collect();
            for _ in 0..20 {
                gthread::sleep(Duration::from_micros(500));
            }
            stop.store(true, Ordering::Release);
            callers.into_iter().for_each(|caller| caller.join().unwrap());
        });
        runtime.shutdown();
    }
}

#[test]
fn sleepers_wake_beside_their_spawner() {
    // Go has no such test. While one spawns as fast as it can, nobody but the others looks at the
    // timers of its processor, and they find fresh green threads to steal all the time.
    for processors in [1, 2, 4] {
        let _dog = watch("sleepers beside their spawner");
        let runtime = runtime(processors);
        runtime.run(|| {
            let count = |counter: &Arc<AtomicU64>| counter.load(Ordering::Acquire);
            for _ in 0..10 {
                let (asleep, woken) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
                for _ in 0..50 {
                    let (asleep, woken) = (asleep.clone(), woken.clone());
                    drop(gthread::spawn(move || {
                        asleep.fetch_add(1, Ordering::AcqRel);
                        gthread::sleep(Duration::from_millis(3));
                        woken.fetch_add(1, Ordering::AcqRel);
                    }));
                }
                // Some of them sleep on this processor.
                while count(&asleep) < 50 {
                    gthread::yield_now();
                }
                let (mut spawned, ended) = (0, Arc::new(AtomicU64::new(0)));
                while count(&woken) < 50 {
                    // Not more than others can run, but never waiting for them.
                    if spawned < count(&ended) + 500 {
                        spawned += 1;
                        let ended = ended.clone();
                        drop(gthread::spawn(move || ended.fetch_add(1, Ordering::AcqRel)));
                    }
                }
                while count(&ended) < spawned {
                    gthread::yield_now();
                }
            }
        });
        runtime.shutdown();
    }
}

#[test]
fn spawning_without_end_holds_nobody_up() {
    // TestStopTheWorldDeadlock has a perpetual spawner; here it must not starve the others.
    for processors in [1, 2] {
        let _dog = watch("perpetual spawner");
        let runtime = runtime(processors);
        runtime.run(|| {
            let stop = Arc::new(AtomicBool::new(false));
            let seen = stop.clone();
            fn again(stop: Arc<AtomicBool>) {
                if !stop.load(Ordering::Acquire) {
                    // Refused, if the runtime has begun to end meanwhile.
                    drop(gthread::Builder::new().spawn(move || again(stop)));
                }
            }
            again(seen);
            for _ in 0..20 {
                gthread::sleep(Duration::from_micros(200));
                gthread::spawn(gthread::yield_now).join().unwrap();
                gthread::yield_now();
            }
            stop.store(true, Ordering::Release);
        });
        runtime.shutdown();
    }
}

#[test]
fn the_dump_agrees_with_the_number_of_live_green_threads() {
    // NumGoroutine agrees with the stack dump.
    let name = "the_dump_agrees_with_the_number_of_live_green_threads";
    if !common::is_child(name) {
        return common::assert_passed(&common::in_child(name, &[]));
    }
    let _dog = watch("NumGoroutine");
    let runtime = runtime(2);
    runtime.run(|| {
        let parked: Vec<_> = (0..100).map(|_| gthread::spawn(gthread::park)).collect();
        let all_parked = || {
            let dump = gthread::inspect::dump();
            dump.green_threads.iter().filter(|green| green.state.contains("park")).count() == 100
        };
        while !all_parked() {
            gthread::yield_now();
        }
        assert_eq!(gthread::inspect::metrics().live, 101);
        assert_eq!(gthread::inspect::dump().green_threads.len(), 101);
        for handle in parked {
            handle.thread().unpark();
            handle.join().unwrap();
        }
        assert_eq!(gthread::inspect::metrics().live, 1);
    });
    runtime.shutdown();
}
