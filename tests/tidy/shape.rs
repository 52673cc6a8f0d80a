//! Files, functions and nesting stay small.

use super::rules::{FILE_LINES_MAX, FUNCTION_LINES_MAX, NESTING_MAX};
use super::source::{Complaint, Function, Source, closing, find_words};

/// Complains of long files, long functions and deep nesting.
pub(crate) fn check(source: &Source) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    if source.line_count > FILE_LINES_MAX {
        let message = format!("{} lines, at most {FILE_LINES_MAX}", source.line_count);
        complaints.push(Complaint::new(&source.path, 1, message));
    }
    for function in source.functions() {
        let mut complain = |what: &str, count: usize, max: usize| {
            if count > max {
                let message = format!("`{}`: {count} {what}, at most {max}", function.name);
                complaints.push(Complaint::new(&source.path, function.first_line, message));
            }
        };
        complain("lines", lines(source, &function), FUNCTION_LINES_MAX);
        complain("levels of nesting", nesting(source, &function), NESTING_MAX);
    }
    complaints
}

/// How many lines a function has, not counting its assembly: that is a listing, not a thought.
fn lines(source: &Source, function: &Function) -> usize {
    let (start, end) = function.body;
    let body = &source.code[start..end];
    let listing = |at: usize| body[at..].find(['(', '{']).map(|open| closing(body, at + open) - at);
    let listings = ["asm!", "naked_asm!"].into_iter().flat_map(|name| find_words(body, name));
    let assembly: usize =
        listings.filter_map(|at| Some(body[at..at + listing(at)?].matches('\n').count())).sum();
    function.last_line - function.first_line + 1 - assembly
}

/// How deep control flow nests in a function.
fn nesting(source: &Source, function: &Function) -> usize {
    let (start, end) = function.body;
    let body = &source.code[start + 1..end - 1];
    let mut blocks: Vec<bool> = Vec::new();
    let mut deepest = 0;
    let mut statement = 0;
    for (at, byte) in body.bytes().enumerate() {
        match byte {
            b'{' => {
                blocks.push(is_control(&body[statement..at]));
                deepest = deepest.max(blocks.iter().filter(|&&control| control).count());
            }
            b'}' => {
                blocks.pop();
            }
            b';' => {}
            _ => continue,
        }
        statement = at + 1;
    }
    deepest
}

/// Whether the block behind this piece of code is one of control flow.
fn is_control(head: &str) -> bool {
    let head = head.rfind("=>").map_or(head, |arrow| &head[arrow + 2..]);
    let has = |word: &str| !find_words(head, word).is_empty();
    let branches = has("if") || has("match") || has("while") || has("loop") || has("for");
    let plain_else = has("else") && !has("let");
    (branches || plain_else) && !has("impl") && !head.contains("for<")
}

/// Complains of items in the crate root.
pub(crate) fn check_root(source: &Source) -> Vec<Complaint> {
    if source.path != "src/lib.rs" {
        return Vec::new();
    }
    let mut complaints = Vec::new();
    for word in ["fn", "struct", "enum", "trait", "impl", "static", "const"] {
        for at in find_words(&source.code, word) {
            let message =
                format!("`{word}`: the crate root holds documentation and re-exports only");
            complaints.push(Complaint::new(&source.path, source.line_of(at), message));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints_of(text: &str) -> Vec<Complaint> {
        check(&Source::new("src/a/mod.rs", text))
    }

    #[test]
    fn a_long_file_and_a_long_function_are_found() {
        let lines = |count: usize| "    f();\n".repeat(count);
        let long = format!("fn a() {{\n{}}}\n", lines(FUNCTION_LINES_MAX - 1));
        assert_eq!(complaints_of(&long).len(), 1);
        let short = format!("fn a() {{\n{}}}\n", lines(FUNCTION_LINES_MAX - 2));
        assert_eq!(complaints_of(&short).len(), 0);
        let listing = format!("fn a() {{ asm!(\n{}) }}", "\"nop\",\n".repeat(FUNCTION_LINES_MAX));
        assert_eq!(complaints_of(&listing).len(), 0);
        assert_eq!(complaints_of(&"// line\n".repeat(FILE_LINES_MAX + 1)).len(), 1);
    }

    #[test]
    fn deep_nesting_is_found_and_plain_blocks_do_not_count() {
        let deep = "fn a() { if b { for c in d { match e { f => { while g { h() } } } } } }";
        assert_eq!(complaints_of(deep).len(), 1);
        let flat = "fn a() { let Some(b) = c else { return }; unsafe { { { S { x: { 1 } } } } } }";
        assert_eq!(complaints_of(flat).len(), 0);
        let chain = "fn a() { if b {} else if c {} else if d {} else if e {} else {} }";
        assert_eq!(complaints_of(chain).len(), 0);
    }

    #[test]
    fn a_function_in_the_root_is_found() {
        assert_eq!(check_root(&Source::new("src/lib.rs", "pub use a::b;\nfn c() {}")).len(), 1);
    }
}
