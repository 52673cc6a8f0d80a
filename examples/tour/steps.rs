// The steps of the tour, included twice: once with `gthread` as `thread`, once
// with `std::thread`. Nothing here knows which one it is.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// What a crowd of parked threads took.
#[derive(Debug)]
pub(crate) struct Crowd {
    pub(crate) count: usize,
    spawning: Duration,
    waking: Duration,
    bytes: u64,
    /// Why there are no more of them.
    cut_short: Option<io::Error>,
}

/// Spawns threads that park; when all are there, wakes and joins them.
pub(crate) fn crowd(count: usize, progress: impl Fn(usize)) -> io::Result<Crowd> {
    let (arrived, awake) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let before = crate::memory::resident_bytes();
    let start = Instant::now();
    let mut handles = Vec::with_capacity(count);
    let mut cut_short = None;
    for n in 0..count {
        let (arrived, awake) = (Arc::clone(&arrived), Arc::clone(&awake));
        let spawned = thread::Builder::new().stack_size(64 * 1024).spawn(move || {
            arrived.fetch_add(1, Relaxed);
            while !awake.load(Relaxed) {
                thread::park();
            }
        });
        match spawned {
            Ok(handle) => handles.push(handle),
            Err(why) => {
                cut_short = Some(why);
                break;
            }
        }
        if n % 10_000 == 0 {
            progress(n);
        }
    }
    while arrived.load(Relaxed) < handles.len() {
        thread::sleep(Duration::from_millis(1));
    }
    let spawning = start.elapsed();
    let bytes = crate::memory::resident_bytes().saturating_sub(before);

    let start = Instant::now();
    let count = handles.len();
    awake.store(true, Relaxed);
    handles.iter().for_each(|handle| handle.thread().unpark());
    for handle in handles {
        handle.join().map_err(|_| io::Error::other("a thread of the crowd panicked"))?;
    }
    Ok(Crowd { count, spawning, waking: start.elapsed(), bytes, cut_short })
}

impl Crowd {
    pub(crate) fn spawn_each(&self) -> Duration {
        self.spawning.div_f64(self.count.max(1) as f64)
    }

    pub(crate) fn wake_each(&self) -> Duration {
        self.waking.div_f64(self.count.max(1) as f64)
    }

    pub(crate) fn bytes_each(&self) -> f64 {
        self.bytes as f64 / self.count.max(1) as f64
    }
}

impl fmt::Display for Crowd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(why) = &self.cut_short {
            write!(f, "no more than {}: {why}; ", self.count)?;
        }
        let (spawning, waking) = (self.spawning.as_secs_f64(), self.waking.as_secs_f64());
        let mib = self.bytes >> 20;
        write!(
            f,
            "spawned in {spawning:.2} s, parked in {mib} MiB, woken and joined in {waking:.2} s"
        )
    }
}

/// How threads of different manners got on with each other.
#[derive(Debug)]
pub(crate) struct Sharing {
    pub(crate) worst: Duration,
    pub(crate) median: Duration,
    /// Blocking calls that ended.
    pub(crate) calls: usize,
    /// What the compute-bound threads found.
    pub(crate) primes: usize,
}

/// Two threads compute, eight block, none of them yields; one ticks.
pub(crate) fn share(length: Duration) -> Sharing {
    let end = Instant::now() + length;
    thread::scope(|scope| {
        let hogs: Vec<_> = (0..2).map(|_| scope.spawn(|| count_primes(end))).collect();
        let blockers: Vec<_> = (0..8).map(|_| scope.spawn(|| block(end))).collect();
        let mut late = scope.spawn(|| tick(end)).join().expect("the ticker does not panic");
        late.sort_unstable();
        let sum = |counts: Vec<thread::ScopedJoinHandle<'_, usize>>| -> usize {
            let count = |handle: thread::ScopedJoinHandle<'_, usize>| handle.join();
            counts.into_iter().map(|handle| count(handle).expect("no thread here panics")).sum()
        };
        Sharing {
            worst: late.last().copied().unwrap_or_default(),
            median: late.get(late.len() / 2).copied().unwrap_or_default(),
            calls: sum(blockers),
            primes: sum(hogs),
        }
    })
}

fn count_primes(end: Instant) -> usize {
    let is_prime = |n: u64| (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d));
    let ended = |n: u64| n.is_multiple_of(1_000) && Instant::now() >= end;
    (2_u64..).take_while(|&n| !ended(n)).filter(|&n| is_prime(n)).count()
}

/// `std::thread::sleep` blocks the OS thread below, and tells no runtime of it.
fn block(end: Instant) -> usize {
    let mut calls = 0;
    while Instant::now() < end {
        std::thread::sleep(Duration::from_millis(10));
        calls += 1;
    }
    calls
}

/// How late each tick of a millisecond was, by a schedule fixed at the start.
fn tick(end: Instant) -> Vec<Duration> {
    let mut late = Vec::new();
    let mut due = Instant::now() + Duration::from_millis(1);
    while due < end {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        late.push(due.elapsed());
        due += Duration::from_millis(1);
    }
    late
}

impl fmt::Display for Sharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (worst, median) = (self.worst.as_secs_f64() * 1e3, self.median.as_secs_f64() * 1e3);
        write!(f, "the ticker was at worst {worst:.2} ms late (median {median:.3} ms)")
    }
}

/// What a tree of threads took.
#[derive(Debug)]
pub(crate) struct Skynet {
    threads: u64,
    elapsed: Duration,
}

/// Each thread spawns ten and adds up what they return; the leaves return their number.
pub(crate) fn skynet(leaves: u64) -> io::Result<Skynet> {
    let start = Instant::now();
    let (sum, elapsed) = (branch(0, leaves), start.elapsed());
    if sum != leaves * (leaves - 1) / 2 {
        return Err(io::Error::other(format!("skynet: {sum} is not the sum of its leaves")));
    }
    Ok(Skynet { threads: (leaves - 1) / 9 * 10, elapsed })
}

fn branch(first: u64, leaves: u64) -> u64 {
    if leaves == 1 {
        return first;
    }
    let tenth = leaves / 10;
    let child = |i| thread::spawn(move || branch(first + i * tenth, tenth));
    let children: Vec<_> = (0..10).map(child).collect();
    children.into_iter().map(|child| child.join().expect("a branch does not panic")).sum()
}

impl Skynet {
    pub(crate) fn each(&self) -> Duration {
        self.elapsed.div_f64(self.threads.max(1) as f64)
    }
}

impl fmt::Display for Skynet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (threads, seconds) = (self.threads, self.elapsed.as_secs_f64());
        write!(f, "{threads} threads spawned and joined in {seconds:.2} s, the sum is right")
    }
}
