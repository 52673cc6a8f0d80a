//! Deadlines, after Go's `net/timeout_test.go` in our own words, and closing while others wait.
//! Each test says which one it mirrors.
#![allow(clippy::unwrap_used, reason = "a test that unwraps is a test that fails")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test explains itself")]

mod common;
mod net_support;

use gthread::net::{Shutdown, TcpStream, UdpSocket, UnixStream};
use gthread::time::timeout;
use net_support::{eventually, everywhere, let_others_wait, listen, pair};
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(20);

/// A deadline so far in the past as the clock allows.
fn past() -> Option<Instant> {
    Instant::now().checked_sub(Duration::from_secs(1))
}

fn within(duration: Duration) -> Option<Instant> {
    Some(Instant::now() + duration)
}

fn kind<T>(result: io::Result<T>) -> ErrorKind {
    result.err().unwrap().kind()
}

/// Fills all buffers between two streams.
fn fill(stream: &TcpStream) {
    stream.set_nonblocking(true).unwrap();
    assert_eq!(until_full(stream), ErrorKind::WouldBlock);
    stream.set_nonblocking(false).unwrap();
}

/// Writes until that fails. A kernel that is late with what is on its way makes room once more.
fn until_full(mut stream: &TcpStream) -> ErrorKind {
    loop {
        if let Err(error) = stream.write(&[0; 1 << 16]) {
            return error.kind();
        }
    }
}

/// Go's `TestReadTimeout`: a deadline in the past ends reads even if there is data, each time.
#[test]
fn past_its_deadline_a_read_fails_even_with_data() {
    everywhere("read", || {
        let (mut one, mut other) = pair();
        one.write_all(b"there").unwrap();
        assert_eq!(other.peek(&mut [0; 8]).unwrap(), 5);
        for deadline in [past(), Some(Instant::now()), within(SHORT)] {
            other.set_read_deadline(deadline);
            eventually("the deadline passes", || Instant::now() >= deadline.unwrap());
            for _ in 0..2 {
                assert_eq!(kind(other.read(&mut [0; 8])), ErrorKind::TimedOut);
                assert_eq!(kind(other.peek(&mut [0; 8])), ErrorKind::TimedOut);
                assert_eq!(kind(other.read(&mut [])), ErrorKind::TimedOut);
            }
        }
        other.set_read_deadline(None);
        let mut buffer = [0; 5];
        other.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"there");
    });
}

/// Go's `TestReadTimeoutFluctuation`, `TestWriteTimeoutFluctuation`: never before the deadline.
#[test]
fn a_wait_ends_at_its_deadline_and_not_before() {
    everywhere("fluctuation", || {
        let (mut one, _other) = pair();
        for wait in [1, 50, 1_000, 20_000].map(Duration::from_micros) {
            let start = Instant::now();
            one.set_read_deadline(Some(start + wait));
            assert_eq!(kind(one.read(&mut [0; 8])), ErrorKind::TimedOut);
            assert!(start.elapsed() >= wait);
        }
        fill(&one);
        let start = Instant::now();
        one.set_write_deadline(Some(start + SHORT));
        assert_eq!(until_full(&one), ErrorKind::TimedOut);
        assert!(start.elapsed() >= SHORT);
    });
}

/// Go's `TestReadTimeoutMustNotReturn` and its relatives: a deadline that was taken back is none.
#[test]
fn a_deadline_that_was_taken_back_ends_nothing() {
    everywhere("taken_back", || {
        let mut wait = Duration::from_millis(60);
        // Once more, with more time, where the machine stood still until the deadline had passed.
        while !waits_on_without_its_deadline(wait) {
            wait *= 2;
        }
    });
}

/// Sets a deadline and takes it back: the read goes on waiting. `false`: it came to pass meanwhile.
fn waits_on_without_its_deadline(wait: Duration) -> bool {
    let (one, other) = pair();
    let one = Arc::new(one);
    one.set_deadline(past());
    one.set_deadline(None);
    let ended = Arc::new(AtomicBool::new(false));
    let (reading, told) = (one.clone(), ended.clone());
    let reader = gthread::spawn(move || {
        let result = (&*reading).read(&mut [0; 8]);
        told.store(true, Ordering::Release);
        result
    });
    let deadline = Instant::now() + wait;
    one.set_read_deadline(Some(deadline));
    one.set_read_deadline(None);
    let in_time = Instant::now() < deadline;
    gthread::sleep(2 * wait);
    assert!(!in_time || !ended.load(Ordering::Acquire));
    (&other).write_all(b"x").unwrap();
    let result = reader.join().unwrap();
    assert!(!in_time || result.unwrap() == 1);
    in_time
}

