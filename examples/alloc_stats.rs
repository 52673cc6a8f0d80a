//! An index of all words of the files below a directory, and what the heap holds meanwhile.
//!
//! `cargo run --release --example alloc_stats -- src`
//!
//! Prints the allocator's table before, with the index in memory, after it was dropped, and one
//! idle second later, and the resident memory beside it.
#![allow(clippy::print_stdout)]

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use gthread::alloc::{self, GthreadAlloc};

#[cfg_attr(not(feature = "test-allocator"), global_allocator)]
#[cfg_attr(feature = "test-allocator", allow(dead_code))]
static GLOBAL: GthreadAlloc = GthreadAlloc::new();

/// For each word the files it is in, and how often.
type Index = HashMap<String, HashMap<u32, u32>>;

fn add_directory(index: &mut Index, files: &mut Vec<String>, directory: &Path) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            add_directory(index, files, &path);
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            let file = files.len() as u32;
            files.push(path.display().to_string());
            for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
                *index.entry(word.to_lowercase()).or_default().entry(file).or_default() += 1;
            }
        }
    }
}

fn show(when: &str) {
    println!("== {when}\n{}", alloc::stats());
}

fn main() {
    let directory = std::env::args().nth(1).unwrap_or_else(|| "src".into());
    alloc::start_scavenger();
    show("before");
    let (mut index, mut files) = (Index::new(), Vec::new());
    add_directory(&mut index, &mut files, Path::new(&directory));
    println!("{} words in {} files of {directory}", index.len(), files.len());
    show("with the index");
    drop((index, files));
    show("after it was dropped");
    std::thread::sleep(Duration::from_secs(1));
    show("one idle second later");
}
