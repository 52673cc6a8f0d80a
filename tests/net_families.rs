//! IPv6, multicast, and streams that are not all TCP's: on the loopback device, where it has them.
#![allow(clippy::unwrap_used, reason = "a test that unwraps is a test that fails")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test explains itself")]

mod common;
mod net_support;

use gthread::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use net_support::{everywhere, let_others_wait, pair};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Whether the loopback device has IPv6; says so if not.
fn has_ipv6() -> bool {
    let has = std::net::UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    if !has {
        println!("skipped: the loopback device has no IPv6");
    }
    has
}

/// A byte there and back.
fn talk(mut one: &TcpStream, mut other: &TcpStream) {
    let mut byte = [0];
    one.write_all(b"a").unwrap();
    other.read_exact(&mut byte).unwrap();
    other.write_all(b"b").unwrap();
    one.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"b");
}

#[test]
fn tcp_speaks_ipv6() {
    if !has_ipv6() {
        return;
    }
    everywhere("tcp6", || {
        let listener = TcpListener::bind("[::1]:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert!(address.is_ipv6() && address.ip().is_loopback());
        let server = gthread::spawn(move || listener.accept().unwrap());
        let stream = TcpStream::connect(address).unwrap();
        let (accepted, from) = server.join().unwrap();
        assert_eq!(from, stream.local_addr().unwrap());
        assert_eq!(accepted.peer_addr().unwrap(), from);
        assert_eq!(stream.peer_addr().unwrap(), address);
        talk(&stream, &accepted);
    });
}

#[test]
fn addresses_of_ipv6_are_looked_up_in_all_their_forms() {
    if !has_ipv6() {
        return;
    }
    everywhere("forms", || {
        let expected = SocketAddr::from((Ipv6Addr::LOCALHOST, 80));
        let only = |found: Vec<SocketAddr>| assert_eq!(found, [expected]);
        only("[::1]:80".to_socket_addrs().unwrap().collect());
        only(("::1", 80).to_socket_addrs().unwrap().collect());
        only((Ipv6Addr::LOCALHOST, 80).to_socket_addrs().unwrap().collect());
        only((IpAddr::V6(Ipv6Addr::LOCALHOST), 80).to_socket_addrs().unwrap().collect());
        only(SocketAddrV6::new(Ipv6Addr::LOCALHOST, 80, 0, 0).to_socket_addrs().unwrap().collect());

        let listener = TcpListener::bind(("::1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        // The first that answers of several, whatever their families.
        let (_deaf, nobody) = deaf_v4();
        let both = [nobody, SocketAddr::from((Ipv6Addr::LOCALHOST, port))];
        for stream in [
            TcpStream::connect(format!("[::1]:{port}")),
            TcpStream::connect(("::1", port)),
            TcpStream::connect(SocketAddrV6::new(Ipv6Addr::LOCALHOST, port, 0, 0)),
            TcpStream::connect(&both[..]),
        ] {
            talk(&stream.unwrap(), &listener.accept().unwrap().0);
        }
        assert!("[::1".to_socket_addrs().is_err());
        assert!("::1:80:".to_socket_addrs().is_err());
    });
}

/// A socket that has an address and does not listen: who connects to it is refused.
fn deaf_v4() -> (socket2::Socket, SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

#[test]
fn a_listener_of_both_families_sees_mapped_addresses() {
    if !has_ipv6() {
        return;
    }
    everywhere("mapped", || {
        let socket = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::STREAM, None);
        let socket = socket.unwrap();
        socket.set_only_v6(false).unwrap();
        socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)).into()).unwrap();
        socket.listen(16).unwrap();
        let listener = TcpListener::from(std::net::TcpListener::from(socket));
        let port = listener.local_addr().unwrap().port();

        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        let (accepted, from) = listener.accept().unwrap();
        assert_eq!(from.ip(), IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped()));
        assert_eq!(from.port(), stream.local_addr().unwrap().port());
        talk(&stream, &accepted);

        let stream = TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap();
        let (accepted, from) = listener.accept().unwrap();
        assert_eq!(from, stream.local_addr().unwrap());
        talk(&stream, &accepted);

        // And a mapped address connects by IPv4.
        let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
        let stream = TcpStream::connect((mapped, port)).unwrap();
        talk(&stream, &listener.accept().unwrap().0);
    });
}

