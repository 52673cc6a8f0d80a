//! Several who accept from one listener: a connection wakes one of them, and none is left behind.
#![allow(clippy::unwrap_used, reason = "a test that unwraps is a test that fails")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test explains itself")]

mod common;
mod net_support;

use common::{Random, watch};
use gthread::net::{TcpListener, TcpStream};
use net_support::{eventually, everywhere, let_others_wait, listen};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Accepts until the listener is closed; answers each connection with a byte, and counts them.
fn serve(listener: &TcpListener, accepted: &AtomicUsize) {
    while let Ok((mut stream, _)) = listener.accept() {
        accepted.fetch_add(1, Ordering::Relaxed);
        stream.write_all(b"!").unwrap();
    }
}

/// Connects, and waits for the answer.
fn visit(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.read_exact(&mut [0]).unwrap();
}

/// How often a green thread was switched to, in this process.
fn switches() -> u64 {
    gthread::inspect::metrics().switches
}

/// The herd stays asleep: with all of it woken, each connection would cost as many switches as there
/// are threads that accept.
#[test]
fn a_connection_wakes_one_of_a_hundred() {
    const HERD: usize = 100;
    const VISITS: usize = 200;
    const NAME: &str = "a_connection_wakes_one_of_a_hundred";
    // In a process of its own: the switches of other tests are none of its business.
    if !common::is_child(NAME) {
        return common::assert_passed(&common::in_child(NAME, &[]));
    }
    let _dog = watch("herd");
    let runtime = common::runtime(1);
    runtime.run(|| {
        let (listener, address) = listen();
        let listener = Arc::new(listener);
        let accepted = Arc::new(AtomicUsize::new(0));
        let herd: Vec<_> = (0..HERD)
            .map(|_| {
                let (listener, accepted) = (listener.clone(), accepted.clone());
                gthread::spawn(move || serve(&listener, &accepted))
            })
            .collect();
        visit(address);
        let before = switches();
        (0..VISITS).for_each(|_| visit(address));
        let switches = switches() - before;
        assert_eq!(accepted.load(Ordering::Relaxed), VISITS + 1);
        println!("{switches} switches for {VISITS} connections to {HERD}");
        assert!(switches < (VISITS * HERD / 4) as u64, "{switches} switches: all were woken");
        listener.close();
        herd.into_iter().for_each(|thread| thread.join().unwrap());
    });
    runtime.shutdown();
}

/// Connections come faster than those who accept are woken, so that one event stands for several.
#[test]
fn no_connection_of_a_burst_is_left_in_the_queue() {
    const BURST: usize = 40;
    everywhere("burst", || {
        let (listener, address) = listen();
        let listener = Arc::new(listener);
        for _ in 0..5 {
            // Each takes one and no more: were one not told, its connection would wait for ever.
            let herd: Vec<_> = (0..BURST)
                .map(|_| {
                    let listener = listener.clone();
                    gthread::spawn(move || drop(listener.accept().unwrap()))
                })
                .collect();
            let_others_wait();
            let streams: Vec<_> =
                (0..BURST).map(|_| TcpStream::connect(address).unwrap()).collect();
            herd.into_iter().for_each(|thread| thread.join().unwrap());
            drop(streams);
        }
    });
}

/// Who is told at the moment its deadline passes sees to the next one.
#[test]
fn a_connection_is_not_lost_with_one_whose_deadline_passes() {
    everywhere("deadlines", || {
        let mut rng = Random::new("deadlines");
        let (listener, address) = listen();
        let listener = Arc::new(listener);
        let accepted = Arc::new(AtomicUsize::new(0));
        let patient = {
            let (listener, accepted) = (listener.clone(), accepted.clone());
            gthread::spawn(move || serve(&listener, &accepted))
        };
        let stopped = Arc::new(AtomicUsize::new(0));
        let impatient: Vec<_> = (0..4)
            .map(|_| {
                let (listener, stopped) = (listener.clone(), stopped.clone());
                let (accepted, mut rng) = (accepted.clone(), rng.fork());
                gthread::spawn(move || {
                    while stopped.load(Ordering::Relaxed) == 0 {
                        let short = Duration::from_micros(rng.below(300));
                        match gthread::time::timeout(short, || listener.accept()) {
                            Ok((mut stream, _)) => {
                                accepted.fetch_add(1, Ordering::Relaxed);
                                stream.write_all(b"!").unwrap();
                            }
                            Err(error) => assert_eq!(error.kind(), ErrorKind::TimedOut),
                        }
                        gthread::yield_now();
                    }
                })
            })
            .collect();
        const VISITS: usize = 300;
        for _ in 0..VISITS {
            visit(address);
        }
        stopped.store(1, Ordering::Relaxed);
        impatient.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(accepted.load(Ordering::Relaxed), VISITS);
        visit(address);
        listener.close();
        patient.join().unwrap();
    });
}

/// The deadline of the socket is moved into the past while all wait: all are told, once each.
#[test]
fn a_deadline_in_the_past_reaches_all_who_accept() {
    everywhere("past", || {
        let (listener, address) = listen();
        let listener = Arc::new(listener);
        let late = Arc::new(AtomicUsize::new(0));
        let herd: Vec<_> = (0..10)
            .map(|_| {
                let (listener, late) = (listener.clone(), late.clone());
                gthread::spawn(move || {
                    let error = listener.accept().unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::TimedOut);
                    late.fetch_add(1, Ordering::Relaxed);
                })
            })
            .collect();
        let_others_wait();
        listener.set_deadline(Some(Instant::now()));
        eventually("all give up", || late.load(Ordering::Relaxed) == 10);
        herd.into_iter().for_each(|thread| thread.join().unwrap());
        // And it accepts again.
        listener.set_deadline(None);
        let stream = TcpStream::connect(address).unwrap();
        listener.accept().unwrap();
        drop(stream);
    });
}

/// Green threads and OS threads accept from one listener, and from a clone of it.
#[test]
fn os_threads_and_clones_accept_beside_green_threads() {
    const VISITS: usize = 200;
    let _dog = watch("mixed");
    let runtime = common::runtime(2);
    runtime.run(|| {
        let (listener, address) = listen();
        let clone = Arc::new(listener.try_clone().unwrap());
        let listener = Arc::new(listener);
        let accepted = Arc::new(AtomicUsize::new(0));
        let server = |listener: &Arc<TcpListener>| {
            let (listener, accepted) = (listener.clone(), accepted.clone());
            move || serve(&listener, &accepted)
        };
        let green: Vec<_> =
            (0..4).flat_map(|_| [&listener, &clone]).map(|it| gthread::spawn(server(it))).collect();
        let threads = [&listener, &clone].map(|it| std::thread::spawn(server(it)));
        let visitors: Vec<_> =
            (0..VISITS).map(|_| gthread::spawn(move || visit(address))).collect();
        visitors.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(accepted.load(Ordering::Relaxed), VISITS);
        listener.close();
        green.into_iter().for_each(|thread| thread.join().unwrap());
        for thread in threads {
            gthread::blocking(|| thread.join()).unwrap();
        }
    });
    runtime.shutdown();
}
