//! An index of all words of the files below a directory, and what the heap holds meanwhile.
//!
//! `cargo run --release --example alloc_stats -- src`
//!
//! Prints the allocator's table before, at the peak (the index in memory), after it was dropped,
//! and one idle second later, and the resident memory of the process beside it. Green threads
//! read the files; in the idle second it is the runtime's monitor that gives the memory back.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use gthread::alloc::{self, GthreadAlloc};

#[cfg_attr(not(feature = "test-allocator"), global_allocator)]
#[cfg_attr(feature = "test-allocator", allow(dead_code))]
static GLOBAL: GthreadAlloc = GthreadAlloc::new();

/// Files that one green thread reads.
const FILES_PER_THREAD: usize = 64;

/// For each word the files it is in (by number), and how often.
type Index = HashMap<String, HashMap<usize, u32>>;

/// All files below a directory.
fn find_files(directory: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            find_files(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// The index of some files, the first of which has the number `first`. What is no text is left out.
fn index_files(first: usize, files: &[PathBuf]) -> Index {
    let mut index = Index::new();
    for (at, path) in files.iter().enumerate() {
        let Ok(text) = std::fs::read_to_string(path) else { continue };
        for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            *index.entry(word.to_lowercase()).or_default().entry(first + at).or_default() += 1;
        }
    }
    index
}

/// The index of all files: a green thread for every few of them, put together as they end.
fn index_all(files: &[PathBuf]) -> Index {
    gthread::scope(|scope| {
        let parts: Vec<_> = files
            .chunks(FILES_PER_THREAD)
            .enumerate()
            .map(|(at, files)| scope.spawn(move || index_files(at * FILES_PER_THREAD, files)))
            .collect();
        let mut index = Index::new();
        for part in parts {
            for (word, places) in part.join().expect("reading files does not panic") {
                index.entry(word).or_default().extend(places);
            }
        }
        index
    })
}

/// The table, with the process's resident memory.
fn show(when: &str) {
    let stats = alloc::stats();
    let mib = stats.resident_bytes as f64 / (1 << 20) as f64;
    println!("== {when}: RSS {mib:.1} MiB\n{stats}");
}

fn main() -> ExitCode {
    let directory = std::env::args_os().nth(1).map_or_else(|| "src".into(), PathBuf::from);
    show("before");
    let mut files = Vec::new();
    if let Err(error) = find_files(&directory, &mut files) {
        eprintln!("{}: {error}", directory.display());
        return ExitCode::FAILURE;
    }
    let index = index_all(&files);
    let most = index.iter().max_by_key(|(word, places)| (places.len(), *word));
    println!(
        "{} words in {} files below {}; in most of them: {:?}\n",
        index.len(),
        files.len(),
        directory.display(),
        most.map_or("", |(word, _)| word)
    );
    show("at the peak, with the index");
    drop((index, files));
    show("after it was dropped");
    // On an OS thread: it is a second in which nothing runs.
    std::thread::sleep(Duration::from_secs(1));
    show("one idle second later");
    ExitCode::SUCCESS
}
