//! What does a deadline cost that does not come: arming it and taking it back?

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::harness::Bound::BestPeer;
use crate::harness::{Cell, Entry, Metric, Peer, Row, entry, metric};
use crate::harness::{per_op_futures, per_op_threads};
use crate::peers::{Futures, May, Ours, Smol, Std, Threads, Tokio};

/// Long enough never to come.
const FAR: Duration = Duration::from_secs(3_600);

/// Two threads wake each other in turn; each wait has a deadline.
fn threads<P: Threads>(cell: &Cell) -> Vec<f64> {
    per_op_threads::<P>(cell, 1, |n| {
        let ball = Arc::new(AtomicBool::new(false));
        let here = P::current();
        let partner = P::spawn({
            let ball = Arc::clone(&ball);
            move || {
                for _ in 0..n {
                    wait_for::<P>(&ball, true);
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
            wait_for::<P>(&ball, false);
        }
        P::join(partner);
    })
}

fn wait_for<P: Threads>(ball: &AtomicBool, side: bool) {
    // ORDERING: Acquire; pairs with the partner's Release store of the same word.
    while ball.load(Ordering::Acquire) != side {
        P::park_timeout(FAR);
    }
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
