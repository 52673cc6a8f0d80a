//! What the tests of sockets share: everywhere to run, and pairs of connected streams.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "a test that unwraps is a test that fails")]

use crate::common::{Carrier, watch};
use gthread::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// How long a thing may take that is bound to happen: a hang, not a slow machine, is found.
pub(crate) const LONG: Duration = Duration::from_secs(50);

/// Runs `f` as a green thread with 1, 2 and 8 processors, as an OS thread behind the same API, and
/// as a plain OS thread outside all runtimes.
pub(crate) fn everywhere(name: &'static str, f: impl Fn() + Send + Sync + 'static) {
    let carriers = [1, 2, 8].map(Carrier::Processors).into_iter().chain([Carrier::OsThreads]);
    for carrier in carriers {
        println!("{name}: {carrier:?}");
        let _dog = watch(name);
        let runtime = carrier.runtime();
        runtime.run(&f);
        runtime.shutdown();
    }
    println!("{name}: a plain OS thread");
    let _dog = watch(name);
    std::thread::spawn(f).join().unwrap();
}

/// A listener on a free port of the loopback device.
pub(crate) fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Two streams that are connected to each other: who connected, who accepted.
pub(crate) fn pair() -> (TcpStream, TcpStream) {
    let (listener, address) = listen();
    let connected = TcpStream::connect(address).unwrap();
    let (accepted, from) = listener.accept().unwrap();
    assert_eq!(from, connected.local_addr().unwrap());
    (connected, accepted)
}

/// Lets `f` run until it holds; fails when that takes too long.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LONG, "{what}");
        gthread::sleep(Duration::from_millis(1));
    }
}

/// What this process has open.
pub(crate) fn descriptors() -> Vec<String> {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap();
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        let target = std::fs::read_link(&path).unwrap_or_default();
        format!("{} -> {}", path.display(), target.display())
    };
    entries.map(name).collect()
}

/// Waits long enough that a thread spawned before is most likely waiting by now. What is tested
/// holds whether it is or not.
pub(crate) fn let_others_wait() {
    gthread::sleep(Duration::from_millis(5));
}

/// Raises the limit of descriptors as far as it goes, up to `wanted`; how many there may be.
pub(crate) fn raise_descriptor_limit(wanted: usize) -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a live place for the limit.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    let set = |cur: u64, max: u64| {
        let limit = libc::rlimit { rlim_cur: cur, rlim_max: max };
        // SAFETY: a live limit.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) == 0 }
    };
    let wanted = wanted as u64;
    // Beyond the hard limit only the privileged may go.
    if limit.rlim_cur >= wanted || set(wanted, limit.rlim_max.max(wanted)) {
        return wanted as usize;
    }
    set(limit.rlim_max, limit.rlim_max);
    limit.rlim_max as usize
}
