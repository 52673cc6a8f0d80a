//! Serves a directory over HTTP/1.1, one green thread per connection:
//! `cargo run --release --example http_server -- --address 127.0.0.1:8000 DIRECTORY`.
//!
//! Blocking code throughout: keep-alive and pipelining are loops, timeouts are
//! deadlines of the stream, and the end of the program is the end of a scope.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its user")]

#[path = "http_server/connection.rs"]
mod connection;
#[path = "http_server/files.rs"]
mod files;
#[path = "options/mod.rs"]
#[allow(dead_code, unreachable_pub, reason = "each example uses its part")]
mod options;

use connection::{Connection, Limits};
use files::Root;
use gthread::net::TcpListener;
use options::{Options, Refusal};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const USAGE: &str = "\
usage: http_server [--address ADDRESS] [--timeout SECONDS] [DIRECTORY]

Serves the files of DIRECTORY (default: .) until SIGINT or SIGTERM; requests
that have begun are answered before it ends. A second signal ends it at once.
The first line on standard output is the address it listens on.

  --address ADDRESS   where to listen (default 127.0.0.1:8000; port 0: any)
  --timeout SECONDS   for a request head to arrive, 1 to 3600 (default 10)

GTHREAD_MAXPROCS sets the number of processors.";

/// How long open requests may take after the first signal.
const GRACE: Duration = Duration::from_secs(30);

/// What connections, the accept loop and the signals share.
#[derive(Debug, Default)]
struct Server {
    stopping: AtomicBool,
    open: Mutex<HashMap<u64, Arc<Connection>>>,
}

impl Server {
    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Ends the connections that wait for a next request; the others end after theirs.
    fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        for connection in self.open.lock().unwrap_or_else(PoisonError::into_inner).values() {
            connection.end_if_idle();
        }
    }

    /// Ends all of them.
    fn cut_off(&self) {
        for connection in self.open.lock().unwrap_or_else(PoisonError::into_inner).values() {
            connection.cut_off();
        }
    }
}

fn main() -> ExitCode {
    options::run("http_server", USAGE, || {
        let mut options = Options::read(&["--address", "--timeout"])?;
        let seconds = options.number("--timeout", 10, 1..=3600)?;
        let address = options.text("--address").unwrap_or_else(|| "127.0.0.1:8000".to_owned());
        let directory = PathBuf::from(options.word().unwrap_or_else(|| ".".to_owned()));
        options.end()?;
        let root = Root::new(&directory)
            .map_err(|error| Refusal::Wrong(format!("{}: {error}", directory.display())))?;
        let limits = Limits::new(Duration::from_secs(seconds));
        Ok(gthread::run(move || serve(&address, root, limits)))
    })
}

fn serve(address: &str, root: Root, limits: Limits) -> Result<(), String> {
    let listener = TcpListener::bind(address)
        .map_err(|error| format!("cannot listen on {address}: {error}"))?;
    let local = listener.local_addr().map_err(|error| error.to_string())?;
    let (server, listener) = (Arc::new(Server::default()), Arc::new(listener));
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])
        .map_err(|error| format!("cannot handle signals: {error}"))?;
    let handle = signals.handle();
    let stopper = {
        let (server, listener) = (server.clone(), listener.clone());
        // Waits for a signal in a system call of its own: that costs its processor nothing.
        gthread::spawn(move || {
            gthread::blocking(|| {
                let mut count = 0;
                for _ in signals.forever() {
                    count += 1;
                    if count > 1 {
                        std::process::exit(130);
                    }
                    eprintln!("http_server: finishing open requests");
                    server.stop();
                    listener.close();
                }
            });
        })
    };
    println!("serving {} on http://{local}", root.path().display());
    gthread::scope(|scope| {
        let mut number = 0_u64;
        while !server.is_stopping() {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(_) if server.is_stopping() => break,
                Err(error) => {
                    eprintln!("http_server: cannot accept: {error}");
                    gthread::sleep(Duration::from_millis(50));
                    continue;
                }
            };
            number += 1;
            let (server, root) = (&server, &root);
            scope.spawn(move || {
                let connection = Arc::new(Connection::new(stream));
                let mut open = server.open.lock().unwrap_or_else(PoisonError::into_inner);
                open.insert(number, connection.clone());
                drop(open);
                connection.serve(root, limits, &|| server.is_stopping());
                server.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
            });
        }
        let patience = scope.spawn(|| {
            gthread::park_timeout(GRACE);
            server.cut_off();
        });
        while !server.open.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            gthread::sleep(Duration::from_millis(5));
        }
        patience.thread().unpark();
    });
    handle.close();
    stopper.join().map_err(|_| "the thread for signals panicked".to_owned())
}
