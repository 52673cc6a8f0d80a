//! Models of the mutex, by loom.
//!
// MUTANT: mutex.take_fast KILLED-BY sync::mutex_model::what_one_holder_wrote_the_next_one_sees
// MUTANT: mutex.take KILLED-BY sync::mutex_model::what_one_holder_wrote_the_next_one_sees
// MUTANT: mutex.give_fast KILLED-BY sync::mutex_model::what_one_holder_wrote_the_next_one_sees
// MUTANT: mutex.choose KILLED-BY sync::mutex_model::a_stranger_that_comes_between_sees_it_too
// MUTANT: mutex.give_woken KILLED-BY sync::mutex_model::a_stranger_that_comes_between_sees_it_too
// MUTANT: mutex.validate KILLED-BY sync::mutex_model::what_one_holder_wrote_the_next_one_sees
// MUTANT: mutex.starving KILLED-BY sync::mutex_model::one_that_has_starved_is_handed_the_lock

use super::raw_mutex::{Handing, QUEUED, RawMutex, WOKEN};
use crate::primitive::model::{Shared, check};
use crate::sched;
use loom::sync::Arc;
use loom::thread;

struct Fixture {
    mutex: RawMutex,
    value: Shared<u32>,
}

impl Fixture {
    fn new() -> Arc<Self> {
        sched::forget_model();
        Arc::new(Self { mutex: RawMutex::free(), value: Shared::new(0) })
    }

    /// Takes the lock, adds one, gives it back.
    fn add(&self, handing: Handing) {
        assert!(self.mutex.take_until(|| None));
        self.value.update(|value| *value += 1);
        // SAFETY: taken above.
        unsafe { self.mutex.give(handing) };
    }

    /// As [`Fixture::add`], if the lock can be had by the deadline; whether it could.
    fn add_until(&self, deadline_ns: u64) -> bool {
        if !self.mutex.take_until(|| Some(deadline_ns)) {
            return false;
        }
        self.value.update(|value| *value += 1);
        // SAFETY: taken above.
        unsafe { self.mutex.give(Handing::Loose) };
        true
    }
}

fn run(fixture: &Arc<Fixture>, f: impl FnOnce(&Fixture) + 'static) -> thread::JoinHandle<()> {
    let fixture = Arc::clone(fixture);
    thread::spawn(move || f(&fixture))
}

/// MutualExclusion with its ordering, and nobody waits for ever.
#[test]
fn what_one_holder_wrote_the_next_one_sees() {
    check(|| {
        let fixture = Fixture::new();
        let other = run(&fixture, |fixture| fixture.add(Handing::Loose));
        fixture.add(Handing::Loose);
        other.join().expect("no panic");
        assert_eq!(fixture.value.get(), 2);
        assert!(fixture.mutex.try_take(), "free, and nobody is noted as waiting");
    });
}

/// As above with three, so that one takes the lock while a woken one is on its way.
#[test]
fn a_stranger_that_comes_between_sees_it_too() {
    check(|| {
        let fixture = Fixture::new();
        let others = [0, 1].map(|_| run(&fixture, |fixture| fixture.add(Handing::Loose)));
        fixture.add(Handing::Loose);
        for other in others {
            other.join().expect("no panic");
        }
        assert_eq!(fixture.value.get(), 3);
    });
}

/// Handed over, the lock goes from one holder to the next without being free.
#[test]
fn handed_over_it_goes_to_who_waits() {
    check(|| {
        let fixture = Fixture::new();
        let others = [0, 1].map(|_| run(&fixture, |fixture| fixture.add(Handing::Over)));
        fixture.add(Handing::Over);
        for other in others {
            other.join().expect("no panic");
        }
        assert_eq!(fixture.value.get(), 3);
    });
}

/// A holder that takes the lock again and again cannot keep a waiter out: once that was woken and
/// has lost, the next unlock hands the lock over.
#[test]
fn one_that_has_starved_is_handed_the_lock() {
    check(|| {
        let fixture = Fixture::new();
        assert!(fixture.mutex.try_take());
        let waiter = run(&fixture, |fixture| fixture.add(Handing::Loose));
        for _ in 0..2 {
            // SAFETY: taken above, or at the end of the last round.
            unsafe { fixture.mutex.give(Handing::Loose) };
            if !fixture.mutex.try_take() {
                return waiter.join().expect("no panic");
            }
            let before = fixture.mutex.bits();
            thread::yield_now();
            let after = fixture.mutex.bits();
            if before & WOKEN != 0 && after & (WOKEN | QUEUED) == QUEUED {
                // SAFETY: taken above.
                unsafe { fixture.mutex.give(Handing::Loose) };
                assert!(!fixture.mutex.try_take() || fixture.value.get() == 1, "it was its turn");
                return waiter.join().expect("no panic");
            }
        }
        // SAFETY: taken at the end of the last round.
        unsafe { fixture.mutex.give(Handing::Loose) };
        waiter.join().expect("no panic");
    });
}

/// A waiter whose deadline passes as it is chosen has the lock or does not; in the end the word
/// knows that nobody waits.
#[test]
fn a_deadline_at_the_moment_of_the_choice_leaves_no_trace() {
    check(|| {
        let fixture = Fixture::new();
        assert!(fixture.mutex.try_take());
        let holder = run(&fixture, |fixture| {
            // SAFETY: taken above, for this thread to give back.
            unsafe { fixture.mutex.give(Handing::Loose) };
        });
        let clock = run(&fixture, |_| sched::expire(5));
        let was_in_time = fixture.add_until(5);
        clock.join().expect("no panic");
        holder.join().expect("no panic");
        assert_eq!(fixture.value.get(), u32::from(was_in_time));
        assert_eq!(fixture.mutex.bits(), 0);
    });
}

/// A waiter whose deadline has passed, and who may be chosen all the same, leaves the lock to
/// others, who do not wait for ever.
#[test]
fn one_that_gives_up_keeps_nobody_waiting() {
    check(|| {
        let fixture = Fixture::new();
        assert!(fixture.mutex.try_take());
        sched::expire(5);
        let hasty = run(&fixture, |fixture| {
            let _in_time = fixture.add_until(5);
        });
        let patient = run(&fixture, |fixture| fixture.add(Handing::Loose));
        // SAFETY: taken above.
        unsafe { fixture.mutex.give(Handing::Loose) };
        hasty.join().expect("no panic");
        patient.join().expect("no panic");
        assert_eq!(fixture.mutex.bits(), 0);
    });
}
