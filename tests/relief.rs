//! A blocked green thread holds nobody up: whoever it waits for gets its turn.
//!
//! Each test is a deadlock unless the property holds; the watchdog ends it.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that unwraps is a test that fails, and it explains itself"
)]

mod common;

use common::{Watchdog, runtime};
use std::io::{Read, Write};
use std::sync::mpsc;
use std::time::Duration;

/// Long enough for the monitor to have gone to sleep for good.
const LONG: Duration = Duration::from_millis(200);

#[test]
fn a_green_thread_that_a_timer_woke_blocks_beside_a_sleeper() {
    let _dog = Watchdog::new("timer_then_block", Duration::from_secs(20));
    let runtime = runtime(1);
    runtime.run(|| {
        let (mut reader, mut writer) = std::io::pipe().unwrap();
        let sleeper = gthread::spawn(move || {
            gthread::sleep(2 * LONG);
            writer.write_all(&[7]).unwrap();
        });
        gthread::sleep(LONG);
        let mut byte = [0];
        // Nobody says that this blocks: the monitor has to find out.
        reader.read_exact(&mut byte).unwrap();
        assert_eq!(byte, [7]);
        sleeper.join().unwrap();
    });
}

#[test]
fn a_sleeper_wakes_while_blocking_has_given_the_only_processor_up() {
    let _dog = Watchdog::new("blocking_then_timer", Duration::from_secs(20));
    let runtime = runtime(1);
    runtime.run(|| {
        let (sender, receiver) = mpsc::channel();
        let sleeper = gthread::spawn(move || {
            gthread::sleep(LONG);
            sender.send(7).unwrap();
        });
        gthread::yield_now();
        assert_eq!(gthread::blocking(|| receiver.recv()), Ok(7));
        sleeper.join().unwrap();
    });
}
