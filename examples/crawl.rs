//! Fetches a page and all it links to on the same server, many at a time:
//! `cargo run --release --example crawl -- http://127.0.0.1:8000/`.
//!
//! Each page is a green thread. A semaphore bounds how many connections are open, a timeout around
//! plain blocking code bounds how long each page may take, and the main loop selects between pages
//! that arrive and Ctrl-C.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its user")]

#[path = "options/mod.rs"]
#[allow(dead_code, unreachable_pub, reason = "each example uses its part")]
mod options;
#[path = "crawl/page.rs"]
mod page;

use gthread::channel::{Receiver, Sender, bounded, unbounded};
use gthread::select;
use gthread::sync::Semaphore;
use options::{Options, Refusal};
use page::{Origin, Page};
use signal_hook::consts::SIGINT;
use std::collections::HashSet;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

const USAGE: &str = "\
usage: crawl [--connections N] [--timeout SECONDS] [--pages N] URL

Fetches URL (http only) and everything on the same server that it links to,
directly or not. Ends early on Ctrl-C, with the account of what was fetched.

  --connections N     open at the same time, 1 to 100000 (default 16)
  --timeout SECONDS   for each page, 1 to 3600 (default 10)
  --pages N           to fetch at most, 1 to 1000000 (default 10000)";

/// What the user asks for.
#[derive(Clone, Debug)]
struct Plan {
    origin: Arc<Origin>,
    first: String,
    connections: usize,
    timeout: Duration,
    pages_max: usize,
}

/// What has been fetched so far.
#[derive(Debug, Default)]
struct Account {
    pages: usize,
    bytes: u64,
    failed: usize,
}

fn main() -> ExitCode {
    options::run("crawl", USAGE, || {
        let mut options = Options::read(&["--connections", "--timeout", "--pages"])?;
        let connections = options.number("--connections", 16, 1..=100_000)?;
        let seconds = options.number("--timeout", 10, 1..=3600)?;
        let pages_max = options.number("--pages", 10_000, 1..=1_000_000)?;
        let url = options.word().ok_or_else(|| Refusal::Wrong("which URL?".to_owned()))?;
        options.end()?;
        let (origin, first) = Origin::parse(&url)
            .ok_or_else(|| format!("{url:?} is not of the form http://HOST[:PORT]/PATH"))?;
        let timeout = Duration::from_secs(seconds);
        let plan = Plan { origin: Arc::new(origin), first, connections, timeout, pages_max };
        Ok(gthread::run(move || crawl(&plan)))
    })
}

fn crawl(plan: &Plan) -> Result<(), String> {
    let start = Instant::now();
    let permits = Arc::new(Semaphore::new(plan.connections));
    let (found, pages) = unbounded();
    let interrupted = interrupts()?;
    let mut seen = HashSet::from([plan.first.clone()]);
    let mut account = Account::default();
    let mut open = 1;
    fetch(plan, plan.first.clone(), &permits, &found);
    while open > 0 {
        let page: Page = select! {
            recv(pages) -> page => page.map_err(|error| error.to_string())?,
            recv(interrupted) -> _ => {
                println!("interrupted: {open} pages were still to come");
                break;
            }
        };
        open -= 1;
        for link in note(page, &mut account) {
            if seen.len() < plan.pages_max && seen.insert(link.clone()) {
                open += 1;
                fetch(plan, link, &permits, &found);
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let Account { pages, bytes, failed } = account;
    println!("{pages} pages, {bytes} bytes, {failed} failed, {seconds:.2} s");
    if pages == 0 && failed > 0 { Err("nothing could be fetched".to_owned()) } else { Ok(()) }
}

/// Starts to fetch a page; it will arrive in `found`.
fn fetch(plan: &Plan, path: String, permits: &Arc<Semaphore>, found: &Sender<Page>) {
    let (plan, permits, found) = (plan.clone(), permits.clone(), found.clone());
    drop(gthread::spawn(move || {
        let permit = permits.acquire(1);
        let page = gthread::time::timeout(plan.timeout, || page::fetch(&plan.origin, path));
        drop(permit);
        // Nobody listens any more after Ctrl-C.
        let _ = found.send(page);
    }));
}

/// Tells of a page, and returns its links.
fn note(page: Page, account: &mut Account) -> Vec<String> {
    match page.outcome {
        Ok(body) => {
            println!("{} {:>9} {}", body.status, body.bytes, page.path);
            account.pages += 1;
            account.bytes += body.bytes;
            account.failed += usize::from(body.status >= 400);
            body.links
        }
        Err(error) => {
            println!("err {:>9} {}: {error}", "-", page.path);
            account.failed += 1;
            Vec::new()
        }
    }
}

/// A channel that tells of Ctrl-C. An OS thread waits for it: that one has no other work.
fn interrupts() -> Result<Receiver<()>, String> {
    let mut signals = signal_hook::iterator::Signals::new([SIGINT])
        .map_err(|error| format!("cannot handle signals: {error}"))?;
    let (interrupt, interrupted) = bounded(1);
    std::thread::spawn(move || {
        for _ in signals.forever() {
            if interrupt.send(()).is_err() {
                return;
            }
        }
    });
    Ok(interrupted)
}
