//! What does a thread cost, from `spawn` to the end of `join`?

use std::pin::Pin;

use crate::harness::Bound::{BestPeer, Max};
use crate::harness::{
    Cell, Entry, GO, Metric, Peer, Row, entry, metric, per_op_futures, per_op_threads,
};
use crate::peers::{Futures, May, Ours, Smol, Std, Threads, Tokio};

const BATCH: u64 = 10_000;
const DEPTH: u64 = 100;

fn one_threads<P: Threads>(cell: &Cell) -> Vec<f64> {
    per_op_threads::<P>(cell, 1, |n| {
        for _ in 0..n {
            P::join(P::spawn(|| ()));
        }
    })
}

fn one_futures<P: Futures>(cell: &Cell) -> Vec<f64> {
    per_op_futures::<P, _>(cell, 1, |n| async move {
        for _ in 0..n {
            P::spawn(async {}).await;
        }
    })
}

fn batch_threads<P: Threads>(cell: &Cell) -> Vec<f64> {
    per_op_threads::<P>(cell, BATCH, |n| {
        for _ in 0..n {
            let handles: Vec<_> = (0..BATCH).map(|_| P::spawn(|| ())).collect();
            handles.into_iter().for_each(P::join);
        }
    })
}

fn batch_futures<P: Futures>(cell: &Cell) -> Vec<f64> {
    per_op_futures::<P, _>(cell, BATCH, |n| async move {
        for _ in 0..n {
            let handles: Vec<_> = (0..BATCH).map(|_| P::spawn(async {})).collect();
            for handle in handles {
                handle.await;
            }
        }
    })
}

/// Each thread spawns the next one and joins it.
fn chain_threads<P: Threads>(depth: u64) {
    if depth > 0 {
        P::join(P::spawn(move || chain_threads::<P>(depth - 1)));
    }
}

fn chain_futures<P: Futures>(depth: u64) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        if depth > 0 {
            P::spawn(chain_futures::<P>(depth - 1)).await;
        }
    })
}

fn nested_threads<P: Threads>(cell: &Cell) -> Vec<f64> {
    per_op_threads::<P>(cell, DEPTH, |n| (0..n).for_each(|_| chain_threads::<P>(DEPTH)))
}

fn nested_futures<P: Futures>(cell: &Cell) -> Vec<f64> {
    per_op_futures::<P, _>(cell, DEPTH, |n| async move {
        for _ in 0..n {
            chain_futures::<P>(DEPTH).await;
        }
    })
}

const ONE: &[Entry] = &[
    entry(Peer::Ours, one_threads::<Ours>),
    entry(Peer::Std, one_threads::<Std>).share(40),
    entry(Peer::Tokio, one_futures::<Tokio>),
    entry(Peer::Smol, one_futures::<Smol>),
    entry(Peer::May, one_threads::<May>).share(20),
    GO,
];
const BATCHES: &[Entry] = &[
    entry(Peer::Ours, batch_threads::<Ours>),
    entry(Peer::Std, batch_threads::<Std>).share(100),
    entry(Peer::Tokio, batch_futures::<Tokio>),
    entry(Peer::Smol, batch_futures::<Smol>),
    entry(Peer::May, batch_threads::<May>).share(20),
    GO,
];
const NESTED: &[Entry] = &[
    entry(Peer::Ours, nested_threads::<Ours>),
    entry(Peer::Std, nested_threads::<Std>).share(100),
    entry(Peer::Tokio, nested_futures::<Tokio>),
    entry(Peer::Smol, nested_futures::<Smol>),
    entry(Peer::May, nested_threads::<May>).share(20),
    GO,
];
const PER_THREAD: &[Metric] = &[metric("each", "ns", BestPeer)];
const PER_THREAD_BATCH: &[Metric] = &[metric("each", "ns", BestPeer).aim(Max(120.0)).plotted()];

pub(crate) const ROWS: &[Row] = &[
    row("spawn_batch_w1", BATCH_ABOUT, 1, (100, 2, BATCH), PER_THREAD_BATCH, BATCHES),
    row("spawn_batch_w2", BATCH_ABOUT, 2, (100, 2, BATCH), PER_THREAD_BATCH, BATCHES),
    row("spawn_one_w1", ONE_ABOUT, 1, (400_000, 4_000, 1), PER_THREAD, ONE),
    row("spawn_one_w2", ONE_ABOUT, 2, (400_000, 4_000, 1), PER_THREAD, ONE),
    row("spawn_nested_w1", NESTED_ABOUT, 1, (4_000, 100, DEPTH), PER_THREAD, NESTED),
    row("spawn_nested_w2", NESTED_ABOUT, 2, (4_000, 100, DEPTH), PER_THREAD, NESTED),
];

const BATCH_ABOUT: &str = "spawn + join, 10,000 at a time";
const ONE_ABOUT: &str = "spawn + join, one at a time";
const NESTED_ABOUT: &str = "spawn + join, nested 100 deep";

const fn row(
    name: &'static str,
    about: &'static str,
    processors: usize,
    (size, quick_size, criterion_ops): (u64, u64, u64),
    metrics: &'static [Metric],
    entries: &'static [Entry],
) -> Row {
    Row { name, about, processors, size, quick_size, criterion_ops, metrics, entries }
}