#[test]
fn a_listener_of_ipv6_alone_leaves_the_port_of_ipv4() {
    if !has_ipv6() {
        return;
    }
    everywhere("only6", || {
        let socket = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::STREAM, None);
        let socket = socket.unwrap();
        socket.set_only_v6(true).unwrap();
        socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)).into()).unwrap();
        socket.listen(16).unwrap();
        let listener = TcpListener::from(std::net::TcpListener::from(socket));
        assert!(socket2::SockRef::from(&listener).only_v6().unwrap());
        let port = listener.local_addr().unwrap().port();
        let stream = TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap();
        talk(&stream, &listener.accept().unwrap().0);
        // Others may have the same number of IPv4: then that is shown already.
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(other) => {
                let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
                let (accepted, from) = other.accept().unwrap();
                assert!(from.is_ipv4());
                talk(&stream, &accepted);
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::AddrInUse),
        }
    });
}

#[test]
fn datagrams_of_ipv6_are_sent_and_received() {
    if !has_ipv6() {
        return;
    }
    everywhere("udp6", || {
        let one = UdpSocket::bind("[::1]:0").unwrap();
        let other = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
        let to = other.local_addr().unwrap();
        let receiver = gthread::spawn(move || {
            let mut buffer = [0; 16];
            let (bytes, from) = other.recv_from(&mut buffer).unwrap();
            other.send_to(&buffer[..bytes], from).unwrap();
            let (bytes, from) = other.peek_from(&mut buffer).unwrap();
            assert_eq!((bytes, from), other.recv_from(&mut buffer).unwrap());
            (buffer[..bytes].to_vec(), from)
        });
        let_others_wait();
        let mut buffer = [0; 16];
        assert_eq!(one.send_to(b"there", to).unwrap(), 5);
        assert_eq!(one.recv_from(&mut buffer).unwrap(), (5, to));
        assert_eq!(&buffer[..5], b"there");
        one.connect(to).unwrap();
        assert_eq!(one.peer_addr().unwrap(), to);
        one.send(b"again").unwrap();
        assert_eq!(receiver.join().unwrap(), (b"again".to_vec(), one.local_addr().unwrap()));
        // The port is closed by now: the kernel's answer reaches the next operation or the one after.
        one.set_read_timeout(Some(net_support::LONG)).unwrap();
        let refused = one.send(b"nobody").and_then(|_| one.recv(&mut buffer)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    });
}

/// A group of its own for each process, of those that belong to the host or the organisation.
fn group_v4() -> Ipv4Addr {
    let id = std::process::id();
    Ipv4Addr::new(239, 255, (id >> 8) as u8, id as u8)
}

/// Receives with a limit: where a datagram does not come, the test says so instead of hanging.
fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 64];
    let (bytes, _) = socket.recv_from(&mut buffer).expect("a datagram that was sent arrives");
    buffer[..bytes].to_vec()
}

/// After a group is left its datagrams stop; what is sent to the socket itself still comes, and as
/// the loopback device keeps the order, it shows that nothing was before it.
fn joins_and_leaves(
    receiver: &UdpSocket,
    sender: &UdpSocket,
    (group, own): (SocketAddr, SocketAddr),
    join: impl Fn() -> std::io::Result<()>,
    leave: impl Fn() -> std::io::Result<()>,
) {
    if let Err(error) = join().and_then(|()| sender.send_to(b"probe", group).map(drop)) {
        println!("skipped: no multicast on the loopback device: {error}");
        return;
    }
    receiver.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut buffer = [0; 64];
    if let Err(error) = receiver.recv(&mut buffer) {
        println!("skipped: multicast does not come back on the loopback device: {error}");
        return;
    }
    receiver.set_read_timeout(Some(net_support::LONG)).unwrap();
    assert_eq!(join().unwrap_err().kind(), ErrorKind::AddrInUse);
    sender.send_to(b"to the group", group).unwrap();
    assert_eq!(receive(receiver), b"to the group");
    leave().unwrap();
    assert!(leave().is_err());
    let _no_route_to_nobody = sender.send_to(b"to nobody", group);
    sender.send_to(b"to itself", own).unwrap();
    assert_eq!(receive(receiver), b"to itself");
    join().unwrap();
    sender.send_to(b"back again", group).unwrap();
    assert_eq!(receive(receiver), b"back again");
}

