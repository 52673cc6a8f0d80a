//! What does a tree of a million threads cost, each of which joins ten?

use std::pin::Pin;
use std::time::Instant;

use crate::harness::Bound::{BestPeer, Max};
use crate::harness::{Cell, Entry, GO, Metric, Peer, Row, entry, metric};
use crate::peers::{Futures, May, Ours, Smol, Std, Threads, Tokio};

/// The sum of `first .. first + leaves`, by ten threads for a tenth each.
fn tree_threads<P: Threads>(first: u64, leaves: u64) -> u64 {
    if leaves == 1 {
        return first;
    }
    let tenth = leaves / 10;
    let children: Vec<_> =
        (0..10).map(|i| P::spawn(move || tree_threads::<P>(first + i * tenth, tenth))).collect();
    children.into_iter().map(P::join).sum()
}

fn tree_futures<P: Futures>(first: u64, leaves: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move {
        if leaves == 1 {
            return first;
        }
        let tenth = leaves / 10;
        let children: Vec<_> =
            (0..10).map(|i| P::spawn(tree_futures::<P>(first + i * tenth, tenth))).collect();
        let mut sum = 0;
        for child in children {
            sum += child.await;
        }
        sum
    })
}

fn threads<P: Threads>(cell: &Cell) -> Vec<f64> {
    let leaves = cell.size;
    per_thread(
        leaves,
        P::run(cell.processors, move || {
            let start = Instant::now();
            (tree_threads::<P>(0, leaves), start.elapsed())
        }),
    )
}

fn futures<P: Futures>(cell: &Cell) -> Vec<f64> {
    let leaves = cell.size;
    per_thread(
        leaves,
        P::run(cell.processors, async move {
            let start = Instant::now();
            (tree_futures::<P>(0, leaves).await, start.elapsed())
        }),
    )
}

fn per_thread(leaves: u64, (sum, elapsed): (u64, std::time::Duration)) -> Vec<f64> {
    assert_eq!(sum, leaves * (leaves - 1) / 2, "a leaf was lost or counted twice");
    // 10 + 100 + … + leaves threads.
    let spawned = (leaves - 1) / 9 * 10;
    vec![elapsed.as_nanos() as f64 / spawned as f64]
}

const ENTRIES: &[Entry] = &[
    entry(Peer::Ours, threads::<Ours>),
    entry(Peer::Std, threads::<Std>).share(1_000),
    entry(Peer::Tokio, futures::<Tokio>),
    entry(Peer::Smol, futures::<Smol>),
    // At 100,000 leaves may runs into the limit of mappings.
    entry(Peer::May, threads::<May>).share(100),
    GO,
];
const METRICS: &[Metric] = &[metric("each", "ns", BestPeer).aim(Max(400.0)).plotted()];

pub(crate) const ROWS: &[Row] = &[row("skynet_w1", 1), row("skynet_w2", 2)];

const fn row(name: &'static str, processors: usize) -> Row {
    Row {
        name,
        about: "skynet, 1,000,000 leaves",
        processors,
        size: 1_000_000,
        quick_size: 10_000,
        criterion_ops: 0,
        metrics: METRICS,
        entries: ENTRIES,
    }
}
