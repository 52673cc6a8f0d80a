//! The comments that have to be there, and those that may not.

use super::rules::EMPTY_PHRASES;
use super::source::{Complaint, Source, closing, find_words, is_word};

/// Complains of a file that does not begin with `//!`.
pub(crate) fn check_story(source: &Source) -> Vec<Complaint> {
    let first = source.comments.first();
    if first.is_some_and(|comment| comment.line == 1 && comment.text.starts_with("//!")) {
        return Vec::new();
    }
    vec![Complaint::new(&source.path, 1, "does not start with `//!`: what it is, and why so")]
}

/// Complains of atomic operations outside tests that no `ORDERING:` comment belongs to.
pub(crate) fn check_ordering(source: &Source) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let mutations = mutations(&source.code);
    for (start, end, name) in atomic_operations(source) {
        let mutated = mutations.iter().any(|range| range.contains(&start));
        let exempt = mutated || source.is_test(start);
        if !exempt && !source.has_comment("ORDERING:", start, end) {
            let message = format!("`{name}` without an `ORDERING:` comment");
            complaints.push(Complaint::new(&source.path, source.line_of(start), message));
        }
    }
    complaints
}

/// The ranges of `if mutant!(…) { … }`: what only a mutation run does, wrongly on purpose.
fn mutations(code: &str) -> Vec<std::ops::Range<usize>> {
    let chosen = |&at: &usize| !code[..at].ends_with('!');
    let range = |at: usize| {
        let stop = at + code[at..].find(['{', ';']).unwrap_or(0);
        let end = if code[stop..].starts_with('{') { closing(code, stop) } else { stop };
        at..end
    };
    find_words(code, "mutant!").into_iter().filter(chosen).map(range).collect()
}

/// The atomic operations and fences of a file: their range and name.
fn atomic_operations(source: &Source) -> Vec<(usize, usize, String)> {
    let code = &source.code;
    let mut operations = Vec::new();
    for (open, _) in code.match_indices('(') {
        let before = &code[..open];
        let name_at = before.rfind(|c: char| !is_word(c as u8)).map_or(0, |at| at + 1);
        let (name, method) = (&code[name_at..open], code[..name_at].ends_with('.'));
        let end = closing(code, open);
        let arguments = &code[open..end];
        let plain = method && matches!(name, "load" | "store" | "swap");
        let always = method && (name.starts_with("fetch_") || name.starts_with("compare_exchange"));
        let fence = matches!(name, "fence" | "compiler_fence") && !before.ends_with("fn fence");
        if (always || plain || fence) && names_an_ordering(arguments) {
            operations.push((name_at, end, name.to_owned()));
        }
    }
    operations
}

fn names_an_ordering(arguments: &str) -> bool {
    const WORDS: &[&str] =
        &["Ordering", "ord!", "Relaxed", "Acquire", "Release", "AcqRel", "SeqCst", "ordering"];
    WORDS.iter().any(|word| !find_words(arguments, word).is_empty())
}

/// Complains of `unsafe` blocks, impls and extern blocks that no `SAFETY:` comment belongs to.
pub(crate) fn check_safety(source: &Source) -> Vec<Complaint> {
    let code = &source.code;
    let mut complaints = Vec::new();
    for at in find_words(code, "unsafe") {
        let rest = code[at + "unsafe".len()..].trim_start();
        let needs = rest.starts_with('{') || rest.starts_with("impl");
        if needs && !source.has_comment("SAFETY:", at, at) {
            let line = source.line_of(at);
            complaints.push(Complaint::new(&source.path, line, "`unsafe` without `SAFETY:`"));
        }
    }
    complaints
}

/// Complains of phrases that stand where an argument should.
pub(crate) fn check_phrases(source: &Source) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for comment in &source.comments {
        let text = comment.text.to_lowercase();
        for phrase in EMPTY_PHRASES.iter().filter(|phrase| text.contains(**phrase)) {
            let message = format!("\"{phrase}\" is no argument");
            complaints.push(Complaint::new(&source.path, comment.line, message));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::new("src/a/mod.rs", text)
    }

    #[test]
    fn a_file_without_a_story_is_found() {
        assert_eq!(check_story(&source("use a::b;\n//! late")).len(), 1);
        assert_eq!(check_story(&source("// plain")).len(), 1);
        assert_eq!(check_story(&source("//! What it is.")).len(), 0);
    }

    #[test]
    fn an_atomic_operation_without_its_comment_is_found() {
        for operation in [
            "x.load(Ordering::Relaxed)",
            "x.store(1, ord!(\"site\", Release))",
            "x.swap(1, AcqRel)",
            "x.fetch_add(1, Relaxed)",
            "x.compare_exchange(\n    0,\n    1,\n    Acquire,\n    Relaxed)",
            "x.compare_exchange_weak(0, 1, Acquire, Relaxed)",
            "fence(Ordering::SeqCst)",
        ] {
            let bad = format!("fn f() {{\n    {operation};\n}}");
            assert_eq!(check_ordering(&source(&bad)).len(), 1, "{operation}");
            let good = format!("fn f() {{\n    // ORDERING: why.\n    {operation};\n}}");
            assert_eq!(check_ordering(&source(&good)).len(), 0, "{operation}");
        }
    }

    #[test]
    fn a_comment_too_far_away_does_not_count() {
        let far = "// ORDERING: why.\n\n\n\n\nfn f() { x.load(Relaxed); }";
        assert_eq!(check_ordering(&source(far)).len(), 1);
        let other = "fn f() {\n// ORDERING: why.\na();\nb();\nc();\nx.load(Relaxed);}";
        assert_eq!(check_ordering(&source(other)).len(), 1);
    }

    #[test]
    fn a_long_comment_and_a_long_statement_count() {
        let long = "fn f() {\n// ORDERING: a\n// b\n// c\n// d\n// e\nlet y = match g(\n\n\n\n) + x.load(Relaxed) {};}";
        assert_eq!(check_ordering(&source(long)).len(), 0);
    }

    #[test]
    fn what_is_no_atomic_is_left_alone() {
        let text = "fn f() { a.swap(0, 1); b.load(path); mem::swap(x, y); c.store(value); }\n\
                    #[cfg(test)] mod tests { fn g() { x.load(Relaxed); } }";
        assert_eq!(check_ordering(&source(text)).len(), 0);
    }

    #[test]
    fn a_mutation_is_exempt_and_what_it_leaves_out_is_not() {
        let text = "fn f() { if mutant!(\"a\") && x.load(Relaxed) == 1 { x.store(2, Relaxed); } }";
        assert_eq!(check_ordering(&source(text)).len(), 0);
        let text = "fn f() { if !mutant!(\"a\") { fence(SeqCst); } }";
        assert_eq!(check_ordering(&source(text)).len(), 1);
    }

    #[test]
    fn unsafe_without_its_argument_is_found() {
        assert_eq!(check_safety(&source("fn f() {\n    unsafe { g() };\n}")).len(), 1);
        assert_eq!(check_safety(&source("unsafe impl Send for A {}")).len(), 1);
        let good = "// SAFETY: long\n// a\n// b\n// c\nunsafe impl Send for A {}";
        assert_eq!(check_safety(&source(good)).len(), 0);
    }

    #[test]
    fn an_empty_phrase_is_found() {
        assert_eq!(check_phrases(&source("// SAFETY: this Should Be Safe")).len(), 1);
    }
}
