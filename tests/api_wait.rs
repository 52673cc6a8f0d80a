//! Waiting: sleeping, parking, yielding and joining, on green threads and on OS threads, within a
//! runtime and across two.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that unwraps is a test that fails, and it explains itself"
)]

mod common;

use common::{Random, on_each_carrier, runtime, watch, with_each_carrier};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long a call took.
fn time(f: impl FnOnce()) -> Duration {
    let start = Instant::now();
    f();
    start.elapsed()
}

/// Longer than any wait of these tests may take on a loaded machine.
const LONG: Duration = Duration::from_secs(30);

#[test]
fn sleep_is_never_early() {
    let seed = std::sync::Mutex::new(Random::new("sleep"));
    on_each_carrier("sleep", || {
        let mut random = seed.lock().unwrap().fork();
        let handles: Vec<_> = (0..50)
            .map(|_| {
                let mut random = random.fork();
                gthread::spawn(move || {
                    for _ in 0..10 {
                        let duration = Duration::from_nanos(random.below(3_000_000));
                        let took = time(|| gthread::sleep(duration));
                        assert!(took >= duration, "{took:?} instead of {duration:?}");
                        assert!(took < LONG);
                        let deadline = Instant::now() + duration;
                        gthread::sleep_until(deadline);
                        assert!(Instant::now() >= deadline);
                    }
                })
            })
            .collect();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
    });
}

#[test]
fn sleep_on_an_os_thread_is_never_early() {
    let _dog = watch("sleep on an OS thread");
    for micros in [0, 1, 50, 999, 3_000] {
        let duration = Duration::from_micros(micros);
        assert!(time(|| gthread::sleep(duration)) >= duration);
        assert!(time(|| gthread::park_timeout(duration)) >= duration);
        let deadline = Instant::now() + duration;
        gthread::sleep_until(deadline);
        assert!(Instant::now() >= deadline);
    }
    gthread::yield_now();
}

#[test]
fn a_deadline_in_the_past_does_not_wait() {
    on_each_carrier("past", || {
        let took = time(|| {
            gthread::sleep_until(Instant::now());
            gthread::sleep(Duration::ZERO);
            gthread::park_timeout(Duration::ZERO);
            if let Some(past) = Instant::now().checked_sub(Duration::from_millis(10)) {
                gthread::sleep_until(past);
            }
        });
        assert!(took < LONG);
    });
}

#[test]
fn the_longest_sleep_neither_ends_nor_disturbs() {
    let _dog = watch("Duration::MAX");
    for carrier in common::CARRIERS {
        let runtime = carrier.runtime();
        let forever = runtime.spawn(|| gthread::sleep(Duration::MAX));
        let far = runtime.spawn(|| gthread::sleep(Duration::from_secs(u64::MAX / 1_000_000_000)));
        runtime.run(|| {
            // Shorter ones come and go.
            for _ in 0..5 {
                gthread::sleep(Duration::from_millis(1));
            }
        });
        assert!(!forever.is_finished() && !far.is_finished());
        // They may not have begun yet; the watchdog ends a wait in vain.
        loop {
            let survivors = runtime.shutdown_timeout(Duration::from_millis(1));
            assert_eq!(survivors.len(), 2, "{survivors:?}");
            if survivors.iter().all(|survivor| survivor.state().contains("sleep")) {
                break;
            }
        }
    }
}

#[test]
fn the_longest_park_timeout_waits_for_the_token() {
    on_each_carrier("park_timeout(MAX)", || {
        let parked = gthread::spawn(|| gthread::park_timeout(Duration::MAX));
        for _ in 0..20 {
            gthread::yield_now();
            assert!(!parked.is_finished());
        }
        parked.thread().unpark();
        parked.join().unwrap();
    });
}

#[test]
fn an_unpark_before_the_park_is_not_lost() {
    on_each_carrier("permit", || {
        for _ in 0..100 {
            gthread::current().unpark();
            gthread::park();
            let ready = Arc::new(AtomicBool::new(false));
            let seen = ready.clone();
            let parks = gthread::spawn(move || {
                while !seen.load(Ordering::Acquire) {
                    gthread::yield_now();
                }
                gthread::park();
            });
            parks.thread().unpark();
            ready.store(true, Ordering::Release);
            parks.join().unwrap();
        }
    });
}

#[test]
fn many_unparks_before_one_park_are_one() {
    on_each_carrier("one permit", || {
        let short = Duration::from_millis(2);
        (0..10).for_each(|_| gthread::current().unpark());
        gthread::park();
        assert!(time(|| gthread::park_timeout(short)) >= short);
        // Taken by a timed park as well.
        gthread::current().unpark();
        assert!(time(|| gthread::park_timeout(LONG)) < LONG);
        assert!(time(|| gthread::park_timeout(short)) >= short);
    });
}

