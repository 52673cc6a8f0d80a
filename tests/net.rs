//! TCP as `std::net` has it: on green threads, on OS threads behind the same API, and outside all
//! runtimes.
#![allow(clippy::unwrap_used, reason = "a test that unwraps is a test that fails")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test explains itself")]

mod common;
mod net_support;

use gthread::net::{Shutdown, TcpListener, TcpStream};
use net_support::{LONG, eventually, everywhere, let_others_wait, listen, pair};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(20);

/// So many bytes that tell where they belong.
fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|place| (place % 251) as u8).collect()
}

#[test]
fn a_server_returns_what_its_clients_send() {
    everywhere("echo", || {
        let (listener, address) = listen();
        let server = gthread::spawn(move || {
            for _ in 0..8 {
                let (mut stream, _) = listener.accept().unwrap();
                drop(gthread::spawn(move || {
                    let mut buffer = [0; 1000];
                    loop {
                        match stream.read(&mut buffer).unwrap() {
                            0 => return,
                            bytes => stream.write_all(&buffer[..bytes]).unwrap(),
                        }
                    }
                }));
            }
        });
        let clients: Vec<_> = (0..8)
            .map(|client: usize| {
                gthread::spawn(move || {
                    let mut stream = TcpStream::connect(address).unwrap();
                    let data = pattern(500 + client);
                    let mut back = vec![0; data.len()];
                    for _ in 0..20 {
                        stream.write_all(&data).unwrap();
                        stream.read_exact(&mut back).unwrap();
                        assert_eq!(back, data);
                    }
                })
            })
            .collect();
        clients.into_iter().for_each(|client| client.join().unwrap());
        server.join().unwrap();
    });
}

/// Go's `TestTCPBig` and `TestEndlessWrite` in small: partial writes resume.
#[test]
fn a_write_larger_than_all_buffers_arrives_whole() {
    everywhere("big", || {
        let (mut from, mut to) = pair();
        let data = Arc::new(pattern(12 << 20));
        let sent = data.clone();
        let writer = gthread::spawn(move || {
            from.write_all(&sent).unwrap();
            from.shutdown(Shutdown::Write).unwrap();
            from
        });
        let mut back = Vec::new();
        to.read_to_end(&mut back).unwrap();
        assert!(back == *data);
        drop(writer.join().unwrap());
    });
}

/// Go's `TestZeroByteRead`.
#[test]
fn an_empty_buffer_is_read_at_once() {
    everywhere("empty", || {
        let (mut one, _other) = pair();
        assert_eq!(one.read(&mut []).unwrap(), 0);
        assert_eq!(one.read_vectored(&mut []).unwrap(), 0);
        assert_eq!(one.write(&[]).unwrap(), 0);
    });
}

#[test]
fn peek_leaves_the_data() {
    everywhere("peek", || {
        let (mut one, mut other) = pair();
        one.write_all(b"abc").unwrap();
        let mut buffer = [0; 8];
        for _ in 0..3 {
            assert_eq!(other.peek(&mut buffer).unwrap(), 3);
        }
        assert_eq!(other.read(&mut buffer[..2]).unwrap(), 2);
        assert_eq!(other.peek(&mut buffer).unwrap(), 1);
        assert_eq!(other.read(&mut buffer).unwrap(), 1);
        assert_eq!(buffer[0], b'c');
    });
}

