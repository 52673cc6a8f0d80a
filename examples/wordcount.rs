//! Counts the words of a directory, one green thread per file:
//! `cargo run --release --example wordcount -- [--compare] [DIRECTORY]`.
//!
//! The files are read with plain `std::fs`: a read that waits for the disk
//! costs its processor nothing, because the processor goes to another thread.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[path = "wordcount/files.rs"]
mod files;

use files::Found;

const USAGE: &str = "\
usage: wordcount [--compare] [--top N] [DIRECTORY]

Counts words in all files below DIRECTORY (default: this repository), with one
green thread per file. Hidden directories, build caches (CACHEDIR.TAG), symbolic
links and binary files are left out and counted.

  --compare   do it on OS threads too, and compare results and times
  --top N     show the N most frequent words (default 10)
  --help      show this text";

/// Longer runs of letters are counted as words, but not kept: they are data.
const WORD_BYTES_MAX: usize = 64;

#[derive(Debug)]
struct Options {
    directory: PathBuf,
    compare: bool,
    top: usize,
}

/// `Err(None)` asks for help.
fn parse(args: impl Iterator<Item = OsString>) -> Result<Options, Option<String>> {
    let mut directory = None;
    let (mut compare, mut top, mut only_names) = (false, 10, false);
    let mut args = args;
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("--") if !only_names => only_names = true,
            Some("--help" | "-h") if !only_names => return Err(None),
            Some("--compare") if !only_names => compare = true,
            Some("--top") if !only_names => {
                let value = args.next().unwrap_or_default();
                let number = value.to_str().and_then(|text| text.parse().ok());
                top = number.ok_or(Some(format!("--top wants a number, not {value:?}")))?;
            }
            Some(flag) if flag.starts_with('-') && !only_names => {
                return Err(Some(format!("unknown option {flag:?}")));
            }
            _ if directory.is_some() => return Err(Some(format!("a second directory: {arg:?}"))),
            _ => directory = Some(PathBuf::from(arg)),
        }
    }
    let directory = directory.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    match std::fs::metadata(&directory) {
        Err(error) => Err(Some(format!("cannot read {}: {error}", directory.display()))),
        Ok(kind) if !kind.is_dir() => {
            Err(Some(format!("not a directory: {}", directory.display())))
        }
        Ok(_) => Ok(Options { directory, compare, top }),
    }
}

