//! Reading: a file's code with comments and literals blanked out, beside its comments and its
//! literals, and where in it the tests are.

use std::fmt;
use std::path::{Path, PathBuf};

/// One breach of a rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    path: String,
    line: usize,
    message: String,
}

impl Complaint {
    /// A breach in `path` at `line`, which counts from 1.
    pub(crate) fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// A comment's line, counted from 1; a block comment gives one for each of its lines.
#[derive(Debug)]
pub(crate) struct Comment {
    pub(crate) line: usize,
    pub(crate) text: String,
    /// Whether nothing but the comment is on its line.
    pub(crate) alone: bool,
}

/// A function with a body.
#[derive(Debug)]
pub(crate) struct Function {
    /// Module path within the crate and name, joined by `::`.
    pub(crate) path: String,
    pub(crate) name: String,
    pub(crate) first_line: usize,
    pub(crate) last_line: usize,
    /// Byte range of the body, braces included.
    pub(crate) body: (usize, usize),
}

/// A Rust file.
#[derive(Debug)]
pub(crate) struct Source {
    /// Relative to the project's root, with `/`.
    pub(crate) path: String,
    /// The text with comments and the contents of literals turned to spaces, byte for byte.
    pub(crate) code: String,
    pub(crate) comments: Vec<Comment>,
    /// String literals: the offset of the opening quote and the contents.
    pub(crate) literals: Vec<(usize, String)>,
    pub(crate) line_count: usize,
    line_starts: Vec<usize>,
    /// Byte ranges of items that exist only under `cfg(test)`, and of `#[test]` functions.
    tests: Vec<(usize, usize)>,
    /// Inline modules: name and byte range.
    inline_modules: Vec<(String, (usize, usize))>,
}

/// Everything the checks look at.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) root: PathBuf,
    /// The files below `src/`.
    pub(crate) sources: Vec<Source>,
    /// The Markdown files: path relative to the root, and text.
    pub(crate) documents: Vec<(String, String)>,
}

impl Tree {
    /// Reads the project this test belongs to, or the one that the environment names.
    pub(crate) fn read() -> Self {
        let named = std::env::var_os("CARGO_MANIFEST_DIR");
        let root = PathBuf::from(named.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into()));
        let mut files = Vec::new();
        list(&root, &root, &mut files);
        files.sort();
        let read = |path: &String| {
            let text = std::fs::read_to_string(root.join(path));
            text.unwrap_or_else(|error| panic!("{path}: {error}"))
        };
        let ends = |end: &'static str| files.iter().filter(move |path| path.ends_with(end));
        let mut sources: Vec<Source> = ends(".rs")
            .filter(|path| path.starts_with("src/"))
            .map(|path| Source::new(path, &read(path)))
            .collect();
        mark_test_files(&mut sources);
        let documents = ends(".md").map(|path| (path.clone(), read(path))).collect();
        Self { root, sources, documents }
    }
}

/// Gathers the files below `directory`, leaving out build products and hidden directories but
/// the project's own two.
fn list(root: &Path, directory: &Path, files: &mut Vec<String>) {
    let entries = std::fs::read_dir(directory).expect("the project's directories can be read");
    for entry in entries {
        let path = entry.expect("the project's directories can be read").path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        let hidden = name.starts_with('.') && name != ".ci" && name != ".config";
        if path.is_dir() && !hidden && !name.starts_with("target") {
            list(root, &path, files);
        } else if path.is_file() {
            let path = path.strip_prefix(root).expect("found below the root");
            files.push(path.to_string_lossy().replace('\\', "/"));
        }
    }
}

/// Marks the files of `#[cfg(test)] mod name;` as tests from end to end.
fn mark_test_files(sources: &mut [Source]) {
    let mut stems = Vec::new();
    for source in sources.iter() {
        for &(start, end) in &source.tests {
            let item = source.code[start..end].trim_end();
            let Some(declaration) = item.strip_suffix(';') else { continue };
            let mut words = declaration.split_whitespace().rev();
            let (name, keyword) = (words.next(), words.next());
            if let (Some(name), Some("mod")) = (name, keyword) {
                stems.push(format!("{}/{name}", source.module_directory()));
            }
        }
    }
    for source in sources {
        let inside = |stem: &String| {
            let rest = source.path.strip_prefix(stem.as_str());
            rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        };
        if stems.iter().any(inside) {
            source.tests = vec![(0, source.code.len())];
        }
    }
}

