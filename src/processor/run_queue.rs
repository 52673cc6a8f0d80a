//! The run queue of a processor: urgent lane, next slot, ready queue, fresh stack.
//!
//! - **urgent**: FIFO, for green threads whose deadline has come: they go first, at most
//!   [`URGENT_MAX`] in a row, so that a sleeper is not late for the sake of a queue.
//! - **next**: one slot for the green thread that was woken last. It runs as soon as the waker
//!   parks, on a warm cache, so that a ping-pong pair costs two switches and no queue. A pair
//!   that wakes each other for ever must not starve the queues: who has come through the slot for
//!   [`INHERITANCE_NS`] in a row goes to the tail (Go's runnext without the bound:
//!   golang/go#52934). By time and not by turns, or a pair whose turns are long gets as many times
//!   more than one whose turns are short. One that cannot be ended in time, because a turn is longer
//!   than its share, leaves the excess to the next: so two pairs share a processor by time whatever
//!   their turns. (With a bound of 16 turns a pair with turns of 0.5 ms got 23 to 97 times the time
//!   of one with turns of 5 us.)
//! - **ready**: FIFO, for green threads that have run before: woken and yielded ones. Beyond the
//!   first 64 they wait in the holder's own [`Backlog`], which thieves do not see; whenever the 64
//!   are used up it moves some more to where they do. On a runtime of one processor there are no
//!   thieves, and all of them wait there.
//! - **fresh**: LIFO for its owner, FIFO for thieves, for green threads that have never run. The
//!   owner takes the newest, so a recursive spawn runs depth first: a tree of a million leaves
//!   keeps a few dozen alive instead of a level of it, and a child finds its parent's data in the
//!   cache. A thief takes the oldest, which is the biggest subtree. Against starvation the owner
//!   alternates between ready and fresh, and takes the *oldest* fresh one every
//!   [`OLDEST_INTERVAL_NS`]: by time, because each such turn opens one more subtree. On a runtime
//!   of one processor they wait in [`Fresh`], which nobody else sees.
//!
//! Sources: Blumofe and Leiserson, "Scheduling Multithreaded Computations by Work Stealing"
//! (1999) for the LIFO end; Go `runtime/proc.go` for the next slot.
//!
//! # Fields and invariants
//! Only the holder of the processor calls the `&self` methods of [`RunQueue`] (Inv. OneHolder of
//! `machine::bias`); thieves use the [`Thief`] that goes with it.
//! - **Once**: a green thread that was pushed is popped or stolen exactly once.
//! - **Bounded**: no deque holds more than [`CAPACITY`]; who finds it full gets the green thread
//!   back and injects it, or keeps it in the backlog.

use super::backlog::{Backlog, Length, Link};
use super::deque::{CAPACITY, Steal, Stealer, Worker};
use super::fresh::Fresh;
use crate::primitive::atomic::{AtomicPtr, AtomicU64, Ordering, mutant, ord};
use std::cell::Cell;
use std::ptr::NonNull;

/// For how long turns in a row may come through the next slot before it has to queue.
pub(crate) const INHERITANCE_NS: u64 = 200_000;
/// How much of its excess time one such row leaves to the next, at most: a slice.
const EXCESS_MAX_NS: u64 = 10_000_000;
/// Turns in a row that the urgent lane may take before others have one.
pub(crate) const URGENT_MAX: u32 = 8;
/// How often the oldest fresh green thread goes first.
pub(crate) const OLDEST_INTERVAL_NS: u64 = 10_000_000;
/// A thief leaves the next slot of another processor alone for this long: its owner is most
/// likely about to run it, with its data in the cache.
pub(crate) const NEXT_SLOT_AGE_NS: u64 = 20_000;

/// How many of the backlog are shown to thieves at a time, and after how many of its turns the
/// injector has one.
const RESTOCK: usize = CAPACITY / 2;

/// The kinds of queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A deadline has come.
    Urgent,
    /// Has run before.
    Ready,
    /// Has never run.
    Fresh,
}

/// A green thread on its way: a pointer that may cross threads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Runnable<T>(pub(crate) NonNull<T>);

