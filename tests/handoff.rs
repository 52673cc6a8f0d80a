//! The processor is given away: by those who block without saying so, by those who compute, and
//! by those who lost it once and have another.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that unwraps is a test that fails, and it explains itself"
)]

mod common;

use common::{runtime, watch};
use std::io::{Read as _, Write as _};
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

#[test]
fn a_hog_woken_by_a_timer_after_a_quiet_time_gives_its_processor_away() {
    for processors in [1, 2] {
        let _dog = watch("hog after quiet");
        let runtime = runtime(processors);
        runtime.run(|| {
            let flag = Arc::new(AtomicBool::new(false));
            let wake_at = Instant::now() + Duration::from_millis(300);
            let hogs: Vec<_> = (0..processors)
                .map(|_| {
                    let flag = flag.clone();
                    gthread::spawn(move || {
                        gthread::sleep_until(wake_at);
                        spin_until(&flag);
                    })
                })
                .collect();
            let setter = gthread::spawn(move || {
                gthread::sleep_until(wake_at + Duration::from_millis(2));
                flag.store(true, Ordering::Release);
            });
            setter.join().unwrap();
            hogs.into_iter().for_each(|hog| hog.join().unwrap());
        });
        runtime.shutdown();
    }
}

#[test]
fn a_hog_that_took_an_idle_processor_gives_it_away_again() {
    let _dog = watch("hog with an idle processor");
    let runtime = runtime(1);
    runtime.run(|| {
        // Blocking hands the processor off; when it ends all has been quiet for long, so that the
        // spawn below finds the processor idle and takes it.
        let hog = gthread::spawn(|| {
            gthread::blocking(|| std::thread::sleep(Duration::from_millis(300)));
            let flag = Arc::new(AtomicBool::new(false));
            let seen = flag.clone();
            let setter = gthread::spawn(move || seen.store(true, Ordering::Release));
            spin_until(&flag);
            setter.join().unwrap();
        });
        hog.join().unwrap();
    });
    runtime.shutdown();
}

/// A green thread that ticks until it is stopped; how often it has.
struct Ticker {
    stop: Arc<AtomicBool>,
    ticks: Arc<AtomicU64>,
    handle: gthread::JoinHandle<()>,
}

