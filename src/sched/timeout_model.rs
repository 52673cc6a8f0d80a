//! Models of a wait with a deadline, by loom: the real wait word and the real shelf, in the steps of
//! `sched::wait` (arm, leave, finish, cancel) and of `Entered::expire`.
//!
//! They have teeth by the mutants of the wait word and of the shelf; `wait.sequence`, for one, lets
//! the deadline of one wait end the next, and the first model here fails.

use crate::green::wait::{Claim, Outcome, Sequence, WaitWord};
use crate::primitive::model::check;
use crate::timer::{Handle, Shelf};
use loom::sync::Arc;
use loom::thread;

/// A thread that waits, and the shelf its deadline is on.
struct Fixture {
    word: WaitWord,
    shelf: Shelf<Sequence>,
}

impl Fixture {
    fn new() -> Arc<Self> {
        Arc::new(Self { word: WaitWord::new(), shelf: Shelf::new() })
    }

    /// Begins a wait until 1.
    fn begin(&self) -> (Sequence, Handle) {
        let sequence = self.word.begin();
        (sequence, self.shelf.arm(1, sequence).handle)
    }

    /// As `Entered::expire`, at time 1; how many waits it ended.
    fn expire(&self) -> usize {
        let mut ended = 0;
        self.shelf.expire(1, |sequence| {
            let claim = self.word.claim(sequence, Outcome::Deadline);
            ended += usize::from(claim != Claim::Lost);
        });
        ended
    }

    /// Reads the outcome, and takes the timer back unless it was what ended the wait.
    fn finish(&self, alarm: Handle) -> Option<Outcome> {
        let outcome = self.word.finish()?;
        if outcome != Outcome::Deadline {
            self.shelf.cancel(alarm);
        }
        Some(outcome)
    }
}

/// A waker and the deadline race. One of them ends the wait; the timer is gone afterwards, and
/// if it is on its way to the wait word, it does not end the next wait.
#[test]
fn a_late_deadline_does_not_end_the_next_wait() {
    check(|| {
        let fixture = Fixture::new();
        let (sequence, alarm) = fixture.begin();
        let expirer = {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || fixture.expire())
        };
        let waker = {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || fixture.word.claim(sequence, Outcome::Woken))
        };
        let _left = fixture.word.commit();
        let woken = waker.join().expect("no panic") != Claim::Lost;
        // Somebody has ended it by now: the waker, or who was before it.
        let outcome = fixture.finish(alarm).expect("it was claimed");
        assert_eq!(outcome == Outcome::Woken, woken);
        assert_eq!(fixture.shelf.len(), 0, "the timer has left");
        let _next = fixture.word.begin();
        let _left = fixture.word.commit();
        let ended = expirer.join().expect("no panic");
        assert_eq!(ended == 1, !woken, "one of the two ended the first wait");
        assert!(!fixture.word.is_claimed(), "nobody ended the second");
    });
}

/// Two machines expire the shelf (its own, and a thief): a wait is ended once.
#[test]
fn a_deadline_ends_its_wait_once() {
    check(|| {
        let fixture = Fixture::new();
        let (_sequence, alarm) = fixture.begin();
        let thieves = [(); 2].map(|()| {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || fixture.expire())
        });
        let left = fixture.word.commit();
        let ended: usize = thieves.into_iter().map(|t| t.join().expect("no panic")).sum();
        assert_eq!(ended, 1);
        assert_eq!(fixture.finish(alarm), Some(Outcome::Deadline));
        // Whoever expired it early left the resumption to the owner.
        let _ = left;
    });
}