fn main() -> ExitCode {
    let options = match parse(std::env::args_os().skip(1)) {
        Ok(options) => options,
        Err(None) => {
            say(USAGE);
            return ExitCode::SUCCESS;
        }
        Err(Some(why)) => {
            let _ = writeln!(io::stderr(), "wordcount: {why}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let found = files::find(&options.directory);
    say(&format!("{} files below {}", found.files.len(), options.directory.display()));
    if options.compare {
        // Fills the page cache, so that the first of the two does not read for the second.
        Run::time("reading ahead", &found, on_green_threads);
    }
    let green = Run::time("green threads", &found, on_green_threads);
    report(&found, &green.counts, options.top);
    if !options.compare {
        say(&format!("\n{green}"));
        return ExitCode::SUCCESS;
    }
    let os = Run::time("OS threads", &found, on_os_threads);
    say(&format!("\n{green}\n{os}"));
    if green.counts.same_as(&os.counts) {
        say("both counted the same");
        return ExitCode::SUCCESS;
    }
    let _ = writeln!(io::stderr(), "wordcount: the two runs counted differently (files changed?)");
    ExitCode::FAILURE
}

/// What was counted in one file or in all.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    bytes: u64,
    lines: u64,
    words: u64,
    binary_files: u64,
    frequency: HashMap<Box<[u8]>, u64>,
}

/// The counts of all files, and those that could not be read.
#[derive(Debug, Default)]
struct Total {
    counts: Counts,
    unreadable: Vec<(PathBuf, io::Error)>,
}

impl Total {
    fn add(&mut self, path: &Path, result: io::Result<Counts>) {
        let counts = match result {
            Ok(counts) => counts,
            Err(error) => return self.unreadable.push((path.to_owned(), error)),
        };
        self.counts.bytes += counts.bytes;
        self.counts.lines += counts.lines;
        self.counts.words += counts.words;
        self.counts.binary_files += counts.binary_files;
        for (word, times) in counts.frequency {
            *self.counts.frequency.entry(word).or_default() += times;
        }
    }

    fn same_as(&self, other: &Self) -> bool {
        self.counts == other.counts && self.unreadable.len() == other.unreadable.len()
    }
}

/// One green thread per file; the scope lets them borrow the list of files.
fn on_green_threads(found: &Found, bar: &mut Bar) -> Total {
    gthread::scope(|scope| {
        let spawn = |path| (path, scope.spawn(move || count(path)));
        let threads: Vec<_> = found.files.iter().map(PathBuf::as_path).map(spawn).collect();
        let mut total = Total::default();
        for (path, thread) in threads {
            total.add(path, thread.join().expect("counting does not panic"));
            bar.step();
        }
        total
    })
}

/// One OS thread per file; where the system refuses one, the file is counted
/// here instead.
fn on_os_threads(found: &Found, bar: &mut Bar) -> Total {
    std::thread::scope(|scope| {
        let spawn = |path| {
            let builder = std::thread::Builder::new();
            (path, builder.spawn_scoped(scope, move || count(path)).ok())
        };
        let threads: Vec<_> = found.files.iter().map(PathBuf::as_path).map(spawn).collect();
        let mut total = Total::default();
        for (path, thread) in threads {
            let joined = thread.map(|thread| thread.join().expect("counting does not panic"));
            total.add(path, joined.unwrap_or_else(|| count(path)));
            bar.step();
        }
        total
    })
}

/// Words are runs of letters, digits and `_`, without regard to ASCII case.
/// Bytes above 127 count as letters: text that is not UTF-8 has words too.
fn count(path: &Path) -> io::Result<Counts> {
    let mut file = std::fs::File::open(path)?;
    let mut buffer = vec![0; 64 * 1024];
    let mut counts = Counts::default();
    let mut word = Vec::with_capacity(WORD_BYTES_MAX + 1);
    loop {
        let length = match file.read(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let chunk = &buffer[..length];
        if counts.bytes == 0 && chunk.contains(&0) {
            return Ok(Counts { binary_files: 1, ..Counts::default() });
        }
        counts.bytes += length as u64;
        for &byte in chunk {
            counts.lines += u64::from(byte == b'\n');
            if byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80 {
                if word.len() <= WORD_BYTES_MAX {
                    word.push(byte.to_ascii_lowercase());
                }
            } else {
                counts.end_word(&mut word);
            }
        }
        if length == 0 {
            counts.end_word(&mut word);
            return Ok(counts);
        }
    }
}

impl Counts {
    fn end_word(&mut self, word: &mut Vec<u8>) {
        if word.is_empty() {
            return;
        }
        self.words += 1;
        if word.len() <= WORD_BYTES_MAX {
            match self.frequency.get_mut(word.as_slice()) {
                Some(times) => *times += 1,
                None => drop(self.frequency.insert(word.as_slice().into(), 1)),
            }
        }
        word.clear();
    }
}

/// One way to count all files, with its time.
#[derive(Debug)]
struct Run {
    how: &'static str,
    files: usize,
    counts: Total,
    elapsed: Duration,
}

impl Run {
    fn time(how: &'static str, found: &Found, f: fn(&Found, &mut Bar) -> Total) -> Self {
        let (start, files) = (Instant::now(), found.files.len());
        let mut bar = Bar { how, done: 0, of: files, drawn: start };
        let counts = f(found, &mut bar);
        bar.clear();
        Self { how, files, counts, elapsed: start.elapsed() }
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (seconds, counts) = (self.elapsed.as_secs_f64(), &self.counts.counts);
        let rate = counts.bytes as f64 / 1e6 / seconds.max(1e-9);
        write!(f, "{}: {} files in {:.1} ms, {rate:.0} MB/s", self.how, self.files, seconds * 1e3)
    }
}

/// A progress bar on standard error, where that is a terminal.
#[derive(Debug)]
struct Bar {
    how: &'static str,
    done: usize,
    of: usize,
    drawn: Instant,
}

impl Bar {
    fn step(&mut self) {
        self.done += 1;
        if self.drawn.elapsed() < Duration::from_millis(50) || !io::stderr().is_terminal() {
            return;
        }
        self.drawn = Instant::now();
        let filled = self.done * 40 / self.of.max(1);
        let (done, of, how) = (self.done, self.of, self.how);
        let mut err = io::stderr();
        let _ = write!(err, "\r\x1b[K{:█<filled$}{:░<2$} {done}/{of} {how}", "", "", 40 - filled);
        let _ = err.flush();
    }

    fn clear(&self) {
        if io::stderr().is_terminal() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

/// Prints a line; a closed pipe is no reason to stop.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

fn report(found: &Found, total: &Total, top: usize) {
    let counts = &total.counts;
    let mut words: Vec<_> = counts.frequency.iter().collect();
    words.sort_unstable_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let (lines, distinct) = (counts.lines, words.len());
    say(&format!(
        "{} bytes, {lines} lines, {} words, {distinct} different",
        counts.bytes, counts.words
    ));
    say(&format!("left out: {} binary files, {}", counts.binary_files, found.skipped));
    for (word, times) in words.into_iter().take(top) {
        say(&format!("{times:>10}  {}", String::from_utf8_lossy(word)));
    }
    let unreadable: Vec<_> = found.unreadable.iter().chain(&total.unreadable).collect();
    if !unreadable.is_empty() {
        say(&format!("unreadable: {}", unreadable.len()));
    }
    for (path, error) in unreadable.iter().take(20) {
        say(&format!("  {}: {error}", path.display()));
    }
    if unreadable.len() > 20 {
        say(&format!("  … and {} more", unreadable.len() - 20));
    }
}
