//! What does a deadline cost that does not come: arming it and taking it back?

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::harness::Bound::BestPeer;
use crate::harness::{Cell, Entry, Metric, Peer, Row, entry, metric, per_op_futures};
use crate::peers::{Futures, May, Ours, Smol, Std, Threads, Tokio};

/// Long enough never to come.
const FAR: Duration = Duration::from_secs(3_600);

/// Two threads wake each other in turn; each wait has a deadline.
fn threads<P: Threads>(cell: &Cell) -> Vec<f64> {
    super::park_pingpong::turns::<P>(cell, || P::park_timeout(FAR))
}

/// The same in futures: `timeout` around what `park_pingpong` waits for.
fn futures<P: Futures>(cell: &Cell) -> Vec<f64> {
    per_op_futures::<P, _>(cell, 1, |n| async move {
        let (ping, pong) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let partner = P::spawn({
            let (ping, pong) = (Arc::clone(&ping), Arc::clone(&pong));
            async move {
                for _ in 0..n {
                    P::timeout(FAR, ping.notified()).await;
                    pong.notify_one();
                }
            }
        });
        for _ in 0..n {
            ping.notify_one();
            P::timeout(FAR, pong.notified()).await;
        }
        partner.await;
    })
}

const ENTRIES: &[Entry] = &[
    entry(Peer::Ours, threads::<Ours>),
    entry(Peer::Std, threads::<Std>).share(20),
    entry(Peer::Tokio, futures::<Tokio>),
    entry(Peer::Smol, futures::<Smol>),
    entry(Peer::May, threads::<May>),
];
const METRICS: &[Metric] = &[metric("round trip", "ns", BestPeer).plotted()];

pub(crate) const ROWS: &[Row] = &[row("timed_pingpong_w1", 1), row("timed_pingpong_w2", 2)];

const fn row(name: &'static str, processors: usize) -> Row {
    Row {
        name,
        about: "ping-pong, each wait with a deadline",
        processors,
        size: 400_000,
        quick_size: 10_000,
        criterion_ops: 1,
        metrics: METRICS,
        entries: ENTRIES,
    }
}
