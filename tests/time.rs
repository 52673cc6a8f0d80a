//! `gthread::time`: intervals, and timeouts that the waits inside inherit.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that unwraps is a test that fails, and it explains itself"
)]

mod common;

use common::{on_each_carrier, watch, with_each_carrier};
use gthread::time::{self, MissedTickBehavior, interval, interval_at, timeout};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// Longer than a test may take: who waits for it hangs.
const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(2);
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn ticks_are_never_early_and_one_period_apart() {
    // Go: TestTicker, TestAfterTick, TestTickTimes.
    on_each_carrier("ticks", || {
        for behavior in
            [MissedTickBehavior::Burst, MissedTickBehavior::Delay, MissedTickBehavior::Skip]
        {
            let start = Instant::now();
            let mut ticks = interval(SHORT);
            ticks.set_missed_tick_behavior(behavior);
            let mut last = None;
            for n in 0..10 {
                let due = ticks.tick();
                assert!(Instant::now() >= due && due >= start + n * SHORT, "{behavior:?}");
                assert!(last.is_none_or(|last| due >= last + SHORT), "{behavior:?}");
                last = Some(due);
            }
            assert!(start.elapsed() >= 9 * SHORT);
        }
    });
}

#[test]
fn a_burst_keeps_the_number_of_ticks() {
    on_each_carrier("burst", || {
        let start = Instant::now();
        let mut ticks = interval_at(start, SHORT);
        gthread::sleep(10 * SHORT);
        // The eleven that have passed, each at the time it was due.
        for n in 0..=10 {
            assert_eq!(ticks.tick(), start + n * SHORT);
        }
        assert_eq!(ticks.tick(), start + 11 * SHORT);
        assert!(start.elapsed() >= 11 * SHORT);
    });
}

#[test]
fn a_delay_keeps_ticks_apart_and_a_skip_keeps_them_in_step() {
    on_each_carrier("delay, skip", || {
        let period = 5 * SHORT;
        let missed = |behavior| {
            let start = Instant::now();
            let mut ticks = interval_at(start, period);
            ticks.set_missed_tick_behavior(behavior);
            gthread::sleep(3 * period + SHORT);
            // The clock is read inside, between these two readings.
            let before = Instant::now();
            assert_eq!(ticks.tick(), start);
            (start, before..Instant::now(), ticks.tick())
        };
        let (_, taken, next) = missed(MissedTickBehavior::Delay);
        assert!(next >= taken.start + period && next <= taken.end + period);
        let (start, taken, next) = missed(MissedTickBehavior::Skip);
        let from_start = (next - start).as_nanos();
        assert_eq!(from_start % period.as_nanos(), 0, "in step");
        assert!(from_start >= 4 * period.as_nanos() && next <= taken.end + period);
    });
}

#[test]
fn a_reset_moves_the_next_tick() {
    // Go: TestTicker's reset half-way, TestReset.
    on_each_carrier("reset", || {
        let mut ticks = interval_at(Instant::now() + LONG, SHORT);
        ticks.reset_immediately();
        ticks.tick();
        ticks.reset_after(LONG);
        let start = Instant::now();
        ticks.reset();
        assert!(ticks.tick() >= start + SHORT);
        let due = start + 3 * SHORT;
        ticks.reset_at(due);
        assert_eq!(ticks.tick(), due);
        assert!(Instant::now() >= due);
        assert_eq!(ticks.tick(), due + SHORT, "the period is as it was");
        assert_eq!(ticks.period(), SHORT);
        assert_eq!(ticks.missed_tick_behavior(), MissedTickBehavior::Burst);
    });
}

#[test]
fn a_period_of_zero_is_refused_by_value() {
    // Go: TestNewTickerLtZeroDuration.
    common::silence_panics_on_purpose();
    let panic = catch_unwind(|| interval(Duration::ZERO)).unwrap_err();
    let text = panic.downcast_ref::<String>().expect("a text");
    assert_eq!(text, "invalid period 0ns of an interval: accepted is 1 ns or more");
    assert!(catch_unwind(|| interval_at(Instant::now(), Duration::ZERO)).is_err());
    let _smallest = interval(Duration::from_nanos(1));
}

#[test]
fn the_longest_period_ticks_once() {
    // Go: TestOverflowPeriodRuntimeTimer.
    let _dog = watch("Duration::MAX");
    for carrier in common::CARRIERS {
        let runtime = carrier.runtime();
        let (send, receive) = std::sync::mpsc::channel();
        let ticker = runtime.spawn(move || {
            let mut ticks = interval(Duration::MAX);
            send.send(ticks.tick()).unwrap();
            ticks.tick();
        });
        let first = receive.recv().unwrap();
        assert!(first <= Instant::now());
        assert!(ticker.join_timeout(10 * SHORT).is_err(), "it never ticks again");
        let survivors = runtime.shutdown_timeout(SHORT);
        assert_eq!(survivors.len(), 1, "{survivors:?}");
    }
}

#[test]
fn a_timeout_ends_timed_waits_of_its_thread() {
    let _dog = watch("timeout");
    let check = || {
        let start = Instant::now();
        timeout(SHORT, || {
            gthread::park_timeout(LONG);
            assert!(start.elapsed() >= SHORT, "never early");
            // Every such wait from here on ends at once.
            let parked = gthread::spawn(gthread::park);
            let parked = parked.join_timeout(LONG).expect_err("it parks");
            parked.thread().unpark();
            parked.join().unwrap();
            gthread::park_timeout(LONG);
        });
        assert_eq!(time::deadline(), None);
    };
    on_each_carrier("timeout", check);
    // An OS thread has a deadline as well, also one that this crate has never seen.
    std::thread::spawn(check).join().unwrap();
}