#[test]
fn a_park_that_timed_out_leaves_nothing_behind() {
    on_each_carrier("park_timeout", || {
        let woken = gthread::spawn(|| {
            for _ in 0..20 {
                gthread::park_timeout(Duration::from_micros(100));
            }
            // The wakers of the waits above are gone: this one ends by its own token only.
            gthread::park();
            let slept = time(|| gthread::sleep(Duration::from_millis(2)));
            assert!(slept >= Duration::from_millis(2));
        });
        gthread::sleep(Duration::from_millis(10));
        while !woken.is_finished() {
            woken.thread().unpark();
            gthread::sleep(Duration::from_micros(100));
        }
        woken.join().unwrap();
    });
}

#[test]
fn a_sleep_is_not_cut_short_by_a_token() {
    on_each_carrier("token and sleep", || {
        let sleeper = gthread::spawn(|| {
            let duration = Duration::from_millis(5);
            assert!(time(|| gthread::sleep(duration)) >= duration);
            // The token has been kept for the next park.
            gthread::park();
        });
        sleeper.thread().unpark();
        sleeper.join().unwrap();
    });
}

#[test]
fn unpark_publishes_what_was_written_before() {
    on_each_carrier("publication", || {
        for round in 1..200 {
            let cell = Arc::new(AtomicU64::new(0));
            let seen = cell.clone();
            let reader = gthread::spawn(move || {
                gthread::park();
                seen.load(Ordering::Relaxed)
            });
            cell.store(round, Ordering::Relaxed);
            reader.thread().unpark();
            assert_eq!(reader.join().unwrap(), round);
        }
    });
}

#[test]
fn yielding_lets_everyone_get_on() {
    // Go: TestYieldProgress.
    on_each_carrier("yield progress", || {
        let stop = Arc::new(AtomicBool::new(false));
        let turns: Arc<[AtomicU64]> = (0..8).map(|_| AtomicU64::new(0)).collect();
        let spinners: Vec<_> = (0..turns.len())
            .map(|i| {
                let (stop, turns) = (stop.clone(), turns.clone());
                gthread::spawn(move || {
                    while !stop.load(Ordering::Acquire) {
                        turns[i].fetch_add(1, Ordering::Relaxed);
                        gthread::yield_now();
                    }
                })
            })
            .collect();
        while turns.iter().any(|turns| turns.load(Ordering::Relaxed) < 100) {
            gthread::yield_now();
        }
        stop.store(true, Ordering::Release);
        spinners.into_iter().for_each(|spinner| spinner.join().unwrap());
    });
}

#[test]
fn a_timer_fires_beside_those_who_only_yield() {
    // Go: TestTimerFairness.
    on_each_carrier("timer beside yields", || {
        let stop = Arc::new(AtomicBool::new(false));
        let spinners: Vec<_> = (0..3)
            .map(|_| {
                let stop = stop.clone();
                gthread::spawn(move || {
                    while !stop.load(Ordering::Acquire) {
                        gthread::yield_now();
                    }
                })
            })
            .collect();
        for _ in 0..20 {
            gthread::sleep(Duration::from_micros(500));
        }
        stop.store(true, Ordering::Release);
        spinners.into_iter().for_each(|spinner| spinner.join().unwrap());
    });
}

#[test]
fn a_timer_fires_beside_a_ping_pong() {
    // Go: TestTimerFairness2, TestAfterFuncStarvation.
    on_each_carrier("timer beside ping-pong", || {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = stop.clone();
        let pair = gthread::spawn(move || {
            let me = gthread::current();
            let stop = seen.clone();
            let other = gthread::spawn(move || {
                while !stop.load(Ordering::Acquire) {
                    me.unpark();
                    gthread::park_timeout(Duration::from_secs(1));
                }
                me.unpark();
            });
            while !seen.load(Ordering::Acquire) {
                other.thread().unpark();
                gthread::park_timeout(Duration::from_secs(1));
            }
            other.thread().unpark();
            other.join().unwrap();
        });
        for _ in 0..20 {
            gthread::sleep(Duration::from_micros(300));
        }
        stop.store(true, Ordering::Release);
        pair.join().unwrap();
    });
}