#[test]
fn a_group_of_ipv4_is_joined_and_left() {
    everywhere("group4", || {
        let (group, lo) = (group_v4(), Ipv4Addr::LOCALHOST);
        let receiver = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = receiver.local_addr().unwrap().port();
        let sender = UdpSocket::bind((lo, 0)).unwrap();
        socket2::SockRef::from(&sender).set_multicast_if_v4(&lo).unwrap();
        sender.set_multicast_loop_v4(true).unwrap();
        assert!(sender.multicast_loop_v4().unwrap());
        sender.set_multicast_ttl_v4(0).unwrap();
        assert_eq!(sender.multicast_ttl_v4().unwrap(), 0);
        joins_and_leaves(
            &receiver,
            &sender,
            ((group, port).into(), (lo, port).into()),
            || receiver.join_multicast_v4(&group, &lo),
            || receiver.leave_multicast_v4(&group, &lo),
        );
    });
}

#[test]
fn a_group_of_ipv6_is_joined_and_left() {
    if !has_ipv6() {
        return;
    }
    everywhere("group6", || {
        // Of the interface alone (ff01), and of no other process.
        let group = Ipv6Addr::new(0xff01, 0, 0, 0, 0, 0, 0x6774, std::process::id() as u16);
        let Ok(index) = std::fs::read_to_string("/sys/class/net/lo/ifindex") else {
            println!("skipped: the loopback device has no number");
            return;
        };
        let lo: u32 = index.trim().parse().unwrap();
        let receiver = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap();
        let port = receiver.local_addr().unwrap().port();
        let sender = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
        socket2::SockRef::from(&sender).set_multicast_if_v6(lo).unwrap();
        sender.set_multicast_loop_v6(true).unwrap();
        assert!(sender.multicast_loop_v6().unwrap());
        joins_and_leaves(
            &receiver,
            &sender,
            (
                SocketAddrV6::new(group, port, 0, lo).into(),
                SocketAddr::from((Ipv6Addr::LOCALHOST, port)),
            ),
            || receiver.join_multicast_v6(&group, lo),
            || receiver.leave_multicast_v6(&group, lo),
        );
    });
}

/// Sets an option of a number of bytes.
fn set_option(socket: &TcpStream, level: i32, name: i32, value: &[u8]) -> std::io::Result<()> {
    let length = value.len() as libc::socklen_t;
    // SAFETY: a live place of that many bytes.
    match unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, name, value.as_ptr().cast(), length)
    } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Has the kernel encrypt one direction of a stream: AES-128-GCM of TLS 1.2, all of it zeros.
fn encrypt(socket: &TcpStream, direction: i32) -> std::io::Result<()> {
    let mut keys = [0_u8; 40];
    keys[..2].copy_from_slice(&libc::TLS_1_2_VERSION.to_ne_bytes()[..2]);
    keys[2..4].copy_from_slice(&libc::TLS_CIPHER_AES_GCM_128.to_ne_bytes()[..2]);
    set_option(socket, libc::SOL_TLS, direction, &keys)
}

/// A receive from a stream of TLS in the kernel ends with a record, and more may be behind it.
#[test]
fn records_of_tls_in_the_kernel_are_all_read() {
    everywhere("ktls", || {
        let (one, other) = pair();
        // They have waited before, so they are registered and may have been found drained.
        talk(&one, &other);
        let attach = |socket| set_option(socket, libc::SOL_TCP, libc::TCP_ULP, b"tls");
        let attached = attach(&one)
            .and_then(|()| attach(&other))
            .and_then(|()| encrypt(&one, libc::TLS_TX))
            .and_then(|()| encrypt(&other, libc::TLS_RX));
        if let Err(error) = attached {
            println!("skipped: this kernel has no TLS: {error}");
            return;
        }
        // What the documentation asks for: the socket is looked at anew.
        let mut other = TcpStream::from(std::net::TcpStream::from(other));
        let reader = gthread::spawn(move || {
            let mut text = Vec::new();
            let mut buffer = [0; 1000];
            while text.len() < 300 * 10 {
                let bytes = other.read(&mut buffer).unwrap();
                assert!(bytes > 0);
                text.extend_from_slice(&buffer[..bytes]);
            }
            text
        });
        for _ in 0..300 {
            (&one).write_all(b"ten bytes.").unwrap();
        }
        assert_eq!(reader.join().unwrap(), b"ten bytes.".repeat(300));
    });
}
