//! One connection: requests in, responses out, one after the other.

use super::files::{self, Answer, Root};
use gthread::net::{Shutdown, TcpStream, send_file};
use std::fmt::Write as _;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A request head may be this long; beyond it is 431.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// A request head may have so many fields; beyond it is 431.
const FIELDS_MAX: usize = 64;
/// What a client still sends after an error is thrown away up to here.
const REST_BYTES_MAX: usize = 256 << 10;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// From the first byte of a head to its last.
    head: Duration,
    /// Between two requests.
    idle: Duration,
    /// For the client to take any part of a response.
    write: Duration,
}

impl Limits {
    pub(crate) fn new(head: Duration) -> Self {
        Self { head, idle: head * 3, write: head * 3 }
    }
}

/// A connection, and whether it may be ended by whoever stops the server.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    is_idle: Mutex<bool>,
}

/// What to do after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The connection stays.
    Request,
    /// It ends.
    End,
}

/// What a request asks for.
struct Request {
    method: String,
    target: String,
    keeps_alive: bool,
    has_body: bool,
    if_none_match: Option<String>,
    if_modified_since: Option<String>,
}

/// How a head ends.
enum Head {
    /// So many bytes of the buffer.
    Whole(usize),
    /// Nothing has come: the client has left, or waited for too long.
    Nothing,
    /// This status.
    Refused(u16),
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, is_idle: Mutex::new(true) }
    }

    /// Ends it if it waits for its next request. It looks for itself otherwise.
    pub(crate) fn end_if_idle(&self) {
        let is_idle = self.is_idle.lock().unwrap_or_else(PoisonError::into_inner);
        if *is_idle {
            self.stream.set_read_deadline(Some(Instant::now()));
        }
    }

    /// Ends it in any case.
    pub(crate) fn cut_off(&self) {
        self.stream.close();
    }

    /// Answers requests until the client leaves, errs, or the server stops.
    pub(crate) fn serve(&self, root: &Root, limits: Limits, is_stopping: &dyn Fn() -> bool) {
        let _ = self.stream.set_nodelay(true);
        let _ = self.stream.set_write_timeout(Some(limits.write));
        let mut buffer = Vec::with_capacity(4 << 10);
        loop {
            if !self.begin_idle(limits.idle, is_stopping, !buffer.is_empty()) {
                break;
            }
            let head = match self.read_head(&mut buffer, limits) {
                Head::Whole(head) => head,
                Head::Nothing => break,
                Head::Refused(status) => {
                    let _ = self.refuse(status);
                    break;
                }
            };
            let next = match parse(&buffer[..head]) {
                Ok(request) => self.respond(&request, root, is_stopping()),
                Err(status) => self.refuse(status).map(|()| Next::End),
            };
            buffer.drain(..head);
            if !matches!(next, Ok(Next::Request)) {
                break;
            }
        }
    }

    /// Between two requests; `false`: the server stops, and there is none.
    fn begin_idle(&self, idle: Duration, is_stopping: &dyn Fn() -> bool, has_more: bool) -> bool {
        let mut is_idle = self.is_idle.lock().unwrap_or_else(PoisonError::into_inner);
        *is_idle = !has_more;
        self.stream.set_read_deadline(Some(Instant::now() + idle));
        has_more || !is_stopping()
    }

    /// Reads until the buffer begins with a whole head.
    fn read_head(&self, buffer: &mut Vec<u8>, limits: Limits) -> Head {
        let mut checked = 0;
        let mut chunk = [0; 4 << 10];
        if !buffer.is_empty() {
            self.stream.set_read_deadline(Some(Instant::now() + limits.head));
        }
        loop {
            if let Some(head) = files::find(&buffer[checked..], b"\r\n\r\n") {
                let bytes = checked + head + 4;
                return if bytes > HEAD_BYTES_MAX {
                    Head::Refused(431)
                } else {
                    Head::Whole(bytes)
                };
            }
            if buffer.len() > HEAD_BYTES_MAX {
                return Head::Refused(431);
            }
            checked = buffer.len().saturating_sub(3);
            let bytes = match (&self.stream).read(&mut chunk) {
                Ok(0) if buffer.is_empty() => return Head::Nothing,
                Ok(0) => return Head::Refused(400),
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::TimedOut && !buffer.is_empty() => {
                    return Head::Refused(408);
                }
                Err(_) => return Head::Nothing,
            };
            if buffer.is_empty() {
                // From here on it is an open request.
                *self.is_idle.lock().unwrap_or_else(PoisonError::into_inner) = false;
                self.stream.set_read_deadline(Some(Instant::now() + limits.head));
            }
            buffer.extend_from_slice(&chunk[..bytes]);
        }
    }

    fn respond(&self, request: &Request, root: &Root, is_stopping: bool) -> io::Result<Next> {
        let ends = !request.keeps_alive || request.has_body || is_stopping;
        let answer = if matches!(request.method.as_str(), "GET" | "HEAD") {
            root.answer(
                &request.target,
                request.if_none_match.as_deref(),
                request.if_modified_since.as_deref(),
            )
        } else {
            Answer::status(405)
        };
        let mut head = format!("HTTP/1.1 {}\r\n", files::status_line(answer.status));
        let date = httpdate::fmt_http_date(std::time::SystemTime::now());
        let _ = write!(head, "Date: {date}\r\n{}", answer.fields);
        if answer.status == 405 {
            head.push_str("Allow: GET, HEAD\r\n");
        }
        if answer.status != 304 {
            let _ = write!(head, "Content-Length: {}\r\n", answer.body.len());
        }
        if ends {
            head.push_str("Connection: close\r\n");
        }
        head.push_str("\r\n");
        let mut stream = &self.stream;
        let with_body = request.method != "HEAD" && answer.status != 304;
        match answer.body {
            files::Body::Bytes(body) if with_body => {
                stream.write_all(&[head.as_bytes(), &body].concat())?;
            }
            files::Body::File(file, bytes) if with_body => {
                stream.write_all(head.as_bytes())?;
                if send_file(&file, 0, bytes, stream)? != bytes {
                    // It has shrunk: the client has to notice.
                    return Err(ErrorKind::UnexpectedEof.into());
                }
            }
            _ => stream.write_all(head.as_bytes())?,
        }
        if request.has_body {
            self.linger()?;
        }
        Ok(if ends { Next::End } else { Next::Request })
    }

    /// Answers what is no good request, and ends.
    fn refuse(&self, status: u16) -> io::Result<()> {
        let line = files::status_line(status);
        let text = format!(
            "HTTP/1.1 {line}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{line}\n",
            line.len() + 1
        );
        (&self.stream).write_all(text.as_bytes())?;
        self.linger()
    }

    /// Lets the client read the response before the connection goes: a socket that is closed with
    /// unread data in it resets the connection, and the response may be lost.
    fn linger(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)?;
        self.stream.set_read_deadline(Some(Instant::now() + Duration::from_secs(1)));
        let mut left = REST_BYTES_MAX;
        let mut chunk = [0; 4 << 10];
        while left > 0 {
            match (&self.stream).read(&mut chunk)? {
                0 => break,
                bytes => left = left.saturating_sub(bytes),
            }
        }
        Ok(())
    }
}