#[test]
fn the_shutdown_of_another_runtime_ends_with_the_timeout_too() {
    with_each_carrier("shutdown_timeout", |runtime| {
        let parked = runtime.spawn(gthread::park);
        let survivors = timeout(SHORT, || runtime.shutdown_timeout(LONG));
        assert_eq!(survivors.len(), 1);
        parked.thread().unpark();
        parked.join().unwrap();
    });
}

#[test]
fn the_earlier_of_two_deadlines_holds() {
    on_each_carrier("nested", || {
        timeout(SECOND * 1000, || {
            let outer = time::deadline().unwrap();
            let inner = timeout(LONG, || time::deadline().unwrap());
            // Told by way of two clocks that are read one after the other.
            let difference = inner.max(outer) - inner.min(outer);
            assert!(difference < SECOND * 100, "the later one changes nothing");
            let start = Instant::now();
            timeout(SHORT, || gthread::park_timeout(LONG));
            assert!(start.elapsed() >= SHORT);
            assert!(time::deadline().unwrap() > start + SECOND * 10, "the outer one is back");
        });
        timeout(SHORT, || {
            let start = Instant::now();
            timeout(LONG, || gthread::park_timeout(LONG));
            // Had the inner one held this would hang.
            gthread::park_timeout(LONG);
            assert!(start.elapsed() < LONG);
        });
    });
}

#[test]
fn a_wait_with_a_shorter_timeout_of_its_own_keeps_it() {
    on_each_carrier("own timeout", || {
        timeout(LONG, || {
            let start = Instant::now();
            gthread::park_timeout(SHORT);
            assert!(start.elapsed() >= SHORT);
            let parked = gthread::spawn(gthread::park);
            let parked = parked.join_timeout(SHORT).expect_err("it parks");
            parked.thread().unpark();
            parked.join().unwrap();
        });
    });
}

#[test]
fn a_panic_goes_through_and_takes_its_deadline_along() {
    common::silence_panics_on_purpose();
    on_each_carrier("panics", || {
        timeout(LONG, || {
            let caught = catch_unwind(AssertUnwindSafe(|| {
                timeout(Duration::ZERO, || -> () { panic!("on purpose") });
            }));
            assert_eq!(*caught.unwrap_err().downcast_ref::<&str>().unwrap(), "on purpose");
            assert!(time::deadline().unwrap() > Instant::now() + SECOND);
        });
        assert_eq!(time::deadline(), None);
        // Also in a destructor that runs because of a panic.
        struct Late;
        impl Drop for Late {
            fn drop(&mut self) {
                timeout(SHORT, || gthread::park_timeout(LONG));
                assert_eq!(time::deadline(), None);
            }
        }
        let joined = gthread::spawn(|| {
            let _late = Late;
            panic!("on purpose");
        })
        .join();
        assert!(joined.is_err());
    });
}

#[test]
fn what_is_spawned_does_not_inherit() {
    on_each_carrier("spawn", || {
        timeout(Duration::ZERO, || {
            gthread::spawn(|| assert_eq!(time::deadline(), None)).join().unwrap();
            gthread::scope(|scope| {
                scope.spawn(|| assert_eq!(time::deadline(), None));
            });
            // Handed over, it holds there.
            let deadline = time::deadline().unwrap();
            gthread::spawn(move || {
                let left = deadline.saturating_duration_since(Instant::now());
                timeout(left, || gthread::park_timeout(LONG));
            })
            .join()
            .unwrap();
        });
    });
    // Nor does who comes after on the same header and stack.
    let _dog = watch("successors");
    let runtime = common::runtime(1);
    runtime.run(|| {
        for _ in 0..1000 {
            gthread::spawn(|| {
                assert_eq!(time::deadline(), None);
                timeout(Duration::ZERO, gthread::yield_now);
            })
            .join()
            .unwrap();
        }
    });
    runtime.shutdown();
}

#[test]
fn waits_that_cannot_tell_are_not_cut_short() {
    on_each_carrier("unaffected", || {
        let start = Instant::now();
        timeout(Duration::ZERO, || {
            gthread::sleep(SHORT);
            assert!(start.elapsed() >= SHORT);
            gthread::sleep_until(start + 2 * SHORT);
            assert!(start.elapsed() >= 2 * SHORT);
            let mut ticks = interval_at(start + 3 * SHORT, SHORT);
            ticks.tick();
            assert!(start.elapsed() >= 3 * SHORT);
            gthread::spawn(|| gthread::sleep(SHORT)).join().unwrap();
            gthread::scope(|scope| {
                scope.spawn(|| gthread::sleep(SHORT));
            });
            let parked = gthread::spawn(gthread::park);
            parked.thread().unpark();
            parked.join().unwrap();
        });
        assert!(start.elapsed() >= 5 * SHORT);
    });
}

#[test]
fn a_timeout_of_zero_has_passed_and_loses_no_token() {
    on_each_carrier("zero", || {
        timeout(Duration::ZERO, || {
            assert!(time::deadline().unwrap() <= Instant::now());
            gthread::park_timeout(LONG);
            // A token that is there is taken: nothing had to be waited for.
            gthread::current().unpark();
            gthread::park_timeout(LONG);
        });
        // Nothing is left of either.
        let start = Instant::now();
        gthread::park_timeout(SHORT);
        assert!(start.elapsed() >= SHORT, "the token was taken");
    });
}

#[test]
fn the_longest_timeout_is_none() {
    on_each_carrier("MAX", || {
        timeout(Duration::MAX, || {
            assert_eq!(time::deadline(), None);
            gthread::park_timeout(SHORT);
        });
    });
}
