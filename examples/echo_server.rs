//! Sends back what it receives, one green thread per connection:
//! `cargo run --release --example echo_server -- 127.0.0.1:7000`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its user")]

#[path = "options/mod.rs"]
#[allow(dead_code, unreachable_pub, reason = "each example uses its part")]
mod options;

use gthread::net::{TcpListener, TcpStream};
use options::Options;
use std::io::{ErrorKind, Read, Write};
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "\
usage: echo_server [--buffer BYTES] [ADDRESS]

Sends back what it receives, one green thread per connection, until it is
killed. The first line on standard output is the address it listens on.

  ADDRESS          where to listen (default 127.0.0.1:7000; port 0: any)
  --buffer BYTES   of each connection, 1 to 1048576 (default 4096)

GTHREAD_MAXPROCS sets the number of processors.";

fn main() -> ExitCode {
    options::run("echo_server", USAGE, || {
        let mut options = Options::read(&["--buffer"])?;
        let buffer_bytes = options.number("--buffer", 4096, 1..=1 << 20)?;
        let address = options.word().unwrap_or_else(|| "127.0.0.1:7000".to_owned());
        options.end()?;
        Ok(gthread::run(move || serve(&address, buffer_bytes)))
    })
}

fn serve(address: &str, buffer_bytes: usize) -> Result<(), String> {
    let listener = TcpListener::bind(address)
        .map_err(|error| format!("cannot listen on {address}: {error}"))?;
    let local = listener.local_addr().map_err(|error| error.to_string())?;
    println!("listening on {local}");
    loop {
        match listener.accept() {
            Ok((stream, _)) => drop(gthread::spawn(move || echo(stream, buffer_bytes))),
            Err(error) => {
                // Most likely out of descriptors: connections that end give some back.
                eprintln!("echo_server: cannot accept: {error}");
                gthread::sleep(Duration::from_millis(50));
            }
        }
    }
}

fn echo(mut stream: TcpStream, buffer_bytes: usize) {
    let mut buffer = vec![0; buffer_bytes];
    let _ = stream.set_nodelay(true);
    loop {
        let bytes = match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_peer_is_gone) => return,
        };
        if stream.write_all(&buffer[..bytes]).is_err() {
            return;
        }
    }
}
