//! Many connections, peers that are killed at random, descriptors whose numbers are used again at
//! once; afterwards everything is back.
//!
//! How many connections there are follows from the limit of descriptors (both ends are here):
//! 10,000 where it can be raised to 20,100. `GTHREAD_SEED` repeats a run.
#![allow(clippy::unwrap_used, reason = "a test that unwraps is a test that fails")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test explains itself")]

mod common;
mod net_support;

use common::{Random, Watchdog, assert_passed, in_child, is_child, runtime};
use gthread::net::{TcpListener, TcpStream, UnixStream};
use net_support::{LONG, descriptors, eventually, listen, pair, raise_descriptor_limit};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const CONNECTIONS: usize = 10_000;

/// Runs `body` in a process of its own: it counts descriptors and memory.
fn alone(name: &'static str, body: fn()) {
    if is_child(name) {
        let _dog = Watchdog::new(name, Duration::from_secs(280));
        return body();
    }
    let output = in_child(name, &[]);
    println!("{}", String::from_utf8_lossy(&output.stdout));
    assert_passed(&output);
}

fn resident_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// The open descriptors but the monitor's, which come and go: two files of `/proc` per processor.
fn held() -> Vec<String> {
    let mut held = descriptors();
    held.retain(|name| !name.ends_with("/syscall"));
    held
}

/// Sends back until the peer goes, however it goes.
fn serve(listener: &TcpListener, served: &Arc<AtomicUsize>) {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::NotConnected => return,
            Err(error) => panic!("{error}"),
        };
        let served = served.clone();
        drop(gthread::spawn(move || {
            let mut buffer = [0; 256];
            while let Ok(bytes @ 1..) = stream.read(&mut buffer) {
                if stream.write_all(&buffer[..bytes]).is_err() {
                    break;
                }
            }
            drop(stream);
            served.fetch_add(1, Ordering::Release);
        }));
    }
}

/// One client: some echoes, and an end of some kind.
fn drive(address: SocketAddr, mut random: Random) {
    let mut stream = TcpStream::connect(address).unwrap();
    let mut back = [0; 200];
    for _ in 0..1 + random.below(4) {
        let message: Vec<u8> = (0..1 + random.below(200)).map(|_| random.next() as u8).collect();
        stream.write_all(&message).unwrap();
        // Some leave with the answer on its way, some with half of it unread.
        match random.below(12) {
            0 => return,
            1 => {
                let _half = stream.read(&mut back[..message.len() / 2 + 1]).unwrap();
                return;
            }
            2 => {
                // A reset instead of an end.
                socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
                return;
            }
            _ => {}
        }
        stream.read_exact(&mut back[..message.len()]).unwrap();
        assert_eq!(&back[..message.len()], &message);
        if random.below(3) == 0 {
            gthread::sleep(Duration::from_micros(random.below(2_000)));
        }
    }
}

fn round(address: SocketAddr, connections: usize, random: &mut Random, served: &AtomicUsize) {
    let before = served.load(Ordering::Acquire);
    let clients: Vec<_> = (0..connections)
        .map(|_| {
            let random = random.fork();
            gthread::spawn(move || drive(address, random))
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    eventually("all connections were served to their end", || {
        served.load(Ordering::Acquire) == before + connections
    });
}

#[test]
fn after_a_burst_with_killed_peers_everything_is_back() {
    alone("after_a_burst_with_killed_peers_everything_is_back", || {
        let limit = raise_descriptor_limit(2 * CONNECTIONS + 100);
        let connections = CONNECTIONS.min(limit.saturating_sub(100) / 2);
        println!("{connections} connections at {limit} descriptors");
        let mut random = Random::new("torture");
        for processors in [2, 1, 8] {
            let before = descriptors();
            let runtime = runtime(processors);
            let mut random = random.fork();
            runtime.run(move || {
                let (listener, address) = listen();
                let listener = Arc::new(listener);
                let served = Arc::new(AtomicUsize::new(0));
                let accepting = gthread::spawn({
                    let (listener, served) = (listener.clone(), served.clone());
                    move || serve(&listener, &served)
                });
                // The first round warms up what is kept: stacks, slots, the poller.
                round(address, connections, &mut random, &served);
                let (opened, resident) = (held().len(), resident_bytes());
                for _ in 0..2 {
                    round(address, connections / 4, &mut random, &served);
                }
                assert_eq!(held().len(), opened, "{:?}", held());
                let grown = resident_bytes().saturating_sub(resident);
                assert!(grown < 32 << 20, "{grown} bytes more than after the first round");
                listener.close();
                accepting.join().unwrap();
            });
            let living = gthread::inspect::metrics();
            println!("{processors} processors: {living}");
            runtime.shutdown();
            drop(runtime);
            // Eventfds of OS threads that wait are kept, a few.
            let after = descriptors();
            assert!(after.len() <= before.len() + 4, "{after:#?} after, {before:#?} before");
        }
    });
}

/// A number that is used again at once belongs to the new socket: nobody is woken for the old one,
/// and no byte goes astray.
#[test]
fn a_descriptor_that_is_used_again_confuses_nobody() {
    alone("a_descriptor_that_is_used_again_confuses_nobody", || {
        let mut random = Random::new("reuse");
        for processors in [1, 2, 8] {
            let runtime = runtime(processors);
            let mut random = random.fork();
            runtime.run(move || {
                let threads: Vec<_> = (0..8)
                    .map(|_| {
                        let random = random.fork();
                        gthread::spawn(move || churn(random))
                    })
                    .collect();
                threads.into_iter().for_each(|thread| thread.join().unwrap());
            });
            runtime.shutdown();
        }
    });
}

fn churn(mut random: Random) {
    for number in 0..300_u64 {
        let (mut one, other) = UnixStream::pair().unwrap();
        let reader = gthread::spawn(move || {
            let mut other = other;
            let mut back = [0; 8];
            other.set_read_timeout(Some(LONG)).unwrap();
            other.read_exact(&mut back).map(|()| u64::from_ne_bytes(back))
        });
        for _ in 0..random.below(3) {
            gthread::yield_now();
        }
        let leaves = random.below(4) == 0;
        if leaves {
            // The descriptor goes while its peer waits; the number is there for the next pair.
            drop(one);
            let error = reader.join().unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
            continue;
        }
        one.write_all(&number.to_ne_bytes()).unwrap();
        assert_eq!(reader.join().unwrap().unwrap(), number);
    }
}

/// A wait that ends by its timeout leaves nothing behind that ends a later one.
#[test]
fn timeouts_leave_nothing_behind() {
    alone("timeouts_leave_nothing_behind", || {
        let mut random = Random::new("timeouts");
        let runtime = runtime(2);
        runtime.run(|| {
            let (mut one, mut other) = pair();
            for round in 0..400_u32 {
                let micros = 1 + random.below(300);
                other.set_read_timeout(Some(Duration::from_micros(micros))).unwrap();
                let start = Instant::now();
                match other.read(&mut [0; 4]) {
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::WouldBlock);
                        assert!(start.elapsed() >= Duration::from_micros(micros));
                    }
                    Ok(bytes) => panic!("{bytes} bytes out of nowhere"),
                }
                one.write_all(&round.to_ne_bytes()).unwrap();
                other.set_read_timeout(Some(LONG)).unwrap();
                let mut back = [0; 4];
                other.read_exact(&mut back).unwrap();
                assert_eq!(u32::from_ne_bytes(back), round);
            }
        });
        runtime.shutdown();
    });
}
