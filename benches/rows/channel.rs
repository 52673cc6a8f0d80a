//! What does a message cost, from hand to hand, through a buffer, chosen by a select?

use crate::harness::Bound::{BestPeer, Max};
use crate::harness::{Cell, Entry, GO, Metric, Peer, Row, entry, metric};
use crate::harness::{per_op_futures, per_op_threads};
use crate::peers::{Futures, Ours, Smol, Std, Threads, Tokio};

/// Channels of numbers, for threads that block. OS threads use crossbeam-channel's.
trait Channels: Threads {
    type Sender: Clone + Send + 'static;
    type Receiver: Clone + Send + 'static;

    fn channel(capacity: Option<usize>) -> (Self::Sender, Self::Receiver);
    fn send(s: &Self::Sender, value: u64);
    /// `None` at the end.
    fn recv(r: &Self::Receiver) -> Option<u64>;
    fn select(r: &[Self::Receiver; 4]) -> Option<u64>;
}

const OPEN: &str = "the workload keeps it open";

impl Channels for Ours {
    type Sender = gthread::channel::Sender<u64>;
    type Receiver = gthread::channel::Receiver<u64>;

    fn channel(capacity: Option<usize>) -> (Self::Sender, Self::Receiver) {
        capacity.map_or_else(gthread::channel::unbounded, gthread::channel::bounded)
    }
    fn send(s: &Self::Sender, value: u64) {
        s.send(value).expect(OPEN);
    }
    fn recv(r: &Self::Receiver) -> Option<u64> {
        r.recv().ok()
    }
    fn select([a, b, c, d]: &[Self::Receiver; 4]) -> Option<u64> {
        gthread::select! {
            recv(a) -> value => value.ok(),
            recv(b) -> value => value.ok(),
            recv(c) -> value => value.ok(),
            recv(d) -> value => value.ok(),
        }
    }
}

impl Channels for Std {
    type Sender = crossbeam_channel::Sender<u64>;
    type Receiver = crossbeam_channel::Receiver<u64>;

    fn channel(capacity: Option<usize>) -> (Self::Sender, Self::Receiver) {
        capacity.map_or_else(crossbeam_channel::unbounded, crossbeam_channel::bounded)
    }
    fn send(s: &Self::Sender, value: u64) {
        s.send(value).expect(OPEN);
    }
    fn recv(r: &Self::Receiver) -> Option<u64> {
        r.recv().ok()
    }
    fn select([a, b, c, d]: &[Self::Receiver; 4]) -> Option<u64> {
        crossbeam_channel::select! {
            recv(a) -> value => value.ok(),
            recv(b) -> value => value.ok(),
            recv(c) -> value => value.ok(),
            recv(d) -> value => value.ok(),
        }
    }
}

/// What stands for "unbounded" in the constants of the rows.
const UNBOUNDED: usize = usize::MAX;

fn capacity(constant: usize) -> Option<usize> {
    (constant != UNBOUNDED).then_some(constant)
}

/// A round trip over two channels.
fn pingpong<P: Channels, const CAPACITY: usize>(cell: &Cell) -> Vec<f64> {
    per_op_threads::<P>(cell, 1, |n| {
        let (ping, pinged) = P::channel(capacity(CAPACITY));
        let (pong, ponged) = P::channel(capacity(CAPACITY));
        let partner = P::spawn(move || {
            while let Some(value) = P::recv(&pinged) {
                P::send(&pong, value);
            }
        });
        for i in 0..n {
            P::send(&ping, i);
            P::recv(&ponged);
        }
        drop(ping);
        P::join(partner);
    })
}

/// So many senders and as many receivers share a channel.
fn stream<P: Channels, const SIDES: u64, const CAPACITY: usize>(cell: &Cell) -> Vec<f64> {
    per_op_threads::<P>(cell, 1, |n| {
        let (s, r) = P::channel(capacity(CAPACITY));
        let mut handles = Vec::new();
        for _ in 0..SIDES {
            let (s, r) = (s.clone(), r.clone());
            handles.push(P::spawn(move || (0..n / SIDES).for_each(|i| P::send(&s, i))));
            handles.push(P::spawn(move || while P::recv(&r).is_some() {}));
        }
        drop((s, r));
        handles.into_iter().for_each(P::join);
    })
}

