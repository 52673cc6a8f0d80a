//! Waiting for descriptors, on pairs of bare sockets; here because it takes a runtime.

use super::Runtime;
use crate::netpoll::{Descriptor, Direction};
use crate::sched::io::attempt;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;

/// One end of a pair, as `net` makes it.
struct End {
    descriptor: Descriptor,
    stream: UnixStream,
}

fn pair() -> (End, End) {
    let (left, right) = UnixStream::pair().expect("a pair");
    (End::new(left), End::new(right))
}

impl End {
    fn new(stream: UnixStream) -> Self {
        stream.set_nonblocking(true).expect("a socket");
        let descriptor = Descriptor::new(stream.as_raw_fd()).expect("memory");
        Self { descriptor, stream }
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        attempt(&self.descriptor, Direction::Input, None, |_| (&self.stream).read(buffer))
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        attempt(&self.descriptor, Direction::Output, None, |_| (&self.stream).write(bytes))
    }
}

#[test]
fn a_read_waits_for_what_is_written() {
    for processors in [1, 2] {
        let runtime = Runtime::builder().processors(processors).build().expect("a runtime");
        let (left, right) = pair();
        let echo = runtime.spawn(move || {
            let mut buffer = [0; 8];
            loop {
                match right.read(&mut buffer).expect("a read") {
                    0 => return,
                    n => assert_eq!(right.write(&buffer[..n]).expect("a write"), n),
                }
            }
        });
        let ping = runtime.spawn(move || {
            let mut buffer = [0; 8];
            for round in 0..1000_u64 {
                left.write(&round.to_ne_bytes()).expect("a write");
                assert_eq!(left.read(&mut buffer).expect("a read"), 8);
                assert_eq!(u64::from_ne_bytes(buffer), round);
            }
        });
        ping.join().expect("no panic");
        echo.join().expect("no panic");
    }
}

#[test]
fn os_threads_wait_too() {
    let (left, right) = pair();
    let other = std::thread::spawn(move || {
        let mut buffer = [0; 8];
        for _ in 0..1000 {
            let n = right.read(&mut buffer).expect("a read");
            right.write(&buffer[..n]).expect("a write");
        }
    });
    let mut buffer = [0; 8];
    for round in 0..1000_u64 {
        left.write(&round.to_ne_bytes()).expect("a write");
        assert_eq!(left.read(&mut buffer).expect("a read"), 8);
        assert_eq!(u64::from_ne_bytes(buffer), round);
    }
    other.join().expect("no panic");
}
