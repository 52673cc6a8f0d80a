//! Models of the cover of the earliest deadline, by loom; run as those of the wait word are.
//!
// MUTANT: timekeeper.cover.fence KILLED-BY sched::timekeeper_model::an_old_cover_is_not_mistaken_for_the_new_one
// MUTANT: timekeeper.arm.fence KILLED-BY sched::timekeeper_model::an_old_cover_is_not_mistaken_for_the_new_one

use super::timekeeper::Timekeeper;
use crate::primitive::model::check;
use crate::timer::{Handle, Shelf};
use loom::sync::Arc;
use loom::thread;

/// A shelf, and who sleeps until its earliest deadline.
struct Fixture {
    shelf: Shelf<u32>,
    other: Shelf<u32>,
    timekeeper: Timekeeper,
}

impl Fixture {
    fn new() -> Arc<Self> {
        Arc::new(Self { shelf: Shelf::new(), other: Shelf::new(), timekeeper: Timekeeper::new() })
    }

    /// Arms, and tells the handle and whether the caller has to wake a machine.
    fn arm(&self, deadline_ns: u64) -> (Handle, bool) {
        let armed = self.shelf.arm(deadline_ns, 0);
        (armed.handle, armed.earliest && self.timekeeper.must_wake(deadline_ns))
    }

    /// Arms on a shelf of its own, of which the timer is the earliest, and asks.
    fn timekeeper_asked(&self, deadline_ns: u64) -> bool {
        let _ = self.other.arm(deadline_ns, 0);
        self.timekeeper.must_wake(deadline_ns)
    }

    fn cover(&self) -> Option<u64> {
        self.timekeeper.cover(|| self.shelf.next_deadline_ns().min(self.other.next_deadline_ns()))
    }
}

/// A sleeper that wakes and covers a later deadline than before is woken for an earlier one by an
/// armer, who must not mistake the old cover for the new one.
#[test]
fn an_old_cover_is_not_mistaken_for_the_new_one() {
    check(|| {
        let fixture = Fixture::new();
        let (first, _) = fixture.arm(30);
        let covered = fixture.cover();
        assert_eq!(covered, Some(30));
        let _ = fixture.arm(100);
        let armer = {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || fixture.timekeeper_asked(50))
        };
        fixture.timekeeper.uncover(covered);
        fixture.shelf.cancel(first);
        let until = fixture.cover().expect("100 at the latest, and nobody else covers");
        let woken = armer.join().expect("no panic");
        assert!(woken || until <= 50, "asleep until {until}, but 50 is due");
    });
}

/// The sleeper goes to sleep while two others bring its deadline forward, and one of them back.
#[test]
fn a_sleeper_never_oversleeps() {
    check(|| {
        let fixture = Fixture::new();
        let _ = fixture.arm(100);
        let brought_back = {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || {
                let (handle, wake) = fixture.arm(30);
                fixture.shelf.cancel(handle);
                wake
            })
        };
        let brought_forward = {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || fixture.arm(50).1)
        };
        let until = fixture.cover().expect("100 at the latest, and nobody else covers");
        let woken =
            brought_back.join().expect("no panic") | brought_forward.join().expect("no panic");
        let next = fixture.shelf.next_deadline_ns();
        assert!(woken || next >= until, "asleep until {until}, but {next} is due");
    });
}

/// Two machines go to sleep at once: one of them sleeps until the earliest deadline, whichever
/// comes first; the other may take over or not.
#[test]
fn the_earliest_deadline_is_covered_by_one_of_two() {
    check(|| {
        let fixture = Fixture::new();
        let other = {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || {
                let _ = fixture.arm(50);
                fixture.cover()
            })
        };
        let _ = fixture.arm(30);
        let mine = fixture.cover();
        let theirs = other.join().expect("no panic");
        let earliest = mine.into_iter().chain(theirs).min();
        assert_eq!(earliest, Some(30), "somebody sleeps until the earliest deadline");
    });
}
