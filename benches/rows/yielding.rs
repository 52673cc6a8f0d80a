//! What does `yield_now` cost, alone and in a crowd?

use crate::harness::Bound::{BestPeer, Max};
use crate::harness::{Cell, Entry, GO, Peer, Row, entry, metric, per_op_futures, per_op_threads};
use crate::peers::{Futures, May, Ours, Smol, Std, Threads, Tokio};

const CROWD: u64 = 1_000;
/// So few that all they touch stays in the first cache.
const FEW_THREADS: u64 = 16;

/// `C` threads yield `n` times each; with two of them each yield is a switch.
pub(crate) fn crowd_threads<P: Threads, const C: u64>(cell: &Cell) -> Vec<f64> {
    per_op_threads::<P>(cell, C, |n| {
        let yields = move || (0..n).for_each(|_| P::yield_now());
        if C == 1 {
            return yields();
        }
        let handles: Vec<_> = (0..C).map(|_| P::spawn(yields)).collect();
        handles.into_iter().for_each(P::join);
    })
}

pub(crate) fn crowd_futures<P: Futures, const C: u64>(cell: &Cell) -> Vec<f64> {
    per_op_futures::<P, _>(cell, C, |n| async move {
        let yields = move || async move {
            for _ in 0..n {
                P::yield_now().await;
            }
        };
        if C == 1 {
            return yields().await;
        }
        let handles: Vec<_> = (0..C).map(|_| P::spawn(yields())).collect();
        for handle in handles {
            handle.await;
        }
    })
}

const ALONE: &[Entry] = &[
    entry(Peer::Ours, crowd_threads::<Ours, 1>),
    entry(Peer::Std, crowd_threads::<Std, 1>),
    entry(Peer::Tokio, crowd_futures::<Tokio, 1>),
    entry(Peer::Smol, crowd_futures::<Smol, 1>),
    entry(Peer::May, crowd_threads::<May, 1>),
    GO,
];
const CROWDED: &[Entry] = &[
    entry(Peer::Ours, crowd_threads::<Ours, CROWD>),
    entry(Peer::Std, crowd_threads::<Std, CROWD>).share(20),
    entry(Peer::Tokio, crowd_futures::<Tokio, CROWD>),
    entry(Peer::Smol, crowd_futures::<Smol, CROWD>),
    entry(Peer::May, crowd_threads::<May, CROWD>),
    GO,
];

const FEW: &[Entry] = &[
    entry(Peer::Ours, crowd_threads::<Ours, FEW_THREADS>),
    entry(Peer::Tokio, crowd_futures::<Tokio, FEW_THREADS>),
    entry(Peer::Smol, crowd_futures::<Smol, FEW_THREADS>),
];

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "yield_1000_w1",
        about: "yield, 1,000 threads",
        processors: 1,
        size: 4_000,
        quick_size: 200,
        criterion_ops: CROWD,
        metrics: &[metric("each", "ns", BestPeer).aim(Max(30.0)).plotted()],
        entries: CROWDED,
    },
    Row {
        name: "yield_16_w1",
        about: "yield, 16 threads",
        processors: 1,
        size: 100_000,
        quick_size: 5_000,
        criterion_ops: FEW_THREADS,
        metrics: &[metric("each", "ns", BestPeer)],
        entries: FEW,
    },
    Row {
        name: "yield_1_w1",
        about: "yield, alone",
        processors: 1,
        size: 1_000_000,
        quick_size: 20_000,
        criterion_ops: 1,
        metrics: &[metric("each", "ns", BestPeer)],
        entries: ALONE,
    },
];
