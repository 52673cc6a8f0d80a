//! What does it cost to go from one thread to another and nothing else?
//!
//! Two threads on one processor yield to each other: a trip through the run
//! queue and a switch of stack and thread pointer per yield.

use super::yielding::{crowd_futures, crowd_threads};
use crate::harness::Bound::BestPeer;
use crate::harness::{GO, Peer, Row, entry, metric};
use crate::peers::{May, Ours, Smol, Std, Tokio};

pub(crate) const ROWS: &[Row] = &[Row {
    name: "switch_w1",
    about: "two threads yield to each other",
    processors: 1,
    size: 1_000_000,
    quick_size: 20_000,
    criterion_ops: 2,
    metrics: &[metric("one way", "ns", BestPeer).plotted()],
    entries: &[
        entry(Peer::Ours, crowd_threads::<Ours, 2>),
        entry(Peer::Std, crowd_threads::<Std, 2>).share(4),
        entry(Peer::Tokio, crowd_futures::<Tokio, 2>),
        entry(Peer::Smol, crowd_futures::<Smol, 2>),
        entry(Peer::May, crowd_threads::<May, 2>),
        GO,
    ],
}];
