//! What does it cost to wake a parked thread and be woken by it?

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use crate::harness::Bound::{BestPeer, Max};
use crate::harness::{Cell, Entry, GO, Metric, Peer, Row, entry, metric};
use crate::harness::{per_op_futures, per_op_threads};
use crate::peers::{Futures, May, Ours, Smol, Std, Threads, Tokio};

fn threads<P: Threads>(cell: &Cell) -> Vec<f64> {
    turns::<P>(cell, P::park)
}

/// Two threads park, by `park`, and unpark each other in turn.
pub(super) fn turns<P: Threads>(cell: &Cell, park: fn()) -> Vec<f64> {
    per_op_threads::<P>(cell, 1, move |n| {
        let ball = Arc::new(AtomicBool::new(false));
        let here = P::current();
        let partner = P::spawn({
            let ball = Arc::clone(&ball);
            move || {
                for _ in 0..n {
                    wait_for(&ball, true, park);
                    // ORDERING: Release and the Acquire of `wait_for` hand the turn over.
                    ball.store(false, Ordering::Release);
                    P::unpark(&here);
                }
            }
        });
        let there = P::thread(&partner);
        for _ in 0..n {
            // ORDERING: as above.
            ball.store(true, Ordering::Release);
            P::unpark(&there);
            wait_for(&ball, false, park);
        }
        P::join(partner);
    })
}

fn wait_for(ball: &AtomicBool, side: bool, park: fn()) {
    // ORDERING: Acquire; pairs with the partner's Release store of the same word.
    while ball.load(Ordering::Acquire) != side {
        park();
    }
}

/// Futures have no `park`; `Notify` keeps one permit as `unpark` does, and
/// depends on no runtime.
fn futures<P: Futures>(cell: &Cell) -> Vec<f64> {
    per_op_futures::<P, _>(cell, 1, |n| async move {
        let (ping, pong) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let partner = P::spawn({
            let (ping, pong) = (Arc::clone(&ping), Arc::clone(&pong));
            async move {
                for _ in 0..n {
                    ping.notified().await;
                    pong.notify_one();
                }
            }
        });
        for _ in 0..n {
            ping.notify_one();
            pong.notified().await;
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
    GO,
];
const METRICS: &[Metric] = &[metric("round trip", "ns", BestPeer).aim(Max(120.0)).plotted()];

pub(crate) const ROWS: &[Row] = &[row("park_pingpong_w1", 1), row("park_pingpong_w2", 2)];

const fn row(name: &'static str, processors: usize) -> Row {
    Row {
        name,
        about: "park + unpark ping-pong",
        processors,
        size: 400_000,
        quick_size: 10_000,
        criterion_ops: 1,
        metrics: METRICS,
        entries: ENTRIES,
    }
}
