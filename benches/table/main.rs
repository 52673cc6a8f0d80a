//! All rows in one table, with the machine they were taken on, and a plot.
//!
//! `cargo bench --bench table -- [--quick] [--rounds N] [NAME…]`: NAMEs select
//! rows by any part of their name. A full run of all rows writes
//! `benches/results/table.md` and `plot.svg`; a quick or partial one prints
//! only, unless `--write` is given.

#[path = "../harness/mod.rs"]
#[allow(dead_code, reason = "shared with the other benches")]
mod harness;
#[path = "../peers/mod.rs"]
mod peers;
mod plot;
#[path = "../rows/mod.rs"]
mod rows;

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use harness::rounds::{Plan, exit_code, measure};
use harness::{Row, child, os, report};

const GROUPS: &[&[Row]] = &[
    rows::spawn::ROWS,
    rows::yielding::ROWS,
    rows::switch::ROWS,
    rows::park_pingpong::ROWS,
    rows::channel::ROWS,
    rows::sync::ROWS,
    rows::skynet::ROWS,
    rows::parked_memory::ROWS,
    rows::handoff::ROWS,
    rows::sleepers::ROWS,
    rows::timers::ROWS,
    rows::idle::ROWS,
    rows::echo::ROWS,
];

const USAGE: &str = "usage: .ci/bench-table [--quick] [--rounds 1..=99] [--write] [--list] [NAME…]";

/// What the command line asks for.
struct Options {
    plan: Plan,
    write: bool,
    list: bool,
    names: Vec<String>,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self, String> {
        let mut plan = Plan::full();
        let (mut write, mut list, mut quick) = (false, false, false);
        let mut names = Vec::new();
        let mut args = args.iter().filter(|arg| *arg != "--bench");
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--quick" => quick = true,
                "--write" => write = true,
                "--list" => list = true,
                "--rounds" => plan.rounds = parse_rounds(args.next())?,
                other if other.starts_with('-') => return Err(format!("unknown option `{other}`")),
                name => names.push(name.to_owned()),
            }
        }
        let plan = if quick { Plan::smoke() } else { plan };
        let write = write || (!quick && names.is_empty());
        Ok(Self { plan, write, list, names })
    }

    fn rows(&self) -> Result<Vec<&'static Row>, String> {
        let all = || GROUPS.iter().copied().flatten();
        let known = |name: &String| all().any(|row| row.name.contains(name.as_str()));
        if let Some(name) = self.names.iter().find(|name| !known(name)) {
            return Err(format!("no row's name contains `{name}`; `--list` shows them"));
        }
        let chosen = |row: &&Row| self.names.iter().any(|name| row.name.contains(name.as_str()));
        Ok(all().filter(|row| self.names.is_empty() || chosen(row)).collect())
    }
}

fn parse_rounds(value: Option<&String>) -> Result<usize, String> {
    let value = value.map_or("", String::as_str);
    match value.parse() {
        Ok(rounds @ 1..=99) => Ok(rounds),
        _ => Err(format!("`--rounds {value}`: a number from 1 to 99 is wanted")),
    }
}

#[allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench reports to the terminal")]
fn main() -> ExitCode {
    if let Some(served) = rows::echo::serve_if_asked() {
        return served;
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == "--cell") {
        return harness::main(GROUPS);
    }
    let chosen = Options::parse(&args).and_then(|options| Ok((options.rows()?, options)));
    let (rows, options) = match chosen {
        Ok(chosen) => chosen,
        Err(why) => {
            eprintln!("bench-table: {why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if options.list {
        rows.iter().for_each(|row| println!("{:<18} {}", row.name, row.about));
        return ExitCode::SUCCESS;
    }
    if child::go_program().is_none() {
        eprintln!("no Go toolchain on the PATH (or it cannot build): the column is left out");
    }
    let start = Instant::now();
    let results = measure(&rows, options.plan);
    let failures = report::failures(&rows, &results);
    let text = page(&report::table(&rows, &results), &failures, &options.plan);
    println!("{text}\nTook {} s.", start.elapsed().as_secs());
    if options.write {
        let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/results");
        let written = std::fs::create_dir_all(&directory)
            .and_then(|()| std::fs::write(directory.join("table.md"), &text))
            .and_then(|()| std::fs::write(directory.join("plot.svg"), plot::svg(&rows, &results)));
        if let Err(error) = written {
            eprintln!("bench-table: cannot write to {}: {error}", directory.display());
            return ExitCode::FAILURE;
        }
    }
    exit_code(&results)
}

/// The table with what a reader needs to judge it.
fn page(table: &str, failures: &str, plan: &Plan) -> String {
    let mut text = String::new();
    let rounds = match plan.rounds {
        1 => "One round".to_owned(),
        n => format!("Median of {n} interleaved rounds"),
    };
    let small = if plan.quick { " **Quick run: sizes are too small to compare.**" } else { "" };
    let _ = writeln!(text, "{}.\n", os::machine());
    let _ = writeln!(
        text,
        "{rounds}, one process per cell, lower is better everywhere. \
         P: processors (1 keeps the process on one core). Bold: lowest of the row. \
         `~`: rounds differ by more than half of the median. `*`: that peer ran a smaller size. \
         `–`: has no such thing, or not at this size. Ratio: gthread / best peer \
         (bare system calls are the floor, not a peer).{small}\n"
    );
    text.push_str(table);
    if !failures.is_empty() {
        let _ = write!(text, "\nFailed cells:\n\n```text\n{failures}```\n");
    }
    text
}
