//! The servers: each peer's echo of a connection, in a process of its own.

use super::epoll::Epoll;
use crate::harness::Peer;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::process::ExitCode;

const BUFFER_BYTES: usize = 4096;
const ANY: &str = "127.0.0.1:0";

/// `--serve PEER PROCESSORS HOGS`: serves until it is killed.
pub(super) fn serve(args: &[String]) -> ExitCode {
    let [peer, processors, hogs] = args else { return ExitCode::from(2) };
    let (Ok(processors), Ok(hogs)) = (processors.parse(), hogs.parse()) else {
        return ExitCode::from(2);
    };
    let peer = Peer::ALL.into_iter().find(|known| known.name() == peer);
    let result = match peer {
        Some(Peer::Ours) => ours(processors, hogs),
        Some(Peer::Std) => threads(hogs),
        Some(Peer::Tokio) => tokio(processors),
        Some(Peer::May) => may(processors),
        Some(Peer::Bare) => bare(),
        _ => return ExitCode::from(2),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

#[allow(clippy::print_stdout, reason = "the way to the one who has started the server")]
fn announce(address: SocketAddr) {
    println!("{address}");
}

/// Computes for ever.
fn hog() {
    let mut x = 1_u64;
    loop {
        x = std::hint::black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    }
}

/// What each connection runs where reading blocks.
fn echo(mut stream: impl Read + Write) {
    let mut buffer = [0; BUFFER_BYTES];
    while let Ok(bytes @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..bytes]).is_err() {
            return;
        }
    }
}

fn ours(processors: usize, hogs: usize) -> std::io::Result<()> {
    let runtime = gthread::Runtime::builder()
        .processors(processors)
        .build()
        .map_err(std::io::Error::other)?;
    runtime.run(|| {
        let listener = gthread::net::TcpListener::bind(ANY)?;
        (0..hogs).for_each(|_| drop(gthread::spawn(hog)));
        announce(listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept()?;
            stream.set_nodelay(true)?;
            drop(gthread::spawn(move || echo(stream)));
        }
    })
}

fn threads(hogs: usize) -> std::io::Result<()> {
    let listener = TcpListener::bind(ANY)?;
    (0..hogs).for_each(|_| drop(std::thread::spawn(hog)));
    announce(listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        std::thread::Builder::new().stack_size(64 << 10).spawn(move || echo(stream))?;
    }
}

fn tokio(processors: usize) -> std::io::Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(processors)
        .enable_all()
        .build()?;
    let accept = async {
        let listener = tokio::net::TcpListener::bind(ANY).await?;
        announce(listener.local_addr()?);
        loop {
            let (mut stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(async move {
                let mut buffer = [0; BUFFER_BYTES];
                while let Ok(bytes @ 1..) = stream.read(&mut buffer).await {
                    if stream.write_all(&buffer[..bytes]).await.is_err() {
                        return;
                    }
                }
            });
        }
    };
    // On the runtime's own threads, as a server would.
    runtime.block_on(async { tokio::spawn(accept).await.map_err(std::io::Error::other)? })
}

fn may(processors: usize) -> std::io::Result<()> {
    may::config().set_workers(processors);
    let listener = may::net::TcpListener::bind(ANY)?;
    let address = listener.local_addr()?;
    announce(address);
    let accept = move || {
        while let Ok((stream, _)) = listener.accept() {
            let _ = stream.set_nodelay(true);
            // SAFETY: its stack is larger than the buffer, and it has no thread-locals across a wait.
            drop(unsafe {
                may::coroutine::Builder::new().stack_size(0x4000).spawn(move || echo(stream))
            });
        }
    };
    // SAFETY: it needs little stack, and has no thread-locals across a wait.
    let handle = unsafe { may::coroutine::spawn(accept) };
    handle.join().map_err(|_| std::io::Error::other("the accept loop panicked"))
}

/// One thread, one epoll, no runtime.
fn bare() -> std::io::Result<()> {
    const LISTENER: u64 = u64::MAX;
    let listener = TcpListener::bind(ANY)?;
    socket2::SockRef::from(&listener).listen(i32::MAX)?;
    let mut epoll = Epoll::new()?;
    epoll.add(listener.as_raw_fd(), LISTENER)?;
    announce(listener.local_addr()?);
    let mut streams: Vec<Option<TcpStream>> = Vec::new();
    let mut buffer = [0; BUFFER_BYTES];
    loop {
        let mut arrived = Vec::new();
        for token in epoll.wait(-1) {
            if token == LISTENER {
                arrived.push(listener.accept()?.0);
                continue;
            }
            let place = &mut streams[token as usize];
            let Some(stream) = place else { continue };
            match stream.read(&mut buffer) {
                Ok(bytes @ 1..) if stream.write_all(&buffer[..bytes]).is_ok() => {}
                _ => *place = None,
            }
        }
        for stream in arrived {
            stream.set_nodelay(true)?;
            epoll.add(stream.as_raw_fd(), streams.len() as u64)?;
            streams.push(Some(stream));
        }
    }
}
