//! Models of the idle protocol, by loom; run as those of the wait word are.
//!
//! The queue of these models is a relaxed counter: a queue under a lock would order submitter and
//! machine by itself and hide a missing fence. A machine that has taken work is gone with its
//! processor, as if the work blocked for ever; what is left to do falls to the others.
//!
// MUTANT: idle.submit.fence KILLED-BY sched::idle_model::work_is_found_by_a_machine_that_retires
// MUTANT: idle.retire.fence KILLED-BY sched::idle_model::work_is_found_by_a_machine_that_retires
// MUTANT: idle.stop.fence KILLED-BY sched::idle_model::the_last_to_stop_searching_wakes_the_next
// MUTANT: idle.retire KILLED-BY sched::idle_model::a_claimed_processor_comes_with_its_state
// MUTANT: idle.claim KILLED-BY sched::idle_model::a_claimed_processor_comes_with_its_state

use super::idle::{Holding, Idle};
use crate::primitive::model::{Shared, check};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

/// Which model leaves which step of the machines' out: the mutants of code that is not here.
struct Fixture {
    idle: Idle,
    work: AtomicUsize,
    /// The state of each processor, touched by its holder.
    processors: Vec<Shared<u32>>,
}

/// What a machine does next.
enum Next {
    /// It holds this processor, and counts as searching or not.
    Find { processor: u32, searching: bool },
    /// It has work that never ends, or sleeps.
    Gone,
}

impl Fixture {
    fn new(processors: u32, work: usize) -> Self {
        Self {
            idle: Idle::new(processors),
            work: AtomicUsize::new(work),
            processors: (0..processors).map(|_| Shared::new(0)).collect(),
        }
    }

    fn has_work(&self) -> bool {
        self.work.load(Ordering::Relaxed) != 0
    }

    fn take_work(&self) -> bool {
        let mut seen = self.work.load(Ordering::Relaxed);
        while seen != 0 {
            match self.work.compare_exchange(seen, seen - 1, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    /// A machine, from a processor in hand to its sleep; and whatever machines it wakes, which
    /// run after it, on its thread.
    fn machine(&self, processor: u32, searching: bool) {
        let mut next = Next::Find { processor, searching };
        let mut woken = Vec::new();
        loop {
            next = match next {
                Next::Find { processor, searching } => {
                    self.processors[processor as usize].update(|turns| *turns += 1);
                    self.turn(processor, searching, &mut woken)
                }
                Next::Gone => match woken.pop() {
                    Some(processor) => Next::Find { processor, searching: true },
                    None => return,
                },
            }
        }
    }

    fn turn(&self, processor: u32, searching: bool, woken: &mut Vec<u32>) -> Next {
        if self.take_work() {
            if searching
                && self.idle.stop_searching()
                && self.idle.is_any_claimable()
                && self.has_work()
            {
                self.wake_one(woken);
            }
            return Next::Gone;
        }
        self.idle.retire(processor, searching);
        if !self.has_work() {
            return Next::Gone;
        }
        match self.idle.claim() {
            Some(processor) => {
                self.idle.force_searching();
                Next::Find { processor, searching: true }
            }
            None => Next::Gone,
        }
    }

    /// As `Shared::wake_one`.
    fn wake_one(&self, woken: &mut Vec<u32>) {
        while self.idle.start_waking() {
            if let Some(processor) = self.idle.claim() {
                woken.push(processor);
                return;
            }
            if !(self.idle.stop_searching() && self.idle.is_any_claimable() && self.has_work()) {
                return;
            }
        }
    }

    /// Pushes, wakes, and then plays the machine it has woken.
    fn submit(&self, external: bool) {
        self.work.fetch_add(1, Ordering::Relaxed);
        let wake = if external {
            self.idle.should_wake_external()
        } else {
            self.idle.should_wake(Holding::witness())
        };
        let mut woken = Vec::new();
        if wake {
            self.wake_one(&mut woken);
        }
        for processor in woken {
            self.machine(processor, true);
        }
    }

    /// Nobody is awake: no work may be left beside an idle processor.
    fn assert_quiet(&self) {
        assert_eq!(self.idle.searching(), 0);
        assert!(!(self.has_work() && self.idle.is_any_idle()), "work is left, and nobody is awake");
    }
}

/// Runs the parts as threads of their own, the last one here; then all must be quiet.
fn explore<const N: usize>(new: fn() -> Fixture, parts: [fn(&Fixture); N]) {
    check(move || {
        let fixture = Arc::new(new());
        let threads = parts.map(|part| {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || part(&fixture))
        });
        for thread in threads {
            thread.join().expect("no panic");
        }
        fixture.assert_quiet();
    });
}

/// s2 against r1: an OS thread submits while the only machine retires.
#[test]
fn work_is_found_by_a_machine_that_retires() {
    explore(|| Fixture::new(1, 0), [|f| f.submit(true), |f| f.machine(0, false)]);
}

/// t1 and t2: work arrives while a machine searches, and finds other work, beside an idle one.
#[test]
fn the_last_to_stop_searching_wakes_the_next() {
    let new = || {
        let fixture = Fixture::new(2, 1);
        fixture.idle.retire(1, false);
        fixture.idle.force_searching();
        fixture
    };
    explore(new, [|f| f.submit(true), |f| f.machine(0, true)]);
}

/// Two machines retire, one of them from a search, while work arrives.
#[test]
fn work_is_found_by_one_of_two_machines_that_retire() {
    let new = || {
        let fixture = Fixture::new(2, 0);
        fixture.idle.force_searching();
        fixture
    };
    explore(new, [|f| f.submit(true), |f| f.machine(0, true), |f| f.machine(1, false)]);
}

/// Two submitters and one processor that becomes idle: the second counts on the first's search,
/// which does not take place when the first finds no processor to claim.
#[test]
fn a_waker_that_finds_no_processor_answers_for_its_search() {
    explore(
        || Fixture::new(1, 0),
        [|f| f.submit(true), |f| f.submit(true), |f| f.machine(0, false)],
    );
}

/// With one processor its holder submits without a fence, beside a submitter without one.
#[test]
fn the_holder_of_the_only_processor_wakes_nobody() {
    explore(
        || Fixture::new(1, 0),
        [
            |f| f.submit(true),
            |f| {
                f.work.fetch_add(1, Ordering::Relaxed);
                assert!(
                    !f.idle.should_wake(Holding::witness()),
                    "nobody is idle while we hold the only processor"
                );
                f.machine(0, false);
            },
        ],
    );
}

/// A processor that was claimed by a waker and used by a second machine is not idle to its
/// holder, and its state has come along.
#[test]
fn a_claimed_processor_comes_with_its_state() {
    let holder = |f: &Fixture| {
        if let Some(processor) = f.idle.claim() {
            assert!(
                !f.idle.should_wake(Holding::witness()),
                "nobody is idle while we hold the only processor"
            );
            f.processors[processor as usize].update(|turns| *turns += 1);
            f.idle.retire(processor, false);
        }
    };
    check(move || {
        let fixture = Arc::new(Fixture::new(1, 0));
        fixture.idle.retire(0, false);
        let holders = [(); 2].map(|()| {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || holder(&fixture))
        });
        for holder in holders {
            holder.join().expect("no panic");
        }
        assert_eq!(fixture.idle.claim(), Some(0));
    });
}
