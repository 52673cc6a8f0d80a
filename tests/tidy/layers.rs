//! Imports run one way.

use super::rules::{LAYERS, UPWARD};
use super::source::{Complaint, Source, Tree, find_words, is_word};

/// Complains of every path that leads into a module the file's own may not import.
pub(crate) fn check(source: &Source) -> Vec<Complaint> {
    let modules = source.modules();
    let Some(&own) = modules.first() else { return Vec::new() };
    let mut complaints = Vec::new();
    for (offset, path) in crate_paths(source) {
        let Some(target) = path.split("::").next() else { continue };
        if target == own || allowed(source, own, &path) {
            continue;
        }
        let message = if LAYERS.iter().any(|layer| layer.module == target) {
            format!("`{own}` may not import `{path}`")
        } else {
            format!("`crate::{path}`: name the module it comes from")
        };
        complaints.push(Complaint::new(&source.path, source.line_of(offset), message));
    }
    complaints
}

fn allowed(source: &Source, own: &str, path: &str) -> bool {
    let below = |prefix: &str| path == prefix || path.starts_with(&format!("{prefix}::"));
    let row = LAYERS.iter().find(|layer| layer.module == own);
    let by_row = row.is_some_and(|layer| layer.may_import.iter().any(|prefix| below(prefix)));
    let upward = |&(from, to, _): &(&str, &str, &str)| source.path.starts_with(from) && below(to);
    by_row || UPWARD.iter().any(upward)
}

/// Every path that starts at the crate's root, with the offset at which it stands.
fn crate_paths(source: &Source) -> Vec<(usize, String)> {
    let code = &source.code;
    let mut paths = Vec::new();
    for at in find_words(code, "crate::") {
        // `pub(in crate::a)` restricts; it imports nothing.
        if !code[..at].trim_end().ends_with(" in") && !code[..at].ends_with("(in ") {
            expand(code, at + "crate::".len(), "", &mut |path| paths.push((at, path)));
        }
    }
    for at in find_words(code, "super::") {
        if code[..at].ends_with("super::") {
            continue;
        }
        let mut end = at;
        while code[end..].starts_with("super::") {
            end += "super::".len();
        }
        let depth = source.modules().len() + source.inline_modules_at(at).len();
        if (end - at) / "super::".len() >= depth {
            expand(code, end, "", &mut |path| paths.push((at, path)));
        }
    }
    paths
}

/// Reads the use-tree (or plain path) at `at` and hands out each path in it; returns its end.
fn expand(code: &str, mut at: usize, prefix: &str, found: &mut impl FnMut(String)) -> usize {
    let skip_blank = |at: usize| at + code[at..].len() - code[at..].trim_start().len();
    let mut path = prefix.to_owned();
    loop {
        at = skip_blank(at);
        if code[at..].starts_with('{') {
            at += 1;
            loop {
                at = expand(code, at, &path, found);
                at = skip_blank(at);
                if !code[at..].starts_with(',') {
                    return at + 1;
                }
                at = skip_blank(at + 1);
                if code[at..].starts_with('}') {
                    return at + 1;
                }
            }
        }
        let length = code[at..].bytes().take_while(|&b| is_word(b) || b == b'*').count();
        if !path.is_empty() && length > 0 {
            path.push_str("::");
        }
        path.push_str(&code[at..at + length]);
        at += length;
        if !code[at..].starts_with("::") {
            break;
        }
        at += 2;
    }
    let renamed = skip_blank(at);
    if code[renamed..].starts_with("as ") {
        let name = skip_blank(renamed + 3);
        at = name + code[name..].bytes().take_while(|&b| is_word(b)).count();
    }
    if !path.is_empty() {
        found(path);
    }
    at
}

/// Complains of rows that look upwards, and of directories in `src` that have no row.
pub(crate) fn check_table(tree: &Tree) -> Vec<Complaint> {
    let place = |module: &str| LAYERS.iter().position(|layer| layer.module == module);
    let mut complaints = Vec::new();
    for (index, layer) in LAYERS.iter().enumerate() {
        for import in layer.may_import {
            if place(import).is_none_or(|below| below >= index) {
                let message = format!("`{}` names `{import}`, which is not below it", layer.module);
                complaints.push(Complaint::new("tests/tidy/rules.rs", 1, message));
            }
        }
    }
    for source in &tree.sources {
        if let Some(module) = source.modules().first()
            && place(module).is_none()
        {
            let message = format!("`{module}` has no row in the table of layers");
            complaints.push(Complaint::new(&source.path, 1, message));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints_of(path: &str, text: &str) -> usize {
        check(&Source::new(path, text)).len()
    }

    #[test]
    fn an_upward_import_is_found_in_every_form() {
        for text in [
            "use crate::sched::park;",
            "use crate::{primitive::atomic, sched};",
            "use crate::{primitive::{atomic, cell as c}, sched::{park, wake},};",
            "fn f() { crate::sched::park::now(); }",
            "use super::sched::park;",
            "mod inner { use super::super::sched; }",
            "macro_rules! m { () => { $crate::sched::park() } }",
        ] {
            assert!(complaints_of("src/stack/mod.rs", text) > 0, "not found: {text}");
        }
        assert_eq!(complaints_of("src/stack/pool.rs", "use super::super::sched;"), 1);
    }

    #[test]
    fn what_lies_below_is_allowed() {
        let text = "use crate::{primitive::{atomic::{AtomicU32, Ordering}, lock}, stack::slot};\n\
                    use super::slot; pub(in crate::stack) struct A;";
        assert_eq!(complaints_of("src/stack/pool.rs", text), 0);
    }

    #[test]
    fn an_exception_holds_for_its_path_only() {
        assert_eq!(
            complaints_of("src/sys/futex.rs", "use crate::primitive::atomic::AtomicU32;"),
            0
        );
        assert_eq!(complaints_of("src/sys/futex.rs", "use crate::primitive::lock::Lock;"), 1);
    }

    #[test]
    fn a_name_of_the_crate_root_is_no_way_around() {
        assert_eq!(complaints_of("src/stack/mod.rs", "use crate::JoinHandle;"), 1);
    }
}
