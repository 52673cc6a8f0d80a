//! Models of the list of spare machines with the parkers of those on it, by loom; run as those of
//! the wait word are.
//!
// MUTANT: spare.withdraw KILLED-BY sched::spare_model::a_timekeeper_withdraws_or_receives_its_grant
// MUTANT: spare.take KILLED-BY sched::spare_model::two_grants_reach_two_machines
// MUTANT: spare.order KILLED-BY sched::spare_model::a_grant_that_finds_nobody_asleep_is_an_order

use super::idle::Idle;
use super::spare_list::SpareList;
use super::watch::Watch;
use crate::machine::parker::Parker;
use crate::primitive::model::{Shared, check};
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;
use std::sync::Arc;

/// The messages: a processor, by its number, and the end.
const GRANT: usize = 8;
const STOP: usize = 1;

/// A machine is its parker here.
type Machine = Parker;

/// One processor, idle, and one machine asleep.
struct Fixture {
    idle: Idle,
    list: SpareList<Machine>,
    machine: Arc<Machine>,
    work: AtomicUsize,
    processor: Shared<u32>,
}

impl Fixture {
    fn new() -> Arc<Self> {
        let machine = Arc::new(Machine::new());
        let fixture = Self {
            idle: Idle::new(1),
            list: SpareList::new(),
            machine: machine.clone(),
            work: AtomicUsize::new(0),
            processor: Shared::new(0),
        };
        fixture.idle.retire(0, false);
        fixture.list.push(&machine);
        Arc::new(fixture)
    }

    /// A machine with the processor, searching, until it retires; on whatever thread.
    fn run(&self) {
        let mut searching = true;
        loop {
            self.processor.update(|turns| *turns += 1);
            while self.take_work() {
                if std::mem::take(&mut searching) {
                    let _ = self.idle.stop_searching();
                }
            }
            self.idle.retire(0, std::mem::take(&mut searching));
            if !self.has_work() || self.idle.claim().is_none() {
                return;
            }
            self.idle.force_searching();
            searching = true;
        }
    }

    fn has_work(&self) -> bool {
        self.work.load(Ordering::Relaxed) != 0
    }

    fn take_work(&self) -> bool {
        let less = |work: usize| work.checked_sub(1);
        self.work.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    /// As `Shared::inject`, `wake_one` and `grant`; a new machine runs on the waker's thread.
    fn submit(&self) {
        self.work.fetch_add(1, Ordering::Relaxed);
        if !self.idle.should_wake_external() {
            return;
        }
        while self.idle.start_waking() {
            if self.idle.claim().is_some() {
                match self.list.pop() {
                    Some(machine) => machine.send(GRANT, || {}),
                    None => self.run(),
                }
                return;
            }
            if !(self.idle.stop_searching() && self.idle.is_any_claimable() && self.has_work()) {
                return;
            }
        }
    }

    /// As `run::sleep`, once: with a deadline, at which a timer is due.
    fn sleep(&self) {
        let message = self.machine.receive(Some(1));
        if message.is_some() || !self.list.withdraw(&self.machine) {
            let message = message.or_else(|| self.machine.receive(None));
            assert_eq!(message, Some(GRANT));
            return self.run();
        }
        // The deadline: the machine is on no list, and takes the processor by itself.
        if self.idle.claim().is_some() {
            self.idle.force_searching();
            return self.run();
        }
        self.list.push(&self.machine);
    }
}

/// OneHolder, NoLostGrant and Listed: a deadline, and a submitter who may grant.
#[test]
fn a_timekeeper_withdraws_or_receives_its_grant() {
    check(|| {
        let fixture = Fixture::new();
        let submitter = {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || fixture.submit())
        };
        let machine = {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || fixture.sleep())
        };
        submitter.join().expect("no panic");
        machine.join().expect("no panic");
        // The machine sleeps again: what was sent to it meanwhile is here.
        if fixture.machine.receive(Some(1)).is_some() {
            assert_eq!(fixture.list.sleeping(), 0, "on the list with a message in its mailbox");
            fixture.run();
        }
        assert!(!fixture.has_work(), "work is left, and nobody is awake");
        assert_eq!(fixture.idle.searching(), 0);
        assert!(fixture.idle.is_idle(0));
    });
}

