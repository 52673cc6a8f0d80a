//! Models of the semaphore, by loom.
//!
// MUTANT: semaphore.put KILLED-BY sync::semaphore_model::what_a_permit_was_held_for_is_seen_by_the_next
// MUTANT: semaphore.take KILLED-BY sync::semaphore_model::what_a_permit_was_held_for_is_seen_by_the_next
// MUTANT: semaphore.admit KILLED-BY sync::semaphore_model::what_a_permit_was_held_for_is_seen_by_the_next
// MUTANT: semaphore.serve KILLED-BY sync::semaphore_model::what_a_permit_was_held_for_is_seen_by_the_next
// MUTANT: queue.leave KILLED-BY sync::semaphore_model::who_wants_less_passes_one_that_gives_up

use super::raw_semaphore::RawSemaphore;
use crate::primitive::model::{Shared, check};
use crate::sched;
use loom::sync::Arc;
use loom::thread;

struct Fixture {
    semaphore: RawSemaphore,
    value: Shared<u32>,
}

impl Fixture {
    fn with(permits: usize) -> Arc<Self> {
        sched::forget_model();
        Arc::new(Self { semaphore: RawSemaphore::with(permits), value: Shared::new(0) })
    }

    /// Adds one under the only permit.
    fn add(&self) {
        assert!(self.semaphore.take_until(1, || None));
        self.value.update(|value| *value += 1);
        assert!(self.semaphore.put(1));
    }
}

fn run(fixture: &Arc<Fixture>, f: impl FnOnce(&Fixture) + 'static) -> thread::JoinHandle<()> {
    let fixture = Arc::clone(fixture);
    thread::spawn(move || f(&fixture))
}

/// Conserved and Served, with the ordering.
#[test]
fn what_a_permit_was_held_for_is_seen_by_the_next() {
    check(|| {
        let fixture = Fixture::with(1);
        let others = [0, 1].map(|_| run(&fixture, Fixture::add));
        fixture.add();
        for other in others {
            other.join().expect("no panic");
        }
        assert_eq!((fixture.value.get(), fixture.semaphore.permits()), (3, 1));
        assert!(fixture.semaphore.try_take(1), "nobody is noted as waiting");
    });
}

/// One put serves two who wait.
#[test]
fn a_put_serves_as_many_as_it_suffices_for() {
    check(|| {
        let fixture = Fixture::with(0);
        let others = [0, 1]
            .map(|_| run(&fixture, |fixture| assert!(fixture.semaphore.take_until(1, || None))));
        assert!(fixture.semaphore.put(2));
        for other in others {
            other.join().expect("no panic");
        }
        assert_eq!(fixture.semaphore.permits(), 0);
    });
}

/// One that wants more than there is gives up, and who stands behind it is served.
#[test]
fn who_wants_less_passes_one_that_gives_up() {
    check(|| {
        let fixture = Fixture::with(1);
        let greedy = run(&fixture, |fixture| assert!(!fixture.semaphore.take_until(2, || Some(5))));
        let modest = run(&fixture, |fixture| assert!(fixture.semaphore.take_until(1, || None)));
        sched::expire(5);
        greedy.join().expect("no panic");
        modest.join().expect("no panic");
        assert_eq!(fixture.semaphore.permits(), 0);
    });
}

/// A deadline at the moment of the grant: the permit is held or there, never lost.
#[test]
fn a_deadline_at_the_moment_of_the_grant_loses_no_permit() {
    check(|| {
        let fixture = Fixture::with(0);
        let giver = run(&fixture, |fixture| assert!(fixture.semaphore.put(1)));
        let clock = run(&fixture, |_| sched::expire(5));
        let is_taken = fixture.semaphore.take_until(1, || Some(5));
        giver.join().expect("no panic");
        clock.join().expect("no panic");
        assert_eq!(fixture.semaphore.permits(), usize::from(!is_taken));
    });
}
