//! The netpoller under what is hard on it: numbers used again, ten thousand waiters, signals,
//! hogs, calls that block, runtimes that end, forks; and what it leaves behind.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that unwraps fails, and says where"
)]

mod common;
mod net_support;

use common::{Random, assert_passed, in_child, is_child, on_each_carrier, runtime, watch};
use gthread::net::UnixStream;
use net_support::{eventually, let_others_wait};
use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Runs `body` in a process of its own.
fn alone(name: &'static str, body: fn()) {
    if is_child(name) {
        let _dog = watch(name);
        return body();
    }
    assert_passed(&in_child(name, &[]));
}

/// Returns what it reads until the other end is closed; how many bytes.
fn echo(mut stream: UnixStream) -> usize {
    let mut buffer = [0; 64];
    let mut bytes = 0;
    loop {
        match stream.read(&mut buffer).unwrap() {
            0 => return bytes,
            n => stream.write_all(&buffer[..n]).unwrap(),
        }
        bytes += 1;
    }
}

/// Sends numbers and waits for each to come back.
fn ping(stream: &mut UnixStream, rounds: u64) {
    for round in 0..rounds {
        stream.write_all(&round.to_ne_bytes()).unwrap();
        let mut buffer = [0; 8];
        stream.read_exact(&mut buffer).unwrap();
        assert_eq!(u64::from_ne_bytes(buffer), round);
    }
}

#[test]
fn a_number_that_is_used_again_wakes_nobody_else() {
    on_each_carrier("a_number_that_is_used_again_wakes_nobody_else", || {
        gthread::scope(|scope| {
            for lane in 0..4_u64 {
                scope.spawn(move || {
                    for round in 0..200 {
                        // The numbers of the last round's pair, most likely.
                        let (mut mine, mut theirs) = UnixStream::pair().unwrap();
                        let tag = (lane << 32 | round).to_ne_bytes();
                        let reader = gthread::spawn(move || {
                            let mut buffer = [0; 8];
                            mine.read_exact(&mut buffer).unwrap();
                            buffer
                        });
                        if round % 3 == 0 {
                            gthread::yield_now();
                        }
                        theirs.write_all(&tag).unwrap();
                        // Closed while the event is on its way.
                        drop(theirs);
                        assert_eq!(reader.join().unwrap(), tag);
                    }
                });
            }
        });
    });
}

#[test]
fn ten_thousand_wait_and_each_is_woken_by_its_own() {
    alone("ten_thousand_wait_and_each_is_woken_by_its_own", || {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: a place for the limits.
        unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: the limits read above, the soft one raised.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
        let pairs = 10_000.min((limit.rlim_cur.min(1 << 20) as usize - 200) / 2);
        let mut random = Random::new("ten_thousand_wait_and_each_is_woken_by_its_own");
        let runtime = runtime(2);
        runtime.run(|| {
            let mut ends = Vec::new();
            let mut readers = Vec::new();
            for number in 0..pairs as u64 {
                let (mut mine, theirs) = UnixStream::pair().unwrap();
                ends.push((number, theirs));
                readers.push(gthread::spawn(move || {
                    let mut buffer = [0; 8];
                    for round in 0..2_u64 {
                        mine.read_exact(&mut buffer).unwrap();
                        assert_eq!(u64::from_ne_bytes(buffer), number + round);
                    }
                }));
            }
            for round in 0..2 {
                // Each once, in random order.
                for left in (1..ends.len()).rev() {
                    ends.swap(left, random.below(left as u64 + 1) as usize);
                }
                for (number, end) in &mut ends {
                    end.write_all(&(*number + round).to_ne_bytes()).unwrap();
                }
            }
            for reader in readers {
                reader.join().unwrap();
            }
        });
        runtime.shutdown();
    });
}

#[test]
fn signals_end_no_wait() {
    extern "C" fn nothing(_signal: libc::c_int) {}
    alone("signals_end_no_wait", || {
        // SAFETY: all zeroes is a valid action: no flags, so calls are interrupted.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = nothing as *const () as usize;
        // SAFETY: the handler does nothing.
        unsafe { libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut()) };
        let often = libc::timeval { tv_sec: 0, tv_usec: 300 };
        let timer = libc::itimerval { it_interval: often, it_value: often };
        // SAFETY: a live timer of a process of our own.
        unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) };
        for processors in [1, 2] {
            let runtime = runtime(processors);
            let (mut mine, theirs) = UnixStream::pair().unwrap();
            let server = runtime.spawn(|| echo(theirs));
            // From an OS thread, then from a green one.
            ping(&mut mine, 500);
            runtime.run(|| {
                ping(&mut mine, 500);
                let end = std::time::Instant::now() + Duration::from_millis(20);
                mine.set_read_deadline(Some(end));
                assert!(mine.read(&mut [0]).is_err());
                assert!(std::time::Instant::now() >= end, "a signal ended a wait");
                drop(mine);
            });
            server.join().unwrap();
            runtime.shutdown();
        }
    });
}