/// Whether `byte` can be part of an identifier.
pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The offsets at which `needle` stands in `code` as whole words.
pub(crate) fn find_words(code: &str, needle: &str) -> Vec<usize> {
    let bytes = code.as_bytes();
    let first = needle.as_bytes()[0];
    let last = needle.as_bytes()[needle.len() - 1];
    code.match_indices(needle)
        .map(|(at, _)| at)
        .filter(|&at| !is_word(first) || at == 0 || !is_word(bytes[at - 1]))
        .filter(|&at| {
            let after = bytes.get(at + needle.len());
            !is_word(last) || !after.is_some_and(|&byte| is_word(byte))
        })
        .collect()
}

/// The offset behind the bracket that closes the one at `open`.
pub(crate) fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    code.len()
}

impl Source {
    /// Reads `text` as the file `path`.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let mut line_starts = vec![0];
        line_starts.extend(text.match_indices('\n').map(|(at, _)| at + 1));
        let mut source = Self {
            path: path.to_owned(),
            code: String::new(),
            comments: Vec::new(),
            literals: Vec::new(),
            line_count: text.lines().count(),
            line_starts,
            tests: Vec::new(),
            inline_modules: Vec::new(),
        };
        Lexer { text: text.as_bytes(), at: 0, code: text.as_bytes().to_vec() }.run(&mut source);
        source.tests = test_items(&source.code);
        source.inline_modules = inline_modules(&source.code);
        source
    }

    /// The line of a byte offset, counted from 1.
    pub(crate) fn line_of(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|&start| start <= offset)
    }

    /// Whether the byte at `offset` exists only in test builds.
    pub(crate) fn is_test(&self, offset: usize) -> bool {
        self.tests.iter().any(|&(start, end)| (start..end).contains(&offset))
    }

    /// The module path of the file: `["sched", "idle"]` for `src/sched/idle.rs`.
    pub(crate) fn modules(&self) -> Vec<&str> {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        let mut modules: Vec<&str> = path.split('/').collect();
        if matches!(modules.last(), Some(&"mod" | &"lib")) {
            modules.pop();
        }
        modules
    }

    /// Where the files of its `mod name;` lie.
    fn module_directory(&self) -> String {
        let mut path = vec!["src"];
        path.extend(self.modules());
        path.join("/")
    }

    /// The names of the inline modules around `offset`.
    pub(crate) fn inline_modules_at(&self, offset: usize) -> Vec<&str> {
        let around =
            |&&(_, (start, end)): &&(String, (usize, usize))| offset > start && offset < end;
        self.inline_modules.iter().filter(around).map(|(name, _)| name.as_str()).collect()
    }

    /// Every function that has a body.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let mut functions = Vec::new();
        for at in find_words(&self.code, "fn ") {
            let rest = &self.code[at + 3..];
            let name: String = rest.bytes().take_while(|&b| is_word(b)).map(char::from).collect();
            let Some(open) = body_start(&self.code, at) else { continue };
            let end = closing(&self.code, open);
            let mut path = self.modules();
            path.extend(self.inline_modules_at(at));
            path.push(&name);
            functions.push(Function {
                path: path.join("::"),
                first_line: self.line_of(at),
                last_line: self.line_of(end - 1),
                body: (open, end),
                name,
            });
        }
        functions
    }

    /// Whether a comment that contains `word` belongs to the statement around `start..end`: it
    /// stands within the statement, on the three lines above it, or in the block of comments
    /// directly above it.
    pub(crate) fn has_comment(&self, word: &str, start: usize, end: usize) -> bool {
        let before = self.code[..start].rfind([';', '{', '}']).map_or(0, |at| at + 1);
        let blank = self.code[before..].len() - self.code[before..].trim_start().len();
        let first = self.line_of((before + blank).min(start));
        let last = self.line_of(end);
        let mut block = first;
        while self.comments.iter().any(|comment| comment.alone && comment.line + 1 == block) {
            block -= 1;
        }
        let from = block.min(first.saturating_sub(3));
        let near = |comment: &&Comment| (from..=last).contains(&comment.line);
        self.comments.iter().filter(near).any(|comment| comment.text.contains(word))
    }
}

