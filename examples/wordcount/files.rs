//! The files below a directory, and what was left out on the way.

use std::fmt;
use std::fs::FileType;
use std::io;
use std::path::{Path, PathBuf};

/// What a walk found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) skipped: Skipped,
    /// Directories and entries that could not be looked at.
    pub(crate) unreadable: Vec<(PathBuf, io::Error)>,
}

/// How many entries were left out, by reason.
#[derive(Debug, Default)]
pub(crate) struct Skipped {
    hidden_directories: usize,
    caches: usize,
    links: usize,
    /// Pipes, sockets and devices: reading them may never end.
    special: usize,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hidden_directories, caches, links, special } = self;
        write!(f, "{hidden_directories} hidden directories, {caches} build caches, ")?;
        write!(f, "{links} symbolic links, {special} special files")
    }
}

/// Walks the directory without following links, and therefore to an end.
pub(crate) fn find(directory: &Path) -> Found {
    let mut found = Found::default();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        let entries = match std::fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) => {
                found.unreadable.push((directory, error));
                continue;
            }
        };
        for entry in entries {
            let kind = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)));
            match kind {
                Ok((path, kind)) => found.add(path, kind, &mut directories),
                Err(error) => found.unreadable.push((directory.clone(), error)),
            }
        }
    }
    found.files.sort_unstable();
    found
}

impl Found {
    fn add(&mut self, path: PathBuf, kind: FileType, directories: &mut Vec<PathBuf>) {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        if kind.is_symlink() {
            self.skipped.links += 1;
        } else if kind.is_file() {
            self.files.push(path);
        } else if !kind.is_dir() {
            self.skipped.special += 1;
        } else if name.starts_with(b".") {
            self.skipped.hidden_directories += 1;
        } else if path.join("CACHEDIR.TAG").is_file() {
            self.skipped.caches += 1;
        } else {
            directories.push(path);
        }
    }
}
