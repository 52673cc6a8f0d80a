//! What does it cost to lock, alone and beside others?
//!
//! Each peer with its own locks; OS threads with those of `std`, and with parking_lot's.

use std::sync::Arc;

use crate::harness::Bound::{BestPeer, None};
use crate::harness::{Cell, Entry, Metric, Peer, Row, entry, metric};
use crate::harness::{per_op_futures, per_op_threads};
use crate::peers::{Futures, May, Ours, Std, Threads, Tokio};

/// Eight threads with so many operations each, or one.
fn users<P: Threads, const USERS: u64>(n: u64, operation: impl Fn() + Clone + Send + 'static) {
    let users: Vec<_> = (0..USERS)
        .map(|_| {
            let operation = operation.clone();
            P::spawn(move || (0..n).for_each(|_| operation()))
        })
        .collect();
    users.into_iter().for_each(P::join);
}

/// A number behind a mutex.
trait Counter: Default + Send + Sync + 'static {
    fn add(&self);
}

/// A number behind a reader-writer lock.
trait Shared: Default + Send + Sync + 'static {
    fn read(&self) -> u64;
    fn add(&self);
}

/// A turn that two threads give each other.
trait Turns: Default + Send + Sync + 'static {
    /// Waits for the turn of `side`, and gives it to the other.
    fn pass(&self, side: bool);
}

const PLAIN: &str = "nothing panics under the lock";

impl Counter for gthread::sync::Mutex<u64> {
    fn add(&self) {
        *self.lock() += 1;
    }
}

impl Counter for parking_lot::Mutex<u64> {
    fn add(&self) {
        *self.lock() += 1;
    }
}

impl Counter for std::sync::Mutex<u64> {
    fn add(&self) {
        *self.lock().expect(PLAIN) += 1;
    }
}

impl Counter for may::sync::Mutex<u64> {
    fn add(&self) {
        *self.lock().expect(PLAIN) += 1;
    }
}

impl Shared for gthread::sync::RwLock<u64> {
    fn read(&self) -> u64 {
        *self.read()
    }
    fn add(&self) {
        *self.write() += 1;
    }
}

impl Shared for parking_lot::RwLock<u64> {
    fn read(&self) -> u64 {
        *self.read()
    }
    fn add(&self) {
        *self.write() += 1;
    }
}

impl Shared for std::sync::RwLock<u64> {
    fn read(&self) -> u64 {
        *self.read().expect(PLAIN)
    }
    fn add(&self) {
        *self.write().expect(PLAIN) += 1;
    }
}

impl Shared for may::sync::RwLock<u64> {
    fn read(&self) -> u64 {
        *self.read().expect(PLAIN)
    }
    fn add(&self) {
        *self.write().expect(PLAIN) += 1;
    }
}

#[derive(Default)]
struct OurTurns(gthread::sync::Mutex<bool>, gthread::sync::Condvar);

impl Turns for OurTurns {
    fn pass(&self, side: bool) {
        let mut turn = self.0.lock();
        self.1.wait_while(&mut turn, |turn| *turn != side);
        *turn = !side;
        self.1.notify_one();
    }
}

#[derive(Default)]
struct ParkingTurns(parking_lot::Mutex<bool>, parking_lot::Condvar);

impl Turns for ParkingTurns {
    fn pass(&self, side: bool) {
        let mut turn = self.0.lock();
        self.1.wait_while(&mut turn, |turn| *turn != side);
        *turn = !side;
        self.1.notify_one();
    }
}

#[derive(Default)]
struct StdTurns(std::sync::Mutex<bool>, std::sync::Condvar);

impl Turns for StdTurns {
    fn pass(&self, side: bool) {
        let turn = self.0.lock().expect(PLAIN);
        let mut turn = self.1.wait_while(turn, |turn| *turn != side).expect(PLAIN);
        *turn = !side;
        self.1.notify_one();
    }
}

#[derive(Default)]
struct MayTurns(may::sync::Mutex<bool>, may::sync::Condvar);

impl Turns for MayTurns {
    fn pass(&self, side: bool) {
        let mut turn = self.0.lock().expect(PLAIN);
        while *turn != side {
            turn = self.1.wait(turn).expect(PLAIN);
        }
        *turn = !side;
        self.1.notify_one();
    }
}

fn mutex<P: Threads, C: Counter, const USERS: u64>(cell: &Cell) -> Vec<f64> {
    per_op_threads::<P>(cell, USERS, |n| {
        let counter = Arc::new(C::default());
        users::<P, USERS>(n, move || counter.add());
    })
}

/// One write in eight.
fn rwlock<P: Threads, S: Shared, const USERS: u64>(cell: &Cell) -> Vec<f64> {
    per_op_threads::<P>(cell, USERS, |n| {
        let shared = Arc::new(S::default());
        users::<P, USERS>(n / 8 + 1, move || {
            shared.add();
            (0..7).for_each(|_| {
                std::hint::black_box(shared.read());
            });
        });
    })
}

fn condvar<P: Threads, T: Turns>(cell: &Cell) -> Vec<f64> {
    per_op_threads::<P>(cell, 1, |n| {
        let turns = Arc::new(T::default());
        let other = Arc::clone(&turns);
        let partner = P::spawn(move || (0..n).for_each(|_| other.pass(true)));
        (0..n).for_each(|_| turns.pass(false));
        P::join(partner);
    })
}

/// Eight users of two permits, who let others run while they hold one.
fn semaphore(cell: &Cell) -> Vec<f64> {
    per_op_threads::<Ours>(cell, 8, |n| {
        let semaphore = Arc::new(gthread::sync::Semaphore::new(2));
        users::<Ours, 8>(n, move || {
            let _permit = semaphore.acquire(1);
            Ours::yield_now();
        });
    })
}