#[test]
fn input_is_served_beside_hogs() {
    for hogs in [2, 6] {
        let _dog = watch("input_is_served_beside_hogs");
        let runtime = runtime(2);
        let stop = Arc::new(AtomicBool::new(false));
        let hogs: Vec<_> = (0..hogs)
            .map(|_| {
                let stop = stop.clone();
                runtime.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                })
            })
            .collect();
        let (mut mine, theirs) = UnixStream::pair().unwrap();
        let server = runtime.spawn(|| echo(theirs));
        let client = runtime.spawn(move || ping(&mut mine, 20));
        client.join().unwrap();
        server.join().unwrap();
        stop.store(true, Ordering::Relaxed);
        hogs.into_iter().for_each(|hog| hog.join().unwrap());
        runtime.shutdown();
    }
}

#[test]
fn input_arrives_while_the_only_processor_is_given_up() {
    let _dog = watch("input_arrives_while_the_only_processor_is_given_up");
    let runtime = runtime(1);
    runtime.run(|| {
        for round in 0..100_u64 {
            let (mut mine, mut theirs) = UnixStream::pair().unwrap();
            let (sender, receiver) = std::sync::mpsc::channel();
            let reader = gthread::spawn(move || {
                let mut buffer = [0; 8];
                mine.read_exact(&mut buffer).unwrap();
                sender.send(u64::from_ne_bytes(buffer)).unwrap();
            });
            // It waits by now, unless others ran first.
            gthread::yield_now();
            let mut blocked = || {
                // The machine is gone from the processor: somebody else has to see the event.
                theirs.write_all(&round.to_ne_bytes()).unwrap();
                receiver.recv().unwrap()
            };
            // Once with notice, once without: the monitor has to find out.
            let got = if round % 2 == 0 { gthread::blocking(blocked) } else { blocked() };
            assert_eq!(got, round);
            reader.join().unwrap();
        }
    });
    runtime.shutdown();
}

#[test]
fn a_runtime_that_ends_leaves_its_descriptors_to_others() {
    let _dog = watch("a_runtime_that_ends_leaves_its_descriptors_to_others");
    let stays = runtime(1);
    for _ in 0..50 {
        let ends = runtime(1);
        let (mut mine, mut theirs) = UnixStream::pair().unwrap();
        // Registered with the poller of the runtime that will end.
        let mine = ends.run(move || {
            mine.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
            assert!(mine.read(&mut [0]).is_err());
            mine.set_read_timeout(None).unwrap();
            mine
        });
        let waiting = Arc::new(AtomicBool::new(false));
        let told = waiting.clone();
        let reader = stays.spawn(move || {
            let mut mine = mine;
            told.store(true, Ordering::Release);
            let mut buffer = [0; 1];
            mine.read_exact(&mut buffer).unwrap();
            buffer[0]
        });
        eventually("the reader runs", || waiting.load(Ordering::Acquire));
        ends.shutdown();
        theirs.write_all(&[7]).unwrap();
        assert_eq!(reader.join().unwrap(), 7);
    }
    stays.shutdown();
}

#[test]
fn one_runtime_serves_the_waiters_of_another() {
    let _dog = watch("one_runtime_serves_the_waiters_of_another");
    let (first, second) = (runtime(1), runtime(2));
    let (mut mine, theirs) = UnixStream::pair().unwrap();
    // Both ends are known to the first runtime's poller; then they move.
    let server = first.spawn(|| echo(theirs));
    let mut mine = first.run(move || {
        ping(&mut mine, 100);
        mine
    });
    second.run(move || {
        ping(&mut mine, 500);
        drop(mine);
    });
    server.join().unwrap();
    second.shutdown();
    first.shutdown();
}

