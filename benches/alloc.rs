//! gthread's allocator beside five others: the question is "who is fastest, and who keeps what".
//!
//! `cargo bench --features bench-allocators --bench alloc -- [cell,…] [threads,…] [rounds]`
//!
//! One process per cell and allocator (`benches/alloc_*.rs`), the allocators in turn, the best of
//! `rounds`. A table per number of threads: processor time per operation, peak RSS, RSS 1.5 s
//! after everything was freed; in the last row geometric means relative to mimalloc. Processor
//! time (both threads' together, so that a shared machine disturbs less), not elapsed time. A
//! picture goes to `target/bench/alloc.svg`.
#![allow(missing_docs, clippy::print_stdout, clippy::print_stderr)]

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

#[path = "alloc/names.rs"]
mod names;
use names::{ALLOCATORS, CELLS};

/// What a process said: processor time in ns per operation, peak and idle RSS in KiB.
#[derive(Clone, Copy)]
struct Figures {
    time_ns: f64,
    peak_kib: f64,
    idle_kib: f64,
}

/// The bench programs, built by cargo: name of the allocator and path.
fn programs() -> Vec<(&'static str, PathBuf)> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args(["bench", "--no-run", "--features", "bench-allocators", "--benches"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let path_of = |name: &str| {
        let mark = format!("benches/alloc_{name}.rs (");
        let (_, rest) = text.split_once(&mark)?;
        let path = PathBuf::from(rest.split(')').next()?);
        Some(if path.is_absolute() {
            path
        } else {
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
        })
    };
    ALLOCATORS.iter().filter_map(|&name| Some((name, path_of(name)?))).collect()
}

fn run(program: &PathBuf, cell: &str, threads: &str) -> Option<Figures> {
    let output = Command::new(program).args([cell, threads]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let values: Vec<f64> = text.split_whitespace().filter_map(|text| text.parse().ok()).collect();
    let [_, time_ns, peak_kib, idle_kib] = values[..] else { return None };
    Some(Figures { time_ns, peak_kib, idle_kib })
}

fn best(program: &PathBuf, cell: &str, threads: &str, rounds: usize) -> Option<Figures> {
    (0..rounds)
        .filter_map(|_| run(program, cell, threads))
        .min_by(|a, b| a.time_ns.total_cmp(&b.time_ns))
}

/// A row of the table: a cell's name and each allocator's figures.
type Row = (String, Vec<Option<Figures>>);

/// The geometric mean of `value` relative to mimalloc, for the allocator at `column`.
fn mean(rows: &[Row], column: usize, value: impl Fn(&Figures) -> f64) -> f64 {
    let base = ALLOCATORS.iter().position(|&name| name == "mimalloc").unwrap_or(0);
    let logs: Vec<f64> = rows
        .iter()
        .filter_map(|(_, row)| Some((row[column].as_ref()?, row.get(base)?.as_ref()?)))
        .map(|(ours, theirs)| (value(ours).max(0.001) / value(theirs).max(0.001)).ln())
        .collect();
    (logs.iter().sum::<f64>() / logs.len().max(1) as f64).exp()
}

fn print_rows(names: &[&str], threads: &str, rows: &[Row]) {
    println!("\n{threads} thread(s): CPU ns per operation / peak MiB / MiB 1.5 s after the end");
    print!("{:<12}", "");
    names.iter().for_each(|name| print!("{name:>20}"));
    println!();
    for (cell, row) in rows {
        print!("{cell:<12}");
        for figures in row {
            let text = figures.map_or("-".to_string(), |figures| {
                format!(
                    "{:.1}/{:.0}/{:.0}",
                    figures.time_ns,
                    figures.peak_kib / 1024.0,
                    figures.idle_kib / 1024.0
                )
            });
            print!("{text:>20}");
        }
        println!();
    }
    print!("{:<12}", "mean");
    for column in 0..names.len() {
        let time = mean(rows, column, |figures| figures.time_ns);
        let peak = mean(rows, column, |figures| figures.peak_kib);
        let idle = mean(rows, column, |figures| figures.idle_kib);
        print!("{:>20}", format!("{time:.2}/{peak:.2}/{idle:.2}"));
    }
    println!();
}

/// Bars of the means: time, peak, idle for each allocator.
fn svg(names: &[&str], tables: &[(String, Vec<Row>)]) -> String {
    let height = 40 + tables.len() * (names.len() * 44 + 30);
    let mut svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='640' height='{height}' \
         font-family='sans-serif' font-size='12'>\n<text x='10' y='18'>Relative to mimalloc, \
         geometric means: time (dark), peak RSS, idle RSS (light)</text>\n"
    );
    let mut y = 40;
    for (threads, rows) in tables {
        let _ = writeln!(svg, "<text x='10' y='{y}'>{threads} thread(s)</text>");
        y += 10;
        for (column, name) in names.iter().enumerate() {
            let _ = writeln!(svg, "<text x='10' y='{}'>{name}</text>", y + 24);
            let values = [
                mean(rows, column, |figures| figures.time_ns),
                mean(rows, column, |figures| figures.peak_kib),
                mean(rows, column, |figures| figures.idle_kib),
            ];
            for (index, (value, colour)) in
                values.iter().zip(["#1f4e79", "#5b9bd5", "#bdd7ee"]).enumerate()
            {
                let (top, width) = (y + index * 13, value * 180.0);
                let _ = writeln!(
                    svg,
                    "<rect x='90' y='{top}' width='{width:.0}' height='12' fill='{colour}'/>\
                     <text x='{:.0}' y='{}'>{value:.2}</text>",
                    width + 95.0,
                    top + 10
                );
            }
            y += 44;
        }
        y += 20;
    }
    svg + "</svg>\n"
}

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let cells: Vec<&str> = match arguments.first().map(String::as_str) {
        None | Some("all") => CELLS.to_vec(),
        Some(list) => list.split(',').collect(),
    };
    let threads: Vec<&str> =
        arguments.get(1).map_or(vec!["1", "2"], |list| list.split(',').collect());
    let rounds = arguments.get(2).and_then(|text| text.parse().ok()).unwrap_or(1);
    let programs = programs();
    let names: Vec<&str> = programs.iter().map(|(name, _)| *name).collect();
    let mut tables = Vec::new();
    for threads in threads {
        let rows: Vec<Row> = cells
            .iter()
            .map(|cell| {
                let row = programs.iter().map(|(_, path)| best(path, cell, threads, rounds));
                ((*cell).to_string(), row.collect())
            })
            .collect();
        print_rows(&names, threads, &rows);
        tables.push((threads.to_string(), rows));
    }
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/bench");
    if std::fs::create_dir_all(&directory).is_ok() {
        let _ = std::fs::write(directory.join("alloc.svg"), svg(&names, &tables));
    }
}
