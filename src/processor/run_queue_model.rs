//! Models of the run queue, by loom; run as those of the wait word are.
//!
//! The deques are the locked stand-in of `processor::deque`: what is checked here is the next
//! slot, and that nothing falls between it and the queues.
//!
// MUTANT: run_queue.set_next KILLED-BY processor::run_queue_model::a_thief_of_the_next_slot_sees_what_it_runs
// MUTANT: run_queue.steal_next KILLED-BY processor::run_queue_model::a_thief_of_the_next_slot_sees_what_it_runs

use super::backlog::Link;
use super::run_queue::{Line, NEXT_SLOT_AGE_NS, RunQueue, Runnable, Thief};
use crate::primitive::model::{Shared, check};
use loom::sync::Arc;
use loom::thread;
use std::ptr::NonNull;

/// A green thread of the model.
#[derive(Debug)]
struct Item {
    /// Written by its waker before it is queued, read by whoever runs it.
    payload: Shared<u32>,
    runs: Shared<u32>,
    /// Touched by whoever owns the right to run it: loom reports anybody else.
    link: Shared<Option<NonNull<Item>>>,
}

impl Link for Item {
    fn link(&self) -> Option<NonNull<Self>> {
        self.link.get()
    }
    fn set_link(&self, behind: Option<NonNull<Self>>) {
        self.link.set(behind);
    }
}

// SAFETY: the cells are loom's, which reports unordered accesses; the links point to items that
// outlive the threads of the model, each of which has an `Arc` of them.
unsafe impl Send for Item {}
// SAFETY: as above.
unsafe impl Sync for Item {}

/// The green threads of one model: the `Arc` keeps them alive in every thread.
struct Items(Vec<Item>);

impl Items {
    fn new(count: usize) -> Arc<Self> {
        let item =
            |_| Item { payload: Shared::new(0), runs: Shared::new(0), link: Shared::new(None) };
        Arc::new(Self((0..count).map(item).collect()))
    }

    /// Makes item `index` runnable.
    fn ready(&self, index: usize) -> Runnable<Item> {
        self.0[index].payload.set(7);
        Runnable(NonNull::from(&self.0[index]))
    }

    fn assert_each_ran_once(&self) {
        for item in &self.0 {
            assert_eq!(item.runs.get(), 1);
        }
    }
}

fn run(item: &Runnable<Item>) {
    // SAFETY: the items outlive the threads of the model, each of which has an `Arc` of them.
    let item = unsafe { item.0.as_ref() };
    assert_eq!(item.payload.get(), 7);
    item.runs.update(|n| *n += 1);
}

fn drain(queue: &RunQueue<Item>) {
    while let Some(item) = queue.pop(|_, _| None) {
        run(&item);
    }
}

/// A time at which every next slot is old.
const LATE_NS: u64 = NEXT_SLOT_AGE_NS + 1;

fn steal_next(thief: &Thief<Item>) {
    if let Some(item) = thief.steal_next(LATE_NS) {
        run(&item);
    }
}

fn steal_half(thief: &Thief<Item>) {
    let mine = RunQueue::new(false);
    if let Some(item) = thief.steal_half(&mine) {
        run(&item);
    }
    drain(&mine);
}

/// Runs `owner` beside the given thieves; in the end each item must have run once.
fn beside_thieves<const N: usize>(
    items: usize,
    thieves: [fn(&Thief<Item>); N],
    owner: fn(&Items, &RunQueue<Item>),
) {
    check(move || {
        let items = Items::new(items);
        let queue = RunQueue::new(false);
        let thieves = thieves.map(|steal| {
            let thief = queue.thief();
            let items = Arc::clone(&items);
            thread::spawn(move || {
                steal(&thief);
                drop(items);
            })
        });
        owner(&items, &queue);
        for thief in thieves {
            thief.join().expect("no panic");
        }
        drain(&queue);
        items.assert_each_ran_once();
    });
}

/// What a waker wrote before it filled the slot is seen by the thief that empties it.
#[test]
fn a_thief_of_the_next_slot_sees_what_it_runs() {
    beside_thieves(1, [steal_next], |items, queue| {
        assert!(queue.set_next(items.ready(0), 0).is_none());
    });
}

/// Once: the slot is displaced and popped while one thief empties it and one takes the queue.
#[test]
fn the_next_slot_and_the_queue_give_each_once() {
    beside_thieves(2, [steal_next, steal_half], |items, queue| {
        assert!(queue.set_next(items.ready(0), 0).is_none());
        if let Some(displaced) = queue.set_next(items.ready(1), 0) {
            queue.push(Line::Ready, displaced).expect("room for one");
        }
        if let Some(item) = queue.pop(|_, _| None) {
            run(&item);
        }
    });
}

/// Once: two thieves want the same slot, and its owner too; it is filled again meanwhile.
#[test]
fn one_of_three_gets_the_next_slot() {
    beside_thieves(2, [steal_next, steal_next], |items, queue| {
        assert!(queue.set_next(items.ready(0), 0).is_none());
        if let Some(item) = queue.pop(|_, _| None) {
            run(&item);
        }
        let _: Option<()> = queue.set_next(items.ready(1), 0).map(|displaced| run(&displaced));
    });
}

/// Once and Bounded: who finds the queue full has its green thread back, and no thief has it.
#[test]
fn a_full_queue_gives_the_green_thread_back() {
    beside_thieves(4, [steal_half], |items, queue| {
        for index in 0..3 {
            if let Err(refused) = queue.push(Line::Ready, items.ready(index)) {
                run(&refused);
            }
        }
        if let Err(refused) = queue.push(Line::Fresh, items.ready(3)) {
            run(&refused);
        }
    });
}

/// Once: what is kept in the backlog is shown to a thief a little at a time, and each runs once.
#[test]
fn what_is_kept_in_the_backlog_runs_once() {
    beside_thieves(5, [steal_half], |items, queue| {
        for index in 0..5 {
            queue.push_ready(items.ready(index));
        }
        for _ in 0..3 {
            if let Some(item) = queue.pop(|_, _| None) {
                run(&item);
            }
        }
    });
}

/// OwnerLinks: the holder goes, and the next one finds in the backlog what it has left there.
#[test]
fn the_next_holder_finds_the_backlog() {
    beside_thieves(4, [steal_half], |items, queue| {
        for index in 0..4 {
            queue.push_ready(items.ready(index));
        }
        queue.spill(|item| run(&item));
    });
}