/// Go's `TestReadTimeoutUnblocksRead`, and the same for writes and accepts.
#[test]
fn a_deadline_in_the_past_ends_a_wait_of_another_thread() {
    everywhere("unblocks", || {
        let (one, other) = pair();
        fill(&one);
        let (listener, _) = listen();
        let (one, listener) = (Arc::new(one), Arc::new(listener));
        let reader = gthread::spawn({
            let one = one.clone();
            move || kind((&*one).read(&mut [0; 8]))
        });
        let writer = gthread::spawn({
            let one = one.clone();
            move || kind((&*one).write_all(&[0; 1 << 22]))
        });
        let accepter = gthread::spawn({
            let listener = listener.clone();
            move || kind(listener.accept())
        });
        let_others_wait();
        one.set_deadline(past());
        listener.set_deadline(past());
        for waiter in [reader, writer, accepter] {
            assert_eq!(waiter.join().unwrap(), ErrorKind::TimedOut);
        }
        drop(other);
    });
}

/// As above, by a clone: deadlines belong to the socket.
#[test]
fn a_deadline_set_by_a_clone_ends_a_wait() {
    everywhere("clone", || {
        let (one, _other) = pair();
        let mut clone = one.try_clone().unwrap();
        let reader = gthread::spawn(move || kind(clone.read(&mut [0; 8])));
        let_others_wait();
        one.set_read_deadline(past());
        assert_eq!(reader.join().unwrap(), ErrorKind::TimedOut);
        // A later clone has it, too.
        assert_eq!(kind(one.try_clone().unwrap().read(&mut [0; 8])), ErrorKind::TimedOut);
    });
}

/// Go's `TestVariousDeadlines`, `TestVariousDeadlines1Proc`, `TestVariousDeadlines4Proc`: an
/// endless transfer ends at its deadline, whatever that is.
#[test]
fn an_endless_transfer_ends_at_its_deadline() {
    everywhere("various", || {
        let (listener, address) = listen();
        let server = gthread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let mut last = [0];
                if stream.read(&mut last).unwrap() == 1 {
                    return;
                }
            }
        });
        let (from, to) = pair();
        let pouring = gthread::spawn(move || {
            let mut from = from;
            while from.write(&[7; 1 << 14]).is_ok() {}
        });
        for micros in [0, 1, 5, 25, 250, 500, 1_000, 5_000, 25_000, 100_000] {
            let wait = Duration::from_micros(micros);
            for _ in 0..2 {
                let start = Instant::now();
                to.set_deadline(Some(start + wait));
                let error = io::copy(&mut &to, &mut io::sink()).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::TimedOut);
                assert!(start.elapsed() >= wait);
                let start = Instant::now();
                to.set_deadline(None);
                let inherited = timeout(wait, || io::copy(&mut &to, &mut io::sink()));
                assert_eq!(kind(inherited), ErrorKind::TimedOut);
                assert!(start.elapsed() >= wait);
            }
        }
        drop(to);
        pouring.join().unwrap();
        TcpStream::connect(address).unwrap().write_all(b"x").unwrap();
        server.join().unwrap();
    });
}

/// Go's `TestReadWriteProlongedTimeout`: who is always given more time is never out of it.
#[test]
fn a_deadline_that_moves_on_is_never_met() {
    everywhere("prolonged", || {
        let (one, other) = pair();
        let one = Arc::new(one);
        let done = Arc::new(AtomicBool::new(false));
        one.set_deadline(within(Duration::from_secs(600)));
        let mover = gthread::spawn({
            let (one, done) = (one.clone(), done.clone());
            move || {
                while !done.load(Ordering::Acquire) {
                    one.set_deadline(within(Duration::from_secs(600)));
                    gthread::yield_now();
                }
            }
        });
        let echo = gthread::spawn(move || {
            let mut buffer = [0; 64];
            while let Ok(bytes @ 1..) = (&other).read(&mut buffer) {
                (&other).write_all(&buffer[..bytes]).unwrap();
            }
        });
        let mut buffer = [0; 3];
        for _ in 0..300 {
            (&*one).write_all(b"abc").unwrap();
            (&*one).read_exact(&mut buffer).unwrap();
        }
        done.store(true, Ordering::Release);
        mover.join().unwrap();
        one.shutdown(Shutdown::Both).unwrap();
        echo.join().unwrap();
    });
}

