//! What a shelf costs, in ns per operation, lock included: the least of several rounds.
//!
//! Prints only when asked, and asserts no timing:
//! `GTHREAD_BENCH=1 cargo test --release --lib timer::bench -- --nocapture`.

use super::tests::Random;
use super::*;
use std::hint::black_box;
use std::time::Instant;

const SECOND: u64 = 1_000_000_000;
const OPERATIONS: u64 = 100_000;
type Value = (usize, u64);

/// A shelf with `live` timers due at random within `span_ns` from second 1 on.
fn shelf(live: u64, span_ns: u64) -> (Shelf<Value>, Vec<Handle>, Random) {
    let shelf = Shelf::new();
    let mut random = Random::new(7);
    let arm = |n| shelf.arm(SECOND + random.below(span_ns), (n as usize, n)).handle;
    let handles = (0..live).map(arm).collect();
    (shelf, handles, random)
}

/// The least cost of one of `operations` over some rounds; `round` times itself.
fn least(operations: u64, mut round: impl FnMut() -> Instant) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..if operations > OPERATIONS { 3 } else { 9 } {
        let start = round();
        best = best.min(start.elapsed().as_nanos() as f64 / operations as f64);
    }
    best
}

/// A timeout that is taken back: later than half of the others.
fn arm_and_cancel(live: u64) -> f64 {
    let (shelf, _handles, _) = shelf(live, 60 * SECOND);
    least(OPERATIONS, || {
        let start = Instant::now();
        for n in 0..OPERATIONS {
            let armed = shelf.arm(31 * SECOND + n * 100, (0, n));
            black_box(shelf.cancel(armed.handle));
        }
        start
    })
}

/// Timeouts of 30 s, each taken back and armed anew by whichever connection is served next.
fn rearm(live: u64) -> f64 {
    let (shelf, mut handles, mut random) = shelf(live, 30 * SECOND);
    let mut now_ns = SECOND;
    least(OPERATIONS, || {
        let start = Instant::now();
        for n in 0..OPERATIONS {
            now_ns += 1000;
            let at = random.below(live) as usize;
            shelf.cancel(handles[at]);
            handles[at] = shelf.arm(now_ns + 30 * SECOND, (at, n)).handle;
        }
        start
    })
}

/// Sleepers: the first is due, and arms anew at random within a second.
fn expire_one_and_arm(live: u64) -> f64 {
    let (shelf, _handles, mut random) = shelf(live, SECOND);
    least(OPERATIONS, || {
        let start = Instant::now();
        for n in 0..OPERATIONS {
            let now_ns = shelf.next_deadline_ns();
            shelf.expire(now_ns, |value| {
                let _ = shelf.arm(now_ns + 1 + random.below(SECOND), (value.0, n));
            });
        }
        start
    })
}

/// An empty shelf (its memory warm or not) filled at random.
fn arm_random(live: u64) -> f64 {
    least(live, || {
        let start = Instant::now();
        drop(black_box(shelf(live, SECOND)));
        start
    })
}

/// All are due at once; or few at a time, so that the shelf is asked once for each 100 us.
fn expire_all(live: u64, step_ns: u64) -> f64 {
    least(live, || {
        let (shelf, _handles, _) = shelf(live, SECOND);
        let start = Instant::now();
        let mut now_ns = SECOND;
        while shelf.next_deadline_ns() != u64::MAX {
            now_ns += step_ns;
            shelf.expire(now_ns, |value| {
                black_box(value);
            });
        }
        start
    })
}

#[test]
fn figures() {
    if std::env::var_os("GTHREAD_BENCH").is_none() {
        return;
    }
    println!("ns per operation, beside so many live timers");
    println!("arm+cancel, none live          {:7.1}", arm_and_cancel(0));
    for live in [1_000, 32_000, 100_000, 1_000_000] {
        println!("{live} live");
        println!("  arm+cancel                   {:7.1}", arm_and_cancel(live));
        println!("  cancel+arm 30 s              {:7.1}", rearm(live));
        println!("  expire one, arm at random    {:7.1}", expire_one_and_arm(live));
        println!("  arm at random, from empty    {:7.1}", arm_random(live));
        println!("  expire all at once           {:7.1}", expire_all(live, 2 * SECOND));
        println!("  expire all, each 100 us      {:7.1}", expire_all(live, 100_000));
        println!(
            "  bytes each                   {:7}",
            shelf(live, SECOND).0.bytes() as u64 / live
        );
    }
}
