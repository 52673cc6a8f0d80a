//! What does a server cost that sends back what it receives, and how late are its answers?
//!
//! Server and load are two processes. The server has one core and the load, one thread around an
//! epoll that is the same for all, another; beside hogs both share both. Each connection has one
//! message under way at a time, so the latency is that of a full server.

mod epoll;
mod servers;

use crate::harness::Bound::{BestPeer, Max, None, OfBare};
use crate::harness::{Cell, Entry, Metric, Peer, Row, entry, metric, os};
use epoll::Epoll;
use hdrhistogram::Histogram;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// Latencies are told apart up to this one.
const LATENCY_NS_MAX: u64 = 60_000_000_000;

/// Runs a server if the command line asks for one.
pub(crate) fn serve_if_asked() -> Option<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    (args.first()? == "--serve").then(|| servers::serve(&args[1..]))
}

/// A server's process, killed when dropped.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(peer: Peer, processors: usize, hogs: u64) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let mut command = Command::new(program);
        command.arg("--serve").arg(peer.name());
        command.arg(processors.to_string()).arg(hogs.to_string());
        command.stdout(Stdio::piped()).stdin(Stdio::null());
        if processors == 1 {
            os::pin_at_start(&mut command, 1);
        }
        let mut child = command.spawn().expect("the server starts");
        let out = child.stdout.take().expect("its output is piped");
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line).expect("the server tells its address");
        let address = line.trim().parse().expect("the server tells its address");
        Self { child, address }
    }

    /// Processor time so far.
    fn cpu(&self) -> Duration {
        os::processor_time_of(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection of the load.
struct Client {
    stream: TcpStream,
    missing: usize,
    sent: Instant,
}

/// All connections of the load.
struct Load {
    epoll: Epoll,
    clients: Vec<Client>,
    message: Vec<u8>,
    latencies: Histogram<u64>,
}

impl Load {
    fn new(address: SocketAddr, connections: u64, message_bytes: usize) -> Self {
        let epoll = Epoll::new().expect("an epoll");
        let connect = |n| {
            let stream = TcpStream::connect(address).expect("the server accepts");
            stream.set_nodelay(true).expect("an option");
            epoll.add(stream.as_raw_fd(), n).expect("room in the epoll");
            Client { stream, missing: 0, sent: Instant::now() }
        };
        let clients = (0..connections).map(connect).collect();
        let latencies = Histogram::new_with_max(LATENCY_NS_MAX, 3).expect("valid bounds");
        Self { epoll, clients, message: vec![b'x'; message_bytes], latencies }
    }

    fn start(&mut self) {
        for client in &mut self.clients {
            client.send(&self.message);
        }
    }

    /// Serves what comes back until `end`; how many requests were completed.
    fn run(&mut self, end: Instant) -> u64 {
        let mut buffer = [0; 16 << 10];
        let mut completed = 0;
        while Instant::now() < end {
            for n in self.epoll.wait(100) {
                let client = &mut self.clients[n as usize];
                let bytes = client.stream.read(&mut buffer).expect("the server answers");
                assert!(bytes > 0, "the server has left");
                client.missing -= bytes;
                if client.missing == 0 {
                    let latency = client.sent.elapsed().as_nanos() as u64;
                    self.latencies.saturating_record(latency.max(1));
                    completed += 1;
                    client.send(&self.message);
                }
            }
        }
        completed
    }
}

impl Client {
    fn send(&mut self, message: &[u8]) {
        self.sent = Instant::now();
        self.missing = message.len();
        self.stream.write_all(message).expect("the server reads");
    }
}

/// Puts the load on a server: µs of its processor time per request, µs per request, then the
/// latency's quantiles in µs.
fn measure(cell: &Cell, server: &Server, connections: u64, message_bytes: usize) -> Vec<f64> {
    let (warm, long) = match cell.quick {
        true => (Duration::from_millis(50), Duration::from_millis(200)),
        false => (Duration::from_millis(500), Duration::from_millis(2_000)),
    };
    let mut load = Load::new(server.address, connections, message_bytes);
    load.start();
    load.run(Instant::now() + warm);
    load.latencies.reset();
    let (start, cpu) = (Instant::now(), server.cpu());
    let completed = load.run(start + long) as f64;
    assert!(completed > 0.0, "the server has answered nothing in {long:?}");
    let (took, cpu) = (start.elapsed(), server.cpu() - cpu);
    let quantile = |q| load.latencies.value_at_quantile(q) as f64 / 1e3;
    let per_request = |time: Duration| time.as_secs_f64() * 1e6 / completed;
    let quantiles = [0.5, 0.99, 0.999].map(quantile);
    [&[per_request(cpu), per_request(took)][..], &quantiles].concat()
}

/// The server alone on a core.
fn echo<S: Serves, const BYTES: usize>(cell: &Cell) -> Vec<f64> {
    // The last of our cores is the server's.
    let server = Server::start(S::PEER, 1, 0);
    os::keep_to_first();
    measure(cell, &server, cell.size, BYTES)
}

/// One connection to a server that computes besides: latencies alone.
fn beside_hogs<S: Serves>(cell: &Cell) -> Vec<f64> {
    let server = Server::start(S::PEER, cell.processors, cell.size);
    measure(cell, &server, 1, 64)[2..].to_vec()
}

/// Whose server a cell starts.
trait Serves {
    const PEER: Peer;
}

struct Ours;
struct Threads;
struct Tokio;
struct May;
struct Bare;

impl Serves for Ours {
    const PEER: Peer = Peer::Ours;
}

impl Serves for Threads {
    const PEER: Peer = Peer::Std;
}

impl Serves for Tokio {
    const PEER: Peer = Peer::Tokio;
}

impl Serves for May {
    const PEER: Peer = Peer::May;
}

impl Serves for Bare {
    const PEER: Peer = Peer::Bare;
}

const fn peers<const BYTES: usize>() -> [Entry; 5] {
    [
        entry(Peer::Ours, echo::<Ours, BYTES>),
        entry(Peer::Std, echo::<Threads, BYTES>),
        entry(Peer::Tokio, echo::<Tokio, BYTES>),
        entry(Peer::May, echo::<May, BYTES>),
        entry(Peer::Bare, echo::<Bare, BYTES>),
    ]
}

/// As [`peers`] without OS threads, of which 10,000 are too many for most systems.
const fn peers_of_many<const BYTES: usize>() -> [Entry; 4] {
    [
        entry(Peer::Ours, echo::<Ours, BYTES>),
        entry(Peer::Tokio, echo::<Tokio, BYTES>),
        entry(Peer::May, echo::<May, BYTES>),
        entry(Peer::Bare, echo::<Bare, BYTES>),
    ]
}

const NO_HOGS: &[Entry] = &[
    entry(Peer::Ours, beside_hogs::<Ours>),
    entry(Peer::Std, beside_hogs::<Threads>),
    entry(Peer::Tokio, beside_hogs::<Tokio>),
    entry(Peer::May, beside_hogs::<May>),
];

/// tokio and may are left out: hogs occupy all their threads, and no request is answered before
/// those have ended.
const HOGS: &[Entry] =
    &[entry(Peer::Ours, beside_hogs::<Ours>), entry(Peer::Std, beside_hogs::<Threads>)];

const METRICS: &[Metric] = &[
    metric("server CPU", "µs", BestPeer).aim(OfBare(1.05)).plotted(),
    metric("per request", "µs", None),
    metric("p50", "µs", None),
    metric("p99", "µs", None).aim(OfBare(1.05)),
    metric("p99.9", "µs", None),
];

const fn late(p50_us_max: f64) -> [Metric; 3] {
    [
        metric("p50", "µs", Max(p50_us_max)).aim(Max(100.0)).plotted(),
        metric("p99", "µs", None),
        metric("p99.9", "µs", None),
    ]
}

pub(crate) const ROWS: &[Row] = &[
    row("echo_1", "TCP echo, 1 × 64 B", 1, 1, METRICS, &peers::<64>()),
    row("echo_64", "TCP echo, 64 × 64 B", 64, 16, METRICS, &peers::<64>()),
    row("echo_1000", "TCP echo, 1000 × 64 B", 1000, 64, METRICS, &peers::<64>()),
    row("echo_10000", "TCP echo, 10000 × 64 B", 10_000, 64, METRICS, &peers_of_many::<64>()),
    row("echo_1_4k", "TCP echo, 1 × 4 KiB", 1, 1, METRICS, &peers::<4096>()),
    row("echo_64_4k", "TCP echo, 64 × 4 KiB", 64, 16, METRICS, &peers::<4096>()),
    row("echo_1000_4k", "TCP echo, 1000 × 4 KiB", 1000, 64, METRICS, &peers::<4096>()),
    row("echo_10000_4k", "TCP echo, 10000 × 4 KiB", 10_000, 64, METRICS, &peers_of_many::<4096>()),
    row("echo_hogs_0", "TCP echo beside no hogs", 0, 0, &late(500.0), NO_HOGS),
    row("echo_hogs_2", "TCP echo beside 2 hogs", 2, 2, &late(500.0), HOGS),
    row("echo_hogs_16", "TCP echo beside 16 hogs", 16, 16, &late(1_000.0), HOGS),
];

const fn row(
    name: &'static str,
    about: &'static str,
    size: u64,
    quick_size: u64,
    metrics: &'static [Metric],
    entries: &'static [Entry],
) -> Row {
    Row { name, about, processors: 2, size, quick_size, criterion_ops: 0, metrics, entries }
}
