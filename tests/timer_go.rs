//! The semantics of the tests of Go's timers (`time/sleep_test.go`, `tick_test.go`), in our words,
//! each named after the one it mirrors. No test asserts that a timer is punctual, only that it is
//! not early and not lost: a lost one is a hang, which the watchdog sees.
//!
//! Others of them are elsewhere. `api_wait`: TestSleep, TestAfterFuncStarvation, TestTimerFairness,
//! TestTimerModifiedEarlier, TestOverflowSleep. `time`: TestTicker, TestAfterTick, TestTickTimes,
//! TestReset, TestNewTickerLtZeroDuration, TestOverflowPeriodRuntimeTimer. `timer::tests`, against
//! a sorted map: TestAdjustTimers' order. TestChan, TestStopResult and TestAfterTimes' channel
//! sides: in the channels' tests. Not mirrored: TestTimerGC (no collector; a timer that is not
//! waited for does not exist), TestAfterFunc (there are no callbacks; a green thread is one).
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that unwraps is a test that fails, and it explains itself"
)]

mod common;

use common::{Random, on_each_carrier, runtime, watch};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(3600);

/// The order in which thirteen sleepers woke whose times are `step` apart.
fn wake_order(step: Duration) -> Vec<u32> {
    let order = Arc::new(Mutex::new(Vec::new()));
    let start = Instant::now() + step;
    let handles: Vec<_> = [5, 9, 1, 12, 3, 0, 8, 2, 11, 7, 10, 4, 6]
        .into_iter()
        .map(|n| {
            let order = order.clone();
            gthread::spawn(move || {
                gthread::sleep_until(start + n * step);
                order.lock().unwrap().push(n);
            })
        })
        .collect();
    handles.into_iter().for_each(|handle| handle.join().unwrap());
    std::mem::take(&mut order.lock().unwrap())
}

#[test]
fn sleepers_wake_in_the_order_of_their_deadlines() {
    // TestAfterQueuing. A loaded machine may hold one up between its waking and its note: then
    // once more, with more time between them, as Go's does.
    on_each_carrier("AfterQueuing", || {
        let mut step = Duration::from_millis(2);
        while !wake_order(step).is_sorted() {
            step *= 2;
        }
    });
}

#[test]
fn a_wait_that_was_ended_early_does_not_end_the_next() {
    // TestAfterStop, TestStop: a timer that was stopped never fires.
    on_each_carrier("AfterStop", || {
        let waiter = gthread::spawn(|| {
            for _ in 0..200 {
                // Ended by a token, mostly, long before its deadline; whichever it was, the wait
                // after it has a deadline of its own.
                gthread::park_timeout(Duration::from_millis(3));
                let start = Instant::now();
                gthread::sleep(Duration::from_micros(3_500));
                assert!(start.elapsed() >= Duration::from_micros(3_500), "a stopped timer fired");
            }
        });
        while !waiter.is_finished() {
            waiter.thread().unpark();
            gthread::sleep(Duration::from_micros(500));
        }
        waiter.join().unwrap();
    });
}

