//! A tour in under 20 seconds: `cargo run --release --example tour`.
//!
//! A million green threads at once; compute-bound and blocking code that share
//! two processors without keeping a ticker from its work; a tree of a million
//! threads that join each other. Then the same on OS threads, as far as they
//! go, and one table.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The steps on green threads …
mod green {
    use gthread as thread;
    include!("tour/steps.rs");
}

/// … and the same text on OS threads: only the `use` differs.
mod os {
    use std::thread;
    include!("tour/steps.rs");
}

#[path = "tour/memory.rs"]
mod memory;

const CROWD: usize = 1_000_000;
const LEAVES: u64 = 1_000_000;
const OS_CROWD: usize = 10_000;
const OS_LEAVES: u64 = 1_000;
const PROCESSORS: usize = 2;
const SHARING: Duration = Duration::from_millis(1_500);

/// What a parked green thread may take with its share of page tables, handle
/// and allocator overhead; more than it does take, to be on the safe side.
const BYTES_EACH: u64 = 10 * 1024;

fn main() -> ExitCode {
    match tour() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            let _ = writeln!(io::stderr(), "tour: {why}");
            ExitCode::FAILURE
        }
    }
}

fn tour() -> Result<(), Box<dyn std::error::Error>> {
    let start = Instant::now();
    let runtime = gthread::Runtime::builder().processors(PROCESSORS).build()?;
    let (crowd, room) = crowd_size();
    say(&format!("gthread tour on {PROCESSORS} processors, {room}"));

    let step = Step::begin("1/6", &format!("{} green threads, all at once", grouped(crowd)));
    let green_crowd = runtime.run(move || green::crowd(crowd, |n| step.progress(n, crowd)))?;
    Step::end("1/6", &green_crowd.to_string());

    let text = "2 compute-bound + 8 blocking green threads beside a 1 ms ticker";
    Step::begin("2/6", text);
    let green_sharing = runtime.run(|| green::share(SHARING));
    Step::end("2/6", &green_sharing.to_string());

    Step::begin("3/6", &format!("skynet: a tree with {} leaves", grouped(LEAVES as usize)));
    let green_skynet = runtime.run(|| green::skynet(LEAVES))?;
    Step::end("3/6", &green_skynet.to_string());
    runtime.shutdown();

    let step = Step::begin("4/6", &format!("{} OS threads", grouped(OS_CROWD)));
    let os_crowd = os::crowd(OS_CROWD, |n| step.progress(n, OS_CROWD))?;
    Step::end("4/6", &os_crowd.to_string());

    Step::begin("5/6", "the same ticker among OS threads");
    let os_sharing = os::share(SHARING);
    Step::end("5/6", &os_sharing.to_string());

    Step::begin("6/6", &format!("skynet on OS threads, {} leaves", grouped(OS_LEAVES as usize)));
    let os_skynet = os::skynet(OS_LEAVES)?;
    Step::end("6/6", &os_skynet.to_string());

    table(&[
        ["", "green threads", "OS threads"].map(str::to_owned),
        ["threads at once".into(), grouped(green_crowd.count), grouped(os_crowd.count)],
        ["  spawn, each".into(), micros(green_crowd.spawn_each()), micros(os_crowd.spawn_each())],
        ["  memory, each".into(), kib(green_crowd.bytes_each()), kib(os_crowd.bytes_each())],
        [
            "  wake + join, each".into(),
            micros(green_crowd.wake_each()),
            micros(os_crowd.wake_each()),
        ],
        ["ticker's worst delay".into(), millis(green_sharing.worst), millis(os_sharing.worst)],
        ["  its median delay".into(), millis(green_sharing.median), millis(os_sharing.median)],
        ["  10 ms blocking calls".into(), grouped(green_sharing.calls), grouped(os_sharing.calls)],
        ["  primes found".into(), grouped(green_sharing.primes), grouped(os_sharing.primes)],
        ["skynet, each thread".into(), micros(green_skynet.each()), micros(os_skynet.each())],
    ]);
    say(&format!("\nThe tour took {:.1} s.", start.elapsed().as_secs_f64()));
    Ok(())
}

/// A million, or as many as the machine has room for, and a word on it.
fn crowd_size() -> (usize, String) {
    let Some(free) = memory::available_bytes() else {
        return (CROWD / 10, "memory unknown: a tenth of the crowd".into());
    };
    let gib = free as f64 / f64::from(1 << 30);
    let fits = (free / 10 * 7 / BYTES_EACH) as usize;
    if fits >= CROWD {
        return (CROWD, format!("{gib:.1} GiB of memory free"));
    }
    let size = (fits / 1_000 * 1_000).max(1_000);
    (size, format!("{gib:.1} GiB of memory free: {} threads instead of a million", grouped(size)))
}

/// A step's line: rewritten in place on a terminal, printed whole elsewhere.
#[derive(Debug)]
struct Step {
    text: String,
}

impl Step {
    fn begin(number: &str, what: &str) -> Self {
        let text = format!("[{number}] {what}");
        say(&text);
        Self { text }
    }

    fn progress(&self, done: usize, of: usize) {
        if io::stdout().is_terminal() {
            let mut out = io::stdout();
            let percent = done * 100 / of.max(1);
            let _ = write!(out, "\r\x1b[K      {percent} % of {}", self.text);
            let _ = out.flush();
        }
    }

    fn end(number: &str, outcome: &str) {
        let clear = if io::stdout().is_terminal() { "\r\x1b[K" } else { "" };
        say(&format!("{clear}{:width$}{outcome}", "", width = number.len() + 3));
    }
}

/// Prints a line; a closed pipe is no reason to stop.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

fn table(rows: &[[String; 3]]) {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let [a, b, c] = [0, 1, 2].map(|column| width(column).unwrap_or(0));
    say("");
    for (i, [what, green, os]) in rows.iter().enumerate() {
        say(&format!("  {what:<a$}   {green:>b$}   {os:>c$}"));
        if i == 0 {
            say(&format!("  {:─<1$}", "", a + b + c + 6));
        }
    }
}

fn micros(duration: Duration) -> String {
    format!("{:.2} µs", duration.as_nanos() as f64 / 1e3)
}

fn millis(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_nanos() as f64 / 1e6)
}

fn kib(bytes: f64) -> String {
    format!("{:.1} KiB", bytes / 1024.0)
}

/// Thousands apart: 1,000,000.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