#[test]
fn vectored_transfers_use_the_buffers_in_order() {
    everywhere("vectored", || {
        let (mut one, mut other) = pair();
        let parts = [IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cdef")];
        assert_eq!(one.write_vectored(&parts).unwrap(), 6);
        let (mut first, mut second) = ([0; 3], [0; 9]);
        let mut bytes = 0;
        while bytes < 6 {
            let mut places = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
            assert_eq!(bytes, 0, "six bytes on the loopback device come in one piece");
            bytes += other.read_vectored(&mut places).unwrap();
        }
        assert_eq!((&first, &second[..3]), (b"abc", &b"def"[..]));
        // More buffers than the kernel takes at once.
        let many: Vec<_> = (0..3000).map(|_| IoSlice::new(b"x")).collect();
        let sent = one.write_vectored(&many).unwrap();
        assert!((1..=3000).contains(&sent));
        let mut all = vec![0; sent];
        other.read_exact(&mut all).unwrap();
    });
}

/// Go's `TestCloseRead`, `TestCloseWrite`.
#[test]
fn the_end_of_one_direction_leaves_the_other() {
    everywhere("shutdown", || {
        let (mut one, mut other) = pair();
        let reader = gthread::spawn(move || {
            let mut text = String::new();
            other.read_to_string(&mut text).unwrap();
            other.write_all(text.to_uppercase().as_bytes()).unwrap();
        });
        one.write_all(b"half").unwrap();
        let_others_wait();
        one.shutdown(Shutdown::Write).unwrap();
        assert_eq!(one.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
        let mut text = String::new();
        one.read_to_string(&mut text).unwrap();
        assert_eq!(text, "HALF");
        reader.join().unwrap();
    });
}

/// Go's `TestCloseUnblocksRead`: the other side goes away while we wait.
#[test]
fn a_reader_sees_its_peer_leave() {
    everywhere("leave", || {
        let (mut one, other) = pair();
        let reader = gthread::spawn(move || one.read(&mut [0; 8]).unwrap());
        let_others_wait();
        drop(other);
        assert_eq!(reader.join().unwrap(), 0);
    });
}

#[test]
fn writing_to_a_peer_that_left_is_an_error_and_no_signal() {
    everywhere("pipe", || {
        let (mut one, other) = pair();
        drop(other);
        let error = loop {
            if let Err(error) = one.write(b"anybody?") {
                break error;
            }
        };
        let kinds = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
        assert!(kinds.contains(&error.kind()), "{error}");
    });
}

#[test]
fn data_before_the_end_is_not_lost() {
    everywhere("end", || {
        for size in 1..40 {
            let (mut one, mut other) = pair();
            let writer = gthread::spawn(move || {
                one.write_all(&pattern(size)).unwrap();
                drop(one);
            });
            let mut all: Vec<u8> = Vec::new();
            let mut buffer = [0; 16];
            loop {
                match other.read(&mut buffer).unwrap() {
                    0 => break,
                    bytes => all.extend(&buffer[..bytes]),
                }
            }
            assert_eq!(all, pattern(size));
            writer.join().unwrap();
        }
    });
}

/// A mark of urgent data makes a read short although more is there.
#[test]
fn urgent_data_do_not_hide_what_follows() {
    everywhere("urgent", || {
        let (mut one, mut other) = pair();
        one.write_all(b"abc").unwrap();
        socket2::SockRef::from(&one).send_out_of_band(b"!").unwrap();
        one.write_all(b"def").unwrap();
        let mut all: Vec<u8> = Vec::new();
        let mut buffer = [0; 64];
        while all.len() < 6 {
            let bytes = other.read(&mut buffer).unwrap();
            all.extend(&buffer[..bytes]);
        }
        assert_eq!(all, b"abcdef");
    });
}

#[test]
fn clones_are_two_handles_of_one_socket() {
    everywhere("clone", || {
        let (mut one, other) = pair();
        let reading = other.try_clone().unwrap();
        assert_ne!(reading.as_raw_fd(), other.as_raw_fd());
        let reader = gthread::spawn(move || {
            let mut reading = reading;
            let mut text = String::new();
            reading.read_to_string(&mut text).unwrap();
            text
        });
        (&other).write_all(b"from the clone").unwrap();
        let mut buffer = [0; 14];
        one.read_exact(&mut buffer).unwrap();
        // The socket lives as long as one of them.
        drop(other);
        one.write_all(b"to the clone").unwrap();
        drop(one);
        assert_eq!(reader.join().unwrap(), "to the clone");
    });
}

#[test]
fn a_read_waits_for_its_timeout_as_in_std() {
    everywhere("timeout", || {
        let (mut one, _other) = pair();
        assert_eq!(one.read_timeout().unwrap(), None);
        let zero = one.set_read_timeout(Some(Duration::ZERO)).unwrap_err();
        assert_eq!(zero.kind(), ErrorKind::InvalidInput);
        let zero = one.set_write_timeout(Some(Duration::ZERO)).unwrap_err();
        assert_eq!(zero.kind(), ErrorKind::InvalidInput);
        // A clone has the same timeouts.
        one.try_clone().unwrap().set_read_timeout(Some(SHORT)).unwrap();
        assert_eq!(one.read_timeout().unwrap(), Some(SHORT));
        for _ in 0..2 {
            let start = std::time::Instant::now();
            let error = one.read(&mut [0; 8]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            assert!(start.elapsed() >= SHORT);
        }
        one.set_write_timeout(Some(SHORT)).unwrap();
        assert_eq!(one.write_timeout().unwrap(), Some(SHORT));
        let error = loop {
            if let Err(error) = one.write(&[0; 1 << 16]) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn the_non_blocking_mode_is_told_to_those_who_wait() {
    everywhere("nonblocking", || {
        let (one, _other) = pair();
        let one = Arc::new(one);
        let waiting = one.clone();
        let reader = gthread::spawn(move || (&*waiting).read(&mut [0; 8]).unwrap_err().kind());
        let_others_wait();
        one.set_nonblocking(true).unwrap();
        assert_eq!(reader.join().unwrap(), ErrorKind::WouldBlock);
        assert_eq!((&*one).read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(socket2::SockRef::from(&*one).nonblocking().unwrap());
        one.set_nonblocking(false).unwrap();
        assert!(!socket2::SockRef::from(&*one).nonblocking().unwrap());

        let (listener, address) = listen();
        listener.set_nonblocking(true).unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        let _client = TcpStream::connect(address).unwrap();
        eventually("the connection arrives", || listener.accept().is_ok());
    });
}

#[test]
fn options_are_the_kernels() {
    everywhere("options", || {
        let (one, other) = pair();
        one.set_nodelay(true).unwrap();
        assert!(one.nodelay().unwrap() && !other.nodelay().unwrap());
        one.set_ttl(42).unwrap();
        assert_eq!(one.ttl().unwrap(), 42);
        assert!(one.take_error().unwrap().is_none());
        assert_eq!(one.peer_addr().unwrap(), other.local_addr().unwrap());
        assert!(format!("{one:?}").starts_with("TcpStream"));
        socket2::SockRef::from(&one).set_keepalive(true).unwrap();
        assert!(socket2::SockRef::from(&one).keepalive().unwrap());
        let (listener, address) = listen();
        listener.set_ttl(43).unwrap();
        assert_eq!(listener.ttl().unwrap(), 43);
        assert!(listener.take_error().unwrap().is_none());
        assert!(format!("{listener:?}").contains(&address.port().to_string()));
    });
}

#[test]
fn sockets_of_std_come_and_go_with_mode_and_timeouts() {
    everywhere("conversion", || {
        let (one, mut other) = pair();
        one.set_read_timeout(Some(SHORT)).unwrap();
        let mut theirs = std::net::TcpStream::from(one);
        assert_eq!(theirs.read_timeout().unwrap(), Some(SHORT));
        // Theirs is interrupted when the process is stopped and continued.
        let would_block = loop {
            match theirs.read(&mut [0; 8]).unwrap_err().kind() {
                ErrorKind::Interrupted => {}
                kind => break kind,
            }
        };
        assert_eq!(would_block, ErrorKind::WouldBlock);
        let mut ours = TcpStream::from(theirs);
        assert_eq!(ours.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
        ours.set_read_timeout(None).unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut ours = TcpStream::from(OwnedFd::from(ours));
        assert_eq!(ours.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
        ours.set_nonblocking(false).unwrap();
        // SAFETY: the descriptor that was given away just now.
        let mut ours = unsafe { TcpStream::from_raw_fd(ours.into_raw_fd()) };
        other.write_all(b"still there").unwrap();
        let mut buffer = [0; 11];
        ours.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"still there");

        // A listener blocks for others, and does not for us.
        let (listener, address) = listen();
        let theirs = std::net::TcpListener::from(listener);
        assert!(!socket2::SockRef::from(&theirs).nonblocking().unwrap());
        let ours = TcpListener::from(theirs);
        let clone = ours.as_fd().try_clone_to_owned().unwrap();
        drop(clone);
        let accepting = gthread::spawn(move || ours.accept().map(drop));
        let_others_wait();
        drop(TcpStream::connect(address).unwrap());
        accepting.join().unwrap().unwrap();
    });
}

#[test]
fn connecting_fails_as_in_std() {
    everywhere("connect", || {
        let (listener, address) = listen();
        drop(listener);
        let refused = TcpStream::connect(address).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        let zero = TcpStream::connect_timeout(&address, Duration::ZERO).unwrap_err();
        assert_eq!(zero.kind(), ErrorKind::InvalidInput);
        let nobody = TcpStream::connect(&[][..]).unwrap_err();
        assert_eq!(nobody.kind(), ErrorKind::InvalidInput);
        // The first address refuses, the second accepts.
        let (_listener, second) = listen();
        TcpStream::connect(&[address, second][..]).unwrap();
        TcpStream::connect_timeout(&second, LONG).unwrap();
    });
}

/// A listener whose queue is full does not answer.
#[test]
fn connecting_gives_up_after_its_timeout() {
    everywhere("connect_timeout", || {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
        socket.bind(&any.into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        // A connection that came just as the time was over leaves room for one more.
        let mut queued = Vec::new();
        let mut until_full = |connect: &dyn Fn() -> io::Result<TcpStream>| {
            let error = loop {
                match connect() {
                    Ok(stream) => queued.push(stream),
                    Err(error) => break error,
                }
                assert!(queued.len() < 100, "the queue holds one or two");
            };
            assert_eq!(error.kind(), ErrorKind::TimedOut);
        };
        until_full(&|| TcpStream::connect_timeout(&address, Duration::from_millis(200)));
        until_full(&|| gthread::time::timeout(SHORT, || TcpStream::connect(address)));
    });
}

/// Go's `TestTCPConcurrentAccept`.
#[test]
fn many_accept_from_one_listener() {
    const CLIENTS: usize = 200;
    everywhere("accept", || {
        let (listener, address) = listen();
        let listener = Arc::new(listener);
        let accepted = Arc::new(AtomicUsize::new(0));
        let servers: Vec<_> = (0..8)
            .map(|_| {
                let (listener, accepted) = (listener.clone(), accepted.clone());
                gthread::spawn(move || {
                    while let Ok((mut stream, _)) = listener.accept() {
                        accepted.fetch_add(1, Ordering::Relaxed);
                        stream.write_all(b"!").unwrap();
                    }
                })
            })
            .collect();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                gthread::spawn(move || {
                    let mut stream = TcpStream::connect(address).unwrap();
                    stream.read_exact(&mut [0]).unwrap();
                })
            })
            .collect();
        clients.into_iter().for_each(|client| client.join().unwrap());
        assert_eq!(accepted.load(Ordering::Relaxed), CLIENTS);
        listener.close();
        servers.into_iter().for_each(|server| server.join().unwrap());
    });
}

#[test]
fn a_listener_is_an_iterator() {
    everywhere("incoming", || {
        let (listener, address) = listen();
        let clients: Vec<_> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
        let borrowed = listener.incoming().take(2).filter_map(Result::ok).count();
        let owned = listener.into_incoming().take(1).filter_map(Result::ok).count();
        assert_eq!(borrowed + owned, clients.len());
    });
}

#[test]
fn names_are_looked_up() {
    everywhere("names", || {
        let listener = TcpListener::bind("localhost:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        TcpStream::connect(("localhost", port)).unwrap();
        TcpStream::connect(format!("localhost:{port}")).unwrap();
        assert!(TcpStream::connect("no port in it").is_err());
    });
}

#[test]
fn two_readers_of_one_stream_get_each_byte_once() {
    everywhere("readers", || {
        let (mut one, other) = pair();
        let other = Arc::new(other);
        let readers: Vec<_> = (0..4)
            .map(|_| {
                let other = other.clone();
                gthread::spawn(move || {
                    let mut sum = 0_u64;
                    let mut buffer = [0; 7];
                    loop {
                        match (&*other).read(&mut buffer).unwrap() {
                            0 => return sum,
                            n => sum += buffer[..n].iter().map(|&b| u64::from(b)).sum::<u64>(),
                        }
                    }
                })
            })
            .collect();
        let data = pattern(5000);
        for piece in data.chunks(13) {
            one.write_all(piece).unwrap();
            gthread::yield_now();
        }
        drop(one);
        let sum: u64 = readers.into_iter().map(|reader| reader.join().unwrap()).sum();
        assert_eq!(sum, data.iter().map(|&b| u64::from(b)).sum());
    });
}

/// Somebody else tells of the socket from then on.
#[test]
fn a_socket_outlives_the_runtime_that_polled_it() {
    let _dog = common::watch("outlives");
    let (first, second) = (common::runtime(2), common::runtime(1));
    let (one, other) = pair();
    let one = Arc::new(one);
    // The first runtime is the one that watches the socket.
    first.run(|| {
        one.set_read_timeout(Some(SHORT)).unwrap();
        assert_eq!((&*one).read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        one.set_read_timeout(None).unwrap();
    });
    let reading = one.clone();
    let reader = second.spawn(move || (&*reading).read(&mut [0; 8]));
    std::thread::sleep(SHORT);
    drop(first);
    std::thread::sleep(SHORT);
    (&other).write_all(b"abc").unwrap();
    assert_eq!(reader.join().unwrap().unwrap(), 3);
    second.run(|| {
        (&other).write_all(b"de").unwrap();
        assert_eq!((&*one).read(&mut [0; 8]).unwrap(), 2);
    });
}

/// A descriptor of another family behind the type: nothing is taken for drained that is not.
#[test]
fn a_unix_socket_behind_a_tcp_stream_is_one() {
    everywhere("disguised", || {
        let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
        socket2::SockRef::from(&other).set_passcred(true).unwrap();
        let (mut one, mut other) = (one, TcpStream::from(OwnedFd::from(other)));
        for part in [&b"ab"[..], b"cd", b"ef"] {
            one.write_all(part).unwrap();
        }
        let mut all: Vec<u8> = Vec::new();
        let mut buffer = [0; 64];
        while all.len() < 6 {
            let bytes = other.read(&mut buffer).unwrap();
            all.extend(&buffer[..bytes]);
        }
        assert_eq!(all, b"abcdef");
    });
}
