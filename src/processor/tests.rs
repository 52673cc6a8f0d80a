//! Tests of the run queue on one OS thread; the models are beside it.

use super::backlog::Link;
use super::run_queue::{INHERITANCE_NS, Line, RunQueue, Runnable};
use std::cell::Cell;
use std::ptr::NonNull;

/// Too few wait here for the backlog.
impl Link for u32 {
    fn link(&self) -> Option<NonNull<Self>> {
        unreachable!("nothing is kept")
    }
    fn set_link(&self, _behind: Option<NonNull<Self>>) {
        unreachable!("nothing is kept")
    }
}

/// A green thread of these tests, of one OS thread each.
#[derive(Debug)]
struct Item(Cell<Option<NonNull<Item>>>);

// SAFETY: no test shares its items between threads.
unsafe impl Sync for Item {}

impl Link for Item {
    fn link(&self) -> Option<NonNull<Self>> {
        self.0.get()
    }
    fn set_link(&self, behind: Option<NonNull<Self>>) {
        self.0.set(behind);
    }
}

/// Queues many more than a deque holds; they come in the order in which they were queued, and the
/// thieves' end tells how many of them it does not see.
fn many_come_in_order(alone: bool) {
    let items: Vec<Item> = (0..1_000).map(|_| Item(Cell::new(None))).collect();
    let queue = RunQueue::new(alone);
    let thief = queue.thief();
    for item in &items {
        queue.push_ready(Runnable(NonNull::from(item)));
    }
    assert_eq!(thief.kept() + thief.queued(), items.len());
    assert_eq!(thief.queued(), if alone { 0 } else { super::deque::CAPACITY });
    for item in &items {
        let next = queue.pop(|_, _| None).map(|green| green.0);
        assert_eq!(next, Some(NonNull::from(item)));
        assert!(!(queue.take_restocked() && alone), "there is nobody to tell");
    }
    assert!(queue.is_empty() && thief.kept() == 0);
}

#[test]
fn what_is_kept_comes_in_order() {
    many_come_in_order(true);
    many_come_in_order(false);
}

#[test]
fn a_spill_gives_the_oldest() {
    let items: Vec<Item> = (0..100).map(|_| Item(Cell::new(None))).collect();
    let queue = RunQueue::new(true);
    for item in &items {
        queue.push_ready(Runnable(NonNull::from(item)));
    }
    let mut expected = items.iter().map(NonNull::from);
    queue.spill(|green| assert_eq!(Some(green.0), expected.next()));
    assert_eq!(expected.len(), items.len() - super::deque::CAPACITY / 2);
    queue.spill_all(|_, green| assert_eq!(Some(green.0), expected.next()));
    assert!(queue.is_empty() && expected.len() == 0);
}

/// The injector has a batch's turn while the backlog never runs dry.
#[test]
fn the_injector_is_looked_at_while_much_is_kept() {
    let items: Vec<Item> = (0..100).map(|_| Item(Cell::new(None))).collect();
    let foreign = Item(Cell::new(None));
    let queue = RunQueue::new(true);
    for item in &items {
        queue.push_ready(Runnable(NonNull::from(item)));
    }
    let refill = |line, _: &_| (line == Line::Ready).then(|| Runnable(NonNull::from(&foreign)));
    let turns = (0..100).take_while(|_| {
        let next = queue.pop(refill).expect("many wait");
        next.0 != NonNull::from(&foreign)
    });
    assert_eq!(turns.count(), super::deque::CAPACITY / 2);
}

/// Queues fresh ones on a runtime of one processor; the items, for the order in which they come.
fn with_fresh(queue: &RunQueue<Item>, count: usize) -> Vec<Item> {
    let items: Vec<Item> = (0..count).map(|_| Item(Cell::new(None))).collect();
    for item in &items {
        queue.push(Line::Fresh, Runnable(NonNull::from(item))).expect("always room");
    }
    items
}

