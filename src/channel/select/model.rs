//! Models of the select, by loom: one winner, and nothing lost.
//!
// MUTANT: waiters.unfire KILLED-BY channel::select::model::one_of_two_channels_wins
// MUTANT: select.look_again KILLED-BY channel::select::model::a_message_that_moves_is_not_missed

use super::core::{Patience, Side, run};
use crate::channel::error::SendTimeoutError;
use crate::channel::flavor::array::Array;
use crate::channel::flavor::list::List;
use crate::channel::flavor::zero::Zero;
use crate::channel::flavor::zero_model::case;
use crate::primitive::model::check;
use crate::sched::forget_model;
use loom::sync::Arc;
use loom::thread;

/// OneFired: two senders race for a select; one is taken, the other one's value comes back.
#[test]
fn one_of_two_channels_wins() {
    check(|| {
        forget_model();
        let channels = [Arc::new(Zero::new()), Arc::new(Zero::new())];
        let senders = [0, 1].map(|i| {
            let channel = channels[i].clone();
            thread::spawn(move || channel.send(i, None))
        });
        let cases = [0, 1].map(|i| case(&*channels[i], Side::Receiver, i));
        let (ticket, chosen) = run(&cases, Patience::Endless).expect("endless");
        assert_eq!(channels[chosen.index].read(ticket), Some(chosen.index));
        channels.iter().for_each(|channel| channel.disconnect());
        let sent = senders.map(|sender| sender.join().expect("no panic"));
        assert_eq!(sent[chosen.index], Ok(()));
        let other = 1 - chosen.index;
        assert_eq!(sent[other], Err(SendTimeoutError::Disconnected(other)));
    });
}

/// The same over channels that hold messages: the other one's stays there.
#[test]
fn the_loser_keeps_its_message() {
    check(|| {
        forget_model();
        let channels = [Arc::new(List::new()), Arc::new(List::new())];
        let sender = {
            let channel = channels[0].clone();
            thread::spawn(move || channel.send(0))
        };
        let other = {
            let channel = channels[1].clone();
            thread::spawn(move || channel.send(1))
        };
        let cases = [0, 1].map(|i| case(&*channels[i], Side::Receiver, i));
        let (ticket, chosen) = run(&cases, Patience::Endless).expect("endless");
        assert_eq!(channels[chosen.index].read(&ticket), Some(chosen.index));
        assert_eq!((sender.join().ok(), other.join().ok()), (Some(Ok(())), Some(Ok(()))));
        assert_eq!(channels[1 - chosen.index].try_recv(), Ok(1 - chosen.index));
        assert!(channels[chosen.index].is_empty());
    });
}

/// Two threads that both select to send and to receive on one channel pair up, and never with
/// themselves.
#[test]
fn a_thread_never_serves_itself() {
    check(|| {
        forget_model();
        let channel = Arc::new(Zero::new());
        let both = |channel: &Zero<u32>, mine: u32| {
            let cases = [case(channel, Side::Sender, 0), case(channel, Side::Receiver, 1)];
            let (ticket, chosen) = run(&cases, Patience::Endless).expect("endless");
            match chosen.side {
                Side::Sender => channel.write(ticket, mine).is_err().then_some(0),
                Side::Receiver => channel.read(ticket),
            }
        };
        let other = {
            let channel = channel.clone();
            thread::spawn(move || both(&channel, 1))
        };
        let mine = both(&channel, 2);
        let theirs = other.join().expect("no panic");
        assert!((mine, theirs) == (Some(1), None) || (mine, theirs) == (None, Some(2)));
    });
}

/// A message is sent to one channel before one is taken from the other: there always is one, and
/// a select that does not wait finds it.
#[test]
fn a_message_that_moves_is_not_missed() {
    check(|| {
        forget_model();
        let channels = [Arc::new(Array::with_capacity(1)), Arc::new(Array::with_capacity(1))];
        channels[1].try_send(1).expect("room");
        let mover = {
            let channels = channels.clone();
            thread::spawn(move || {
                channels[0].try_send(0).expect("room");
                channels[1].try_recv().is_ok()
            })
        };
        let cases = [0, 1].map(|i| case(&*channels[i], Side::Receiver, i));
        let (ticket, chosen) = run(&cases, Patience::None).expect("there always is one");
        assert_eq!(channels[chosen.index].read(&ticket), Some(chosen.index));
        assert_eq!(mover.join().ok(), Some(chosen.index == 0));
    });
}