/// Four senders with a rendezvous channel each, one receiver that selects over them.
fn select<P: Channels>(cell: &Cell) -> Vec<f64> {
    per_op_threads::<P>(cell, 1, |n| {
        let channels = [(); 4].map(|()| P::channel(Some(0)));
        let receivers = channels.each_ref().map(|(_, r)| r.clone());
        let senders = channels.map(|(s, r)| {
            P::spawn(move || {
                (0..n / 4).for_each(|i| P::send(&s, i));
                (s, r)
            })
        });
        (0..n / 4 * 4).for_each(|_| assert!(P::select(&receivers).is_some()));
        senders.into_iter().for_each(|sender| drop(P::join(sender)));
    })
}

/// The channels of futures: smol's, on any runtime. They have no rendezvous: a capacity of 1
/// stands in for 0.
fn channel(capacity: usize) -> (smol::channel::Sender<u64>, smol::channel::Receiver<u64>) {
    match capacity {
        UNBOUNDED => smol::channel::unbounded(),
        bounded => smol::channel::bounded(bounded.max(1)),
    }
}

fn pingpong_futures<P: Futures, const CAPACITY: usize>(cell: &Cell) -> Vec<f64> {
    per_op_futures::<P, _>(cell, 1, |n| async move {
        let (ping, pinged) = channel(CAPACITY);
        let (pong, ponged) = channel(CAPACITY);
        let partner = P::spawn(async move {
            while let Ok(value) = pinged.recv().await {
                pong.send(value).await.expect(OPEN);
            }
        });
        for i in 0..n {
            ping.send(i).await.expect(OPEN);
            ponged.recv().await.expect(OPEN);
        }
        drop(ping);
        partner.await;
    })
}

fn stream_futures<P: Futures, const SIDES: u64, const CAPACITY: usize>(cell: &Cell) -> Vec<f64> {
    per_op_futures::<P, _>(cell, 1, |n| async move {
        let (s, r) = channel(CAPACITY);
        let mut handles = Vec::new();
        for _ in 0..SIDES {
            let (s, r) = (s.clone(), r.clone());
            handles.push(P::spawn(async move {
                for i in 0..n / SIDES {
                    s.send(i).await.expect(OPEN);
                }
            }));
            handles.push(P::spawn(async move { while r.recv().await.is_ok() {} }));
        }
        drop((s, r));
        for handle in handles {
            handle.await;
        }
    })
}

fn select_futures<P: Futures>(cell: &Cell) -> Vec<f64> {
    per_op_futures::<P, _>(cell, 1, |n| async move {
        let channels = [(); 4].map(|()| channel(0));
        let [a, b, c, d] = channels.each_ref().map(|(_, r)| r.clone());
        let senders = channels.map(|(s, r)| {
            P::spawn(async move {
                for i in 0..n / 4 {
                    s.send(i).await.expect(OPEN);
                }
                (s, r)
            })
        });
        for _ in 0..n / 4 * 4 {
            let value = tokio::select! {
                value = a.recv() => value,
                value = b.recv() => value,
                value = c.recv() => value,
                value = d.recv() => value,
            };
            value.expect(OPEN);
        }
        for sender in senders {
            sender.await;
        }
    })
}

const fn pingpong_entries<const CAPACITY: usize>() -> [Entry; 5] {
    [
        entry(Peer::Ours, pingpong::<Ours, CAPACITY>),
        entry(Peer::Std, pingpong::<Std, CAPACITY>).share(20),
        entry(Peer::Tokio, pingpong_futures::<Tokio, CAPACITY>),
        entry(Peer::Smol, pingpong_futures::<Smol, CAPACITY>),
        GO,
    ]
}

/// Without Go, which has no unbounded channels.
const fn unbounded_entries<const SIDES: u64>() -> [Entry; 4] {
    without_go::<SIDES, UNBOUNDED>()
}

const fn stream_entries<const SIDES: u64, const CAPACITY: usize>() -> [Entry; 5] {
    let [ours, std, tokio, smol] = without_go::<SIDES, CAPACITY>();
    [ours, std, tokio, smol, GO]
}

const fn without_go<const SIDES: u64, const CAPACITY: usize>() -> [Entry; 4] {
    [
        entry(Peer::Ours, stream::<Ours, SIDES, CAPACITY>),
        entry(Peer::Std, stream::<Std, SIDES, CAPACITY>),
        entry(Peer::Tokio, stream_futures::<Tokio, SIDES, CAPACITY>),
        entry(Peer::Smol, stream_futures::<Smol, SIDES, CAPACITY>),
    ]
}

