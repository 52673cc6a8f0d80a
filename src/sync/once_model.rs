//! Models of the once, by loom.
//!
// MUTANT: once.is_complete KILLED-BY sync::once_model::who_sees_it_complete_sees_what_was_made
// MUTANT: once.stage KILLED-BY sync::once_model::one_runs_and_the_others_see_what_it_made
// MUTANT: once.end KILLED-BY sync::once_model::one_runs_and_the_others_see_what_it_made
// MUTANT: once.validate KILLED-BY sync::once_model::one_runs_and_the_others_see_what_it_made
// MUTANT: once.begin KILLED-BY sync::once_model::after_a_panic_another_runs

use super::raw_once::{Entry, RawOnce, Stage};
use crate::primitive::model::{Shared, check};
use crate::sched;
use loom::sync::Arc;
use loom::thread;

struct Fixture {
    once: RawOnce,
    value: Shared<u32>,
}

impl Fixture {
    fn new() -> Arc<Self> {
        sched::forget_model();
        Arc::new(Self { once: RawOnce::incomplete(), value: Shared::new(0) })
    }

    fn call(&self) {
        if self.once.enter(false) != Entry::Done {
            self.value.update(|value| *value += 1);
            self.once.end(Stage::Complete);
        }
    }
}

fn run(fixture: &Arc<Fixture>, f: impl FnOnce(&Fixture) + 'static) -> thread::JoinHandle<()> {
    let fixture = Arc::clone(fixture);
    thread::spawn(move || f(&fixture))
}

/// OneRuns, AllWoken, and the ordering.
#[test]
fn one_runs_and_the_others_see_what_it_made() {
    check(|| {
        let fixture = Fixture::new();
        let others = [0, 1].map(|_| {
            run(&fixture, |fixture| {
                fixture.call();
                assert_eq!(fixture.value.get(), 1);
            })
        });
        fixture.call();
        assert_eq!(fixture.value.get(), 1);
        for other in others {
            other.join().expect("no panic");
        }
    });
}

/// The fast path publishes as well as the slow one.
#[test]
fn who_sees_it_complete_sees_what_was_made() {
    check(|| {
        let fixture = Fixture::new();
        let other = run(&fixture, |fixture| {
            if fixture.once.is_complete() {
                assert_eq!(fixture.value.get(), 1);
            }
        });
        fixture.call();
        other.join().expect("no panic");
    });
}

/// A run that panics lets the next one run, which sees what the ones before have left behind.
#[test]
fn after_a_panic_another_runs() {
    check(|| {
        let fixture = Fixture::new();
        let call = |fixture: &Fixture| {
            assert!(matches!(fixture.once.enter(false), Entry::Run { .. }));
            let runs = fixture.value.get() + 1;
            fixture.value.set(runs);
            fixture.once.end(if runs < 3 { Stage::Poisoned } else { Stage::Complete });
        };
        let others = [0, 1].map(|_| run(&fixture, call));
        call(&fixture);
        for other in others {
            other.join().expect("no panic");
        }
        assert_eq!((fixture.value.get(), fixture.once.stage()), (3, Stage::Complete));
    });
}

/// Who waits for the end waits through a run that panics, and sees what the last one has made.
#[test]
fn who_waits_for_the_end_waits_for_the_last_run() {
    check(|| {
        let fixture = Fixture::new();
        let waiter = run(&fixture, |fixture| {
            assert_eq!(fixture.once.wait_for_end(false, None), Some(Stage::Complete));
            assert_eq!(fixture.value.get(), 1);
        });
        assert!(matches!(fixture.once.enter(false), Entry::Run { .. }));
        fixture.once.end(Stage::Poisoned);
        fixture.call();
        waiter.join().expect("no panic");
    });
}
