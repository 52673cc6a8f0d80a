//! How a row is measured: a process per cell, interleaved rounds, medians.
//!
//! A *row* is one question. A *cell* is that question put to one peer. Every
//! cell runs in a process of its own, because runtimes keep processor counts,
//! stack pools and warm allocators for the life of a process, and a peer must
//! not pay for what another left behind. The process that measures starts
//! itself again with `--cell ROW PEER SIZE`, and the child answers with one
//! line on its standard output.
//!
//! Rounds are interleaved (round 1 of every peer, then round 2 …), so that a
//! machine that grows slower is slower for everyone; the table shows medians.
//! Micro rows also run under criterion: there each sample is a child process.

pub(crate) mod child;
mod micro;
pub(crate) mod os;
pub(crate) mod report;
pub(crate) mod rounds;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::peers::{Futures, Threads};

/// Who runs the workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Peer {
    Ours,
    Std,
    /// OS threads with parking_lot's locks.
    ParkingLot,
    Tokio,
    Smol,
    May,
    Go,
    /// The system call alone, without any runtime: the floor of the row.
    Bare,
}

impl Peer {
    pub(crate) const ALL: [Self; 8] = [
        Self::Ours,
        Self::Std,
        Self::ParkingLot,
        Self::Tokio,
        Self::Smol,
        Self::May,
        Self::Go,
        Self::Bare,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "gthread",
            Self::Std => "OS threads",
            Self::ParkingLot => "parking_lot",
            Self::Tokio => "tokio",
            Self::Smol => "smol",
            Self::May => "may",
            Self::Go => "Go",
            Self::Bare => "bare",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|peer| peer.name() == name)
    }
}

/// What a workload is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) processors: usize,
    /// How many units of work; what a unit is, the row says.
    pub(crate) size: u64,
    /// Seconds matter more than precision: shorten fixed durations too.
    pub(crate) quick: bool,
}

/// A workload: returns one value per metric of its row.
pub(crate) type Run = fn(&Cell) -> Vec<f64>;

/// A peer's way to run a row.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) peer: Peer,
    /// `None`: the Go program knows the row by its name.
    run: Option<Run>,
    /// The peer runs `size / share` units, where the full size would take minutes.
    pub(crate) share: u64,
}

pub(crate) const fn entry(peer: Peer, run: Run) -> Entry {
    Entry { peer, run: Some(run), share: 1 }
}

pub(crate) const GO: Entry = Entry { peer: Peer::Go, run: None, share: 1 };

impl Entry {
    pub(crate) const fn share(mut self, share: u64) -> Self {
        self.share = share;
        self
    }
}

/// What `ours` has to reach.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    /// Shown for information.
    None,
    /// No worse than the best peer of the row.
    BestPeer,
    /// A figure, in the metric's unit.
    Max(f64),
    /// So many times the bare system call.
    OfBare(f64),
}

/// One figure of a row; lower is better in all of them.
#[derive(Debug)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) bound: Bound,
    pub(crate) aim: Bound,
    /// Whether the plot shows it.
    pub(crate) plotted: bool,
}

pub(crate) const fn metric(name: &'static str, unit: &'static str, bound: Bound) -> Metric {
    Metric { name, unit, bound, aim: Bound::None, plotted: false }
}

impl Metric {
    /// What the design hopes for beyond the bound.
    pub(crate) const fn aim(mut self, aim: Bound) -> Self {
        self.aim = aim;
        self
    }

    pub(crate) const fn plotted(mut self) -> Self {
        self.plotted = true;
        self
    }
}

/// One question.
#[derive(Debug)]
pub(crate) struct Row {
    /// Names the row on the command line and in the Go program.
    pub(crate) name: &'static str,
    /// The question, as the table shows it.
    pub(crate) about: &'static str,
    pub(crate) processors: usize,
    /// Units of work in a full run and in a quick one.
    pub(crate) size: u64,
    pub(crate) quick_size: u64,
    /// Operations per unit, for rows that criterion runs; 0 for the others.
    pub(crate) criterion_ops: u64,
    pub(crate) metrics: &'static [Metric],
    pub(crate) entries: &'static [Entry],
}

impl Row {
    fn entry(&self, peer: Peer) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.peer == peer)
    }
}

/// Runs `units(n)` on the threads of `P` and returns nanoseconds per operation.
pub(crate) fn per_op_threads<P: Threads>(
    cell: &Cell,
    ops: u64,
    units: impl Fn(u64) + Send + 'static,
) -> Vec<f64> {
    let size = cell.size;
    let elapsed = P::run(cell.processors, move || {
        units(size / 10 + 1);
        let start = Instant::now();
        units(size);
        start.elapsed()
    });
    vec![per_op(elapsed, size * ops)]
}

/// As [`per_op_threads`], for the runtimes of futures.
pub(crate) fn per_op_futures<P: Futures, F>(
    cell: &Cell,
    ops: u64,
    units: impl Fn(u64) -> F + Send + Sync + 'static,
) -> Vec<f64>
where
    F: Future<Output = ()> + Send + 'static,
{
    let size = cell.size;
    let elapsed = P::run(cell.processors, async move {
        units(size / 10 + 1).await;
        let start = Instant::now();
        units(size).await;
        start.elapsed()
    });
    vec![per_op(elapsed, size * ops)]
}

fn per_op(elapsed: Duration, ops: u64) -> f64 {
    elapsed.as_nanos() as f64 / ops as f64
}

/// The `main` of every bench: a child runs its cell, a parent the rows.
///
/// `cargo bench` passes `--bench`; without it (`cargo test --benches`) each
/// cell runs once and small, to show that it still works.
pub(crate) fn main(rows: &[&[Row]]) -> ExitCode {
    let rows: Vec<&Row> = rows.iter().copied().flatten().collect();
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == "--cell") {
        return child::answer(&rows, &args[1..]);
    }
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    if has("--list") {
        return ExitCode::SUCCESS;
    }
    if !has("--bench") || has("--test") {
        return rounds::print(&rows, rounds::Plan::smoke());
    }
    let (micro, macros): (Vec<_>, Vec<_>) = rows.into_iter().partition(|r| r.criterion_ops > 0);
    micro::run(&micro);
    if macros.is_empty() {
        return ExitCode::SUCCESS;
    }
    let filter = args.iter().find(|arg| !arg.starts_with("--"));
    let chosen: Vec<_> =
        macros.into_iter().filter(|r| filter.is_none_or(|f| r.name.contains(f.as_str()))).collect();
    rounds::print(
        &chosen,
        if has("--quick") { rounds::Plan::smoke() } else { rounds::Plan::full() },
    )
}