// SAFETY: a `Runnable` is the exclusive right to run what it points to (Inv. Once); the pointee is
// reached by one thread at a time, and T says whether that is allowed.
unsafe impl<T: Sync> Send for Runnable<T> {}

/// The holder's end; see the module.
#[derive(Debug)]
pub(crate) struct RunQueue<T> {
    urgent: Worker<Runnable<T>>,
    ready: Worker<Runnable<T>>,
    fresh: Worker<Runnable<T>>,
    /// Behind `ready`; the holder's alone.
    backlog: Backlog<T>,
    /// In place of `fresh` where there are no thieves; that one has what came from the injector.
    alone_fresh: Fresh<T>,
    shared: std::sync::Arc<Shared<T>>,
    /// Whether there are no thieves: the only processor of its runtime.
    alone: bool,
    /// Whether thieves see more than before the last [`RunQueue::pop`].
    restocked: Cell<bool>,
    /// Turns since the injector of the ready line was last looked at.
    stint: Cell<usize>,
    /// The same for the fresh line.
    fresh_stint: Cell<usize>,
    /// The turns in a row that come through the next slot.
    row: Cell<Row>,
    /// How much longer than it should the last row lasted that had to be ended.
    excess_ns: Cell<u64>,
    /// Turns in a row that came through the urgent lane.
    hurried: Cell<u32>,
    /// Which of ready and fresh is looked at first in the next turn.
    fresh_first: Cell<bool>,
}

/// Turns in a row that come through the next slot, by the coarse clock.
#[derive(Clone, Copy, Debug)]
struct Row {
    /// When it began; `None`: there is none.
    since_ns: Option<u64>,
    /// How long it may last.
    share_ns: u64,
}

impl Row {
    const NONE: Self = Self { since_ns: None, share_ns: 0 };
}

/// What thieves see of the next slot.
#[derive(Debug)]
struct Shared<T> {
    next: AtomicPtr<T>,
    /// When the next slot was filled, by the holder's coarse clock.
    next_since_ns: AtomicU64,
    kept: Length,
    /// The clock as the monitor told it at its last tick.
    told_ns: AtomicU64,
}

/// A thief's end.
#[derive(Debug)]
pub(crate) struct Thief<T> {
    urgent: Stealer<Runnable<T>>,
    ready: Stealer<Runnable<T>>,
    fresh: Stealer<Runnable<T>>,
    shared: std::sync::Arc<Shared<T>>,
}

impl<T: Sync + Link> RunQueue<T> {
    /// An empty queue; `alone`: of the only processor of its runtime.
    pub(crate) fn new(alone: bool) -> Self {
        Self {
            urgent: Worker::new_fifo(),
            ready: Worker::new_fifo(),
            fresh: Worker::new_lifo(),
            backlog: Backlog::new(),
            alone_fresh: Fresh::new(),
            shared: std::sync::Arc::new(Shared {
                next: AtomicPtr::new(std::ptr::null_mut()),
                next_since_ns: AtomicU64::new(0),
                kept: Length::new(),
                told_ns: AtomicU64::new(0),
            }),
            alone,
            restocked: Cell::new(false),
            stint: Cell::new(0),
            fresh_stint: Cell::new(0),
            row: Cell::new(Row::NONE),
            excess_ns: Cell::new(0),
            hurried: Cell::new(0),
            fresh_first: Cell::new(false),
        }
    }

    /// The thieves' end.
    pub(crate) fn thief(&self) -> Thief<T> {
        Thief {
            urgent: self.urgent.stealer(),
            ready: self.ready.stealer(),
            fresh: self.fresh.stealer(),
            shared: self.shared.clone(),
        }
    }

    /// Puts a woken green thread into the next slot; returns the one it displaces.
    #[inline(always)]
    #[must_use]
    pub(crate) fn set_next(&self, green: Runnable<T>, now_ns: u64) -> Option<Runnable<T>> {
        // ORDERING: Relaxed; a thief that reads an old time only steals too early.
        self.shared.next_since_ns.store(now_ns, Ordering::Relaxed);
        // ORDERING: Release; pairs with the Acquire in `Thief::steal_next`; publishes the green
        // thread. A displaced one was put there by this holder, or before it came to hold.
        let old = self.shared.next.swap(green.0.as_ptr(), ord!("run_queue.set_next", Release));
        NonNull::new(old).map(Runnable)
    }

