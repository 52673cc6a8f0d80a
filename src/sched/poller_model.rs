//! Models of who sleeps in the poller, by loom; run as those of the wait word are.
//!
//! One processor. A machine that sleeps is gone: in the poller, whose turn it then has, or on its
//! parker. Whoever wakes a machine plays it, on its own thread. The steps are those of `README.md`
//! of this directory, section "Poller".
//!
// MUTANT: netpoll.turn.left KILLED-BY sched::poller_model::the_monitor_does_not_keep_the_last_sleeper_out
// MUTANT: sched.poller.release KILLED-BY sched::poller_model::a_processor_given_up_leaves_a_sleeper_behind
// MUTANT: sched.poller.leave KILLED-BY sched::poller_model::a_sleeper_that_wakes_for_nothing_sleeps_again
// MUTANT: sched.poller.waker KILLED-BY sched::poller_model::a_waker_without_a_processor_answers_for_the_poller
// MUTANT: parker.elsewhere KILLED-BY sched::poller_model::a_grant_reaches_a_machine_in_the_poller

use super::idle::Idle;
use super::timekeeper::Timekeeper;
use crate::machine::parker::Parker;
use crate::netpoll::turn::TurnWord;
use crate::primitive::atomic::mutant;
use crate::primitive::fence;
use crate::primitive::model::{Shared, check};
use crate::timer::Shelf;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;

struct Fixture {
    idle: Idle,
    turn: TurnWord,
    work: AtomicUsize,
}

impl Fixture {
    /// One processor, in use, and nobody in the poller.
    fn new() -> Arc<Self> {
        Arc::new(Self { idle: Idle::new(1), turn: TurnWord::new(), work: AtomicUsize::new(0) })
    }

    fn has_work(&self) -> bool {
        self.work.load(Ordering::Relaxed) != 0
    }

    fn take_work(&self) -> bool {
        let less = |work: usize| work.checked_sub(1);
        self.work.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    /// A machine with the processor, until it sleeps.
    fn machine(&self, mut searching: bool) {
        loop {
            while self.take_work() {
                if std::mem::take(&mut searching) {
                    let _ = self.idle.stop_searching();
                }
            }
            self.idle.retire(0, searching);
            if !self.has_work() || self.idle.claim().is_none() {
                let _asleep_elsewhere = !self.turn.try_sleep();
                return;
            }
            self.idle.force_searching();
            searching = true;
        }
    }

    /// As `Shared::wake_one`.
    fn wake_one(&self) {
        while self.idle.start_waking() {
            if self.idle.claim().is_some() {
                return self.machine(true);
            }
            let wants = self.has_work() || (self.turn.is_free() && !mutant!("sched.poller.waker"));
            if !(self.idle.stop_searching() && self.idle.is_any_claimable() && wants) {
                return;
            }
        }
    }

    /// A submitter without a processor.
    fn submit(&self) {
        self.work.fetch_add(1, Ordering::Relaxed);
        if self.idle.should_wake_external() {
            self.wake_one();
        }
    }

    /// Step 6: a machine with the processor gives it up and goes on without.
    fn release(&self) {
        self.idle.retire(0, false);
        let alone = self.turn.is_free() && !mutant!("sched.poller.release");
        if self.has_work() || alone {
            self.wake_one();
        }
    }

    /// Steps 4 and 5.
    fn monitor(&self) {
        if self.turn.try_ask() {
            self.turn.give();
        }
        if self.turn.is_left_alone() && self.idle.is_any_idle() {
            self.wake_one();
        }
    }

    /// Polled: the processor is idle, and a machine sleeps in the poller.
    fn assert_quiet(&self) {
        assert_eq!(self.idle.searching(), 0);
        assert!(self.idle.is_idle(0) && !self.has_work());
        assert!(self.turn.is_asleep(), "nobody sleeps in the poller");
    }
}

/// Runs two parts at once; then all must be quiet.
fn explore(first: fn(&Fixture), second: fn(&Fixture)) {
    check(move || {
        let fixture = Fixture::new();
        let other = {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || first(&fixture))
        };
        second(&fixture);
        other.join().expect("no panic");
        fixture.assert_quiet();
    });
}

/// The last machine goes to sleep while the monitor has the turn.
#[test]
fn the_monitor_does_not_keep_the_last_sleeper_out() {
    explore(|f| f.machine(false), |f| f.monitor());
}

/// The sleeper in the poller wakes for nothing and sleeps again, or finds work, while the other
/// machine gives the processor up to block.
#[test]
fn a_sleeper_that_wakes_for_nothing_sleeps_again() {
    explore(
        |f| {
            // It woke, and gives the turn back; then it looks as at a deadline.
            if f.turn.try_sleep() {
                f.turn.give();
                if !mutant!("sched.poller.leave") {
                    fence::full();
                }
            }
            if f.has_work() && f.idle.claim().is_some() {
                f.idle.force_searching();
                return f.machine(true);
            }
            if f.idle.is_any_idle() {
                let _asleep_elsewhere = !f.turn.try_sleep();
            }
        },
        |f| f.release(),
    );
}

/// A machine gives the processor up to block, beside the monitor; the other machine is asleep.
#[test]
fn a_processor_given_up_leaves_a_sleeper_behind() {
    explore(|f| f.monitor(), |f| f.release());
}

/// A waker has found no processor to claim: the one who then makes one idle counts on it.
#[test]
fn a_waker_without_a_processor_answers_for_the_poller() {
    explore(
        |f| {
            let _work = f.take_work();
            f.release();
        },
        |f| f.submit(),
    );
}

/// A machine that sleeps in the poller, or is about to, is rung for its grant.
#[test]
fn a_grant_reaches_a_machine_in_the_poller() {
    check(|| {
        let fixture = Arc::new((Parker::new(), AtomicBool::new(false), Shared::new(0)));
        let sender = {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || {
                let (parker, bell, processor) = &*fixture;
                processor.set(7);
                parker.send(8, || bell.store(true, Ordering::Relaxed));
            })
        };
        let (parker, bell, processor) = &*fixture;
        let sleep = || {
            while !bell.load(Ordering::Relaxed) {
                thread::yield_now();
            }
        };
        // An event wakes it, for nothing; then only the bell does.
        let message = parker.receive_elsewhere(|| {}).or_else(|| parker.receive_elsewhere(sleep));
        assert_eq!(message, Some(8));
        assert_eq!(processor.get(), 7);
        sender.join().expect("no panic");
    });
}

/// A timer is armed that is earlier than what a machine is about to sleep by in the poller: it
/// sleeps by the earlier one, or is rung.
#[test]
fn a_machine_in_the_poller_is_rung_for_an_earlier_timer() {
    check(|| {
        let shelf: Shelf<u32> = Shelf::new();
        let _ = shelf.arm(100, 0);
        let fixture = Arc::new((shelf, Timekeeper::new(), Parker::new(), AtomicBool::new(false)));
        let machine = {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || {
                let (shelf, timekeeper, parker, bell) = &*fixture;
                let until = timekeeper.cover(|| shelf.next_deadline_ns());
                let rung = parker.receive_elsewhere(|| {
                    // By 50 it has woken by itself.
                    while until != Some(50) && !bell.load(Ordering::Relaxed) {
                        thread::yield_now();
                    }
                });
                assert!(until == Some(50) || rung == Some(8), "asleep until {until:?}");
            })
        };
        let (shelf, timekeeper, parker, bell) = &*fixture;
        if shelf.arm(50, 0).earliest && timekeeper.must_wake(50) {
            parker.send(8, || bell.store(true, Ordering::Relaxed));
        }
        machine.join().expect("no panic");
    });
}
