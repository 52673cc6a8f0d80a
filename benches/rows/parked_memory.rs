//! What does a parked thread keep: memory, page tables, mappings?

use super::parked::{park_futures, park_threads};
use crate::harness::Bound::{Max, None};
use crate::harness::{Cell, Entry, GO, Metric, Peer, Row, entry, metric};
use crate::peers::{Futures, May, Ours, Smol, Std, Threads, Tokio};

fn threads<P: Threads, const STACK_KIB: usize>(cell: &Cell) -> Vec<f64> {
    let count = cell.size;
    P::run(cell.processors, move || {
        park_threads::<P, ()>(count, STACK_KIB * 1024, || ()).values(count)
    })
}

/// Futures have no stack: the same figures stand beside both sizes.
fn futures<P: Futures>(cell: &Cell) -> Vec<f64> {
    let count = cell.size;
    P::run(cell.processors, async move {
        park_futures::<P, (), _>(count, || async {}).await.values(count)
    })
}

/// OS threads and may stop at tens of thousands at the default limits.
const fn all<const STACK_KIB: usize>() -> [Entry; 6] {
    [
        entry(Peer::Ours, threads::<Ours, STACK_KIB>),
        entry(Peer::Std, threads::<Std, STACK_KIB>),
        entry(Peer::Tokio, futures::<Tokio>),
        entry(Peer::Smol, futures::<Smol>),
        entry(Peer::May, threads::<May, STACK_KIB>),
        GO,
    ]
}
const fn light<const STACK_KIB: usize>() -> [Entry; 4] {
    [
        entry(Peer::Ours, threads::<Ours, STACK_KIB>),
        entry(Peer::Tokio, futures::<Tokio>),
        entry(Peer::Smol, futures::<Smol>),
        GO,
    ]
}

/// One name per value of `Crowd::values`; rows show the first of them.
const METRICS: &[Metric] = &[
    metric("resident each", "B", Max(5.0 * 1024.0)).aim(Max(4.2 * 1024.0)),
    metric("page tables each", "B", None),
    metric("mappings", "", Max(99.0)),
];
const METRICS_TIMED: &[Metric] = &[
    metric("resident each", "B", Max(5.0 * 1024.0)).aim(Max(4.2 * 1024.0)).plotted(),
    metric("page tables each", "B", None),
    metric("mappings", "", Max(99.0)),
    metric("spawn each", "ns", None),
    metric("wake + join each", "ns", None),
];

pub(crate) const ROWS: &[Row] = &[
    row("parked_10k_64k", "10,000 parked, 64 KiB stacks", 10_000, METRICS, &all::<64>()),
    row("parked_10k_256k", "10,000 parked, 256 KiB stacks", 10_000, METRICS, &all::<256>()),
    row("parked_100k_64k", "100,000 parked, 64 KiB stacks", 100_000, METRICS, &light::<64>()),
    row("parked_100k_256k", "100,000 parked, 256 KiB stacks", 100_000, METRICS, &light::<256>()),
    row("parked_1m_64k", "1,000,000 parked, 64 KiB", 1_000_000, METRICS_TIMED, &light::<64>()),
    row("parked_1m_256k", "1,000,000 parked, 256 KiB", 1_000_000, METRICS_TIMED, &light::<256>()),
];

const fn row(
    name: &'static str,
    about: &'static str,
    size: u64,
    metrics: &'static [Metric],
    entries: &'static [Entry],
) -> Row {
    let quick_size = size / 100;
    Row { name, about, processors: 2, size, quick_size, criterion_ops: 0, metrics, entries }
}
