//! Channels under ill treatment: ends that vanish in the middle of a transfer, messages that panic
//! when they are made or dropped, deadlines at the moment of the exchange.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that unwraps is a test that fails, and it explains itself"
)]

mod common;

use common::{Count, Counted, Random, on_each_carrier, silence_panics_on_purpose};
use gthread::channel::{Receiver, Select, Sender, bounded, unbounded};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// A message that counts itself, and may panic when it is dropped.
#[derive(Debug)]
struct Message {
    _one: Counted,
    is_bomb: bool,
}

impl Drop for Message {
    fn drop(&mut self) {
        assert!(!self.is_bomb || std::thread::panicking(), "on purpose");
    }
}

fn channel(capacity: u64) -> (Sender<Message>, Receiver<Message>) {
    if capacity > 3 { unbounded() } else { bounded(capacity as usize) }
}

/// Sends by a select that waits at most so long; the message is made when a case was chosen, and
/// may panic then.
fn send_by_select(s: &Sender<Message>, timeout: Duration, make: impl FnOnce() -> Message) {
    let mut select = Select::new();
    select.send(s);
    select.send(s);
    if let Ok(operation) = select.select_timeout(timeout) {
        drop(operation.send(s, make()));
    }
}

/// Receives by a select that waits at most so long; whether it goes on.
fn receive_by_select(r: &Receiver<Message>, timeout: Duration) -> bool {
    let mut select = Select::new();
    select.recv(r);
    select.recv(r);
    match select.select_timeout(timeout) {
        Ok(operation) => operation.recv(r).is_ok(),
        Err(_) => true,
    }
}

/// A sender that sends a little in every way, and goes away.
fn send_a_little(s: Sender<Message>, mut random: Random, count: &Count) {
    let make = |is_bomb| Message { _one: count.one(), is_bomb };
    for _ in 0..random.below(4) {
        let timeout = Duration::from_nanos(random.below(30_000));
        match random.below(5) {
            0 => drop(s.try_send(make(false))),
            1 => drop(s.send_timeout(make(false), timeout)),
            2 => drop(s.send(make(false))),
            3 => send_by_select(&s, timeout, || make(false)),
            _ => {
                let panics = || send_by_select(&s, timeout, || panic!("on purpose"));
                drop(catch_unwind(AssertUnwindSafe(panics)));
            }
        }
    }
}

/// A receiver that receives a little in every way, and goes away; or stays until the end.
fn receive_a_little(r: Receiver<Message>, mut random: Random, stays: bool) {
    let mut left = random.below(4);
    while stays || left > 0 {
        left = left.wrapping_sub(1);
        let timeout = Duration::from_nanos(random.below(30_000));
        let goes_on = match random.below(4) {
            0 => r.try_recv().map_or_else(|error| error.is_empty(), |_| true),
            1 => r.recv_timeout(timeout).map_or_else(|error| error.is_timeout(), |_| true),
            2 => receive_by_select(&r, timeout),
            _ => {
                // Chosen and given up.
                let mut select = Select::new();
                select.recv(&r);
                let gives_up = || drop(select.select_timeout(timeout));
                drop(catch_unwind(AssertUnwindSafe(gives_up)));
                true
            }
        };
        if !goes_on {
            return;
        }
    }
}

/// Ends come and go while values change hands: nothing is dropped twice, nobody waits for ever.
/// What is given up after it was chosen is lost by its documentation, so only then may any remain.
#[test]
fn ends_that_vanish_leave_nobody_waiting() {
    silence_panics_on_purpose();
    on_each_carrier("ends_that_vanish", || {
        let mut random = Random::new("ends_that_vanish");
        for _ in 0..150 {
            let count = Count::default();
            let (s, r) = channel(random.below(5));
            let stays = random.below(2) == 0;
            let senders: Vec<_> = (0..1 + random.below(3))
                .map(|_| {
                    let (s, random, count) = (s.clone(), random.fork(), count.clone());
                    gthread::spawn(move || send_a_little(s, random, &count))
                })
                .collect();
            let receivers: Vec<_> = (0..1 + random.below(3))
                .map(|_| {
                    let (r, random) = (r.clone(), random.fork());
                    gthread::spawn(move || receive_a_little(r, random, stays))
                })
                .collect();
            drop((s, r));
            senders.into_iter().for_each(|sender| sender.join().unwrap());
            receivers.into_iter().for_each(|receiver| receiver.join().unwrap());
            assert!(count.alive() >= 0, "dropped twice");
        }
    });
}

/// As above without giving up what was chosen: everything is dropped, once.
#[test]
fn ends_that_vanish_leave_nothing_behind() {
    on_each_carrier("nothing_behind", || {
        let mut random = Random::new("nothing_behind");
        for _ in 0..150 {
            let count = Count::default();
            let (s, r) = channel(random.below(5));
            let senders: Vec<_> = (0..2)
                .map(|_| {
                    let (s, mut random, count) = (s.clone(), random.fork(), count.clone());
                    let make = move || Message { _one: count.one(), is_bomb: false };
                    gthread::spawn(move || {
                        for _ in 0..3 {
                            let timeout = Duration::from_nanos(random.below(20_000));
                            match random.below(2) {
                                0 => drop(s.send_timeout(make(), timeout)),
                                _ => send_by_select(&s, timeout, &make),
                            }
                        }
                    })
                })
                .collect();
            let receivers: Vec<_> = (0..2)
                .map(|_| {
                    let (r, mut random) = (r.clone(), random.fork());
                    gthread::spawn(move || {
                        for _ in 0..random.below(4) {
                            let timeout = Duration::from_nanos(random.below(20_000));
                            match random.below(2) {
                                0 => drop(r.recv_timeout(timeout)),
                                _ => drop(receive_by_select(&r, timeout)),
                            }
                        }
                    })
                })
                .collect();
            drop((s, r));
            senders.into_iter().for_each(|sender| sender.join().unwrap());
            receivers.into_iter().for_each(|receiver| receiver.join().unwrap());
            count.wait_for_none();
        }
    });
}

/// A message that panics as the last receiver drops what is left: those before it are dropped, the
/// one behind it leaks, the channel is disconnected, and the sender goes on.
#[test]
fn a_message_that_panics_in_its_drop_leaves_a_channel_that_ends() {
    silence_panics_on_purpose();
    on_each_carrier("panics_in_its_drop", || {
        for capacity in [3, 4] {
            for sender_goes_first in [false, true] {
                let count = Count::default();
                let (s, r) = channel(capacity);
                for number in 0..3 {
                    s.send(Message { _one: count.one(), is_bomb: number == 1 }).unwrap();
                }
                let drop_quietly =
                    |end: &mut dyn FnMut()| drop(catch_unwind(AssertUnwindSafe(end)));
                let (mut s, mut r) = (Some(s), Some(r));
                if sender_goes_first {
                    drop(s.take());
                    drop_quietly(&mut || drop(r.take()));
                } else {
                    drop_quietly(&mut || drop(r.take()));
                    let refused =
                        s.as_ref().unwrap().send(Message { _one: count.one(), is_bomb: false });
                    drop(refused.unwrap_err());
                    drop_quietly(&mut || drop(s.take()));
                }
                // An unbounded channel empties itself as the last receiver goes, message by message.
                let leaked = isize::from(capacity == 3);
                assert_eq!(count.alive(), leaked, "capacity {capacity}, {sender_goes_first}");
            }
        }
    });
}