/// A whole head as a request, or the status that it deserves.
fn parse(head: &[u8]) -> Result<Request, u16> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut parsed = httparse::Request::new(&mut fields);
    match parsed.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return Err(431),
        Err(httparse::Error::Version) if files::find(head, b" HTTP/").is_some() => return Err(505),
        Ok(httparse::Status::Partial) | Err(_) => return Err(400),
    }
    let field = |name: &str| {
        let mut found = parsed.headers.iter().filter(|f| f.name.eq_ignore_ascii_case(name));
        found.next().map(|field| String::from_utf8_lossy(field.value).into_owned())
    };
    let is_new = parsed.version == Some(1);
    if is_new && field("host").is_none() {
        return Err(400);
    }
    let connection = field("connection").unwrap_or_default().to_ascii_lowercase();
    let body_bytes = match field("content-length") {
        None => 0,
        Some(text) => text.trim().parse::<u64>().map_err(|_| 400_u16)?,
    };
    Ok(Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        target: parsed.path.unwrap_or_default().to_owned(),
        keeps_alive: if is_new {
            !connection.contains("close")
        } else {
            connection.contains("keep-alive")
        },
        has_body: body_bytes > 0 || field("transfer-encoding").is_some(),
        if_none_match: field("if-none-match"),
        if_modified_since: field("if-modified-since"),
    })
}
