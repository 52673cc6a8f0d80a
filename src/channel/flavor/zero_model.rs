//! Models of the rendezvous channel and of the exchange, by loom.
//!
// MUTANT: exchange.finish KILLED-BY channel::flavor::zero_model::a_selected_message_arrives
// MUTANT: exchange.look KILLED-BY channel::flavor::zero_model::a_selected_message_arrives
// MUTANT: exchange.wait KILLED-BY channel::flavor::zero_model::a_selected_message_arrives
// MUTANT: exchange.park KILLED-BY channel::flavor::zero_model::a_selected_message_arrives

use super::zero::Zero;
use crate::channel::error::{RecvTimeoutError, SendTimeoutError};
use crate::channel::select::core::{Case, Patience, Selectable, Side, run};
use crate::primitive::model::check;
use crate::sched::{expire, forget_model};
use loom::sync::Arc;
use loom::thread;

fn channel() -> Arc<Zero<u32>> {
    forget_model();
    Arc::new(Zero::new())
}

/// A case of a select on one channel.
pub(crate) fn case(channel: &dyn Selectable, side: Side, index: usize) -> Case<'_> {
    Case { channel, side, index, handle: std::ptr::null() }
}

/// Whoever comes first waits, and is given the value, or relieved of it.
#[test]
fn a_value_goes_from_hand_to_hand() {
    check(|| {
        let channel = channel();
        let sender = {
            let channel = channel.clone();
            thread::spawn(move || assert_eq!(channel.send(7, None), Ok(())))
        };
        assert_eq!(channel.recv(None), Ok(7));
        sender.join().expect("no panic");
    });
}

/// A deadline and a receiver race for a sender that waits: the value has one owner afterwards.
#[test]
fn a_value_is_received_or_comes_back() {
    check(|| {
        let channel = channel();
        let sender = {
            let channel = channel.clone();
            thread::spawn(move || channel.send(7, Some(5)))
        };
        let clock = thread::spawn(|| expire(10));
        let received = channel.try_recv().ok();
        let sent = sender.join().expect("no panic");
        clock.join().expect("no panic");
        match received {
            Some(value) => assert_eq!((value, sent), (7, Ok(()))),
            None => assert_eq!(sent, Err(SendTimeoutError::Timeout(7))),
        }
    });
}

/// A receiver that waits hears of the last sender's end; one that comes later sees it.
#[test]
fn a_disconnect_is_not_missed() {
    check(|| {
        let channel = channel();
        let receiver = {
            let channel = channel.clone();
            thread::spawn(move || {
                assert_eq!(channel.recv(None), Err(RecvTimeoutError::Disconnected))
            })
        };
        channel.disconnect();
        receiver.join().expect("no panic");
    });
}

/// A select that sends has no message when it is paired: the receiver waits for it, however the
/// two met.
#[test]
fn a_selected_message_arrives() {
    check(|| {
        let channel = channel();
        let sender = {
            let channel = channel.clone();
            thread::spawn(move || {
                let cases = [case(&*channel, Side::Sender, 0)];
                let (ticket, _) = run(&cases, Patience::Endless).expect("endless");
                assert_eq!(channel.write(ticket, 7), Ok(()));
            })
        };
        assert_eq!(channel.recv(None), Ok(7));
        sender.join().expect("no panic");
    });
}

/// A select that gives up sending leaves its receiver waiting, for the end of the channel here.
#[test]
fn an_abandoned_message_is_not_waited_for() {
    check(|| {
        let channel = channel();
        let sender = {
            let channel = channel.clone();
            thread::spawn(move || {
                let cases = [case(&*channel, Side::Sender, 0)];
                let (ticket, _) = run(&cases, Patience::Endless).expect("endless");
                channel.abandon(Side::Sender, ticket);
                channel.disconnect();
            })
        };
        assert_eq!(channel.recv(None), Err(RecvTimeoutError::Disconnected));
        sender.join().expect("no panic");
    });
}

/// A select that receives takes what a plain sender brings, however the two met.
#[test]
fn a_select_receives() {
    check(|| {
        let channel = channel();
        let sender = {
            let channel = channel.clone();
            thread::spawn(move || assert_eq!(channel.send(7, None), Ok(())))
        };
        let cases = [case(&*channel, Side::Receiver, 0)];
        let (ticket, _) = run(&cases, Patience::Endless).expect("endless");
        assert_eq!(channel.read(ticket), Some(7));
        sender.join().expect("no panic");
    });
}