#[test]
fn a_deadline_that_races_with_the_end_loses_no_result() {
    // TestStopResult, TestResetResult (Go #69312): who is told that the time was up finds the
    // value when it looks again, and who is told otherwise has it.
    let seed = Mutex::new(Random::new("StopResult"));
    on_each_carrier("StopResult", || {
        let mut random = seed.lock().unwrap().fork();
        let count = common::Count::default();
        let threads: Vec<_> = (0..20)
            .map(|_| {
                let (mut random, count) = (random.fork(), count.clone());
                gthread::spawn(move || {
                    for _ in 0..50 {
                        let (ends, deadline) = (random.below(40_000), random.below(40_000));
                        let value = count.one();
                        let handle = gthread::spawn(move || {
                            gthread::sleep(Duration::from_nanos(ends));
                            value
                        });
                        let result = match handle.join_timeout(Duration::from_nanos(deadline)) {
                            Ok(result) => result,
                            Err(handle) => handle.join(),
                        };
                        drop(result.unwrap());
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        count.wait_for_none();
    });
}

#[test]
fn sleeps_of_nothing_and_of_next_to_nothing_are_not_lost() {
    // TestZeroTimer (Go #44868), TestSleepZeroDeadlock.
    on_each_carrier("ZeroTimer", || {
        let sleepers: Vec<_> = (0..4)
            .map(|_| {
                gthread::spawn(|| {
                    for n in 0..2_000 {
                        gthread::sleep(Duration::ZERO);
                        gthread::sleep(Duration::from_nanos(n % 100));
                        gthread::park_timeout(Duration::ZERO);
                        gthread::park_timeout(Duration::from_nanos(1));
                    }
                })
            })
            .collect();
        sleepers.into_iter().for_each(|sleeper| sleeper.join().unwrap());
    });
}

#[test]
fn waits_that_are_moved_at_random_are_never_lost() {
    // TestAdjustTimers (Go #47762): each wait has another deadline, earlier or later than the one
    // before, and tokens cut some of them short.
    let seed = Mutex::new(Random::new("AdjustTimers"));
    on_each_carrier("AdjustTimers", || {
        let mut random = seed.lock().unwrap().fork();
        let stop = Arc::new(AtomicBool::new(false));
        let waiters: Vec<_> = (0..50)
            .map(|_| {
                let mut random = random.fork();
                gthread::spawn(move || {
                    for _ in 0..60 {
                        let duration = match random.below(4) {
                            // Only a token or the next random choice of another ends this one.
                            0 => Duration::from_millis(50),
                            _ => Duration::from_nanos(random.next() >> (43 + random.below(21))),
                        };
                        gthread::park_timeout(duration);
                    }
                })
            })
            .collect();
        let handles: Vec<_> = waiters.iter().map(|waiter| waiter.thread().clone()).collect();
        let seen = stop.clone();
        let waker = gthread::spawn(move || {
            while !seen.load(Ordering::Acquire) {
                handles[random.below(50) as usize].unpark();
                gthread::sleep(Duration::from_nanos(random.below(60_000)));
            }
        });
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
        stop.store(true, Ordering::Release);
        waker.join().unwrap();
    });
}

#[test]
fn thousands_of_sleepers_do_not_hold_a_ping_pong_up_nor_it_them() {
    // TestLongAdjustTimers: 5,000 sleepers beside a pair that wakes each other.
    let _dog = watch("LongAdjustTimers");
    for processors in [1, 2] {
        let runtime = runtime(processors);
        runtime.run(|| {
            let sleepers: Vec<_> = (0..5_000)
                .map(|n| {
                    let duration = Duration::from_micros(n % 1_000 * 30);
                    gthread::spawn(move || gthread::sleep(duration))
                })
                .collect();
            let turns = Arc::new(AtomicU64::new(0));
            let seen = turns.clone();
            let me = gthread::current();
            let other = gthread::spawn(move || {
                for turn in (1..20_000).step_by(2) {
                    while seen.load(Ordering::Acquire) < turn {
                        gthread::park();
                    }
                    seen.store(turn + 1, Ordering::Release);
                    me.unpark();
                }
            });
            for turn in (0..20_000).step_by(2) {
                while turns.load(Ordering::Acquire) < turn {
                    gthread::park();
                }
                turns.store(turn + 1, Ordering::Release);
                other.thread().unpark();
            }
            other.join().unwrap();
            sleepers.into_iter().for_each(|sleeper| sleeper.join().unwrap());
        });
        runtime.shutdown();
    }
}

#[test]
fn one_deadline_wakes_all_who_wait_for_it() {
    // TestMultiWakeupTimer, TestMultiWakeupTicker.
    on_each_carrier("MultiWakeup", || {
        let woken = Arc::new(AtomicUsize::new(0));
        for round in 0..20 {
            let deadline = Instant::now() + Duration::from_micros(round * 50);
            let handles: Vec<_> = (0..200)
                .map(|_| {
                    let woken = woken.clone();
                    gthread::spawn(move || {
                        gthread::sleep_until(deadline);
                        assert!(Instant::now() >= deadline);
                        woken.fetch_add(1, Ordering::AcqRel);
                    })
                })
                .collect();
            handles.into_iter().for_each(|handle| handle.join().unwrap());
        }
        assert_eq!(woken.load(Ordering::Acquire), 20 * 200);
    });
}

#[test]
fn tickers_by_the_hundred_all_tick() {
    // TestTickerConcurrentStress: intervals reset and taken by many at a time.
    let seed = Mutex::new(Random::new("TickerStress"));
    on_each_carrier("TickerStress", || {
        let mut random = seed.lock().unwrap().fork();
        let tickers: Vec<_> = (0..100)
            .map(|_| {
                let mut random = random.fork();
                gthread::spawn(move || {
                    let period = Duration::from_nanos(1 + random.below(200_000));
                    let mut ticks = gthread::time::interval(period);
                    for _ in 0..30 {
                        let due = ticks.tick();
                        assert!(Instant::now() >= due);
                        match random.below(8) {
                            0 => ticks.reset(),
                            1 => ticks.reset_immediately(),
                            2 => ticks.reset_after(Duration::from_nanos(random.below(300_000))),
                            _ => {}
                        }
                    }
                })
            })
            .collect();
        tickers.into_iter().for_each(|ticker| ticker.join().unwrap());
    });
}

#[test]
fn an_os_thread_and_a_green_thread_see_each_others_timers() {
    // TestConcurrentTimerReset's mixture: timers armed from outside while a runtime is idle, busy,
    // or on its way to sleep. A lost one hangs.
    let _dog = watch("outside");
    let runtime = runtime(2);
    let barrier = Barrier::new(3);
    std::thread::scope(|scope| {
        for name in ["outside 1", "outside 2", "outside 3"] {
            let (runtime, barrier) = (&runtime, &barrier);
            scope.spawn(move || {
                let mut random = Random::new(name);
                barrier.wait();
                for _ in 0..200 {
                    let inside = Duration::from_nanos(random.below(200_000));
                    let sleeper = runtime.spawn(move || gthread::sleep(inside));
                    gthread::sleep(Duration::from_nanos(random.below(200_000)));
                    sleeper.join().unwrap();
                }
            });
        }
    });
    runtime.shutdown();
}

/// How many timers the shelves hold, as the dump tells.
fn armed() -> usize {
    gthread::inspect::dump().processors.iter().map(|processor| processor.timers).sum()
}

/// Parks a thousand with timeouts, and wakes them when all are armed; how many the shelves held.
fn armed_while_a_thousand_park() -> usize {
    let parked: Vec<_> =
        (0..1_000).map(|_| gthread::spawn(|| gthread::park_timeout(LONG))).collect();
    let waits = || {
        let dump = gthread::inspect::dump();
        dump.green_threads.iter().filter(|green| green.state.contains("park")).count()
    };
    while waits() < 1_000 {
        gthread::yield_now();
    }
    let armed = armed();
    parked.iter().for_each(|parked| parked.thread().unpark());
    parked.into_iter().for_each(|parked| parked.join().unwrap());
    armed
}

#[test]
fn timers_that_were_taken_back_are_gone() {
    // BenchmarkStop's garbage: a cancelled timer leaves nothing behind. In a process of its own,
    // because the dump tells of all runtimes.
    let name = "timers_that_were_taken_back_are_gone";
    if !common::is_child(name) {
        return common::assert_passed(&common::in_child(name, &[]));
    }
    let _dog = watch(name);
    let runtime = runtime(2);
    runtime.run(|| {
        // The control: they are seen. Those that had lost their processor have armed on the shelf of
        // all, which the dump does not show: where all had, once more.
        while armed_while_a_thousand_park() == 0 {}
        assert_eq!(armed(), 0);
        // One after the other: 50,000 by a thread that finds its token in place of its deadline.
        let waiter = gthread::spawn(|| {
            for _ in 0..50_000 {
                gthread::park_timeout(LONG);
            }
        });
        while !waiter.is_finished() {
            waiter.thread().unpark();
            gthread::yield_now();
        }
        waiter.join().unwrap();
        assert_eq!(armed(), 0);
    });
    runtime.shutdown();
}
