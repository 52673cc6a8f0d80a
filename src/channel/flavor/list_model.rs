//! Models of the unbounded channel, by loom: blocks of two slots.
//!
// MUTANT: list.state KILLED-BY channel::flavor::list_model::blocks_are_strung_together
// MUTANT: list.put KILLED-BY channel::flavor::list_model::blocks_are_strung_together
// MUTANT: list.taken KILLED-BY channel::flavor::list_model::a_block_is_freed_when_all_are_done
// MUTANT: list.next KILLED-BY channel::flavor::list_model::a_receiver_spared_the_tail_sees_the_next_block
// MUTANT: list.append.next KILLED-BY channel::flavor::list_model::a_receiver_spared_the_tail_sees_the_next_block
// MUTANT: list.tail.index KILLED-BY channel::flavor::list_model::two_senders_fill_blocks
// MUTANT: list.tail.block EQUIVALENT: the index beside it orders the block; beside an older index it is not used
// MUTANT: list.append.block EQUIVALENT: the index beside it orders the block; beside an older index it is not used
// MUTANT: list.append.index KILLED-BY channel::flavor::list_model::two_senders_fill_blocks
// MUTANT: list.head.index KILLED-BY channel::flavor::list_model::two_receivers_empty_blocks
// MUTANT: list.head.block EQUIVALENT: the index beside it orders the block; beside an older index it is not used
// MUTANT: list.advance.block EQUIVALENT: the index beside it orders the block; beside an older index it is not used
// MUTANT: list.advance.index KILLED-BY channel::flavor::list_model::two_receivers_empty_blocks

use super::list::List;
use crate::channel::error::RecvTimeoutError;
use crate::channel::select::core::{Selectable, Side};
use crate::primitive::model::check;
use crate::sched::forget_model;
use loom::sync::Arc;
use loom::thread;

fn channel() -> Arc<List<u32>> {
    forget_model();
    Arc::new(List::new())
}

/// Three messages need two blocks; the receiver waits for each.
#[test]
fn blocks_are_strung_together() {
    check(|| {
        let channel = channel();
        let sender = {
            let channel = channel.clone();
            thread::spawn(move || (1..=3).for_each(|i| assert_eq!(channel.send(i), Ok(()))))
        };
        for i in 1..=3 {
            assert_eq!(channel.recv(None), Ok(i));
        }
        sender.join().expect("no panic");
    });
}

/// Two senders: one puts the next block in place, the other may find it.
#[test]
fn two_senders_fill_blocks() {
    check(|| {
        let channel = channel();
        let other = {
            let channel = channel.clone();
            thread::spawn(move || [1, 2].map(|i| channel.send(i)))
        };
        let mine = [3, 4].map(|i| channel.send(i));
        assert_eq!((mine, other.join().expect("no panic")), ([Ok(()); 2], [Ok(()); 2]));
        let mut received: Vec<u32> = std::iter::from_fn(|| channel.try_recv().ok()).collect();
        received.sort_unstable();
        assert_eq!(received, [1, 2, 3, 4]);
    });
}

/// Two receivers: one moves the head to the next block, the other may find it.
#[test]
fn two_receivers_empty_blocks() {
    check(|| {
        let channel = channel();
        (1..=4).for_each(|i| assert_eq!(channel.send(i), Ok(())));
        let other = {
            let channel = channel.clone();
            thread::spawn(move || [(); 2].map(|()| channel.try_recv()))
        };
        let mine = [(); 2].map(|()| channel.try_recv());
        let theirs = other.join().expect("no panic");
        let mut received: Vec<u32> = mine.into_iter().chain(theirs).flatten().collect();
        received.sort_unstable();
        assert_eq!(received, [1, 2, 3, 4]);
    });
}

/// BlockLives: the block's end comes after both receivers are done with their slots.
#[test]
fn a_block_is_freed_when_all_are_done() {
    check(|| {
        let channel = channel();
        (1..=2).for_each(|i| assert_eq!(channel.send(i), Ok(())));
        let other = {
            let channel = channel.clone();
            thread::spawn(move || channel.try_recv().expect("there are two"))
        };
        let mine = channel.try_recv().expect("there are two");
        assert_eq!(mine + other.join().expect("no panic"), 3);
    });
}

/// A receiver that finds the second block followed by a third does not look at `tail` while it
/// empties the second, so `next` alone shows it what the third was made with.
///
/// Where it looks at `tail`, the exchange there shows it: senders make a block before they reserve
/// the slot that calls for it. So the model needs a sender that is two blocks ahead.
#[test]
fn a_receiver_spared_the_tail_sees_the_next_block() {
    check(|| {
        let channel = channel();
        (1..=2).for_each(|i| assert_eq!(channel.send(i), Ok(())));
        let sender = {
            let channel = channel.clone();
            thread::spawn(move || (3..=4).for_each(|i| assert_eq!(channel.send(i), Ok(()))))
        };
        for i in 1..=4 {
            match channel.try_recv() {
                Ok(value) => assert_eq!(value, i),
                Err(_) => break,
            }
        }
        sender.join().expect("no panic");
    });
}

/// What lies in the channel is received before its end; a slot whose sender gave up is skipped.
#[test]
fn a_disconnect_is_not_missed() {
    check(|| {
        let channel = channel();
        let sender = {
            let channel = channel.clone();
            thread::spawn(move || {
                let ticket = channel.start(Side::Sender).expect("there is room");
                channel.abandon(Side::Sender, ticket);
                assert_eq!(channel.send(7), Ok(()));
                channel.disconnect_senders();
            })
        };
        assert_eq!(channel.recv(None), Ok(7));
        assert_eq!(channel.recv(None), Err(RecvTimeoutError::Disconnected));
        sender.join().expect("no panic");
    });
}

/// The last receiver's end and a message that is being sent: it is refused or dropped.
#[test]
fn the_last_receiver_drops_what_is_left() {
    check(|| {
        let channel = channel();
        let sender = {
            let channel = channel.clone();
            thread::spawn(move || channel.send(7))
        };
        channel.disconnect_receivers();
        let sent = sender.join().expect("no panic");
        assert!(sent == Err(7) || channel.is_empty());
    });
}
