//! Datagrams, Unix sockets, and copies within the kernel.
#![allow(clippy::unwrap_used, reason = "a test that unwraps is a test that fails")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test explains itself")]

mod common;
mod net_support;

use gthread::net::{
    Shutdown, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream, copy,
    copy_bidirectional, send_file,
};
use gthread::time::timeout;
use net_support::{everywhere, let_others_wait, pair};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::SocketAddr as UnixSocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(20);

/// A path that nobody else uses; the file is removed at the end.
struct Path(PathBuf);

impl Path {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // A process that had this number before may have left its own behind.
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("gthread-net-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            if path.symlink_metadata().is_err() {
                return Self(path);
            }
        }
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|place| (place % 251) as u8).collect()
}

#[test]
fn datagrams_are_sent_and_received_as_in_std() {
    everywhere("udp", || {
        let one = UdpSocket::bind("127.0.0.1:0").unwrap();
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (here, there) = (one.local_addr().unwrap(), other.local_addr().unwrap());
        let receiver = gthread::spawn(move || {
            let mut buffer = [0; 16];
            assert_eq!(other.peek_from(&mut buffer).unwrap(), (5, here));
            assert_eq!(other.recv_from(&mut buffer).unwrap(), (5, here));
            assert_eq!(other.recv_from(&mut buffer[..1]).unwrap(), (1, here), "the rest is lost");
            assert_eq!(other.recv_from(&mut buffer).unwrap(), (0, here), "empty ones count");
            other.connect(here).unwrap();
            assert_eq!(other.send(b"answer").unwrap(), 6);
        });
        let_others_wait();
        assert_eq!(one.send_to(b"hello", there).unwrap(), 5);
        one.send_to(b"long", there).unwrap();
        one.send_to(b"", there).unwrap();
        one.connect(there).unwrap();
        let mut buffer = [0; 16];
        assert_eq!(one.peek(&mut buffer).unwrap(), 6);
        assert_eq!(one.recv(&mut buffer).unwrap(), 6);
        receiver.join().unwrap();
        one.set_broadcast(true).unwrap();
        assert!(one.broadcast().unwrap());
        one.set_multicast_ttl_v4(3).unwrap();
        assert_eq!(one.multicast_ttl_v4().unwrap(), 3);
        one.set_read_timeout(Some(SHORT)).unwrap();
        assert_eq!(one.recv(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(one.send_to(b"x", &[][..]).unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn unix_streams_connect_by_path_and_by_abstract_name() {
    everywhere("unix", || {
        let path = Path::new();
        let name = path.0.to_str().unwrap().as_bytes().to_vec();
        let address = UnixSocketAddr::from_abstract_name(&name).unwrap();
        let by_path = UnixListener::bind(&path.0).unwrap();
        let by_name = UnixListener::bind_addr(&address).unwrap();
        assert_eq!(by_path.local_addr().unwrap().as_pathname(), Some(&*path.0));
        for (listener, is_named) in [(by_path, false), (by_name, true)] {
            let server = gthread::spawn(move || {
                for stream in listener.incoming().take(2) {
                    let mut stream = stream.unwrap();
                    let mut text = String::new();
                    stream.read_to_string(&mut text).unwrap();
                    stream.write_all(text.to_uppercase().as_bytes()).unwrap();
                }
            });
            for _ in 0..2 {
                let connected = match is_named {
                    true => UnixStream::connect_addr(&address),
                    false => UnixStream::connect(&path.0),
                };
                let mut stream = connected.unwrap();
                stream.write_all(b"text").unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
                let mut text = String::new();
                stream.read_to_string(&mut text).unwrap();
                assert_eq!(text, "TEXT");
            }
            server.join().unwrap();
        }
        let nobody = UnixStream::connect("/nobody/is/here").unwrap_err();
        assert_eq!(nobody.kind(), ErrorKind::NotFound);
    });
}

/// A Unix listener whose queue is full tells no readiness; connecting goes on by itself.
#[test]
fn connecting_to_a_full_unix_listener_waits() {
    everywhere("full", || {
        let path = Path::new();
        let listener = UnixListener::bind(&path.0).unwrap();
        socket2::SockRef::from(&listener).listen(1).unwrap();
        let mut queued = Vec::new();
        let error = loop {
            match timeout(SHORT, || UnixStream::connect(&path.0)) {
                Ok(stream) => queued.push(stream),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let waiting = path.0.clone();
        let connecting = gthread::spawn(move || UnixStream::connect(waiting).map(drop));
        let_others_wait();
        for _ in 0..=queued.len() {
            listener.accept().unwrap();
        }
        connecting.join().unwrap().unwrap();
    });
}

/// A read of a Unix stream ends at passed descriptors, with more behind them.
#[test]
fn a_short_read_of_a_unix_stream_is_not_the_end_of_the_data() {
    everywhere("glue", || {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        socket2::SockRef::from(&other).set_passcred(true).unwrap();
        let mut all: Vec<u8> = Vec::new();
        let mut buffer = [0; 64];
        for part in [&b"ab"[..], b"cd", b"ef"] {
            one.write_all(part).unwrap();
        }
        while all.len() < 6 {
            let bytes = other.read(&mut buffer).unwrap();
            all.extend(&buffer[..bytes]);
        }
        assert_eq!(all, b"abcdef");
    });
}

#[test]
fn unix_datagrams_wait_for_room() {
    everywhere("unix_datagram", || {
        let (path, from) = (Path::new(), Path::new());
        let receiver = UnixDatagram::bind(&path.0).unwrap();
        let sender = UnixDatagram::bind(&from.0).unwrap();
        let to = path.0.clone();
        let sending = gthread::spawn(move || {
            for number in 0..1000_u32 {
                sender.send_to(&number.to_ne_bytes(), &to).unwrap();
            }
            sender.connect(&to).unwrap();
            for number in 1000..2000_u32 {
                sender.send(&number.to_ne_bytes()).unwrap();
            }
        });
        let_others_wait();
        let mut buffer = [0; 4];
        for number in 0..2000_u32 {
            let (bytes, address) = receiver.recv_from(&mut buffer).unwrap();
            assert_eq!((bytes, u32::from_ne_bytes(buffer)), (4, number));
            assert_eq!(address.as_pathname(), Some(&*from.0));
        }
        sending.join().unwrap();
        let (one, other) = UnixDatagram::pair().unwrap();
        one.send(b"pair").unwrap();
        let (bytes, address) = other.recv_from(&mut buffer).unwrap();
        assert_eq!((bytes, address.is_unnamed()), (4, true));
        UnixDatagram::unbound()
            .unwrap()
            .send_to_addr(b"x", &receiver.local_addr().unwrap())
            .unwrap();
        assert_eq!(receiver.recv(&mut buffer).unwrap(), 1);
    });
}

#[test]
fn a_copy_passes_on_everything() {
    everywhere("copy", || {
        let (mut source, from) = pair();
        let (to, mut sink) = UnixStream::pair().unwrap();
        let data = pattern(3 << 20);
        let sent = data.clone();
        let writer = gthread::spawn(move || {
            source.write_all(&sent).unwrap();
            drop(source);
        });
        let reader = gthread::spawn(move || {
            let mut back = Vec::new();
            sink.read_to_end(&mut back).unwrap();
            back
        });
        assert_eq!(copy(&from, &to).unwrap(), data.len() as u64);
        // The modes of the sockets are as they were.
        assert!(!socket2::SockRef::from(&from).nonblocking().unwrap());
        assert!(!socket2::SockRef::from(&to).nonblocking().unwrap());
        drop(to);
        writer.join().unwrap();
        assert!(reader.join().unwrap() == data);
    });
}

#[test]
fn a_relay_passes_on_both_directions_and_their_ends() {
    everywhere("relay", || {
        let (mut client, front) = pair();
        let (back, mut server) = pair();
        let relay = gthread::spawn(move || copy_bidirectional(&front, &back).unwrap());
        let answering = gthread::spawn(move || {
            let mut text = String::new();
            server.read_to_string(&mut text).unwrap();
            server.write_all(text.to_uppercase().as_bytes()).unwrap();
        });
        client.write_all(b"through the relay").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        assert_eq!(text, "THROUGH THE RELAY");
        answering.join().unwrap();
        assert_eq!(relay.join().unwrap(), (17, 17));
    });
}

#[test]
fn an_error_ends_both_directions_of_a_relay() {
    everywhere("relay_error", || {
        let (client, front) = pair();
        let (back, _server) = pair();
        let error = timeout(SHORT, || copy_bidirectional(&front, &back)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!((&front).read(&mut [0]).unwrap_err().kind(), ErrorKind::NotConnected);
        assert_eq!((&client).read(&mut [0]).unwrap(), 0, "the client sees the end");
    });
}

#[test]
fn a_relay_that_cannot_start_is_an_error_and_leaves_the_streams_alone() {
    let runtime = gthread::Runtime::builder().processors(1).build().unwrap();
    runtime.run(|| {
        let (front, back): (TcpStream, TcpStream) = pair();
        runtime.shutdown();
        assert_eq!(copy_bidirectional(&front, &front).unwrap_err().kind(), ErrorKind::Other);
        (&front).write_all(b"open").unwrap();
        let mut text = [0; 4];
        (&back).read_exact(&mut text).unwrap();
        assert_eq!(&text, b"open");
    });
}

#[test]
fn a_file_is_sent_in_part_and_whole() {
    everywhere("file", || {
        let path = Path::new();
        let data = pattern(1 << 20);
        std::fs::write(&path.0, &data).unwrap();
        let mut file = std::fs::File::open(&path.0).unwrap();
        let (to, mut from): (TcpStream, TcpStream) = pair();
        let reader = gthread::spawn(move || {
            let mut back = Vec::new();
            from.read_to_end(&mut back).unwrap();
            back
        });
        assert_eq!(send_file(&file, 100, 1000, &to).unwrap(), 1000);
        assert_eq!(send_file(&file, 0, u64::MAX, &to).unwrap(), data.len() as u64);
        assert_eq!(send_file(&file, 1 << 40, 1, &to).unwrap(), 0, "beyond its end");
        assert_eq!(file.stream_position().unwrap(), 0, "the file's own place is left alone");
        drop(to);
        assert!(reader.join().unwrap() == [&data[100..1100], &data].concat());
    });
}