/// The offset of the brace that opens the body of the function at `at`, if it has one.
fn body_start(code: &str, at: usize) -> Option<usize> {
    let mut skip = at;
    for (offset, byte) in code.bytes().enumerate().skip(at) {
        match byte {
            _ if offset < skip => {}
            b'(' | b'[' => skip = closing(code, offset),
            b'{' => return Some(offset),
            b';' => return None,
            _ => {}
        }
    }
    None
}

/// The ranges of items below an attribute that says `test`.
fn test_items(code: &str) -> Vec<(usize, usize)> {
    let mut items = Vec::new();
    for at in find_words(code, "#[") {
        let end = closing(code, at + 1);
        let attribute = &code[at..end];
        let cfg = attribute.starts_with("#[cfg(") && !find_words(attribute, "test").is_empty();
        let negative = attribute.contains("not(test)");
        if attribute == "#[test]" || (cfg && !negative) {
            items.push((at, item_end(code, end)));
        }
    }
    items
}

/// The end of the item that begins at `from`, further attributes included.
fn item_end(code: &str, from: usize) -> usize {
    let mut skip = from;
    for (at, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            _ if at < skip => {}
            b'(' | b'[' => skip = closing(code, at),
            b'{' => return closing(code, at),
            b';' | b',' => return at + 1,
            _ => {}
        }
    }
    code.len()
}

fn inline_modules(code: &str) -> Vec<(String, (usize, usize))> {
    let mut modules = Vec::new();
    for at in find_words(code, "mod ") {
        let rest = &code[at + 4..];
        let name: String = rest.bytes().take_while(|&b| is_word(b)).map(char::from).collect();
        let after = at + 4 + name.len();
        let gap = code[after..].len() - code[after..].trim_start().len();
        if code[after + gap..].starts_with('{') {
            modules.push((name, (after + gap, closing(code, after + gap))));
        }
    }
    modules
}

/// Blanks out comments and literals.
struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    code: Vec<u8>,
}