/// Go's `TestReadWriteDeadlineRace`: deadlines that change all the time lose no wake-up.
#[test]
fn churning_deadlines_hang_nobody() {
    everywhere("race", || {
        let (one, other) = pair();
        let (one, other) = (Arc::new(one), Arc::new(other));
        let mover = gthread::spawn({
            let one = one.clone();
            move || {
                for _ in 0..500 {
                    one.set_read_deadline(within(Duration::from_micros(2)));
                    one.set_write_deadline(within(Duration::from_micros(3)));
                    gthread::yield_now();
                }
            }
        });
        let reader = gthread::spawn({
            let one = one.clone();
            move || (0..500).filter(|_| (&*one).read(&mut [0]).is_ok()).count()
        });
        let writer = gthread::spawn({
            let one = one.clone();
            move || (0..500).filter(|_| (&*one).write(&[0]).is_ok()).count()
        });
        let feeder = gthread::spawn(move || {
            for _ in 0..500 {
                (&*other).write_all(&[0]).unwrap();
                gthread::yield_now();
            }
            let mut rest = Vec::new();
            (&*other).read_to_end(&mut rest).unwrap();
            rest.len()
        });
        mover.join().unwrap();
        one.set_deadline(past());
        let _read = reader.join().unwrap();
        let written = writer.join().unwrap();
        // Not dropped before: with unread data in it, that would reset the connection.
        one.shutdown(Shutdown::Write).unwrap();
        assert_eq!(feeder.join().unwrap(), written, "what was written arrived, and once");
    });
}

/// Go's `TestConcurrentSetDeadline`.
#[test]
fn deadlines_of_many_streams_are_set_by_many_threads() {
    everywhere("concurrent", || {
        let streams: Arc<Vec<_>> = Arc::new((0..10).map(|_| pair()).collect());
        let setters: Vec<_> = (0..8)
            .map(|_| {
                let streams = streams.clone();
                gthread::spawn(move || {
                    for _ in 0..50 {
                        for (one, _) in streams.iter() {
                            one.set_read_deadline(within(Duration::from_secs(60)));
                            one.set_write_deadline(within(Duration::from_secs(60)));
                        }
                    }
                })
            })
            .collect();
        setters.into_iter().for_each(|setter| setter.join().unwrap());
        for (one, other) in streams.iter() {
            let (mut one, mut other) = (one, other);
            one.write_all(b"x").unwrap();
            other.read_exact(&mut [0]).unwrap();
        }
    });
}

/// Go's `TestAcceptTimeout`, `TestAcceptTimeoutMustReturn`.
#[test]
fn an_accept_ends_at_its_deadline_even_if_somebody_is_there() {
    everywhere("accept", || {
        let (listener, address) = listen();
        listener.set_deadline(within(SHORT));
        assert_eq!(kind(listener.accept()), ErrorKind::TimedOut);
        let _client = TcpStream::connect(address).unwrap();
        assert_eq!(kind(listener.accept()), ErrorKind::TimedOut);
        listener.set_deadline(None);
        listener.accept().unwrap();
    });
}

/// Go's `TestReadFromTimeout`, `TestWriteToTimeout`.
#[test]
fn datagrams_have_deadlines() {
    everywhere("datagram", || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_deadline(within(SHORT));
        assert_eq!(kind(socket.recv_from(&mut [0; 8])), ErrorKind::TimedOut);
        let here = socket.local_addr().unwrap();
        socket.send_to(b"x", here).unwrap();
        assert_eq!(kind(socket.recv_from(&mut [0; 8])), ErrorKind::TimedOut);
        socket.set_deadline(past());
        assert_eq!(kind(socket.send_to(b"x", here)), ErrorKind::TimedOut);
        socket.set_deadline(None);
        assert_eq!(socket.recv_from(&mut [0; 8]).unwrap(), (1, here));
    });
}

