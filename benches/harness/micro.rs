//! Micro rows under criterion; each of its samples is a child process.

use std::time::Duration;

use criterion::{Criterion, Throughput};

use super::{Row, child};

/// Runs the rows under criterion with the command line's options.
#[allow(clippy::print_stderr, reason = "a bench reports to the terminal")]
pub(super) fn run(rows: &[&Row]) {
    if rows.is_empty() {
        return;
    }
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    for row in rows {
        let mut group = criterion.benchmark_group(row.name);
        group.throughput(Throughput::Elements(row.criterion_ops));
        for entry in row.entries {
            if let Err(why) = child::ask(row, entry, row.quick_size / entry.share, true) {
                eprintln!("{} / {}: skipped: {why}", row.name, entry.peer.name());
                continue;
            }
            group.bench_function(entry.peer.name(), |bencher| {
                bencher.iter_custom(|iterations| sample(row, entry, iterations));
            });
        }
        group.finish();
    }
    criterion.final_summary();
}

/// One sample: the child's time per operation, scaled to the iterations asked for.
fn sample(row: &Row, entry: &super::Entry, iterations: u64) -> Duration {
    let values = child::ask(row, entry, iterations, false);
    let ns = values.unwrap_or_else(|why| panic!("{} / {}: {why}", row.name, entry.peer.name()))[0];
    Duration::from_nanos((ns * (iterations * row.criterion_ops) as f64) as u64)
}