    /// Queues a green thread; gives it back when the queue of its kind is full.
    #[inline(always)]
    pub(crate) fn push(&self, line: Line, green: Runnable<T>) -> Result<(), Runnable<T>> {
        if self.alone && line == Line::Fresh {
            self.alone_fresh.push(&self.shared.kept, green);
            return Ok(());
        }
        let queue = self.line(line);
        if queue.len() >= CAPACITY {
            return Err(green);
        }
        queue.push(green);
        Ok(())
    }

    /// Queues a green thread that has run before, behind all others of this processor; whether
    /// thieves see it now.
    #[inline(always)]
    pub(crate) fn push_ready(&self, green: Runnable<T>) -> bool {
        if self.alone || !self.backlog.is_empty() || self.ready.len() >= CAPACITY {
            self.backlog.push(&self.shared.kept, green);
            return false;
        }
        self.ready.push(green);
        true
    }

    /// Gives up to [`RESTOCK`] of those that thieves do not see to `show`, the oldest first.
    pub(crate) fn spill(&self, mut show: impl FnMut(Runnable<T>)) {
        let kept = (0..RESTOCK).map_while(|_| self.backlog.pop(&self.shared.kept));
        kept.for_each(&mut show);
    }

    /// Gives up all that thieves do not see: before the processor is made idle (NoHiddenIdle).
    pub(crate) fn spill_all(&self, mut show: impl FnMut(Line, Runnable<T>)) {
        let kept = &self.shared.kept;
        std::iter::from_fn(|| self.backlog.pop(kept)).for_each(|green| show(Line::Ready, green));
        let fresh = std::iter::from_fn(|| self.alone_fresh.pop_oldest(kept));
        fresh.for_each(|green| show(Line::Fresh, green));
    }

    /// What this queue has in memory only for its holder's use and will give next, or soon: for
    /// whoever wants it in the cache by then. One that has run before, and a fresh one.
    #[inline(always)]
    pub(crate) fn upcoming(&self) -> (Option<NonNull<T>>, Option<NonNull<T>>) {
        (self.backlog.first(), self.alone_fresh.first())
    }

    /// The oldest fresh one, where there are no thieves who could steal it.
    pub(crate) fn pop_oldest_fresh(&self) -> Option<Runnable<T>> {
        self.alone_fresh.pop_oldest(&self.shared.kept)
    }

    /// Whether thieves see more than they did; the caller then submits it (s2, s3 of
    /// `sched::idle`). Told once.
    #[inline(always)]
    #[must_use]
    pub(crate) fn take_restocked(&self) -> bool {
        self.restocked.replace(false)
    }

    /// The next ready one: of the deque, else by turns from the injector and the backlog.
    #[inline(always)]
    fn take_ready(
        &self,
        refill: &impl Fn(Line, &Worker<Runnable<T>>) -> Option<Runnable<T>>,
    ) -> Option<Runnable<T>> {
        if !self.ready.is_empty()
            && let Some(green) = self.ready.pop()
        {
            return Some(green);
        }
        if self.stint.get() >= RESTOCK || self.backlog.is_empty() {
            self.stint.set(0);
            if let Some(green) = refill(Line::Ready, &self.ready) {
                return Some(green);
            }
        }
        let green = self.backlog.pop(&self.shared.kept)?;
        self.stint.set(self.stint.get() + 1);
        if !self.alone && !self.backlog.is_empty() {
            self.restock();
        }
        Some(green)
    }

    /// Shows some of the backlog to thieves.
    #[inline(never)]
    fn restock(&self) {
        self.spill(|green| self.ready.push(green));
        self.stint.set(RESTOCK);
        if !mutant!("run_queue.restock.tell") {
            self.restocked.set(true);
        }
    }

