//! Does a thread that blocks or computes keep the others from running?

use std::hint::black_box;
use std::time::{Duration, Instant};

use super::ticker::{Ticker, summary_us};
use crate::harness::Bound::{Max, None};
use crate::harness::{Cell, Entry, GO, Metric, Peer, Row, entry, metric, os};
use crate::peers::{Futures, May, Ours, Smol, Std, Threads, Tokio};

const CALL: Duration = Duration::from_millis(10);

/// Blocking calls that nobody was told of (`TOLD`: in the runtime's own way),
/// beside a ticker. Total in milliseconds, then the ticker's lateness.
fn blocking_threads<P: Threads, const TOLD: bool>(cell: &Cell) -> Vec<f64> {
    let calls = cell.size;
    P::run(cell.processors, move || {
        let ticker = Ticker::new();
        let ticking = P::spawn({
            let ticker = ticker.clone();
            move || ticker.run_threads::<P>()
        });
        P::sleep(Duration::from_millis(5));
        let start = Instant::now();
        let call = || if TOLD { P::blocking(|| os::block_raw(CALL)) } else { os::block_raw(CALL) };
        let handles: Vec<_> = (0..calls).map(|_| P::spawn(call)).collect();
        handles.into_iter().for_each(P::join);
        let total = start.elapsed();
        ticker.stop();
        totals(total, &P::join(ticking))
    })
}

fn blocking_futures<P: Futures, const TOLD: bool>(cell: &Cell) -> Vec<f64> {
    let calls = cell.size;
    P::run(cell.processors, async move {
        let ticker = Ticker::new();
        let ticking = P::spawn({
            let ticker = ticker.clone();
            async move { ticker.run_futures::<P>().await }
        });
        P::sleep(Duration::from_millis(5)).await;
        let start = Instant::now();
        let call = || async {
            if TOLD { P::blocking(|| os::block_raw(CALL)).await } else { os::block_raw(CALL) }
        };
        let handles: Vec<_> = (0..calls).map(|_| P::spawn(call())).collect();
        for handle in handles {
            handle.await;
        }
        let total = start.elapsed();
        ticker.stop();
        totals(total, &ticking.await)
    })
}

fn totals(total: Duration, late: &[Duration]) -> Vec<f64> {
    [&[total.as_secs_f64() * 1e3][..], &summary_us(late)].concat()
}

/// How long the hogs compute.
fn hogging(cell: &Cell) -> Duration {
    match (cell.quick, cell.size) {
        (true, _) => Duration::from_millis(200),
        (false, ..=16) => Duration::from_millis(800),
        (false, _) => Duration::from_millis(2_500),
    }
}

/// Computes until the clock says so; returns when it first ran.
fn hog(until: Instant) -> Instant {
    let first = Instant::now();
    let mut x = 1_u64;
    while Instant::now() < until {
        for _ in 0..10_000 {
            x = black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
    }
    first
}

/// Hogs that never yield, beside a ticker: its lateness, then how long the
/// hogs waited for their first run.
fn hogs_threads<P: Threads>(cell: &Cell) -> Vec<f64> {
    let (hogs, length) = (cell.size, hogging(cell));
    P::run(cell.processors, move || {
        let ticker = Ticker::new();
        let ticking = P::spawn({
            let ticker = ticker.clone();
            move || ticker.run_threads::<P>()
        });
        P::sleep(Duration::from_millis(5));
        let start = Instant::now();
        let handles: Vec<_> = (0..hogs).map(|_| P::spawn(move || hog(start + length))).collect();
        let first: Vec<_> = handles.into_iter().map(P::join).collect();
        ticker.stop();
        delays(start, &P::join(ticking), &first)
    })
}

fn hogs_futures<P: Futures>(cell: &Cell) -> Vec<f64> {
    let (hogs, length) = (cell.size, hogging(cell));
    P::run(cell.processors, async move {
        let ticker = Ticker::new();
        let ticking = P::spawn({
            let ticker = ticker.clone();
            async move { ticker.run_futures::<P>().await }
        });
        P::sleep(Duration::from_millis(5)).await;
        let start = Instant::now();
        let handles: Vec<_> =
            (0..hogs).map(|_| P::spawn(async move { hog(start + length) })).collect();
        let mut first = Vec::new();
        for handle in handles {
            first.push(handle.await);
        }
        ticker.stop();
        delays(start, &ticking.await, &first)
    })
}

fn delays(start: Instant, late: &[Duration], first: &[Instant]) -> Vec<f64> {
    let waited: Vec<_> = first.iter().map(|first| first.duration_since(start)).collect();
    let [p50, _, max] = summary_us(&waited);
    [&summary_us(late)[..], &[p50, max]].concat()
}

const fn blocking<const TOLD: bool>() -> [Entry; 6] {
    [
        entry(Peer::Ours, blocking_threads::<Ours, TOLD>),
        entry(Peer::Std, blocking_threads::<Std, TOLD>),
        entry(Peer::Tokio, blocking_futures::<Tokio, TOLD>),
        entry(Peer::Smol, blocking_futures::<Smol, TOLD>),
        entry(Peer::May, blocking_threads::<May, TOLD>),
        GO,
    ]
}

const HOGS: &[Entry] = &[
    entry(Peer::Ours, hogs_threads::<Ours>),
    entry(Peer::Std, hogs_threads::<Std>),
    entry(Peer::Tokio, hogs_futures::<Tokio>),
    entry(Peer::Smol, hogs_futures::<Smol>),
    entry(Peer::May, hogs_threads::<May>),
    GO,
];

const fn lateness(p50_us_max: f64) -> [Metric; 5] {
    [
        metric("ticker late p50", "µs", Max(p50_us_max)).aim(Max(100.0)).plotted(),
        metric("ticker late p99", "µs", None),
        metric("ticker late max", "µs", None),
        metric("first run p50", "µs", None),
        metric("first run max", "µs", None),
    ]
}

const TOTALS: &[Metric] = &[
    metric("total", "ms", Max(30.0)).aim(Max(15.0)).plotted(),
    metric("ticker late p50", "µs", None),
    metric("ticker late p99", "µs", None),
    metric("ticker late max", "µs", None),
];

pub(crate) const ROWS: &[Row] = &[
    row("blocking_raw", "100 × 10 ms blocking, untold", 1, 100, TOTALS, &blocking::<false>()),
    row("blocking_told", "100 × 10 ms blocking, told", 1, 100, TOTALS, &blocking::<true>()),
    row("hogs_2", "2 hogs + 1 ms ticker", 2, 2, &lateness(500.0), HOGS),
    row("hogs_16", "16 hogs + 1 ms ticker", 2, 16, &lateness(1_000.0), HOGS),
    row("hogs_64", "64 hogs + 1 ms ticker", 2, 64, &lateness(3_000.0), HOGS),
    row("hogs_256", "256 hogs + 1 ms ticker", 2, 256, &lateness(10_000.0), HOGS),
];

const fn row(
    name: &'static str,
    about: &'static str,
    processors: usize,
    size: u64,
    metrics: &'static [Metric],
    entries: &'static [Entry],
) -> Row {
    Row { name, about, processors, size, quick_size: size, criterion_ops: 0, metrics, entries }
}