impl Ticker {
    /// Starts one that ticks every half millisecond, in the caller's runtime.
    fn start() -> Self {
        let (stop, ticks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (seen, counted) = (stop.clone(), ticks.clone());
        let handle = gthread::spawn(move || {
            while !seen.load(Ordering::Acquire) {
                gthread::sleep(Duration::from_micros(500));
                counted.fetch_add(1, Ordering::AcqRel);
            }
        });
        Self { stop, ticks, handle }
    }

    fn ticks(&self) -> u64 {
        self.ticks.load(Ordering::Acquire)
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Release);
        self.handle.join().unwrap();
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

#[test]
fn a_ticker_goes_on_while_hogs_compute() {
    // Go: TestPreemption, TestAsyncPreempt.
    on_few_processors("ticker and hogs", |processors| {
        let ticker = Ticker::start();
        let ticks_beside = |hogs: usize, time: Duration| {
            let before = ticker.ticks();
            let hogs: Vec<_> = (0..hogs).map(|_| gthread::spawn(move || compute(time))).collect();
            hogs.into_iter().for_each(|hog| hog.join().unwrap());
            let ticks = ticker.ticks() - before;
            println!("{processors} processors: {ticks} ticks beside hogs for {time:?}");
            ticks
        };
        // Where the machine stands still, or keeps the monitor from its CPU, that says nothing: in
        // one of these times nobody does, and a ticker that waits for hogs has none in any.
        for hogs in [processors, 4 * processors] {
            let mut times = (0..6).map(|attempt| Duration::from_millis(200 << attempt));
            assert!(times.any(|time| ticks_beside(hogs, time) >= 3), "no ticks beside {hogs} hogs");
        }
        ticker.stop();
    });
}

#[test]
fn hogs_go_on_until_the_ticker_has_ticked() {
    // Without time: a hog that computes until others have run, again and again.
    on_few_processors("hogs wait by computing", |processors| {
        let ticker = Arc::new(Ticker::start());
        let hogs: Vec<_> = (0..2 * processors)
            .map(|_| {
                let ticker = ticker.clone();
                gthread::spawn(move || {
                    for _ in 0..10 {
                        let goal = ticker.ticks() + 3;
                        while ticker.ticks() < goal {
                            std::hint::spin_loop();
                        }
                        gthread::yield_now();
                    }
                })
            })
            .collect();
        hogs.into_iter().for_each(|hog| hog.join().unwrap());
        Arc::into_inner(ticker).unwrap().stop();
    });
}

#[test]
fn a_ticker_goes_on_while_many_block_in_the_kernel_unannounced() {
    // Without time: they block until the ticker has ticked.
    on_few_processors("ticker and blocked", |_processors| {
        let ticker = Ticker::start();
        let start = Arc::new(gthread::sync::Barrier::new(51));
        let blocked: Vec<_> = (0..50)
            .map(|i| {
                let start = start.clone();
                let (mut reader, writer) = std::io::pipe().unwrap();
                let (sender, receiver) = std::sync::mpsc::channel::<()>();
                let thread = gthread::spawn(move || {
                    start.wait();
                    // In the kernel either way: in a futex of `std`, or at a pipe.
                    match i % 2 {
                        0 => assert!(receiver.recv().is_err(), "nobody sends"),
                        _ => assert_eq!(reader.read(&mut [0]).unwrap(), 0, "nobody writes"),
                    }
                });
                (thread, (writer, sender))
            })
            .collect();
        start.wait();
        let goal = ticker.ticks() + 10;
        while ticker.ticks() < goal {
            gthread::yield_now();
        }
        for (thread, ends) in blocked {
            drop(ends);
            thread.join().unwrap();
        }
        ticker.stop();
    });
}

#[test]
fn a_blocked_green_thread_waits_for_one_that_needs_its_processor() {
    // Each of these would wait for ever if the processor were kept.
    on_few_processors("needs the processor", |processors| {
        let handles: Vec<_> = (0..processors + 1)
            .map(|_| {
                gthread::spawn(|| {
                    let (mut reader, mut writer) = std::io::pipe().unwrap();
                    gthread::spawn(move || writer.write_all(b"x").unwrap());
                    reader.read_exact(&mut [0]).unwrap();

                    let (sender, receiver) = mpsc::channel();
                    gthread::spawn(move || {
                        gthread::sleep(Duration::from_millis(1));
                        sender.send(5).unwrap();
                    });
                    assert_eq!(receiver.recv(), Ok(5));

                    let (lock, go) = (std::sync::Mutex::new(()), Arc::new(AtomicBool::new(false)));
                    let held = lock.lock().unwrap();
                    let seen = go.clone();
                    std::thread::scope(|s| {
                        s.spawn(|| drop(lock.lock()));
                        gthread::spawn(move || seen.store(true, Ordering::Release));
                        while !go.load(Ordering::Acquire) {
                            std::thread::yield_now();
                        }
                        drop(held);
                    });
                })
            })
            .collect();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
    });
}

#[test]
fn blocking_gives_the_processor_away_at_once() {
    on_few_processors("blocking", |processors| {
        for _ in 0..50 {
            let handles: Vec<_> = (0..processors)
                .map(|_| {
                    gthread::spawn(|| {
                        let (sender, receiver) = mpsc::channel();
                        let child = gthread::spawn(move || sender.send(5).unwrap());
                        // The child runs meanwhile, or this would not end.
                        assert_eq!(gthread::blocking(|| receiver.recv()), Ok(5));
                        child.join().unwrap();
                    })
                })
                .collect();
            handles.into_iter().for_each(|handle| handle.join().unwrap());
        }
    });
}

#[test]
fn blocking_nests_returns_values_and_carries_panics() {
    common::silence_panics_on_purpose();
    on_few_processors("nested blocking", |_| {
        let local = String::from("lent");
        assert_eq!(gthread::blocking(|| gthread::blocking(|| local.len())), 4);
        let caught = std::panic::catch_unwind(|| gthread::blocking(|| panic!("on purpose")));
        assert!(caught.is_err());
        let inside = gthread::blocking(|| {
            gthread::yield_now();
            gthread::sleep(Duration::from_micros(100));
            gthread::spawn(|| gthread::blocking(|| 5)).join().unwrap()
        });
        assert_eq!(inside, 5);
    });
    assert_eq!(gthread::blocking(|| 6), 6, "on an OS thread");
}

#[test]
fn syscalls_of_any_length_end_in_time() {
    // Go: TestPreemptionAfterSyscall: 8 threads in calls of 10, 100 and 1000 us on 2 processors.
    for micros in [10, 100, 1_000] {
        let _dog = watch("after system calls");
        let runtime = runtime(2);
        runtime.run(|| {
            let stop = Arc::new(AtomicBool::new(false));
            let callers: Vec<_> = (0..8)
                .map(|_| {
                    let stop = stop.clone();
                    gthread::spawn(move || {
                        while !stop.load(Ordering::Acquire) {
                            std::thread::sleep(Duration::from_micros(micros));
                        }
                    })
                })
                .collect();
            gthread::sleep(Duration::from_millis(50));
            stop.store(true, Ordering::Release);
            callers.into_iter().for_each(|caller| caller.join().unwrap());
        });
        runtime.shutdown();
    }
}

#[test]
fn hogs_by_the_dozen_all_get_their_first_run() {
    on_few_processors("many hogs", |_| {
        let count = Arc::new(AtomicU64::new(0));
        let hogs: Vec<_> = (0..24)
            .map(|_| {
                let count = count.clone();
                gthread::spawn(move || {
                    count.fetch_add(1, Ordering::AcqRel);
                    // Until all have begun: none may keep a processor.
                    while count.load(Ordering::Acquire) < 24 {
                        std::hint::spin_loop();
                    }
                })
            })
            .collect();
        hogs.into_iter().for_each(|hog| hog.join().unwrap());
    });
}

#[test]
fn what_std_blocks_with_works_between_green_threads() {
    // Each of these blocks the machine, unannounced, until another green thread has its turn.
    on_few_processors("std's own", |_| {
        const MEMBERS: usize = 20;
        let barrier = Arc::new(std::sync::Barrier::new(MEMBERS));
        let pair = Arc::new((std::sync::Mutex::new(0), std::sync::Condvar::new()));
        let handles: Vec<_> = (0..MEMBERS)
            .map(|i| {
                let (barrier, pair) = (barrier.clone(), pair.clone());
                gthread::spawn(move || {
                    barrier.wait();
                    let (lock, changed) = &*pair;
                    let mut turn = lock.lock().unwrap();
                    while *turn != i {
                        turn = changed.wait(turn).unwrap();
                    }
                    *turn += 1;
                    changed.notify_all();
                    drop(turn);
                    barrier.wait();
                })
            })
            .collect();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
        assert_eq!(*pair.0.lock().unwrap(), MEMBERS);

        let parks = gthread::spawn(|| {
            let me = std::thread::current();
            let wakes = gthread::spawn(move || me.unpark());
            std::thread::park();
            wakes.join().unwrap();
        });
        parks.join().unwrap();
        let inner = std::thread::spawn(|| gthread::spawn(|| 5).join().unwrap());
        assert_eq!(inner.join().unwrap(), 5);
    });
}

#[test]
fn a_lock_of_std_may_be_held_across_waits() {
    on_few_processors("lock held across waits", |_| {
        let lock = Arc::new(std::sync::Mutex::new(0));
        let handles: Vec<_> = (0..10)
            .map(|_| {
                let lock = lock.clone();
                gthread::spawn(move || {
                    for _ in 0..5 {
                        let mut held = lock.lock().unwrap();
                        gthread::yield_now();
                        gthread::sleep(Duration::from_micros(20));
                        *held += 1;
                    }
                })
            })
            .collect();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
        assert_eq!(*lock.lock().unwrap(), 50);
    });
}