impl Lexer<'_> {
    fn run(mut self, source: &mut Source) {
        while self.at < self.text.len() {
            let rest = &self.text[self.at..];
            if rest.starts_with(b"//") || rest.starts_with(b"/*") {
                self.comment(source);
            } else if let Some(hashes) = self.raw_string() {
                self.string(source, Some(hashes));
            } else if rest[0] == b'"' {
                self.string(source, None);
            } else if rest[0] == b'\'' {
                self.character();
            } else {
                self.at += 1;
            }
        }
        source.code = String::from_utf8(self.code).expect("what is not ASCII was blanked out");
        assert!(source.code.is_ascii(), "{}: an identifier that is not ASCII", source.path);
    }

    /// Blanks `from..to`, but for the ends of lines.
    fn blank(&mut self, from: usize, to: usize) {
        for byte in &mut self.code[from..to] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    }

    fn comment(&mut self, source: &mut Source) {
        let start = self.at;
        if self.text[start..].starts_with(b"//") {
            let length = self.text[start..].iter().position(|&byte| byte == b'\n');
            self.at = length.map_or(self.text.len(), |length| start + length);
        } else {
            self.block_comment();
        }
        let text = String::from_utf8_lossy(&self.text[start..self.at]).into_owned();
        let line_start = source.line_starts[source.line_of(start) - 1];
        let alone = self.text[line_start..start].iter().all(u8::is_ascii_whitespace);
        for (index, text) in text.lines().enumerate() {
            let line = source.line_of(start) + index;
            source.comments.push(Comment { line, text: text.to_owned(), alone });
        }
        self.blank(start, self.at);
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while self.at < self.text.len() {
            if self.text[self.at..].starts_with(b"/*") {
                depth += 1;
                self.at += 2;
            } else if self.text[self.at..].starts_with(b"*/") {
                depth -= 1;
                self.at += 2;
                if depth == 0 {
                    return;
                }
            } else {
                self.at += 1;
            }
        }
    }

    /// The number of `#` of the raw string that begins here, if one does; moves to its quote.
    fn raw_string(&mut self) -> Option<usize> {
        let rest = &self.text[self.at..];
        let word_before = self.at > 0 && is_word(self.text[self.at - 1]);
        let prefix = [&b"br"[..], b"cr", b"r"].into_iter().find(|p| rest.starts_with(p))?;
        let hashes = rest[prefix.len()..].iter().take_while(|&&byte| byte == b'#').count();
        if word_before || rest.get(prefix.len() + hashes) != Some(&b'"') {
            return None;
        }
        self.at += prefix.len() + hashes;
        Some(hashes)
    }

    /// A string from its opening quote on; `raw` is the number of `#` of a raw one.
    fn string(&mut self, source: &mut Source, raw: Option<usize>) {
        let start = self.at;
        let close = format!("\"{}", "#".repeat(raw.unwrap_or(0)));
        self.at += 1;
        while self.at < self.text.len() && !self.text[self.at..].starts_with(close.as_bytes()) {
            let escape = raw.is_none() && self.text[self.at] == b'\\';
            self.at += if escape { 2 } else { 1 };
        }
        let end = self.at.min(self.text.len());
        let contents = String::from_utf8_lossy(&self.text[start + 1..end]).into_owned();
        source.literals.push((start, contents));
        self.blank(start + 1, end);
        self.at = end + close.len();
    }

    /// A character literal, or a lifetime.
    fn character(&mut self) {
        let start = self.at;
        let rest = &self.text[start + 1..];
        let length = if rest.first() == Some(&b'\\') {
            rest.iter().skip(2).position(|&byte| byte == b'\'').map(|length| length + 2)
        } else {
            // One character, of up to four bytes, and a quote; otherwise it is a lifetime.
            let bytes = rest.first().map_or(1, |&byte| byte.leading_ones().max(1) as usize);
            (rest.get(bytes) == Some(&b'\'')).then_some(bytes)
        };
        self.at += 1;
        if let Some(length) = length {
            self.blank(start + 1, start + 1 + length);
            self.at = start + length + 2;
        }
    }
}

#[test]
fn comments_and_literals_are_blanked_and_kept() {
    let text = "let a = \"x // y\"; // note\nlet b = r#\"q\"z\"#; /* one\n two */ let c = '\\'';";
    let source = Source::new("src/a.rs", text);
    assert_eq!(source.code.len(), text.len());
    assert!(!source.code.contains("note") && !source.code.contains("two"));
    assert_eq!(source.literals[0].1, "x // y");
    assert_eq!(source.literals[1].1, "q\"z");
    assert_eq!(source.comments.iter().map(|c| c.line).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(source.code.contains("let c = '"));
}

#[test]
fn lifetimes_are_not_character_literals() {
    let source = Source::new("src/a.rs", "fn f<'a>(x: &'a str) -> char { 'ä' } // 'tis");
    assert!(source.code.contains("<'a>(x: &'a str) -> char { '"));
    assert_eq!(source.comments.len(), 1);
}

#[test]
fn tests_are_told_from_the_rest() {
    let text =
        "fn a() {}\n#[cfg(all(test, loom))]\nmod model { fn b() {} }\n#[cfg(not(test))] fn c() {}";
    let source = Source::new("src/a/mod.rs", text);
    let at = |needle: &str| text.find(needle).expect("in the snippet");
    assert!(!source.is_test(at("fn a")));
    assert!(source.is_test(at("fn b")));
    assert!(!source.is_test(at("fn c")));
    assert_eq!(source.functions()[1].path, "a::model::b");
}

#[test]
fn a_test_module_in_a_file_of_its_own_is_a_test() {
    let mut sources = vec![
        Source::new("src/a/mod.rs", "#[cfg(test)]\nmod tests;"),
        Source::new("src/a/tests.rs", "fn b() {}"),
        Source::new("src/a/other.rs", "fn c() {}"),
    ];
    mark_test_files(&mut sources);
    assert!(sources[1].is_test(0) && !sources[2].is_test(0));
}