const SELECT: &[Entry] = &[
    entry(Peer::Ours, select::<Ours>),
    entry(Peer::Std, select::<Std>).share(4),
    entry(Peer::Tokio, select_futures::<Tokio>),
    entry(Peer::Smol, select_futures::<Smol>),
    GO,
];

const PINGPONG_0: &[Entry] = &pingpong_entries::<0>();
const PINGPONG_1: &[Entry] = &pingpong_entries::<1>();
const SPSC_0: &[Entry] = &stream_entries::<1, 0>();
const SPSC_1: &[Entry] = &stream_entries::<1, 1>();
const SPSC_128: &[Entry] = &stream_entries::<1, 128>();
const SPSC_1024: &[Entry] = &stream_entries::<1, 1024>();
const SPSC_UNBOUNDED: &[Entry] = &unbounded_entries::<1>();
const MPMC_0: &[Entry] = &stream_entries::<4, 0>();
const MPMC_1: &[Entry] = &stream_entries::<4, 1>();
const MPMC_128: &[Entry] = &stream_entries::<4, 128>();
const MPMC_1024: &[Entry] = &stream_entries::<4, 1024>();
const MPMC_UNBOUNDED: &[Entry] = &unbounded_entries::<4>();

const TRIP: &[Metric] = &[metric("round trip", "ns", BestPeer).aim(Max(120.0)).plotted()];
const MESSAGE: &[Metric] = &[metric("message", "ns", BestPeer)];
const MESSAGE_26: &[Metric] = &[metric("message", "ns", BestPeer).aim(Max(26.0)).plotted()];

const SMALL: u64 = 400_000;
const LARGE: u64 = 4_000_000;

pub(crate) const ROWS: &[Row] = &[
    row("chan_pingpong_0_w1", "channel ping-pong, rendezvous", 1, SMALL, TRIP, PINGPONG_0),
    row("chan_pingpong_0_w2", "channel ping-pong, rendezvous", 2, SMALL, TRIP, PINGPONG_0),
    row("chan_pingpong_1_w1", "channel ping-pong, capacity 1", 1, SMALL, TRIP, PINGPONG_1),
    row("chan_pingpong_1_w2", "channel ping-pong, capacity 1", 2, SMALL, TRIP, PINGPONG_1),
    row("chan_spsc_0_w2", "channel 1+1, rendezvous", 2, SMALL, MESSAGE, SPSC_0),
    row("chan_spsc_1_w2", "channel 1+1, capacity 1", 2, SMALL, MESSAGE, SPSC_1),
    row("chan_spsc_128_w2", "channel 1+1, capacity 128", 2, LARGE, MESSAGE, SPSC_128),
    row("chan_spsc_1024_w2", "channel 1+1, capacity 1024", 2, LARGE, MESSAGE, SPSC_1024),
    row("chan_spsc_unb_w2", "channel 1+1, unbounded", 2, LARGE, MESSAGE, SPSC_UNBOUNDED),
    row("chan_mpmc_0_w2", "channel 4+4, rendezvous", 2, SMALL, MESSAGE, MPMC_0),
    row("chan_mpmc_1_w2", "channel 4+4, capacity 1", 2, SMALL, MESSAGE, MPMC_1),
    row("chan_mpmc_128_w1", "channel 4+4, capacity 128", 1, LARGE, MESSAGE_26, MPMC_128),
    row("chan_mpmc_128_w2", "channel 4+4, capacity 128", 2, LARGE, MESSAGE_26, MPMC_128),
    row("chan_mpmc_1024_w2", "channel 4+4, capacity 1024", 2, LARGE, MESSAGE, MPMC_1024),
    row("chan_mpmc_unb_w2", "channel 4+4, unbounded", 2, LARGE, MESSAGE, MPMC_UNBOUNDED),
    row("chan_select_4_w1", "select over 4 rendezvous channels", 1, SMALL, MESSAGE, SELECT),
    row("chan_select_4_w2", "select over 4 rendezvous channels", 2, SMALL, MESSAGE, SELECT),
];

const fn row(
    name: &'static str,
    about: &'static str,
    processors: usize,
    size: u64,
    metrics: &'static [Metric],
    entries: &'static [Entry],
) -> Row {
    Row { name, about, processors, size, quick_size: 4000, criterion_ops: 1, metrics, entries }
}
