//! Interleaved rounds over many rows, and the medians of them.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Instant;

use super::{Peer, Row, child, report};

/// How much to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    pub(crate) quick: bool,
}

impl Plan {
    pub(crate) const fn full() -> Self {
        Self { rounds: 5, quick: false }
    }

    /// Small sizes once: shows that everything runs, measures nothing.
    pub(crate) const fn smoke() -> Self {
        Self { rounds: 1, quick: true }
    }
}

/// What one cell gave over all rounds.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    /// One list per metric.
    pub(crate) values: Vec<Vec<f64>>,
    /// Why a round gave nothing.
    pub(crate) failures: Vec<String>,
}

impl Samples {
    fn add(&mut self, answer: Result<Vec<f64>, String>) {
        match answer {
            Err(why) => self.failures.push(why),
            Ok(values) => {
                self.values.resize_with(values.len(), Vec::new);
                self.values.iter_mut().zip(values).for_each(|(list, value)| list.push(value));
            }
        }
    }

    pub(crate) fn median(&self, metric: usize) -> Option<f64> {
        let sorted = self.sorted(metric)?;
        let middle = sorted.len() / 2;
        let even = sorted.len() % 2 == 0;
        Some(if even { (sorted[middle - 1] + sorted[middle]) / 2.0 } else { sorted[middle] })
    }

    /// Whether the rounds lie further apart than half of their median.
    pub(crate) fn is_noisy(&self, metric: usize) -> bool {
        let spread = self.sorted(metric).map(|s| s[s.len() - 1] - s[0]);
        spread.zip(self.median(metric)).is_some_and(|(spread, median)| spread > median / 2.0)
    }

    fn sorted(&self, metric: usize) -> Option<Vec<f64>> {
        let mut sorted = self.values.get(metric)?.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        (!sorted.is_empty()).then_some(sorted)
    }
}

/// The cells of all rows.
pub(crate) type Results = HashMap<(&'static str, Peer), Samples>;

/// Measures the rows: every peer once per round, in an order that turns.
pub(crate) fn measure(rows: &[&Row], plan: Plan) -> Results {
    let mut results = Results::new();
    let start = Instant::now();
    for round in 0..plan.rounds {
        for row in rows {
            let mut entries: Vec<_> = row.entries.iter().collect();
            let turn = round % entries.len();
            entries.rotate_left(turn);
            for entry in entries {
                progress(format_args!(
                    "[{:>4} s] round {}/{}: {}, {}",
                    start.elapsed().as_secs(),
                    round + 1,
                    plan.rounds,
                    row.name,
                    entry.peer.name()
                ));
                if entry.peer == Peer::Go && child::go_program().is_none() {
                    continue;
                }
                let size = if plan.quick { row.quick_size } else { row.size };
                let answer = child::ask(row, entry, (size / entry.share).max(1), plan.quick);
                results.entry((row.name, entry.peer)).or_default().add(answer);
            }
        }
    }
    progress(format_args!(""));
    results
}

/// One line that is overwritten on a terminal; silence elsewhere.
fn progress(line: std::fmt::Arguments<'_>) {
    let mut err = std::io::stderr();
    if err.is_terminal() {
        let _ = write!(err, "\r\x1b[K{line}");
        let _ = err.flush();
    }
}

/// Measures and prints; fails when a cell of ours failed.
#[allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench reports to the terminal")]
pub(crate) fn print(rows: &[&Row], plan: Plan) -> ExitCode {
    let results = measure(rows, plan);
    println!("{}", report::table(rows, &results));
    let failures = report::failures(rows, &results);
    eprint!("{failures}");
    exit_code(&results)
}

/// Failure when any cell of ours failed in any round.
pub(crate) fn exit_code(results: &Results) -> ExitCode {
    let failed = results.iter().any(|((_, p), s)| *p == Peer::Ours && !s.failures.is_empty());
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