fn semaphore_may(cell: &Cell) -> Vec<f64> {
    per_op_threads::<May>(cell, 8, |n| {
        let semaphore = Arc::new(may::sync::Semphore::new(2));
        users::<May, 8>(n, move || {
            semaphore.wait();
            May::yield_now();
            semaphore.post();
        });
    })
}

fn semaphore_futures(cell: &Cell) -> Vec<f64> {
    per_op_futures::<Tokio, _>(cell, 8, |n| async move {
        let semaphore = Arc::new(tokio::sync::Semaphore::new(2));
        let users: Vec<_> = (0..8)
            .map(|_| {
                let semaphore = Arc::clone(&semaphore);
                Tokio::spawn(async move {
                    for _ in 0..n {
                        let _permit = semaphore.acquire().await.expect("it is not closed");
                        Tokio::yield_now().await;
                    }
                })
            })
            .collect();
        for user in users {
            user.await;
        }
    })
}

fn mutex_futures<const USERS: u64>(cell: &Cell) -> Vec<f64> {
    per_op_futures::<Tokio, _>(cell, USERS, |n| async move {
        let counter = Arc::new(tokio::sync::Mutex::new(0_u64));
        let users: Vec<_> = (0..USERS)
            .map(|_| {
                let counter = Arc::clone(&counter);
                Tokio::spawn(async move {
                    for _ in 0..n {
                        *counter.lock().await += 1;
                    }
                })
            })
            .collect();
        for user in users {
            user.await;
        }
    })
}

fn rwlock_futures<const USERS: u64>(cell: &Cell) -> Vec<f64> {
    per_op_futures::<Tokio, _>(cell, USERS, |n| async move {
        let shared = Arc::new(tokio::sync::RwLock::new(0_u64));
        let users: Vec<_> = (0..USERS)
            .map(|_| {
                let shared = Arc::clone(&shared);
                Tokio::spawn(async move {
                    for _ in 0..n / 8 + 1 {
                        *shared.write().await += 1;
                        for _ in 0..7 {
                            std::hint::black_box(*shared.read().await);
                        }
                    }
                })
            })
            .collect();
        for user in users {
            user.await;
        }
    })
}

const fn mutexes<const USERS: u64>() -> [Entry; 5] {
    [
        entry(Peer::Ours, mutex::<Ours, gthread::sync::Mutex<u64>, USERS>),
        entry(Peer::Std, mutex::<Std, std::sync::Mutex<u64>, USERS>),
        entry(Peer::ParkingLot, mutex::<Std, parking_lot::Mutex<u64>, USERS>),
        entry(Peer::Tokio, mutex_futures::<USERS>),
        entry(Peer::May, mutex::<May, may::sync::Mutex<u64>, USERS>).share(4),
    ]
}

const fn rwlocks<const USERS: u64>() -> [Entry; 5] {
    [
        entry(Peer::Ours, rwlock::<Ours, gthread::sync::RwLock<u64>, USERS>),
        entry(Peer::Std, rwlock::<Std, std::sync::RwLock<u64>, USERS>),
        entry(Peer::ParkingLot, rwlock::<Std, parking_lot::RwLock<u64>, USERS>),
        entry(Peer::Tokio, rwlock_futures::<USERS>),
        entry(Peer::May, rwlock::<May, may::sync::RwLock<u64>, USERS>).share(4),
    ]
}

const CONDVARS: &[Entry] = &[
    entry(Peer::Ours, condvar::<Ours, OurTurns>),
    entry(Peer::Std, condvar::<Std, StdTurns>).share(10),
    entry(Peer::ParkingLot, condvar::<Std, ParkingTurns>).share(10),
    entry(Peer::May, condvar::<May, MayTurns>),
];

const SEMAPHORES: &[Entry] = &[
    entry(Peer::Ours, semaphore),
    entry(Peer::Tokio, semaphore_futures),
    entry(Peer::May, semaphore_may),
];

const METRICS: &[Metric] = &[metric("operation", "ns", BestPeer).plotted()];
const ROUND_TRIP: &[Metric] = &[metric("round trip", "ns", BestPeer).plotted()];
const SHOWN: &[Metric] = &[metric("operation", "ns", None)];

pub(crate) const ROWS: &[Row] = &[
    row("mutex_1", "lock and unlock, alone", 1, 4_000_000, METRICS, &mutexes::<1>()),
    row("mutex_8_w1", "lock and unlock, 8 users", 1, 500_000, SHOWN, &mutexes::<8>()),
    row("mutex_8_w2", "lock and unlock, 8 users", 2, 500_000, METRICS, &mutexes::<8>()),
    row("rwlock_1", "read lock, 1 in 8 writes, alone", 1, 4_000_000, METRICS, &rwlocks::<1>()),
    row("rwlock_8_w2", "read lock, 1 in 8 writes, 8 users", 2, 200_000, METRICS, &rwlocks::<8>()),
    row("condvar_w1", "condvar ping-pong", 1, 300_000, ROUND_TRIP, CONDVARS),
    row("condvar_w2", "condvar ping-pong", 2, 300_000, ROUND_TRIP, CONDVARS),
    row("semaphore_w1", "2 permits, 8 users, yield inside", 1, 100_000, METRICS, SEMAPHORES),
    row("semaphore_w2", "2 permits, 8 users, yield inside", 2, 100_000, METRICS, SEMAPHORES),
];

const fn row(
    name: &'static str,
    about: &'static str,
    processors: usize,
    size: u64,
    metrics: &'static [Metric],
    entries: &'static [Entry],
) -> Row {
    Row { name, about, processors, size, quick_size: 2_000, criterion_ops: 1, metrics, entries }
}
