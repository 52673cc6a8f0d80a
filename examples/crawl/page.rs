//! One page: its request, its response, and the links in it.

use gthread::net::TcpStream;
use std::io::{self, Read, Write};

/// Pages beyond this are cut off.
const PAGE_BYTES_MAX: u64 = 16 << 20;

/// The server that is asked.
#[derive(Debug)]
pub(crate) struct Origin {
    /// `HOST` or `HOST:PORT`, as it stands in URLs.
    authority: String,
    /// What is connected to.
    address: String,
}

impl Origin {
    /// The server and the path of a URL; `None`: it is no URL of ours.
    pub(crate) fn parse(url: &str) -> Option<(Self, String)> {
        let rest = url.strip_prefix("http://")?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.is_empty() || authority.contains(['@', '?', '#', ' ']) {
            return None;
        }
        let has_port = authority.rsplit(':').next()?.parse::<u16>().is_ok();
        let address = if has_port { authority.to_owned() } else { format!("{authority}:80") };
        let path = normal(path.split(['?', '#']).next().unwrap_or_default());
        Some((Self { authority: authority.to_owned(), address }, path))
    }

    /// The path a link names, seen from `base`; `None`: it leads elsewhere.
    fn resolve(&self, base: &str, link: &str) -> Option<String> {
        let link = link.split(['#', '?']).next()?.trim();
        if let Some(rest) = link.strip_prefix("http://") {
            let path = rest.strip_prefix(self.authority.as_str())?;
            return (path.is_empty() || path.starts_with('/')).then(|| normal(path));
        }
        if link.is_empty() || link.starts_with("//") || link.contains(':') {
            return None;
        }
        if link.starts_with('/') {
            return Some(normal(link));
        }
        let directory = &base[..base.rfind('/')? + 1];
        Some(normal(&format!("{directory}{link}")))
    }
}

/// A path without `.`, `..` and empty names.
fn normal(path: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    let is_directory = path.is_empty() || path.ends_with(['/', '.']);
    let end = if is_directory && !names.is_empty() { "/" } else { "" };
    format!("/{}{end}", names.join("/"))
}

/// What came of a request.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) path: String,
    pub(crate) outcome: io::Result<Body>,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) status: u16,
    pub(crate) bytes: u64,
    /// Paths on the same server.
    pub(crate) links: Vec<String>,
}

/// Fetches `path`.
pub(crate) fn fetch(origin: &Origin, path: String) -> Page {
    let outcome = request(origin, &path);
    Page { path, outcome }
}

fn request(origin: &Origin, path: &str) -> io::Result<Body> {
    let mut stream = TcpStream::connect(origin.address.as_str())?;
    let host = &origin.authority;
    let text = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(text.as_bytes())?;
    let mut response = Vec::new();
    stream.take(PAGE_BYTES_MAX).read_to_end(&mut response)?;
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Response::new(&mut fields);
    let head = match parsed.parse(&response) {
        Ok(httparse::Status::Complete(bytes)) => bytes,
        Ok(httparse::Status::Partial) => return Err(io::ErrorKind::UnexpectedEof.into()),
        Err(error) => return Err(io::Error::other(error)),
    };
    let field = |name: &str| {
        let mut found = parsed.headers.iter().filter(|f| f.name.eq_ignore_ascii_case(name));
        found.next().map(|field| String::from_utf8_lossy(field.value).into_owned())
    };
    let (status, body) = (parsed.code.unwrap_or(0), &response[head..]);
    let mut links: Vec<String> = Vec::new();
    if let Some(location) = field("location") {
        links.extend(origin.resolve(path, &location));
    }
    if field("content-type").is_some_and(|kind| kind.starts_with("text/html")) {
        let text = String::from_utf8_lossy(body);
        links.extend(attributes(&text).filter_map(|link| origin.resolve(path, link)));
    }
    Ok(Body { status, bytes: body.len() as u64, links })
}

/// The values of `href` and `src` attributes in quotes.
fn attributes(text: &str) -> impl Iterator<Item = &str> {
    let starts = ["href=", "src="]
        .into_iter()
        .flat_map(|name| text.match_indices(name).map(move |(place, _)| place + name.len()));
    starts.filter_map(|start| {
        let value = &text[start..];
        let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        value[1..].split(quote).next()
    })
}
