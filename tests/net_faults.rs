//! The kernel refuses, interrupts and cuts short: sockets tell, and lose nothing.
//!
//! A plan of faults is process-wide, so each test runs in a process of its own.
#![allow(clippy::unwrap_used, reason = "a test that unwraps is a test that fails")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test explains itself")]
#![cfg(feature = "fault-injection")]

mod common;
mod net_support;

use common::{assert_passed, in_child, is_child, watch};
use gthread::fault::{Call, calls, clear, fail};
use gthread::net::TcpStream;
use net_support::{everywhere, let_others_wait, listen, pair};
use std::io::{ErrorKind, Read, Write};

/// Runs `body` everywhere, in a process of its own.
fn alone(name: &'static str, body: fn()) {
    if is_child(name) {
        let _dog = watch(name);
        return everywhere(name, body);
    }
    assert_passed(&in_child(name, &[]));
}

/// So many bytes that tell where they belong.
fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|place| (place % 251) as u8).collect()
}

/// Sends `data` through a pair of streams and back; it has to be the same.
fn echo(data: &[u8]) {
    let (mut one, mut other) = pair();
    let server = gthread::spawn(move || {
        let mut buffer = [0; 100];
        loop {
            match other.read(&mut buffer).unwrap() {
                0 => return,
                bytes => other.write_all(&buffer[..bytes]).unwrap(),
            }
        }
    });
    let mut back = vec![0; data.len()];
    one.write_all(data).unwrap();
    one.read_exact(&mut back).unwrap();
    assert_eq!(back, data);
    drop(one);
    server.join().unwrap();
}

#[test]
fn an_accept_without_descriptors_tells_and_the_connection_waits() {
    alone("an_accept_without_descriptors_tells_and_the_connection_waits", || {
        let (listener, address) = listen();
        let _client = TcpStream::connect(address).unwrap();
        fail(Call::Accept, 0, 3, libc::EMFILE);
        for n in 1..=3 {
            let error = listener.accept().unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
            assert_eq!(calls(Call::Accept), n, "one call for one error: no loop");
        }
        listener.accept().unwrap();
        clear();
    });
}

/// Go's `TestAcceptIgnoreAbortedConnRequest`.
#[test]
fn an_aborted_connection_is_passed_over() {
    alone("an_aborted_connection_is_passed_over", || {
        let (listener, address) = listen();
        fail(Call::Accept, 0, 2, libc::ECONNABORTED);
        let _client = TcpStream::connect(address).unwrap();
        listener.accept().unwrap();
        assert_eq!(calls(Call::Accept), 3);
        clear();
    });
}

#[test]
fn interruptions_are_tried_again() {
    alone("interruptions_are_tried_again", || {
        for first in 0..6 {
            for call in [Call::Receive, Call::Send, Call::Accept] {
                fail(call, first, 5, libc::EINTR);
            }
            echo(&pattern(300));
        }
        clear();
    });
}

/// A transfer of one byte at a time is not taken for the end of the data.
#[test]
fn short_transfers_lose_nothing() {
    alone("short_transfers_lose_nothing", || {
        for first in 0..6 {
            fail(Call::ShortReceive, first, 100, libc::EINTR);
            fail(Call::ShortSend, first, 100, libc::EINTR);
            echo(&pattern(500));
        }
        clear();
    });
}

/// Without a place in the poller a green thread blocks its machine, and the others go on.
#[test]
fn waiting_works_without_the_poller() {
    alone("waiting_works_without_the_poller", || {
        for call in [Call::EpollAdd, Call::EpollCreate] {
            fail(call, 0, u64::MAX, libc::ENOMEM);
            echo(&pattern(1000));
            clear();
        }
    });
}

/// Without an eventfd an OS thread looks by itself from time to time.
#[test]
fn waiting_works_without_an_eventfd() {
    alone("waiting_works_without_an_eventfd", || {
        fail(Call::EventFd, 0, u64::MAX, libc::EMFILE);
        echo(&pattern(1000));
        let (one, _other) = pair();
        let one = std::sync::Arc::new(one);
        let waiting = one.clone();
        let reader = gthread::spawn(move || (&*waiting).read(&mut [0; 8]).unwrap_err().kind());
        let_others_wait();
        one.close();
        assert_eq!(reader.join().unwrap(), ErrorKind::NotConnected);
        clear();
    });
}

#[test]
fn an_error_of_the_kernel_reaches_the_caller() {
    alone("an_error_of_the_kernel_reaches_the_caller", || {
        let (mut one, mut other) = pair();
        fail(Call::Receive, 0, 1, libc::ECONNRESET);
        assert_eq!(one.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        fail(Call::Send, 0, 1, libc::ENOBUFS);
        assert_eq!(one.write(&[0; 8]).unwrap_err().raw_os_error(), Some(libc::ENOBUFS));
        clear();
        one.write_all(b"x").unwrap();
        other.read_exact(&mut [0]).unwrap();
    });
}
