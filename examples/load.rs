//! A load generator for servers that send back what they receive:
//! `cargo run --release --example load -- --connections 1000 127.0.0.1:7000`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its user")]

#[path = "options/mod.rs"]
#[allow(dead_code, unreachable_pub, reason = "each example uses its part")]
mod options;

use gthread::net::{TcpStream, ToSocketAddrs};
use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use options::{Options, Refusal};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const USAGE: &str = "\
usage: load [--connections N] [--size BYTES] [--duration SECONDS] [ADDRESS]

Opens N connections to a server that sends back what it receives, and has each
send a message, wait for it to come back whole, and send the next. Ends with the
requests per second and a histogram of their latencies.

  ADDRESS               of the server (default 127.0.0.1:7000)
  --connections N       1 to 1000000 (default 64)
  --size BYTES          of a message, 1 to 16777216 (default 64)
  --duration SECONDS    1 to 86400 (default 5)";

/// Latencies are told apart up to a minute, to three digits.
const LATENCY_NS_MAX: u64 = 60_000_000_000;

/// How many histograms the connections share: one for each would be memory, one for all a queue.
const SHARDS: usize = 16;

#[derive(Clone, Copy, Debug)]
struct Plan {
    address: SocketAddr,
    connections: usize,
    message_bytes: usize,
    duration: Duration,
}

/// What all connections write to.
struct Tally {
    latencies: Vec<Mutex<Histogram<u64>>>,
    requests: AtomicU64,
}

fn main() -> ExitCode {
    options::run("load", USAGE, || {
        let mut options = Options::read(&["--connections", "--size", "--duration"])?;
        let connections = options.number("--connections", 64, 1..=1_000_000)?;
        let message_bytes = options.number("--size", 64, 1..=16 << 20)?;
        let seconds = options.number("--duration", 5, 1..=86_400)?;
        let text = options.word().unwrap_or_else(|| "127.0.0.1:7000".to_owned());
        options.end()?;
        let address = resolve(&text)?;
        let duration = Duration::from_secs(seconds);
        let plan = Plan { address, connections, message_bytes, duration };
        Ok(gthread::run(move || measure(plan)))
    })
}

fn resolve(text: &str) -> Result<SocketAddr, Refusal> {
    let found = text.to_socket_addrs().map_err(|error| format!("{text:?}: {error}"))?.next();
    found.ok_or_else(|| format!("{text:?} has no address").into())
}

fn measure(plan: Plan) -> Result<(), String> {
    let mut streams = Vec::new();
    for n in 0..plan.connections {
        let stream = TcpStream::connect(plan.address)
            .map_err(|error| format!("connection {n} to {}: {error}", plan.address))?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        streams.push(stream);
    }
    let new = || Histogram::new_with_max(LATENCY_NS_MAX, 3).map(Mutex::new);
    let latencies: Result<_, _> = (0..SHARDS).map(|_| new()).collect();
    let tally = Tally {
        latencies: latencies.map_err(|error| error.to_string())?,
        requests: AtomicU64::new(0),
    };
    let start = Instant::now();
    let end = start + plan.duration;
    let failed: usize = gthread::scope(|scope| {
        let threads: Vec<_> = streams
            .into_iter()
            .enumerate()
            .map(|(n, stream)| {
                let latencies = &tally.latencies[n % SHARDS];
                let tally = &tally;
                scope.spawn(move || drive(stream, plan.message_bytes, end, latencies, tally))
            })
            .collect();
        show_progress(plan.duration, &tally);
        threads.into_iter().filter_map(|thread| thread.join().ok()?.err()).count()
    });
    report(plan, &tally, start.elapsed(), failed)
}

/// One connection, until `end`.
fn drive(
    mut stream: TcpStream,
    message_bytes: usize,
    end: Instant,
    latencies: &Mutex<Histogram<u64>>,
    tally: &Tally,
) -> std::io::Result<()> {
    let message = vec![b'x'; message_bytes];
    let mut back = vec![0; message_bytes];
    // Whoever is still waiting a while after the end is not served.
    stream.set_deadline(Some(end + Duration::from_secs(5)));
    let mut sent = Instant::now();
    while sent < end {
        stream.write_all(&message)?;
        stream.read_exact(&mut back)?;
        let received = Instant::now();
        let nanoseconds = received.duration_since(sent).as_nanos() as u64;
        let mut histogram = latencies.lock().unwrap_or_else(PoisonError::into_inner);
        histogram.saturating_record(nanoseconds.max(1));
        drop(histogram);
        tally.requests.fetch_add(1, Ordering::Relaxed);
        sent = received;
    }
    Ok(())
}

fn show_progress(duration: Duration, tally: &Tally) {
    let bar = ProgressBar::new(duration.as_millis() as u64);
    if let Ok(style) = ProgressStyle::with_template("{elapsed:>4} {wide_bar} {msg} requests") {
        bar.set_style(style);
    }
    let start = Instant::now();
    while start.elapsed() < duration {
        gthread::sleep(Duration::from_millis(100).min(duration - start.elapsed().min(duration)));
        bar.set_position(start.elapsed().as_millis() as u64);
        bar.set_message(tally.requests.load(Ordering::Relaxed).to_string());
    }
    bar.finish_and_clear();
}

fn report(plan: Plan, tally: &Tally, took: Duration, failed: usize) -> Result<(), String> {
    let mut all = Histogram::<u64>::new_with_max(LATENCY_NS_MAX, 3).map_err(|e| e.to_string())?;
    for shard in &tally.latencies {
        let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        all.add(&*shard).map_err(|error| error.to_string())?;
    }
    let (requests, seconds) = (all.len(), took.as_secs_f64());
    println!("{} connections x {} bytes, {seconds:.2} s", plan.connections, plan.message_bytes);
    println!("{requests} requests, {:.0} per second", requests as f64 / seconds);
    let micros = |ns: u64| ns as f64 / 1e3;
    for (name, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)] {
        println!("{name:>6} {:10.1} us", micros(all.value_at_quantile(quantile)));
    }
    println!("{:>6} {:10.1} us", "max", micros(all.max()));
    print_histogram(&all);
    match failed {
        0 => Ok(()),
        failed => Err(format!("{failed} of {} connections failed", plan.connections)),
    }
}

/// A line for each doubling of the latency.
fn print_histogram(all: &Histogram<u64>) {
    let buckets: Vec<_> = all.iter_log(1_000, 2.0).collect();
    let most = buckets.iter().map(|b| b.count_since_last_iteration()).max().unwrap_or(1).max(1);
    for bucket in buckets {
        let count = bucket.count_since_last_iteration();
        if count > 0 {
            let length = (count * 50 / most) as usize;
            let limit = bucket.value_iterated_to() as f64 / 1e3;
            println!("{limit:>12.1} us {count:>10} {}", "#".repeat(length.max(1)));
        }
    }
}
