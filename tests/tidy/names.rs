//! Where a name may appear.

use super::rules::{BANNED_WORDS, CONFINED, FOREIGN_IDENTIFIERS};
use super::source::{Complaint, Source, find_words, is_word};

/// Complains of confined names outside their modules.
pub(crate) fn check_confined(source: &Source) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (name, places, why) in CONFINED {
        if places.iter().any(|place| source.path.starts_with(place)) {
            continue;
        }
        for at in find_words(&source.code, name) {
            if !source.is_test(at) {
                let message = format!("`{name}` here: {why}");
                complaints.push(Complaint::new(&source.path, source.line_of(at), message));
            }
        }
    }
    complaints
}

/// Complains of identifiers that contain a word the house does not use.
pub(crate) fn check_words(source: &Source) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let mut offset = 0;
    for identifier in source.code.split(|c: char| !is_word(c as u8)) {
        let banned = words_of(identifier).into_iter().find(|w| BANNED_WORDS.contains(&w.as_str()));
        let foreign = FOREIGN_IDENTIFIERS.iter().any(|(prefix, place, _)| {
            identifier.starts_with(prefix) && source.path.starts_with(place)
        });
        if let Some(word) = banned
            && !foreign
        {
            let message = format!("`{identifier}`: the house has another word for `{word}`");
            complaints.push(Complaint::new(&source.path, source.line_of(offset), message));
        }
        offset += identifier.len() + 1;
    }
    complaints
}

/// The words of an identifier in snake or camel case, singular and in lower case.
fn words_of(identifier: &str) -> Vec<String> {
    let mut words: Vec<String> = vec![String::new()];
    let mut lower_before = false;
    for character in identifier.chars() {
        if character == '_' || (character.is_ascii_uppercase() && lower_before) {
            words.push(String::new());
        }
        if character != '_' {
            let word = words.last_mut().expect("starts with one word");
            word.push(character.to_ascii_lowercase());
        }
        lower_before = character.is_ascii_lowercase();
    }
    words.into_iter().map(|word| word.trim_end_matches('s').to_owned()).collect()
}

/// Complains of what is left to do, and of `unwrap` outside tests.
pub(crate) fn check_leftovers(source: &Source) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for name in ["todo!", "unimplemented!", ".unwrap()", "dbg!"] {
        for at in find_words(&source.code, name) {
            if name != ".unwrap()" || !source.is_test(at) {
                let line = source.line_of(at);
                complaints.push(Complaint::new(&source.path, line, format!("`{name}`")));
            }
        }
    }
    for comment in &source.comments {
        for mark in ["TODO", "FIXME", "XXX"] {
            if !find_words(&comment.text, mark).is_empty() {
                let message = format!("`{mark}`: do it, or write down where it is planned");
                complaints.push(Complaint::new(&source.path, comment.line, message));
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source::new(path, text)
    }

    #[test]
    fn every_confined_name_is_found_elsewhere() {
        for (name, _, _) in CONFINED {
            let text = format!("fn f() {{ {name} x; }}");
            assert!(!check_confined(&source("src/nowhere.rs", &text)).is_empty(), "{name}");
        }
    }

    #[test]
    fn a_confined_name_is_allowed_at_home_and_in_comments() {
        let text = "// libc::write\nfn f() { g(\"libc::x\") }";
        assert_eq!(check_confined(&source("src/sched/mod.rs", text)).len(), 0);
        let text = "fn f() { libc::getpid(); naked_asm!(x); }";
        assert_eq!(check_confined(&source("src/arch/mod.rs", text)).len(), 0);
    }

    #[test]
    fn a_foreign_word_is_found_in_every_spelling() {
        for identifier in ["task", "TaskId", "spawn_task", "TASKS", "next_fiber", "WorkerPool2"] {
            let text = format!("let {identifier} = 1;");
            let path = if identifier.starts_with("Worker") { "tests/a.rs" } else { "src/a.rs" };
            assert_eq!(check_words(&source(path, &text)).len(), 1, "{identifier}");
        }
        let text =
            "// a task\nlet multitasking = \"task\"; Worker::new(); app(); __tsan_x_fiber();";
        assert_eq!(check_words(&source("src/a.rs", text)).len(), 0);
    }

    #[test]
    fn leftovers_are_found() {
        let mark = concat!("// TO", "DO: later");
        for text in ["fn f() { todo!() }", "fn f() { a.unwrap(); }", "fn f() { dbg!(1) }", mark] {
            assert_eq!(check_leftovers(&source("src/a.rs", text)).len(), 1, "{text}");
        }
        let test = "#[cfg(test)] mod tests { fn f() { a.unwrap(); } }";
        assert_eq!(check_leftovers(&source("src/a.rs", test)).len(), 0);
    }
}
