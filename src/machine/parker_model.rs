//! Models of the parker, by loom; run as those of the wait word are.
//!
// MUTANT: parker.send KILLED-BY machine::parker_model::a_grant_arrives_with_what_was_written_before
// MUTANT: parker.receive KILLED-BY machine::parker_model::a_grant_arrives_with_what_was_written_before

use super::parker::Parker;
use crate::primitive::lock::{Lock, Rank};
use crate::primitive::model::{Shared, check};
use loom::sync::Arc;
use loom::thread;

/// A machine that sleeps: its parker, and its place on the list of spare machines.
struct Fixture {
    parker: Parker,
    listed: Lock<bool>,
    /// The state of the processor that is granted: written by the sender, then by the receiver.
    processor: Shared<u32>,
}

impl Fixture {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            parker: Parker::new(),
            listed: Lock::new(Rank(1), true),
            processor: Shared::new(0),
        })
    }

    /// Takes the machine off the list; whoever did sends.
    fn take_off(&self) -> bool {
        std::mem::replace(&mut *self.listed.lock(), false)
    }

    fn send(&self, message: usize) -> bool {
        if !self.take_off() {
            return false;
        }
        self.processor.update(|value| *value += 1);
        self.parker.send(message, || {});
        true
    }

    fn receive(&self, deadline_ns: Option<u64>) -> Option<usize> {
        let message = self.parker.receive(deadline_ns)?;
        self.processor.update(|value| *value += 10);
        Some(message)
    }
}

/// NoLostGrant: one message, received whether its receiver sleeps already or not yet.
#[test]
fn a_grant_arrives_with_what_was_written_before() {
    check(|| {
        let fixture = Fixture::new();
        let sender = {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || fixture.send(8))
        };
        assert_eq!(fixture.receive(None), Some(8));
        assert!(sender.join().expect("no panic"));
        assert_eq!(fixture.processor.get(), 11);
    });
}

/// A deadline that races with a message loses: the machine that finds itself off the list waits
/// for the message that is on its way.
#[test]
fn a_deadline_that_races_with_a_grant_loses() {
    check(|| {
        let fixture = Fixture::new();
        let sender = {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || fixture.send(8))
        };
        let mut received = fixture.receive(Some(1));
        if received.is_none() && !fixture.take_off() {
            received = fixture.receive(None);
        }
        let sent = sender.join().expect("no panic");
        assert_eq!(received, sent.then_some(8));
    });
}

/// Two senders: the second message is written only after the first has been taken.
#[test]
fn a_second_grant_does_not_touch_the_first() {
    check(|| {
        let fixture = Fixture::new();
        let senders = [8, 16].map(|message| {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || if fixture.send(message) { message } else { 0 })
        });
        let mut received = fixture.receive(None).expect("no deadline");
        *fixture.listed.lock() = true;
        if !fixture.take_off() {
            received += fixture.receive(None).expect("no deadline");
        }
        let sent = senders.map(|sender| sender.join().expect("no panic"));
        // Whoever has sent after the machine took itself off would be seen here.
        assert_eq!(received, sent.iter().sum());
    });
}
