//! A ticker: a thread that wants to run each millisecond, and how late it was.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::peers::{Futures, Threads};

const PERIOD: Duration = Duration::from_millis(1);

/// The schedule is fixed at the start: a ticker that was kept away for 50 ms
/// was late 50 times, not once (no coordinated omission).
#[derive(Clone, Debug)]
pub(crate) struct Ticker {
    start: Instant,
    /// Nanoseconds from `start` to the end; `u64::MAX` until it is known.
    end_ns: Arc<AtomicU64>,
}

impl Ticker {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), end_ns: Arc::new(AtomicU64::new(u64::MAX)) }
    }

    /// No tick after now counts.
    pub(crate) fn stop(&self) {
        // ORDERING: Relaxed; the word itself is the message, joins order the rest.
        self.end_ns.store(self.start.elapsed().as_nanos() as u64, Ordering::Relaxed);
    }

    /// How long until the tick after `ticks`; `None` when the ticker is to end.
    fn wait(&self, ticks: usize) -> Option<Duration> {
        let due = PERIOD * (ticks as u32 + 1);
        // ORDERING: Relaxed; see `stop`.
        let end = Duration::from_nanos(self.end_ns.load(Ordering::Relaxed));
        (due <= end).then(|| due.saturating_sub(self.start.elapsed()))
    }

    fn late(&self, ticks: usize) -> Duration {
        self.start.elapsed().saturating_sub(PERIOD * (ticks as u32 + 1))
    }

    /// Ticks until stopped; returns how late each tick was.
    pub(crate) fn run_threads<P: Threads>(&self) -> Vec<Duration> {
        let mut late = Vec::with_capacity(8_192);
        while let Some(wait) = self.wait(late.len()) {
            if !wait.is_zero() {
                P::sleep(wait);
            }
            late.push(self.late(late.len()));
        }
        late
    }

    pub(crate) async fn run_futures<P: Futures>(&self) -> Vec<Duration> {
        let mut late = Vec::with_capacity(8_192);
        while let Some(wait) = self.wait(late.len()) {
            if !wait.is_zero() {
                P::sleep(wait).await;
            }
            late.push(self.late(late.len()));
        }
        late
    }
}

/// p50, p99 and maximum, in microseconds.
pub(crate) fn summary_us(samples: &[Duration]) -> [f64; 3] {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    let at = |share: f64| {
        let index = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
        sorted.get(index).map_or(f64::NAN, |d| d.as_nanos() as f64 / 1e3)
    };
    [at(0.5), at(0.99), at(1.0)]
}
