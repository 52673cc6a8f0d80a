//! Models of the permit of `park` and `unpark`, by loom; run as those of the wait word are.
//!
// MUTANT: permit.take KILLED-BY green::permit_model::an_unpark_before_the_park_is_not_lost
// MUTANT: permit.announce KILLED-BY green::permit_model::an_unpark_before_the_park_is_not_lost
// MUTANT: permit.retract KILLED-BY green::permit_model::a_late_unpark_shows_what_was_written_before
// MUTANT: permit.give KILLED-BY green::permit_model::an_unpark_before_the_park_is_not_lost

use super::permit::Permit;
use super::wait::{Claim, Outcome, WaitWord};
use crate::primitive::model::{Shared, check};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

/// A thread that parks: its permit and its wait word.
struct Fixture {
    permit: Permit,
    word: WaitWord,
    /// What each unparker wrote before its unpark.
    gifts: [Shared<u32>; 2],
}

impl Fixture {
    fn new() -> Arc<Self> {
        let gifts = [Shared::new(0), Shared::new(0)];
        Arc::new(Self { permit: Permit::new(), word: WaitWord::new(), gifts })
    }

    fn unpark(&self, gift: usize) {
        self.gifts[gift].set(7);
        if let Some(sequence) = self.permit.give() {
            // The owner polls its word, as an OS thread does: there is nobody to resume.
            let _ = self.word.claim(sequence, Outcome::Woken);
        }
    }

    /// Parks until woken.
    fn park(&self) {
        if self.permit.take() {
            return;
        }
        let sequence = self.word.begin();
        if !self.permit.announce(sequence) {
            self.word.abandon();
            return;
        }
        let _ = self.word.commit();
        while self.word.finish().is_none() {
            thread::yield_now();
        }
        self.permit.retract();
    }
}

/// NotLost: whenever the unpark comes, the park returns and sees what was written before it.
#[test]
fn an_unpark_before_the_park_is_not_lost() {
    check(|| {
        let fixture = Fixture::new();
        let unparker = {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || fixture.unpark(0))
        };
        fixture.park();
        assert_eq!(fixture.gifts[0].get(), 7);
        unparker.join().expect("no panic");
        assert!(!fixture.permit.take(), "one unpark is one token");
    });
}

/// AtMostOne: of two unparks the park takes one or both, and a second park what is left.
#[test]
fn two_unparks_end_one_park_or_two() {
    check(|| {
        let fixture = Fixture::new();
        let unparkers = [0, 1].map(|gift| {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || fixture.unpark(gift))
        });
        fixture.park();
        for unparker in unparkers {
            unparker.join().expect("no panic");
        }
        let _ = fixture.permit.take();
        assert!(!fixture.permit.take(), "two unparks are at most one token");
    });
}

/// A park that its deadline ends takes the token of an unpark that came meanwhile, and sees what
/// was written before it.
#[test]
fn a_late_unpark_shows_what_was_written_before() {
    check(|| {
        let fixture = Fixture::new();
        let given = Arc::new(AtomicBool::new(false));
        let unparker = {
            let (fixture, given) = (Arc::clone(&fixture), Arc::clone(&given));
            thread::spawn(move || {
                fixture.unpark(0);
                given.store(true, Ordering::Relaxed);
            })
        };
        let sequence = fixture.word.begin();
        if fixture.permit.announce(sequence) {
            let _ = fixture.word.commit();
            if fixture.word.claim(sequence, Outcome::Deadline) == Claim::Resume {
                // By a relaxed flag the owner knows of the unpark, and of nothing else.
                while !given.load(Ordering::Relaxed) {
                    thread::yield_now();
                }
            }
            assert!(fixture.word.finish().is_some());
            fixture.permit.retract();
        }
        assert_eq!(fixture.gifts[0].get(), 7);
        unparker.join().expect("no panic");
    });
}
