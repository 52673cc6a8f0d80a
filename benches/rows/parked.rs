//! Parked threads: what each of them keeps in memory.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::harness::os::{self, Memory};
use crate::peers::{Futures, Threads};

/// What a crowd cost while it was parked.
#[derive(Debug)]
pub(crate) struct Crowd<R> {
    pub(crate) before: Memory,
    pub(crate) parked: Memory,
    pub(crate) spawning: Duration,
    pub(crate) waking: Duration,
    /// What the caller found out while everyone was parked.
    pub(crate) seen: R,
}

impl<R> Crowd<R> {
    /// Resident bytes, page-table bytes, mappings, spawn ns, wake ns; all but
    /// the mappings per thread.
    pub(crate) fn values(&self, count: u64) -> Vec<f64> {
        let each = |after: u64, before: u64| after.saturating_sub(before) as f64 / count as f64;
        vec![
            each(self.parked.resident_bytes, self.before.resident_bytes),
            each(self.parked.page_table_bytes, self.before.page_table_bytes),
            self.parked.mappings.saturating_sub(self.before.mappings) as f64,
            self.spawning.as_nanos() as f64 / count as f64,
            self.waking.as_nanos() as f64 / count as f64,
        ]
    }
}

/// Parks `count` threads, calls `look`, wakes and joins them.
pub(crate) fn park_threads<P: Threads, R>(
    count: u64,
    stack_bytes: usize,
    look: impl FnOnce() -> R,
) -> Crowd<R> {
    let before = os::memory();
    let start = Instant::now();
    let arrived = Arc::new(AtomicU64::new(0));
    let awake = Arc::new(AtomicBool::new(false));
    let handles: Vec<_> = (0..count)
        .map(|_| {
            let (arrived, awake) = (Arc::clone(&arrived), Arc::clone(&awake));
            P::spawn_sized(stack_bytes, move || {
                // ORDERING: Relaxed; a count, which publishes nothing.
                arrived.fetch_add(1, Ordering::Relaxed);
                // ORDERING: Relaxed; the joins order what follows.
                while !awake.load(Ordering::Relaxed) {
                    P::park();
                }
            })
        })
        .collect();
    // ORDERING: Relaxed; a count.
    while arrived.load(Ordering::Relaxed) < count {
        P::sleep(Duration::from_millis(1));
    }
    let spawning = start.elapsed();
    P::sleep(Duration::from_millis(100));
    let (parked, seen) = (os::memory(), look());
    let start = Instant::now();
    // ORDERING: Relaxed; `unpark` orders it before the return of `park`.
    awake.store(true, Ordering::Relaxed);
    handles.iter().for_each(|handle| P::unpark(&P::thread(handle)));
    handles.into_iter().for_each(P::join);
    Crowd { before, parked, spawning, waking: start.elapsed(), seen }
}

/// As [`park_threads`] with futures that wait on one `Notify`.
pub(crate) async fn park_futures<P: Futures, R, L>(
    count: u64,
    look: impl FnOnce() -> L + Send,
) -> Crowd<R>
where
    R: Send,
    L: Future<Output = R> + Send,
{
    let before = os::memory();
    let start = Instant::now();
    let arrived = Arc::new(AtomicU64::new(0));
    let awake = Arc::new(Notify::new());
    let handles: Vec<_> = (0..count)
        .map(|_| {
            let (arrived, awake) = (Arc::clone(&arrived), Arc::clone(&awake));
            P::spawn(async move {
                let mut waking = pin!(awake.notified());
                waking.as_mut().enable();
                // ORDERING: Relaxed; a count, which publishes nothing.
                arrived.fetch_add(1, Ordering::Relaxed);
                waking.await;
            })
        })
        .collect();
    // ORDERING: Relaxed; a count.
    while arrived.load(Ordering::Relaxed) < count {
        P::sleep(Duration::from_millis(1)).await;
    }
    let spawning = start.elapsed();
    P::sleep(Duration::from_millis(100)).await;
    let (parked, seen) = (os::memory(), look().await);
    let start = Instant::now();
    awake.notify_waiters();
    for handle in handles {
        handle.await;
    }
    Crowd { before, parked, spawning, waking: start.elapsed(), seen }
}