#[test]
fn the_child_of_a_fork_waits_by_itself() {
    alone("the_child_of_a_fork_waits_by_itself", || {
        let runtime = runtime(2);
        runtime.run(|| {
            let (mut mine, theirs) = UnixStream::pair().unwrap();
            let server = gthread::spawn(|| echo(theirs));
            ping(&mut mine, 10);
            let (mut parents, mut childs) = UnixStream::pair().unwrap();
            // SAFETY: the child goes on as an OS thread, reads, writes and ends.
            match unsafe { libc::fork() } {
                0 => {
                    let mut buffer = [0; 8];
                    let done =
                        childs.read_exact(&mut buffer).is_ok() && childs.write_all(&buffer).is_ok();
                    // What is dropped here is still registered for the parent.
                    drop((mine, parents, childs));
                    // SAFETY: ends the child without the parent's destructors.
                    unsafe { libc::_exit(if done { 0 } else { 1 }) }
                }
                child => {
                    // The child has inherited the set of the poller; it is still the parent's.
                    ping(&mut mine, 100);
                    drop(childs);
                    parents.write_all(b"eightbyt").unwrap();
                    let mut buffer = [0; 8];
                    parents.read_exact(&mut buffer).unwrap();
                    assert_eq!(&buffer, b"eightbyt");
                    let mut status = 0;
                    // SAFETY: waits for the child, with a place for its status.
                    unsafe { libc::waitpid(child, &raw mut status, 0) };
                    assert_eq!(status, 0);
                    ping(&mut mine, 100);
                }
            }
            drop(mine);
            server.join().unwrap();
        });
        runtime.shutdown();
    });
}

#[test]
fn descriptors_are_flat_after_many_runtimes() {
    alone("descriptors_are_flat_after_many_runtimes", || {
        let round = |waits: u64| {
            let runtime = runtime(2);
            runtime.run(|| {
                for _ in 0..20 {
                    let (mut mine, theirs) = UnixStream::pair().unwrap();
                    let server = gthread::spawn(|| echo(theirs));
                    ping(&mut mine, waits);
                    drop(mine);
                    server.join().unwrap();
                }
            });
            runtime.shutdown();
            // OS threads keep a few eventfds for the next wait.
            let (mut mine, theirs) = UnixStream::pair().unwrap();
            let server = std::thread::spawn(|| echo(theirs));
            let_others_wait();
            ping(&mut mine, waits);
            drop(mine);
            server.join().unwrap();
        };
        round(10);
        let before = descriptors();
        (0..20).for_each(|_| round(10));
        let after = descriptors();
        assert!(after <= before + 4, "{before} descriptors before, {after} after");
    });
}

#[test]
fn a_runtime_without_input_and_output_has_no_poller() {
    alone("a_runtime_without_input_and_output_has_no_poller", || {
        let before = descriptors();
        let runtime = runtime(2);
        let during = runtime.run(|| {
            gthread::scope(|scope| {
                for _ in 0..100 {
                    scope.spawn(|| gthread::sleep(Duration::from_millis(1)));
                }
            });
            let (mut mine, mut theirs) = UnixStream::pair().unwrap();
            // What never has to wait is registered nowhere.
            theirs.write_all(&[1]).unwrap();
            mine.read_exact(&mut [0]).unwrap();
            descriptors()
        });
        runtime.shutdown();
        // The pair; the monitor may hold a file of a suspect's.
        assert!(during <= before + 2 + 4, "{before} descriptors before, {during} during");
        assert!(!has_epoll());
    });
}

/// How many descriptors this process has open.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Whether this process has an epoll instance.
fn has_epoll() -> bool {
    std::fs::read_dir("/proc/self/fd").unwrap().flatten().any(|entry| {
        let target = std::fs::read_link(entry.path());
        target.is_ok_and(|target| target.to_string_lossy().contains("eventpoll"))
    })
}

#[test]
fn readers_and_sleepers_share_one_sleeping_machine() {
    let _dog = watch("readers_and_sleepers_share_one_sleeping_machine");
    for processors in [1, 2] {
        let runtime = runtime(processors);
        let slept = Arc::new(AtomicU64::new(0));
        runtime.run(|| {
            let (mut mine, theirs) = UnixStream::pair().unwrap();
            let server = gthread::spawn(|| echo(theirs));
            gthread::scope(|scope| {
                for nth in 0..50_u64 {
                    let slept = slept.clone();
                    scope.spawn(move || {
                        let time = Duration::from_micros(200 + 37 * nth);
                        for _ in 0..20 {
                            let start = std::time::Instant::now();
                            gthread::sleep(time);
                            assert!(start.elapsed() >= time, "woke early");
                            slept.fetch_add(1, Ordering::Relaxed);
                        }
                    });
                }
                ping(&mut mine, 300);
            });
            drop(mine);
            server.join().unwrap();
        });
        assert_eq!(slept.load(Ordering::Relaxed), 1000);
        runtime.shutdown();
    }
}