#[test]
fn of_many_fresh_the_newest_that_fit_come_first_and_the_rest_in_order() {
    let queue = RunQueue::new(true);
    let items = with_fresh(&queue, 1_000);
    let thief = queue.thief();
    assert_eq!((thief.kept(), thief.queued()), (items.len(), 0));
    let (newest, more) = items.split_at(super::deque::CAPACITY);
    for item in newest.iter().rev().chain(more) {
        assert_eq!(queue.upcoming().1, Some(NonNull::from(item)));
        let next = queue.pop(|_, _| None).map(|green| green.0);
        assert_eq!(next, Some(NonNull::from(item)));
    }
    assert!(queue.is_empty() && thief.kept() == 0);
}

#[test]
fn the_oldest_fresh_come_of_the_stack_and_of_the_queue_by_turns() {
    let queue = RunQueue::new(true);
    let items = with_fresh(&queue, super::deque::CAPACITY + 2);
    let (newest, more) = items.split_at(super::deque::CAPACITY);
    for expected in [&more[0], &newest[0], &more[1], &newest[1], &newest[2]] {
        let oldest = queue.pop_oldest_fresh().map(|green| green.0);
        assert_eq!(oldest, Some(NonNull::from(expected)));
    }
    // The ring goes on where it was left.
    let again = with_fresh(&queue, 3);
    let last = queue.pop(|_, _| None).map(|green| green.0);
    assert_eq!(last, Some(NonNull::from(&again[2])));
    let mut spilled = 0;
    queue.spill_all(|line, _| spilled += usize::from(line == Line::Fresh));
    assert_eq!(spilled, super::deque::CAPACITY - 3 + 2);
    assert!(queue.is_empty() && queue.thief().kept() == 0);
}

#[test]
fn the_injector_is_looked_at_while_many_fresh_are_kept() {
    let queue = RunQueue::new(true);
    let _items = with_fresh(&queue, 3 * super::deque::CAPACITY);
    let foreign = Item(Cell::new(None));
    let refill = |line, _: &_| (line == Line::Fresh).then(|| Runnable(NonNull::from(&foreign)));
    let turns = (0..1_000).take_while(|_| {
        let next = queue.pop(refill).expect("many wait");
        next.0 != NonNull::from(&foreign)
    });
    assert_eq!(turns.count(), super::deque::CAPACITY + super::deque::CAPACITY / 2);
}

/// Lets a pair take turns of `turn_ns` through the next slot until it has to queue; how long
/// that took, on a clock that is read after each turn.
fn row_ns(queue: &RunQueue<u32>, now_ns: &mut u64, turn_ns: u64) -> u64 {
    let mut one = 1_u32;
    let pair = NonNull::from(&mut one);
    let begin_ns = *now_ns;
    loop {
        assert!(queue.set_next(Runnable(pair), *now_ns).is_none());
        let popped = queue.pop(|_, _| None).expect("two wait");
        *now_ns += turn_ns;
        if popped.0 != pair {
            // The other one, which waits for ever.
            queue.push(Line::Ready, popped).expect("room");
            let pair_again = queue.pop(|_, _| None).expect("two wait");
            assert_eq!(pair_again.0, pair, "behind the other");
            return *now_ns - begin_ns;
        }
    }
}

#[test]
fn rows_through_the_next_slot_share_by_time_whatever_their_turns() {
    let queue = RunQueue::new(false);
    let mut other = 0_u32;
    queue.push(Line::Ready, Runnable(NonNull::from(&mut other))).expect("room");
    let (mut now_ns, mut long_ns, mut short_ns) = (0, 0, 0);
    for _ in 0..100 {
        long_ns += row_ns(&queue, &mut now_ns, 3 * INHERITANCE_NS);
        short_ns += row_ns(&queue, &mut now_ns, INHERITANCE_NS / 100);
    }
    assert!(long_ns < 2 * short_ns && short_ns < 2 * long_ns, "{long_ns} and {short_ns}");
}

#[test]
fn a_row_that_nobody_waits_behind_goes_on() {
    let queue = RunQueue::new(false);
    let mut one = 1_u32;
    for turn in 0..1_000 {
        let green = NonNull::from(&mut one);
        assert!(queue.set_next(Runnable(green), turn * INHERITANCE_NS).is_none());
        assert_eq!(queue.pop(|_, _| None).map(|green| green.0), Some(green));
    }
}
