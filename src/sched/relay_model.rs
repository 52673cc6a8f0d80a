//! A model of the relay, by loom; run as those of the wait word are. It has two players: two that
//! wait, which for loom is to yield to each other, have no end, and a third is like the second.
//!
// MUTANT: relay.stop KILLED-BY sched::relay_model::the_role_comes_round_and_ends_with_the_first

use super::relay::{Cue, Relay, Role};
use crate::primitive::model::{Shared, check};
use loom::sync::Arc;
use loom::thread;

/// A role that ends after some acts, each of which writes what only one player may touch.
struct Piece {
    acts: Arc<Shared<u32>>,
    left: u32,
    players: usize,
}

impl Role for Piece {
    fn act(&mut self) -> Cue {
        self.acts.update(|acts| *acts += 1);
        if self.left == 0 {
            return Cue::Stop;
        }
        self.left -= 1;
        if self.left == 1 { Cue::Again } else { Cue::Pass }
    }

    fn players(&self) -> usize {
        self.players
    }
}

/// Plays a piece of so many acts before it stops; how many there were in all.
fn play(players: usize, left: u32) -> u32 {
    let (relay, acts) = (Arc::new(Relay::new()), Arc::new(Shared::new(0)));
    let others: Vec<_> = (1..players)
        .map(|me| {
            let relay = Arc::clone(&relay);
            thread::spawn(move || assert!(relay.play::<Piece>(me, None).is_none(), "not the first"))
        })
        .collect();
    let piece = Piece { acts: Arc::clone(&acts), left, players };
    let piece = relay.play(0, Some(Box::new(piece))).expect("the first gets it back");
    relay.dismiss(piece.players());
    others.into_iter().for_each(|other| other.join().expect("no panic"));
    acts.get()
}

/// OnePlayer: the role goes to the second player, back to the first, and to the second again, which
/// may be on its way to sleep still; it stops there, and the first one ends it.
#[test]
fn the_role_comes_round_and_ends_with_the_first() {
    check(|| assert_eq!(play(2, 4), 6));
}
