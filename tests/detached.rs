//! A green thread that has lost its processor may do everything: spawn, join, wake, wait, send,
//! exit, with all processors taken by others.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may")]

mod common;

use common::{Random, runtime, watch};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Computes until the flag is set.
fn spin_until(flag: &AtomicBool) {
    while !flag.load(Ordering::Acquire) {
        std::hint::spin_loop();
    }
}

/// Computes for a while without entering the runtime.
fn compute(duration: Duration) {
    let start = Instant::now();
    while start.elapsed() < duration {
        std::hint::spin_loop();
    }
}

/// Runs `f` as a green thread of runtimes with 1 and 2 processors.
fn on_few_processors(name: &'static str, f: impl Fn(usize) + Sync) {
    for processors in [1, 2] {
        let _dog = watch(name);
        let runtime = runtime(processors);
        runtime.run(|| f(processors));
        runtime.shutdown();
    }
}

/// Takes all processors: hogs that compute until it is dropped.
struct AllTaken {
    stop: Arc<AtomicBool>,
    hogs: Vec<gthread::JoinHandle<()>>,
}

impl AllTaken {
    fn new(processors: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let hogs = (0..processors)
            .map(|_| {
                let stop = stop.clone();
                gthread::spawn(move || spin_until(&stop))
            })
            .collect();
        Self { stop, hogs }
    }
}

impl Drop for AllTaken {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.hogs.drain(..).for_each(|hog| hog.join().unwrap());
    }
}

/// Does `entry` in many green threads that have just lost their processor, or are about to,
/// beside hogs that have taken all.
fn detached_loop(name: &'static str, entry: impl Fn() + Send + Sync + 'static) {
    let entry = Arc::new(entry);
    on_few_processors(name, |processors| {
        let _taken = AllTaken::new(processors);
        let mut random = Random::new(name);
        let handles: Vec<_> = (0..4)
            .map(|_| {
                let (entry, mut random) = (entry.clone(), random.fork());
                gthread::spawn(move || {
                    for _ in 0..12 {
                        match random.below(4) {
                            // Lost at once, lost unawares, lost by computing, not lost.
                            0 => gthread::blocking(|| ()),
                            1 => std::thread::sleep(Duration::from_micros(random.below(600))),
                            2 => compute(Duration::from_micros(random.below(4_000))),
                            _ => {}
                        }
                        entry();
                    }
                })
            })
            .collect();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
    });
}

#[test]
fn a_detached_green_thread_may_spawn_and_join() {
    detached_loop("spawn and join", || {
        let handle = gthread::spawn(|| 5);
        assert_eq!(handle.join().unwrap(), 5);
    });
}

#[test]
fn a_detached_green_thread_may_spawn_many_and_detach_them() {
    let (spawned, ran) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (counted, counter) = (spawned.clone(), ran.clone());
    detached_loop("spawn and detach", move || {
        for _ in 0..20 {
            counted.fetch_add(1, Ordering::AcqRel);
            let counter = counter.clone();
            drop(gthread::spawn(move || counter.fetch_add(1, Ordering::AcqRel)));
        }
    });
    assert_eq!(spawned.load(Ordering::Acquire), ran.load(Ordering::Acquire));
}

#[test]
fn a_detached_green_thread_may_yield() {
    detached_loop("yield", || (0..20).for_each(|_| gthread::yield_now()));
}

#[test]
fn a_detached_green_thread_may_sleep() {
    detached_loop("sleep", || {
        let start = Instant::now();
        gthread::sleep(Duration::from_micros(200));
        assert!(start.elapsed() >= Duration::from_micros(200));
    });
}

#[test]
fn a_detached_green_thread_may_park_and_unpark() {
    detached_loop("park and unpark", || {
        let me = gthread::current();
        me.unpark();
        gthread::park();
        let waker = gthread::spawn(move || {
            gthread::park();
            me.unpark();
        });
        waker.thread().unpark();
        gthread::park();
        waker.join().unwrap();
        gthread::park_timeout(Duration::from_micros(50));
    });
}

#[test]
fn a_detached_green_thread_may_open_a_scope() {
    detached_loop("scope", || {
        let count = AtomicU64::new(0);
        gthread::scope(|s| {
            for _ in 0..3 {
                s.spawn(|| count.fetch_add(1, Ordering::Relaxed));
            }
        });
        assert_eq!(count.into_inner(), 3);
    });
}

#[test]
fn a_detached_green_thread_may_pin_and_unpin() {
    detached_loop("pin", || {
        let _pinned = gthread::pin_to_machine();
        gthread::yield_now();
        gthread::sleep(Duration::from_micros(50));
    });
}

#[test]
fn a_detached_green_thread_may_block_and_send() {
    detached_loop("block and send", || {
        let (sender, receiver) = mpsc::sync_channel(0);
        let child = gthread::spawn(move || sender.send(7).unwrap());
        assert_eq!(gthread::blocking(|| receiver.recv()), Ok(7));
        child.join().unwrap();
    });
}

#[test]
fn a_detached_green_thread_may_exit_and_panic() {
    common::silence_panics_on_purpose();
    on_few_processors("exit detached", |processors| {
        let _taken = AllTaken::new(processors);
        let count = common::Count::default();
        let handles: Vec<_> = (0..30)
            .map(|i| {
                let value = count.one();
                let body = move || {
                    let _value = value;
                    gthread::blocking(|| std::thread::sleep(Duration::from_micros(300)));
                    assert!(i % 3 != 0, "on purpose");
                };
                let builder = gthread::Builder::new();
                if i % 5 == 0 { builder.pinned() } else { builder }.spawn(body).unwrap()
            })
            .collect();
        for (i, handle) in handles.into_iter().enumerate() {
            assert_eq!(handle.join().is_err(), i % 3 == 0);
        }
        assert_eq!(count.alive(), 0);
    });
}

#[test]
fn a_detached_green_thread_may_use_another_runtime() {
    let other = Arc::new(runtime(1));
    let inner = other.clone();
    detached_loop("another runtime", move || {
        assert_eq!(inner.run(|| gthread::spawn(|| 5).join().unwrap()), 5);
        let handle = inner.spawn(gthread::park);
        handle.thread().unpark();
        handle.join().unwrap();
    });
    other.shutdown();
}

#[test]
fn a_detached_green_thread_may_look_inside() {
    detached_loop("inspect", || {
        assert!(gthread::inspect::dump().green_threads.len() > 1);
        assert!(gthread::inspect::metrics().live > 1);
    });
}
