//! What do 10,000 parked threads cost while nothing happens?

use std::time::{Duration, Instant};

use super::parked::{park_futures, park_threads};
use crate::harness::Bound::{Max, None};
use crate::harness::{Cell, GO, Peer, Row, entry, metric, os};
use crate::peers::{Futures, May, Ours, Smol, Std, Threads, Tokio};

/// Begins with the pause that lets start-up work end.
const SETTLE: Duration = Duration::from_millis(500);

fn length(cell: &Cell) -> Duration {
    Duration::from_millis(if cell.quick { 300 } else { 3_000 })
}

/// Context switches and microseconds of processor time per second since.
#[derive(Debug)]
struct Since(Instant, (u64, Duration));

impl Since {
    fn now() -> Self {
        Self(Instant::now(), os::usage())
    }

    fn per_second(&self) -> Vec<f64> {
        let (seconds, (switches, time)) = (self.0.elapsed().as_secs_f64(), os::usage());
        let (switches, time) = (switches - self.1.0, time - self.1.1);
        vec![switches as f64 / seconds, time.as_secs_f64() * 1e6 / seconds]
    }
}

fn threads<P: Threads>(cell: &Cell) -> Vec<f64> {
    let (count, length) = (cell.size, length(cell));
    P::run(cell.processors, move || {
        let look = || {
            P::sleep(SETTLE);
            let since = Since::now();
            P::sleep(length);
            since.per_second()
        };
        park_threads::<P, _>(count, 64 * 1024, look).seen
    })
}

fn futures<P: Futures>(cell: &Cell) -> Vec<f64> {
    let (count, length) = (cell.size, length(cell));
    P::run(cell.processors, async move {
        let look = || async {
            P::sleep(SETTLE).await;
            let since = Since::now();
            P::sleep(length).await;
            since.per_second()
        };
        park_futures::<P, _, _>(count, look).await.seen
    })
}

pub(crate) const ROWS: &[Row] = &[Row {
    name: "idle_10k",
    about: "10,000 parked, nothing to do",
    processors: 2,
    size: 10_000,
    quick_size: 1_000,
    criterion_ops: 0,
    metrics: &[
        metric("context switches", "/s", Max(2.0)).aim(Max(0.0)),
        metric("processor time", "µs/s", None),
    ],
    entries: &[
        entry(Peer::Ours, threads::<Ours>),
        entry(Peer::Std, threads::<Std>),
        entry(Peer::Tokio, futures::<Tokio>),
        entry(Peer::Smol, futures::<Smol>),
        entry(Peer::May, threads::<May>),
        GO,
    ],
}];
