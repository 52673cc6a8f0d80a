//! gthread's allocator beside five others: the question is "who is fastest, and who keeps what".
//!
//! `.ci/bench-alloc [--continue] [--rounds N] [--threads 1,2] [--write] [CELL…]`
//!
//! One process per cell and allocator (`benches/alloc_*.rs`), the allocators in turn, so that a
//! machine that slows down slows everyone. What is measured is added to `target/bench/alloc.tsv`
//! at once; `--continue` keeps what is there, so that a run can be done in pieces. A cell's
//! figures are the least processor time of the rounds (all threads together, so that a shared
//! machine disturbs less than with elapsed time), and the medians of the peak RSS and of the RSS
//! 1.5 s after everything was freed.
//!
//! The tables are printed; with `--write` they go to `benches/results/alloc.md`, the means into
//! the README between its markers, and a picture to `benches/results/alloc.svg`.
#![allow(missing_docs, clippy::print_stdout, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

#[path = "alloc/names.rs"]
mod names;
#[path = "alloc/report.rs"]
mod report;
use names::{ALLOCATORS, CELLS};

/// A cell that takes longer hangs.
const CELL_MAX: Duration = Duration::from_secs(60);

/// What one process said: processor time in ns per operation, RSS in KiB.
#[derive(Clone, Copy)]
pub struct Figures {
    time_ns: f64,
    start_kib: f64,
    peak_kib: f64,
    idle_kib: f64,
}

/// The rounds of each number of threads, cell and allocator.
pub type Results = BTreeMap<(String, String, String), Vec<Figures>>;

struct Options {
    is_continued: bool,
    writes: bool,
    rounds: usize,
    threads: Vec<String>,
    cells: Vec<String>,
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        is_continued: false,
        writes: false,
        rounds: 1,
        threads: vec!["1".into(), "2".into()],
        cells: Vec::new(),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--bench" => {}
            "--continue" => options.is_continued = true,
            "--write" => options.writes = true,
            "--rounds" => {
                let text = value()?;
                let rounds = text.parse().ok().filter(|rounds| (1..=99).contains(rounds));
                options.rounds = rounds.ok_or(format!("--rounds takes 1..=99, not {text}"))?;
            }
            "--threads" => options.threads = value()?.split(',').map(String::from).collect(),
            cell if CELLS.contains(&cell) => options.cells.push(argument),
            _ => return Err(format!("{argument} is neither an option nor a cell: {CELLS:?}")),
        }
    }
    if options.cells.is_empty() {
        options.cells = CELLS.iter().map(ToString::to_string).collect();
    }
    Ok(options)
}

/// The bench programs, built by cargo: name of the allocator and path.
fn programs() -> Result<Vec<(&'static str, PathBuf)>, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    cargo.args(["bench", "--no-run", "--features", "bench-allocators"]).current_dir(root);
    for name in ALLOCATORS {
        cargo.args(["--bench", &format!("alloc_{name}")]);
    }
    let output = cargo.output().map_err(|error| format!("cargo: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let path_of = |name: &str| {
        let (_, rest) = text.split_once(&format!("benches/alloc_{name}.rs ("))?;
        Some(root.join(rest.split(')').next()?))
    };
    let found = |&name| Ok((name, path_of(name).ok_or(format!("no alloc_{name}:\n{text}"))?));
    ALLOCATORS.iter().map(found).collect()
}

/// Runs one cell in a process of its own.
fn run(program: &Path, cell: &str, threads: &str) -> Result<Figures, String> {
    let mut command = Command::new(program);
    command.args([cell, threads]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let start = Instant::now();
    let status = loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) => break status,
            None if start.elapsed() > CELL_MAX => {
                let _ = child.kill();
                let _ = child.wait();
                return Err("hangs".into());
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let mut text = String::new();
    if let Some(mut stdout) = child.stdout {
        let _ = stdout.read_to_string(&mut text);
    }
    let values: Vec<f64> = text.split_whitespace().filter_map(|text| text.parse().ok()).collect();
    match values[..] {
        [_, time_ns, start_kib, peak_kib, idle_kib] if status.success() => {
            Ok(Figures { time_ns, start_kib, peak_kib, idle_kib })
        }
        _ => Err(format!("{status}, said {text:?}")),
    }
}

/// Measures, and adds each result to the file at once; whether every cell ran.
fn measure(options: &Options, file: &Path) -> Result<bool, String> {
    let programs = programs()?;
    if !options.is_continued {
        let _ = std::fs::remove_file(file);
    }
    let open = std::fs::OpenOptions::new().create(true).append(true).open(file);
    let mut file = open.map_err(|error| format!("{}: {error}", file.display()))?;
    let (start, mut is_whole) = (Instant::now(), true);
    let all = options.threads.len() * options.cells.len() * options.rounds;
    let mut done = 0;
    for threads in &options.threads {
        for cell in &options.cells {
            for _ in 0..options.rounds {
                done += 1;
                let seconds = start.elapsed().as_secs();
                eprintln!("[{done}/{all}] {cell}, {threads} thread(s); {seconds} s so far");
                for (name, program) in &programs {
                    let Figures { time_ns, start_kib, peak_kib, idle_kib } =
                        match run(program, cell, threads) {
                            Ok(figures) => figures,
                            Err(error) => {
                                eprintln!("{name}, {cell}: {error}");
                                is_whole = false;
                                continue;
                            }
                        };
                    let row = format!(
                        "{threads}\t{cell}\t{name}\t{time_ns}\t{start_kib}\t{peak_kib}\t{idle_kib}"
                    );
                    writeln!(file, "{row}").map_err(|error| error.to_string())?;
                }
            }
        }
    }
    Ok(is_whole)
}

fn read(file: &Path) -> Results {
    let mut results = Results::new();
    for line in std::fs::read_to_string(file).unwrap_or_default().lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let number = |at: usize| fields.get(at).and_then(|text| text.parse().ok());
        let (Some(time_ns), Some(start_kib), Some(peak_kib), Some(idle_kib)) =
            (number(3), number(4), number(5), number(6))
        else {
            continue;
        };
        let key = (fields[0].to_string(), fields[1].to_string(), fields[2].to_string());
        let figures = Figures { time_ns, start_kib, peak_kib, idle_kib };
        results.entry(key).or_default().push(figures);
    }
    results
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = root.join("target/bench");
    let file = directory.join("alloc.tsv");
    let measured = std::fs::create_dir_all(&directory)
        .map_err(|error| error.to_string())
        .and_then(|()| measure(&options, &file));
    let is_whole = match measured {
        Ok(is_whole) => is_whole,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let report = report::Report::new(read(&file));
    println!("{}\n{}", report.cells(), report.means());
    if options.writes
        && let Err(error) = report.write(root)
    {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