    /// The next green thread. `refill` is asked for one of a kind when the local queue of that
    /// kind is empty; it may push others of the kind into the queue it is given.
    #[inline(always)]
    pub(crate) fn pop(
        &self,
        refill: impl Fn(Line, &Worker<Runnable<T>>) -> Option<Runnable<T>>,
    ) -> Option<Runnable<T>> {
        if self.hurried.get() < URGENT_MAX
            && let Some(green) = self.take_shown(Line::Urgent, &refill)
        {
            self.hurried.set(self.hurried.get() + 1);
            return Some(green);
        }
        self.hurried.set(0);
        // ORDERING: Relaxed; only the holder fills the slot; the swap below decides.
        if !self.shared.next.load(Ordering::Relaxed).is_null()
            && let Some(green) = self.pop_next()
        {
            return Some(green);
        }
        self.row.set(Row::NONE);
        let fresh_first = self.fresh_first.get();
        self.fresh_first.set(!fresh_first);
        let green = if fresh_first {
            self.take_fresh(&refill).or_else(|| self.take_ready(&refill))
        } else {
            self.take_ready(&refill).or_else(|| self.take_fresh(&refill))
        };
        green.or_else(|| self.take_shown(Line::Urgent, &refill))
    }

    /// The next fresh one: the newest, then by turns from the injector and of what did not fit.
    #[inline(always)]
    fn take_fresh(
        &self,
        refill: &impl Fn(Line, &Worker<Runnable<T>>) -> Option<Runnable<T>>,
    ) -> Option<Runnable<T>> {
        if let Some(green) = self.alone_fresh.pop_newest(&self.shared.kept) {
            return Some(green);
        }
        if self.fresh_stint.get() < RESTOCK
            && let Some(green) = self.alone_fresh.pop_more(&self.shared.kept)
        {
            self.fresh_stint.set(self.fresh_stint.get() + 1);
            return Some(green);
        }
        self.fresh_stint.set(0);
        self.take_shown(Line::Fresh, refill)
            .or_else(|| self.alone_fresh.pop_more(&self.shared.kept))
    }

    /// The next one of a kind that is not kept: of the deque, else from the injector.
    #[inline(always)]
    fn take_shown(
        &self,
        line: Line,
        refill: &impl Fn(Line, &Worker<Runnable<T>>) -> Option<Runnable<T>>,
    ) -> Option<Runnable<T>> {
        let queue = self.line(line);
        if !queue.is_empty()
            && let Some(green) = queue.pop()
        {
            return Some(green);
        }
        refill(line, queue)
    }

    #[inline(always)]
    fn line(&self, line: Line) -> &Worker<Runnable<T>> {
        match line {
            Line::Urgent => &self.urgent,
            Line::Ready => &self.ready,
            Line::Fresh => &self.fresh,
        }
    }

    /// Takes the next slot, unless it has had its share of turns and others wait.
    #[inline(always)]
    fn pop_next(&self) -> Option<Runnable<T>> {
        // ORDERING: Relaxed; the exchange decides between the holder and a thief, and what the
        // holder finds it has put there itself, or its predecessor before it came to hold.
        let next = self.shared.next.swap(std::ptr::null_mut(), Ordering::Relaxed);
        let green = Runnable(NonNull::new(next)?);
        let goes_on = self.goes_on();
        let others = || {
            !self.backlog.is_empty()
                || !self.alone_fresh.is_empty()
                || !self.ready.is_empty()
                || !self.fresh.is_empty()
        };
        if goes_on || !others() {
            return Some(green);
        }
        self.push_ready(green);
        None
    }

    /// Whether one more turn may come through the next slot while others wait.
    #[inline(always)]
    fn goes_on(&self) -> bool {
        // ORDERING: Relaxed; the holder's own clock, stored when it filled the slot.
        let own_ns = self.shared.next_since_ns.load(Ordering::Relaxed);
        // ORDERING: Relaxed; a coarse clock; pairs with the store in `Thief::tell_time`.
        let now_ns = own_ns.max(self.shared.told_ns.load(Ordering::Relaxed));
        let row = self.row.get();
        let Some(since_ns) = row.since_ns else {
            let share_ns = INHERITANCE_NS + self.excess_ns.take();
            self.row.set(Row { since_ns: Some(now_ns), share_ns });
            return true;
        };
        let lasted_ns = now_ns.saturating_sub(since_ns);
        if lasted_ns < row.share_ns {
            return true;
        }
        self.excess_ns.set((lasted_ns - row.share_ns).min(EXCESS_MAX_NS));
        false
    }

