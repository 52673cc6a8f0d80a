//! What the tests share: a watchdog that lets a hang explain itself, and a seed that is printed.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Prints the dump and aborts if the test has not ended in time.
pub struct Watchdog(Arc<AtomicBool>);

impl Watchdog {
    /// Watches over the test `name` for `limit`.
    pub fn new(name: &'static str, limit: Duration) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let watched = done.clone();
        std::thread::spawn(move || {
            let start = Instant::now();
            while start.elapsed() < limit {
                if watched.load(Ordering::Acquire) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            eprintln!("{name}: not done after {limit:?}");
            eprintln!("{}", gthread::inspect::metrics());
            let dump = gthread::inspect::dump().to_string();
            for line in dump.lines().take(200) {
                eprintln!("{line}");
            }
            std::process::abort();
        });
        Self(done)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Watches over a test for a minute.
pub fn watch(name: &'static str) -> Watchdog {
    Watchdog::new(name, Duration::from_secs(60))
}

/// A xorshift generator; its seed is printed, and taken from `GTHREAD_SEED`.
pub struct Random(u64);

impl Random {
    /// A generator for the test `name`.
    pub fn new(name: &str) -> Self {
        let seed = std::env::var("GTHREAD_SEED").ok().and_then(|text| text.parse().ok());
        let seed = seed.unwrap_or_else(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            now.map_or(1, |now| now.as_nanos() as u64) | 1
        });
        println!("{name}: GTHREAD_SEED={seed}");
        Self(seed)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// A generator of its own for a green thread.
    pub fn fork(&mut self) -> Self {
        Self(self.next() | 1)
    }
}

/// A runtime with `processors` processors.
pub fn runtime(processors: usize) -> gthread::Runtime {
    gthread::Runtime::builder().processors(processors).build().expect("a runtime")
}
