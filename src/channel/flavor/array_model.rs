//! Models of the bounded channel and of its wait queues, by loom.
//!
// MUTANT: array.send.stamp KILLED-BY channel::flavor::array_model::messages_arrive_in_order
// MUTANT: array.receive.stamp KILLED-BY channel::flavor::array_model::messages_arrive_in_order
// MUTANT: array.release KILLED-BY channel::flavor::array_model::messages_arrive_in_order
// MUTANT: waiters.register.fence KILLED-BY channel::flavor::array_model::a_message_is_not_missed
// MUTANT: waiters.notify.fence KILLED-BY channel::flavor::array_model::a_message_is_not_missed

use super::array::Array;
use crate::channel::error::{RecvTimeoutError, TryRecvError};
use crate::channel::select::core::{Selectable, Side};
use crate::primitive::model::check;
use crate::sched::forget_model;
use loom::sync::Arc;
use loom::thread;

fn channel(capacity: usize) -> Arc<Array<u32>> {
    forget_model();
    Arc::new(Array::with_capacity(capacity))
}

/// NotMissed: who waits for a message is told of one.
#[test]
fn a_message_is_not_missed() {
    check(|| {
        let channel = channel(2);
        let sender = {
            let channel = channel.clone();
            thread::spawn(move || assert_eq!(channel.try_send(7), Ok(())))
        };
        assert_eq!(channel.recv(None), Ok(7));
        sender.join().expect("no panic");
    });
}

/// One place for two messages: each side waits for the other.
#[test]
fn messages_arrive_in_order() {
    check(|| {
        let channel = channel(1);
        let sender = {
            let channel = channel.clone();
            thread::spawn(move || {
                assert_eq!(channel.send(1, None), Ok(()));
                assert_eq!(channel.send(2, None), Ok(()));
            })
        };
        assert_eq!(channel.recv(None), Ok(1));
        assert_eq!(channel.recv(None), Ok(2));
        assert_eq!(channel.try_recv(), Err(TryRecvError::Empty));
        sender.join().expect("no panic");
    });
}

/// OneEach: two senders, one place.
#[test]
fn a_place_is_taken_once() {
    check(|| {
        let channel = channel(1);
        let other = {
            let channel = channel.clone();
            thread::spawn(move || channel.try_send(1).is_ok())
        };
        let mine = channel.try_send(2).is_ok();
        let other = other.join().expect("no panic");
        assert_ne!(mine, other);
        assert_eq!(channel.try_recv(), Ok(if mine { 2 } else { 1 }));
    });
}

/// What lies in the channel is received before its end.
#[test]
fn a_disconnect_is_not_missed() {
    check(|| {
        let channel = channel(1);
        let sender = {
            let channel = channel.clone();
            thread::spawn(move || {
                assert_eq!(channel.try_send(7), Ok(()));
                channel.disconnect();
            })
        };
        assert_eq!(channel.recv(None), Ok(7));
        assert_eq!(channel.recv(None), Err(RecvTimeoutError::Disconnected));
        sender.join().expect("no panic");
    });
}

/// A slot whose sender gave up is skipped.
#[test]
fn a_void_slot_is_skipped() {
    check(|| {
        let channel = channel(2);
        let sender = {
            let channel = channel.clone();
            thread::spawn(move || {
                let ticket = channel.start(Side::Sender).expect("there is room");
                channel.abandon(Side::Sender, ticket);
                assert_eq!(channel.try_send(7), Ok(()));
            })
        };
        assert_eq!(channel.recv(None), Ok(7));
        sender.join().expect("no panic");
    });
}
