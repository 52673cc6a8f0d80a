//! What is said in the documents is there.

use super::source::{Complaint, Tree, find_words};
use std::path::Path;

/// Complains of links to files that do not exist.
pub(crate) fn check_links(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (path, text) in &tree.documents {
        let directory = path.rfind('/').map_or("", |slash| &path[..slash]);
        for (line, target) in links(text) {
            let file = target.split('#').next().unwrap_or_default();
            if !file.is_empty() && !tree.root.join(directory).join(file).exists() {
                complaints.push(Complaint::new(path, line, format!("`{target}` does not exist")));
            }
        }
    }
    complaints
}

/// The targets of inline links to local files, outside code, with their lines.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut links = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        for (at, _) in line.match_indices("](") {
            let in_code = line[..at].matches('`').count() % 2 == 1;
            let target = line[at + 2..].split([')', ' ']).next().unwrap_or_default();
            let remote = target.contains("://") || target.starts_with("mailto:");
            if !fenced && !in_code && !remote && !target.starts_with('#') {
                links.push((index + 1, target));
            }
        }
    }
    links
}

/// Complains of lock ranks in `src` that the table in ARCHITECTURE.md does not have.
pub(crate) fn check_ranks(tree: &Tree) -> Vec<Complaint> {
    let architecture = tree.documents.iter().find(|(path, _)| path == "ARCHITECTURE.md");
    let table = ranks_in(architecture.map_or("", |(_, text)| text));
    let mut complaints = Vec::new();
    for source in &tree.sources {
        for (at, rank) in ranks_used(&source.code) {
            if !source.is_test(at) && !table.contains(&rank) {
                let message =
                    format!("rank {rank} is not in ARCHITECTURE.md's table of lock ranks");
                complaints.push(Complaint::new(&source.path, source.line_of(at), message));
            }
        }
    }
    complaints
}

/// The numbers in the first column of the section `Lock ranks`.
fn ranks_in(text: &str) -> Vec<u32> {
    let section = text.split("\n## ").find(|section| section.starts_with("Lock ranks"));
    let rows = section.unwrap_or_default().lines().filter(|line| line.starts_with('|'));
    rows.filter_map(|row| row.split('|').nth(1)?.trim().parse().ok()).collect()
}

fn ranks_used(code: &str) -> Vec<(usize, u32)> {
    let uses = find_words(code, "Rank(").into_iter();
    uses.filter_map(|at| {
        let digits = code[at + "Rank(".len()..].split(')').next()?;
        Some((at, digits.trim().parse().ok()?))
    })
    .collect()
}

/// Complains of scripts in `.ci` that are no step of `.ci/run` and that no step calls, and of
/// steps without a script.
pub(crate) fn check_steps(tree: &Tree) -> Vec<Complaint> {
    let directory = tree.root.join(".ci");
    if !directory.exists() {
        // A packaged crate comes without its checks.
        return Vec::new();
    }
    let run = std::fs::read_to_string(directory.join("run")).unwrap_or_default();
    let listed = steps_in(&run);
    let mut complaints = Vec::new();
    if listed.is_empty() {
        complaints.push(Complaint::new(".ci/run", 1, "lists no steps"));
    }
    for step in &listed {
        if !directory.join(step).is_file() {
            complaints.push(Complaint::new(".ci/run", 1, format!("there is no `.ci/{step}`")));
        }
    }
    for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let known = name == "run" || name.contains('.') || listed.contains(&name);
        if !known && !is_called(&directory, &name, &listed) {
            let message = "no step of `.ci/run`, nor called by one";
            complaints.push(Complaint::new(&format!(".ci/{name}"), 1, message));
        }
    }
    complaints
}

/// Whether one of the steps names the script.
fn is_called(directory: &Path, script: &str, steps: &[String]) -> bool {
    let read = |step: &String| std::fs::read_to_string(directory.join(step)).unwrap_or_default();
    steps.iter().any(|step| read(step).contains(&format!(".ci/{script}")))
}

/// The names in the list `steps='name:seconds …'`.
fn steps_in(run: &str) -> Vec<String> {
    let list = run.split("\nsteps='").nth(1).and_then(|rest| rest.split('\'').next());
    let words = list.unwrap_or_default().split_whitespace();
    words.filter_map(|word| word.split(':').next()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::super::source::Source;
    use super::*;
    use std::path::PathBuf;

    fn tree(document: &str, code: &str) -> Tree {
        Tree {
            root: PathBuf::from(env!("CARGO_MANIFEST_DIR")),
            sources: vec![Source::new("src/a/mod.rs", code)],
            documents: vec![("ARCHITECTURE.md".to_owned(), document.to_owned())],
        }
    }

    #[test]
    fn a_dead_link_is_found() {
        let text = "[a](src/lib.rs) [b](https://example.org/x) [c](#here) `[d](no)` [e](gone.md#x)";
        let complaints = check_links(&tree(text, ""));
        assert_eq!(complaints.len(), 1);
        assert!(complaints[0].to_string().contains("gone.md"));
    }

    #[test]
    fn a_rank_outside_the_table_is_found() {
        let table =
            "# A\n\n## Lock ranks\n| rank | lock |\n|---|---|\n| 10 | a |\n\n## Next\n| 20 | b |";
        assert_eq!(check_ranks(&tree(table, "Lock::new(Rank(10), ())")).len(), 0);
        assert_eq!(check_ranks(&tree(table, "Lock::new(Rank(20), ())")).len(), 1);
    }

    #[test]
    fn steps_are_read_from_the_list() {
        assert_eq!(steps_in("x\nsteps='\nfmt:60\nclippy:420\n'\n"), ["fmt", "clippy"]);
        assert!(steps_in("no list").is_empty());
    }
}
