//! How late do sleepers wake: many at once, and one with a short sleep?

use std::time::{Duration, Instant};

use super::ticker::summary_us;
use crate::harness::Bound::{BestPeer, Max, None, OfBare};
use crate::harness::os::{self, EmptyEpoll};
use crate::harness::{Cell, Entry, GO, Metric, Peer, Row, entry, metric};
use crate::peers::{Futures, May, Ours, Smol, Std, Threads, Tokio};

/// 500 to 1,500 ms (100 to 200 in a quick run; 5 to 10 s of a million, which take long to start),
/// spread evenly and in no order.
fn length(index: u64, cell: &Cell) -> Duration {
    let (least, spread) = match cell.quick {
        true => (100, 100),
        false if cell.size < 1_000_000 => (500, 1_000),
        false => (5_000, 5_000),
    };
    let share = u128::from(index.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    Duration::from_millis(least) + Duration::from_nanos(((share * spread * 1_000_000) >> 64) as u64)
}

fn many_threads<P: Threads>(cell: &Cell) -> Vec<f64> {
    let (count, cell) = (cell.size, *cell);
    P::run(cell.processors, move || {
        let sleeper = |length: Duration| {
            move || {
                let start = Instant::now();
                P::sleep(length);
                start.elapsed().saturating_sub(length)
            }
        };
        let handles: Vec<_> =
            (0..count).map(|i| P::spawn_sized(64 * 1024, sleeper(length(i, &cell)))).collect();
        let late: Vec<_> = handles.into_iter().map(P::join).collect();
        summary_us(&late)[..2].to_vec()
    })
}

fn many_futures<P: Futures>(cell: &Cell) -> Vec<f64> {
    let (count, cell) = (cell.size, *cell);
    P::run(cell.processors, async move {
        let sleeper = |length: Duration| async move {
            let start = Instant::now();
            P::sleep(length).await;
            start.elapsed().saturating_sub(length)
        };
        let handles: Vec<_> = (0..count).map(|i| P::spawn(sleeper(length(i, &cell)))).collect();
        let mut late = Vec::with_capacity(count as usize);
        for handle in handles {
            late.push(handle.await);
        }
        summary_us(&late)[..2].to_vec()
    })
}

const SHORT: Duration = Duration::from_micros(50);

/// How late each of `count` short sleeps ended, one after the other.
fn short_sleeps(count: u64, mut sleep: impl FnMut(Duration)) -> Vec<f64> {
    let once = |_| {
        let start = Instant::now();
        sleep(SHORT);
        start.elapsed().saturating_sub(SHORT)
    };
    let late: Vec<_> = (0..count).map(once).collect();
    summary_us(&late)[..2].to_vec()
}

fn short_threads<P: Threads>(cell: &Cell) -> Vec<f64> {
    let count = cell.size;
    P::run(cell.processors, move || short_sleeps(count, P::sleep))
}

fn short_futures<P: Futures>(cell: &Cell) -> Vec<f64> {
    let count = cell.size;
    P::run(cell.processors, async move {
        let mut late = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let start = Instant::now();
            P::sleep(SHORT).await;
            late.push(start.elapsed().saturating_sub(SHORT));
        }
        summary_us(&late)[..2].to_vec()
    })
}

/// The kernel's own answer, with the timer slack that a runtime can set.
fn short_bare(cell: &Cell) -> Vec<f64> {
    os::exact_timers();
    let epoll = EmptyEpoll::new();
    short_sleeps(cell.size, |duration| epoll.wait(duration))
}

const TWENTY: &[Entry] = &[
    entry(Peer::Ours, many_threads::<Ours>),
    entry(Peer::Std, many_threads::<Std>).share(10),
    entry(Peer::Tokio, many_futures::<Tokio>),
    entry(Peer::Smol, many_futures::<Smol>),
    entry(Peer::May, many_threads::<May>),
    GO,
];
const HUNDRED: &[Entry] = &[
    entry(Peer::Ours, many_threads::<Ours>),
    entry(Peer::Tokio, many_futures::<Tokio>),
    entry(Peer::Smol, many_futures::<Smol>),
    GO,
];
/// Those that keep so many at once.
const MILLION: &[Entry] = &[
    entry(Peer::Ours, many_threads::<Ours>),
    entry(Peer::Tokio, many_futures::<Tokio>),
    entry(Peer::Smol, many_futures::<Smol>),
    GO,
];
const SHORTS: &[Entry] = &[
    entry(Peer::Ours, short_threads::<Ours>),
    entry(Peer::Std, short_threads::<Std>),
    entry(Peer::Tokio, short_futures::<Tokio>),
    entry(Peer::Smol, short_futures::<Smol>),
    entry(Peer::May, short_threads::<May>),
    GO,
    entry(Peer::Bare, short_bare),
];

const TWENTY_LATE: &[Metric] = &[metric("late p50", "µs", None), metric("late p99", "µs", None)];
const HUNDRED_LATE: &[Metric] = &[
    metric("late p50", "µs", BestPeer).aim(Max(30.0)).plotted(),
    metric("late p99", "µs", BestPeer).aim(Max(1_000.0)).plotted(),
];
const SHORT_LATE: &[Metric] = &[
    metric("late p50", "µs", Max(40.0)).aim(OfBare(1.15)).plotted(),
    metric("late p99", "µs", None),
];

pub(crate) const ROWS: &[Row] = &[
    row("sleepers_20k", "20,000 sleepers", 2, (20_000, 1_000), TWENTY_LATE, TWENTY),
    row("sleepers_100k", "100,000 sleepers", 2, (100_000, 2_000), HUNDRED_LATE, HUNDRED),
    row("sleepers_1m", "1,000,000 sleepers", 2, (1_000_000, 5_000), TWENTY_LATE, MILLION),
    row("sleep_50us", "sleep(50 µs)", 1, (4_000, 200), SHORT_LATE, SHORTS),
];

const fn row(
    name: &'static str,
    about: &'static str,
    processors: usize,
    (size, quick_size): (u64, u64),
    metrics: &'static [Metric],
    entries: &'static [Entry],
) -> Row {
    Row { name, about, processors, size, quick_size, criterion_ops: 0, metrics, entries }
}
