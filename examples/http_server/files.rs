//! From a request's target to a file below the root, and to an answer.
//!
//! **Nothing outside the root.** The target is decoded first, and then taken apart: `..`, empty
//! names and names with a NUL or a slash in them are refused, so it can only name something below
//! the root. Symbolic links are followed, for links within a served tree are common; but the path
//! that results is the one that is opened, and it has to lie below the root. Whoever can exchange
//! a directory for a link between the two steps can write to the tree, and could have put there
//! what he wants to be served.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Files up to here are sent in one piece with the head.
const SMALL_BYTES: u64 = 32 << 10;

/// The directory that is served.
#[derive(Debug)]
pub(crate) struct Root(PathBuf);

/// What is sent after the head.
#[derive(Debug)]
pub(crate) enum Body {
    Bytes(Vec<u8>),
    /// So many bytes from the start of a file.
    File(File, u64),
}

impl Body {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, bytes) => *bytes,
        }
    }
}

/// A response but for what the connection adds.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Whole lines.
    pub(crate) fields: String,
    pub(crate) body: Body,
}

impl Answer {
    /// A status that speaks for itself.
    pub(crate) fn status(status: u16) -> Self {
        let body = format!("{}\n", status_line(status)).into_bytes();
        Self { status, fields: "Content-Type: text/plain\r\n".to_owned(), body: Body::Bytes(body) }
    }
}

/// The number and the words of a status.
pub(crate) fn status_line(status: u16) -> &'static str {
    match status {
        200 => "200 OK",
        301 => "301 Moved Permanently",
        304 => "304 Not Modified",
        400 => "400 Bad Request",
        403 => "403 Forbidden",
        404 => "404 Not Found",
        405 => "405 Method Not Allowed",
        408 => "408 Request Timeout",
        431 => "431 Request Header Fields Too Large",
        505 => "505 HTTP Version Not Supported",
        _ => "500 Internal Server Error",
    }
}

impl Root {
    pub(crate) fn new(directory: &Path) -> io::Result<Self> {
        let path = directory.canonicalize()?;
        if !path.is_dir() {
            return Err(io::Error::other("not a directory"));
        }
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The answer to GET.
    pub(crate) fn answer(
        &self,
        target: &str,
        if_none_match: Option<&str>,
        if_modified_since: Option<&str>,
    ) -> Answer {
        let path = target.split(['?', '#']).next().unwrap_or_default();
        let Some(below) = decode(path).and_then(|decoded| below_root(&decoded)) else {
            return Answer::status(400);
        };
        match self.open(&below, path) {
            Ok(Found::File(file, path)) => whole(file, &path, if_none_match, if_modified_since)
                .unwrap_or_else(|_| Answer::status(500)),
            Ok(Found::Elsewhere(location)) => {
                let mut answer = Answer::status(301);
                answer.fields = format!("Location: {location}\r\n{}", answer.fields);
                answer
            }
            Ok(Found::Outside) => Answer::status(403),
            Err(error) => Answer::status(match error.kind() {
                io::ErrorKind::PermissionDenied => 403,
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => 404,
                io::ErrorKind::InvalidFilename => 404,
                _ => 500,
            }),
        }
    }

    fn open(&self, below: &Path, target: &str) -> io::Result<Found> {
        let mut path = self.0.join(below).canonicalize()?;
        if !path.starts_with(&self.0) {
            return Ok(Found::Outside);
        }
        if path.is_dir() {
            if !target.ends_with('/') {
                return Ok(Found::Elsewhere(format!("{target}/")));
            }
            path = path.join("index.html").canonicalize()?;
        }
        if !path.starts_with(&self.0) {
            return Ok(Found::Outside);
        }
        // Neither a pipe nor a device: opening one could wait for ever.
        if !path.metadata()?.is_file() {
            return Ok(Found::Outside);
        }
        Ok(Found::File(File::open(&path)?, path))
    }
}

/// What a path names.
enum Found {
    File(File, PathBuf),
    /// A directory, whose name ends in a slash.
    Elsewhere(String),
    /// Something that is not served.
    Outside,
}

/// Percent-decodes; `None`: it is no good.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (high, low) = (digit(rest.next())?, digit(rest.next())?);
        bytes.push((high * 16 + low) as u8);
    }
    String::from_utf8(bytes).ok()
}

/// A decoded absolute path as one that lies below any root; `None`: it does not.
fn below_root(decoded: &str) -> Option<PathBuf> {
    let mut below = PathBuf::new();
    for name in decoded.strip_prefix('/')?.split('/') {
        match name {
            "" | "." => {}
            ".." => return None,
            name if name.contains('\0') => return None,
            name => below.push(name),
        }
    }
    Some(below)
}

/// The answer that is the file, or that the client has it already.
fn whole(
    mut file: File,
    path: &Path,
    if_none_match: Option<&str>,
    if_modified_since: Option<&str>,
) -> io::Result<Answer> {
    let metadata = file.metadata()?;
    let modified = metadata.modified()?;
    let age = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let tag = format!("\"{:x}-{:x}\"", age.as_nanos(), metadata.len());
    let fields = format!(
        "ETag: {tag}\r\nLast-Modified: {}\r\nContent-Type: {}\r\n",
        httpdate::fmt_http_date(modified),
        content_type(path)
    );
    // By RFC 9110, 13.2.2: the date counts only where there is no tag.
    let is_known = match (if_none_match, if_modified_since) {
        (Some(tags), _) => {
            tags.split(',').map(str::trim).any(|t| t == "*" || t.trim_start_matches("W/") == tag)
        }
        (None, Some(date)) => httpdate::parse_http_date(date).is_ok_and(|date| {
            date.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
                >= age.as_secs()
        }),
        (None, None) => false,
    };
    if is_known {
        return Ok(Answer { status: 304, fields, body: Body::Bytes(Vec::new()) });
    }
    let body = if metadata.len() <= SMALL_BYTES {
        let mut bytes = Vec::new();
        (&mut file).take(SMALL_BYTES).read_to_end(&mut bytes)?;
        Body::Bytes(bytes)
    } else {
        Body::File(file, metadata.len())
    };
    Ok(Answer { status: 200, fields, body })
}

fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html" | "htm") => "text/html; charset=utf-8",
        Some("txt" | "md" | "rs" | "toml") => "text/plain; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        _ => "application/octet-stream",
    }
}

/// Where `needle` begins in `text`.
pub(crate) fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len()).position(|window| window == needle)
}