/// A timeout of the surroundings ends whatever waits inside, the earlier of two first.
#[test]
fn a_timeout_is_inherited_by_what_waits_inside() {
    everywhere("inherited", || {
        let (mut one, _other) = pair();
        let (listener, _) = listen();
        let late = Duration::from_secs(600);
        let start = Instant::now();
        one.set_read_deadline(within(late));
        let read = timeout(SHORT, || one.read(&mut [0; 8]));
        assert_eq!(kind(read), ErrorKind::TimedOut);
        assert!(start.elapsed() >= SHORT);
        one.set_read_deadline(within(SHORT));
        assert_eq!(kind(timeout(late, || one.read(&mut [0; 8]))), ErrorKind::TimedOut);
        one.set_read_deadline(None);
        one.set_read_timeout(Some(SHORT)).unwrap();
        assert_eq!(kind(timeout(late, || one.read(&mut [0; 8]))), ErrorKind::WouldBlock);
        assert_eq!(kind(timeout(SHORT, || listener.accept())), ErrorKind::TimedOut);
    });
}

/// Go's `TestCloseUnblocksRead`, `TestListenerClose`, `TestPacketConnClose`: a close ends waits
/// with an error, also of clones, and everything after it.
#[test]
fn closing_ends_all_waits_with_an_error() {
    everywhere("close", || {
        let (one, mut other) = pair();
        fill(&one);
        let (listener, address) = listen();
        let datagrams = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
        let (local, _far) = UnixStream::pair().unwrap();
        let (one, listener, local) = (Arc::new(one), Arc::new(listener), Arc::new(local));
        let mut clone = one.try_clone().unwrap();
        let waiters = [
            gthread::spawn({
                let one = one.clone();
                move || kind((&*one).read(&mut [0; 8]))
            }),
            gthread::spawn({
                let one = one.clone();
                move || kind((&*one).write_all(&[0; 1 << 22]))
            }),
            gthread::spawn(move || kind(clone.read(&mut [0; 8]))),
            gthread::spawn({
                let listener = listener.clone();
                move || kind(listener.accept())
            }),
            gthread::spawn({
                let datagrams = datagrams.clone();
                move || kind(datagrams.recv(&mut [0; 8]))
            }),
            gthread::spawn({
                let local = local.clone();
                move || kind((&*local).read(&mut [0; 8]))
            }),
        ];
        let_others_wait();
        one.close();
        listener.close();
        datagrams.close();
        local.close();
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), ErrorKind::NotConnected);
        }
        // And from now on.
        assert_eq!(kind((&*one).read(&mut [0; 8])), ErrorKind::NotConnected);
        assert_eq!(kind((&*one).write(&[0; 8])), ErrorKind::NotConnected);
        assert_eq!(kind(one.try_clone().unwrap().read(&mut [0])), ErrorKind::NotConnected);
        assert_eq!(kind(listener.accept()), ErrorKind::NotConnected);
        assert_eq!(kind(TcpStream::connect(address)), ErrorKind::ConnectionRefused);
        // The peer reads what was sent, and the end.
        io::copy(&mut other, &mut io::sink()).unwrap();
    });
}

/// Go's `TestClosedPipeRaceRead` in its spirit: closing races with reads, and nobody hangs.
#[test]
fn closing_races_with_reading() {
    everywhere("close_race", || {
        let ended = Arc::new(AtomicUsize::new(0));
        for round in 0..100 {
            let (one, other) = pair();
            let one = Arc::new(one);
            let reader = gthread::spawn({
                let (one, ended) = (one.clone(), ended.clone());
                move || {
                    if kind((&*one).read_exact(&mut [0; 8])) == ErrorKind::NotConnected {
                        ended.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
            for _ in 0..round % 5 {
                gthread::yield_now();
            }
            (&other).write_all(&[0; 3]).unwrap();
            one.close();
            reader.join().unwrap();
        }
        assert_eq!(ended.load(Ordering::Relaxed), 100);
    });
}