/// `rounds` turns of a ball between the caller and a thread that `spawn` makes.
fn ping_pong(rounds: u64, spawn: impl FnOnce(Box<dyn FnOnce() + Send>) -> gthread::Thread) {
    let (ball, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let (me, their_ball, their_end) = (gthread::current(), ball.clone(), ended.clone());
    let other = spawn(Box::new(move || {
        for round in 0..rounds {
            while their_ball.load(Ordering::Acquire) != 2 * round + 1 {
                gthread::park();
            }
            their_ball.store(2 * round + 2, Ordering::Release);
            me.unpark();
        }
        their_end.store(true, Ordering::Release);
        me.unpark();
    }));
    for round in 0..rounds {
        ball.store(2 * round + 1, Ordering::Release);
        other.unpark();
        while ball.load(Ordering::Acquire) != 2 * round + 2 {
            gthread::park();
        }
    }
    while !ended.load(Ordering::Acquire) {
        gthread::park();
    }
}

#[test]
fn tokens_cross_between_runtimes_and_os_threads() {
    with_each_carrier("crossing", |first| {
        for second in common::CARRIERS {
            let second = second.runtime();
            first.run(|| ping_pong(200, |body| second.spawn(body).thread().clone()));
            ping_pong(200, |body| second.spawn(body).thread().clone());
            second.shutdown();
        }
        // Between two OS threads, none of them green.
        ping_pong(200, |body| {
            let (send, receive) = std::sync::mpsc::channel();
            std::thread::spawn(move || {
                send.send(gthread::current()).unwrap();
                body();
            });
            receive.recv().unwrap()
        });
    });
}

#[test]
fn joins_cross_between_runtimes_and_os_threads() {
    with_each_carrier("crossing joins", |first| {
        let second = Arc::new(runtime(1));
        for _ in 0..200 {
            let there = second.clone();
            let outer = first.spawn(move || {
                let inner = there.spawn(|| {
                    gthread::yield_now();
                    1
                });
                inner.join().unwrap() + 1
            });
            assert_eq!(second.run(|| outer.join().unwrap()), 2);
        }
        second.shutdown();
    });
}

#[test]
fn an_os_thread_is_woken_by_many_wakers_and_loses_none() {
    let _dog = watch("one OS thread, many wakers");
    let runtime = runtime(2);
    let count = Arc::new(AtomicUsize::new(0));
    let me = gthread::current();
    for _ in 0..500 {
        let (count, me) = (count.clone(), me.clone());
        drop(runtime.spawn(move || {
            count.fetch_add(1, Ordering::AcqRel);
            me.unpark();
        }));
    }
    while count.load(Ordering::Acquire) != 500 {
        gthread::park();
    }
    runtime.shutdown();
}

#[test]
fn sleepers_by_the_thousand_all_wake() {
    on_each_carrier("sleepers", || {
        let mut random = Random::new("sleepers");
        let handles: Vec<_> = (0..2_000)
            .map(|_| {
                let duration = Duration::from_micros(random.below(20_000));
                gthread::spawn(move || gthread::sleep(duration))
            })
            .collect();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
    });
}

#[test]
fn a_shorter_sleep_armed_later_wakes_first() {
    // Go: TestTimerModifiedEarlier, TestAfterQueuing. While all machines sleep towards a far
    // deadline, nearer ones come from outside, each nearer than the last.
    let _dog = watch("earlier timers");
    let runtime = runtime(2);
    let far = runtime.spawn(|| gthread::park_timeout(Duration::from_secs(3600)));
    for _ in 0..100 {
        let took = time(|| {
            runtime.spawn(|| gthread::sleep(Duration::from_millis(1))).join().unwrap();
        });
        assert!(took < LONG);
    }
    far.thread().unpark();
    far.join().unwrap();
    runtime.shutdown();
}

#[test]
fn a_timed_wait_that_nobody_else_knows_of_wakes_an_idle_runtime() {
    // Every machine and the monitor have gone to their deepest sleep meanwhile.
    on_each_carrier("deep sleep", || {
        for millis in [1, 20, 300] {
            gthread::sleep(Duration::from_millis(millis));
            gthread::park_timeout(Duration::from_millis(millis));
        }
    });
}

#[test]
fn join_timeout_gives_the_handle_back_or_the_result() {
    on_each_carrier("join_timeout", || {
        let parked = gthread::spawn(|| {
            gthread::park();
            7
        });
        let short = Duration::from_millis(2);
        let start = Instant::now();
        let parked = parked.join_timeout(short).expect_err("it parks");
        assert!(start.elapsed() >= short);
        let parked = parked.join_timeout(Duration::ZERO).expect_err("it parks");
        parked.thread().unpark();
        assert_eq!(parked.join_timeout(Duration::MAX).unwrap().unwrap(), 7);
    });
}

#[test]
fn join_timeouts_race_with_the_end() {
    let seed = std::sync::Mutex::new(Random::new("join_timeout"));
    on_each_carrier("join_timeout races", || {
        let count = common::Count::default();
        let mut random = seed.lock().unwrap().fork();
        let handles: Vec<_> = (0..8)
            .map(|_| {
                let (mut random, count) = (random.fork(), count.clone());
                gthread::spawn(move || {
                    for _ in 0..60 {
                        let value = count.one();
                        let duration = Duration::from_micros(random.below(60));
                        let mut handle = gthread::spawn(move || {
                            gthread::sleep(duration);
                            value
                        });
                        let mut tries = random.below(20);
                        loop {
                            let timeout = Duration::from_micros(random.below(60));
                            match handle.join_timeout(timeout) {
                                Ok(result) => break drop(result.unwrap()),
                                // Detached while it ends, or joined after all.
                                Err(back) if tries == 0 && random.below(2) == 0 => {
                                    break drop(back);
                                }
                                Err(back) if tries == 0 => break drop(back.join().unwrap()),
                                Err(back) => handle = back,
                            }
                            tries -= 1;
                        }
                    }
                })
            })
            .collect();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
        count.wait_for_none();
    });
}