/// OneSender: two grants at once go to two machines that sleep, each with what was written before.
#[test]
fn two_grants_reach_two_machines() {
    check(|| {
        let list = Arc::new(SpareList::new());
        let machines = [(); 2].map(|()| Arc::new(Machine::new()));
        machines.iter().for_each(|machine| list.push(machine));
        let processors = Arc::new([Shared::new(0_u32), Shared::new(0)]);
        let grant = |index: usize| {
            let (list, processors) = (Arc::clone(&list), Arc::clone(&processors));
            move || {
                processors[index].set(1);
                let machine = list.pop().expect("two sleep, and two are granted");
                machine.send(GRANT * (index + 1), || {});
            }
        };
        let other = thread::spawn(grant(1));
        grant(0)();
        other.join().expect("no panic");
        let mut granted = machines.map(|machine| machine.receive(Some(1)).unwrap_or(0));
        granted.sort_unstable();
        assert_eq!(granted, [GRANT, 2 * GRANT], "each processor has one holder");
        processors.iter().for_each(|processor| assert_eq!(processor.get(), 1));
        assert_eq!(list.sleeping(), 0);
    });
}

/// Ordered: the monitor sleeps; a machine that is on its way to sleep meets a grant. It is taken
/// off the list by the granter or by the monitor, or the monitor starts another: the processor
/// comes to one machine.
#[test]
fn a_grant_that_finds_nobody_asleep_is_an_order() {
    check(|| {
        let list = Arc::new(SpareList::new());
        let watch = Arc::new(Watch::new());
        let machine = Arc::new(Machine::new());
        let sleeper = {
            let (list, machine) = (Arc::clone(&list), Arc::clone(&machine));
            thread::spawn(move || list.push(&machine))
        };
        let granter = {
            let (list, watch) = (Arc::clone(&list), Arc::clone(&watch));
            thread::spawn(move || match list.pop_or_order(0) {
                Some(machine) => machine.send(GRANT, || {}),
                None => watch.wake(),
            })
        };
        watch.take_news();
        let mut started = fill_orders(&list);
        granter.join().expect("no panic");
        sleeper.join().expect("no panic");
        // News has kept the monitor from sleeping, or woken it.
        started += fill_orders(&list);
        let received = usize::from(machine.receive(Some(1)).is_some());
        assert_eq!(started + received, 1, "the processor has one holder");
        assert_eq!(list.sleeping(), 1 - received);
    });
}

/// As `Shared::fill_orders`; how many machines it has started.
fn fill_orders(list: &SpareList<Machine>) -> usize {
    let mut started = 0;
    while let Some((index, machine)) = list.take_order() {
        assert_eq!(index, 0);
        match machine {
            Some(machine) => machine.send(GRANT, || {}),
            None => started += 1,
        }
    }
    started
}

/// Stop: the end of a runtime meets a machine on its way to sleep, which is sent home or sees it.
#[test]
fn a_machine_on_its_way_to_sleep_is_stopped() {
    check(|| {
        let list = Arc::new(SpareList::new());
        let stopping = Arc::new(AtomicBool::new(false));
        let machine = Arc::new(Machine::new());
        let sleeper = {
            let (list, stopping) = (Arc::clone(&list), Arc::clone(&stopping));
            thread::spawn(move || {
                list.push(&machine);
                // Under the lock of the list, both sides: so relaxed is enough for a model.
                stopping.load(Ordering::Relaxed) || machine.receive(None) == Some(STOP)
            })
        };
        stopping.store(true, Ordering::Relaxed);
        while let Some(machine) = list.pop() {
            machine.send(STOP, || {});
        }
        assert!(sleeper.join().expect("no panic"), "a machine sleeps for ever");
    });
}