    /// Whether nothing waits here.
    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.backlog.is_empty()
            && self.alone_fresh.is_empty()
            // ORDERING: Relaxed; only the holder fills the slot.
            && self.shared.next.load(Ordering::Relaxed).is_null()
            && self.ready.is_empty()
            && self.fresh.is_empty()
            && self.urgent.is_empty()
    }
}

impl<T: Sync + Link> Thief<T> {
    /// Steals half of one of the queues into the queue of the same kind of `into`, which has none;
    /// returns one to run.
    ///
    /// On a machine's own thread pointer only: it pins crossbeam-epoch.
    pub(crate) fn steal_half(&self, into: &RunQueue<T>) -> Option<Runnable<T>> {
        let lines =
            [(&self.urgent, Line::Urgent), (&self.ready, Line::Ready), (&self.fresh, Line::Fresh)];
        for (victim, line) in lines {
            loop {
                match victim.steal_batch_and_pop(into.line(line)) {
                    Steal::Success(green) => return Some(green),
                    Steal::Empty => break,
                    Steal::Retry => std::hint::spin_loop(),
                }
            }
        }
        None
    }

    /// Steals the oldest fresh green thread: also by the holder itself, every
    /// [`OLDEST_INTERVAL_NS`]. On a machine's own thread pointer only.
    pub(crate) fn steal_oldest_fresh(&self) -> Option<Runnable<T>> {
        loop {
            match self.fresh.steal() {
                Steal::Success(green) => return Some(green),
                Steal::Empty => return None,
                Steal::Retry => std::hint::spin_loop(),
            }
        }
    }

    /// Steals the next slot if it was filled at least [`NEXT_SLOT_AGE_NS`] before `now_ns`.
    pub(crate) fn steal_next(&self, now_ns: u64) -> Option<Runnable<T>> {
        // ORDERING: Relaxed; a guess that the exchange below checks.
        let seen = self.shared.next.load(Ordering::Relaxed);
        // ORDERING: Relaxed; an old time only makes the thief early.
        let since = self.shared.next_since_ns.load(Ordering::Relaxed);
        if seen.is_null() || now_ns < since.saturating_add(NEXT_SLOT_AGE_NS) {
            return None;
        }
        // ORDERING: Acquire; pairs with the Release in `set_next`; publishes the green thread. ABA
        // is harmless: whatever the slot holds is runnable.
        let taken = self.shared.next.compare_exchange(
            seen,
            std::ptr::null_mut(),
            ord!("run_queue.steal_next", Acquire),
            Ordering::Relaxed,
        );
        taken.ok().and_then(NonNull::new).map(Runnable)
    }

    /// The monitor: tells the time to a holder that may not read the clock for long.
    pub(crate) fn tell_time(&self, now_ns: u64) {
        // ORDERING: Relaxed; a coarse clock; pairs with the load in `goes_on`.
        self.shared.told_ns.store(now_ns, Ordering::Relaxed);
    }

    /// Whether the next slot is filled and so old that thieves may take it.
    pub(crate) fn has_old_next(&self, now_ns: u64) -> bool {
        // ORDERING: Relaxed; a hint for the monitor.
        let since_ns = self.shared.next_since_ns.load(Ordering::Relaxed);
        self.has_next() && now_ns >= since_ns.saturating_add(NEXT_SLOT_AGE_NS)
    }

    /// Whether one waits whose deadline has come.
    pub(crate) fn has_urgent(&self) -> bool {
        !self.urgent.is_empty()
    }

    /// How many green threads wait in the backlog, where nobody but the holder sees them.
    pub(crate) fn kept(&self) -> usize {
        self.shared.kept.get()
    }

    /// How many green threads wait in the queues, next slot and backlog not counted.
    pub(crate) fn queued(&self) -> usize {
        self.urgent.len() + self.ready.len() + self.fresh.len()
    }

    /// Whether the next slot is filled.
    pub(crate) fn has_next(&self) -> bool {
        // ORDERING: Relaxed; a hint; the idle protocol fences before it asks.
        !self.shared.next.load(Ordering::Relaxed).is_null()
    }
}
