//! Models of the timekeeper, by loom; run as those of the wait word are.
//!
// MUTANT: timekeeper.uncover.fence KILLED-BY sched::timekeeper_model::some_sleeper_wakes_by_the_earliest_deadline
// MUTANT: timekeeper.arm.fence KILLED-BY sched::timekeeper_model::some_sleeper_wakes_by_the_earliest_deadline

use super::idle::Idle;
use super::timekeeper::Timekeeper;
use crate::primitive::model::check;
use crate::timer::{Handle, Shelf};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

/// A shelf, and who sleeps until its earliest deadline.
struct Shelves {
    shelf: Shelf<u32>,
    other: Shelf<u32>,
    timekeeper: Timekeeper,
}

impl Shelves {
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
        let fixture = Shelves::new();
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
        let fixture = Shelves::new();
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
        let fixture = Shelves::new();
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

/// Covered: the holder of a cover wakes and sleeps again, another machine goes to sleep, and a
/// third party arms a timer that the old cover seems to cover.
#[test]
fn some_sleeper_wakes_by_the_earliest_deadline() {
    check(|| {
        let timekeeper = Arc::new(Timekeeper::new());
        let hint = Arc::new(AtomicU64::new(30));
        let holder = timekeeper.cover(|| hint.load(Ordering::Relaxed));
        assert_eq!(holder, Some(30));
        // The timer of 30 has fired, or was cancelled.
        hint.store(u64::MAX, Ordering::Relaxed);
        let sleepers = [holder, None].map(|held| {
            let (timekeeper, hint) = (Arc::clone(&timekeeper), Arc::clone(&hint));
            thread::spawn(move || {
                timekeeper.uncover(held);
                timekeeper.cover(|| hint.load(Ordering::Relaxed))
            })
        });
        hint.store(50, Ordering::Relaxed);
        let told = timekeeper.must_wake(50);
        let deadlines = sleepers.map(|sleeper| sleeper.join().expect("no panic"));
        let first = deadlines.into_iter().flatten().min();
        assert!(told || first.is_some_and(|deadline| deadline <= 50), "nobody wakes for 50");
    });
}

/// RetirerCovers: the only processor becomes idle while the holder of the cover wakes. The holder
/// finds the processor idle and runs the timer, or the retiring machine has covered it.
#[test]
fn a_deadline_is_run_or_covered_anew() {
    check(|| {
        let timekeeper = Arc::new(Timekeeper::new());
        let idle = Arc::new(Idle::new(1));
        let cover = timekeeper.cover(|| 30);
        let retirer = {
            let (timekeeper, idle) = (Arc::clone(&timekeeper), Arc::clone(&idle));
            thread::spawn(move || {
                idle.retire(0, false);
                idle.is_any_idle().then(|| timekeeper.cover(|| 30)).flatten()
            })
        };
        timekeeper.uncover(cover);
        let run = idle.claim().is_some();
        let covered = retirer.join().expect("no panic").is_some();
        assert!(run || covered, "nobody runs the timer of 30, and nobody wakes for it");
    });
}
