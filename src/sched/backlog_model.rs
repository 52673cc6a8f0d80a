//! A model of the backlog against the idle protocol, by loom; run as those of the wait word are.
//!
// MUTANT: run_queue.restock.tell KILLED-BY sched::backlog_model::what_the_backlog_shows_is_found_by_an_idle_machine

use super::idle::{Holding, Idle};
use crate::primitive::model::{Shared, check};
use crate::processor::backlog::Link;
use crate::processor::run_queue::{RunQueue, Runnable, Thief};
use loom::sync::Arc;
use loom::thread;
use std::ptr::NonNull;

/// A green thread of the model: its link, touched by whoever owns the right to run it.
struct Item(Shared<Option<NonNull<Item>>>);

impl Link for Item {
    fn link(&self) -> Option<NonNull<Self>> {
        self.0.get()
    }
    fn set_link(&self, behind: Option<NonNull<Self>>) {
        self.0.set(behind);
    }
}

// SAFETY: loom reports unordered accesses to the cell; what it points to outlives the model.
unsafe impl Send for Item {}
// SAFETY: as above.
unsafe impl Sync for Item {}

/// Two processors: 0 is held by the owner of the queue, 1 by a machine that finds nothing.
struct Fixture {
    idle: Idle,
    items: Vec<Item>,
}

impl Fixture {
    /// The machine with processor 1, from its retreat on. What it steals never ends.
    fn machine(&self, thief: &Thief<Item>, mut searching: bool) {
        loop {
            self.idle.retire(1, searching);
            if thief.queued() == 0 || self.idle.claim().is_none() {
                return;
            }
            self.idle.force_searching();
            searching = true;
            if self.steal(thief) {
                return;
            }
        }
    }

    /// Steals, and stops searching if there was something.
    fn steal(&self, thief: &Thief<Item>) -> bool {
        let found = thief.steal_half(&RunQueue::new(false)).is_some();
        if found {
            // Nobody else is left to wake.
            let _ = self.idle.stop_searching();
        }
        found
    }
}

/// The owner takes three of four and computes for ever. What it has shown to thieves when the
/// deque was used up is not left beside an idle processor: the machine that retires sees it, or
/// the owner wakes it.
#[test]
fn what_the_backlog_shows_is_found_by_an_idle_machine() {
    check(|| {
        let items = (0..4).map(|_| Item(Shared::new(None))).collect();
        let fixture = Arc::new(Fixture { idle: Idle::new(2), items });
        let queue = RunQueue::new(false);
        let thief = queue.thief();
        for item in &fixture.items {
            queue.push_ready(Runnable(NonNull::from(item)));
        }
        // The deque's two.
        for _ in 0..2 {
            assert!(queue.pop(|_, _| None).is_some());
        }
        let machine = {
            let (fixture, thief) = (Arc::clone(&fixture), queue.thief());
            thread::spawn(move || fixture.machine(&thief, false))
        };
        // The third comes from the backlog, which shows the fourth.
        assert!(queue.pop(|_, _| None).is_some());
        let is_told = queue.take_restocked() && fixture.idle.should_wake(Holding::witness());
        if is_told && fixture.idle.start_waking() && fixture.idle.claim().is_some() {
            let mut searching = true;
            if fixture.steal(&thief) {
                searching = false;
            }
            if searching {
                fixture.machine(&thief, true);
            }
        }
        machine.join().expect("no panic");
        assert!(
            thief.queued() == 0 || !fixture.idle.is_any_claimable(),
            "what waits is seen, and a processor is idle"
        );
    });
}
