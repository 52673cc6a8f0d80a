//! The run queue of a processor: next slot, fresh stack, ready queue.
//!
//! - **next**: one slot for the green thread that was woken last. It runs as soon as the waker
//!   parks, on a warm cache, so that a ping-pong pair costs two switches and no queue. A pair
//!   that wakes each other for ever must not starve the queues: after
//!   [`INHERITANCE_MAX`] turns through the slot in a row the next one goes to the tail
//!   (Go's runnext without the bound: golang/go#52934).
//! - **ready**: FIFO, for green threads that have run before: woken and yielded ones.
//! - **fresh**: LIFO for its owner, FIFO for thieves, for green threads that have never run. The
//!   owner takes the newest, so a recursive spawn runs depth first: a tree of a million leaves
//!   keeps a few dozen alive instead of a level of it, and a child finds its parent's data in the
//!   cache. A thief takes the oldest, which is the biggest subtree. Against starvation the owner
//!   alternates between ready and fresh, and takes the *oldest* fresh one every
//!   [`OLDEST_INTERVAL`] turns.
//!
//! Sources: Blumofe and Leiserson, "Scheduling Multithreaded Computations by Work Stealing"
//! (1999) for the LIFO end; Go `runtime/proc.go` for the next slot.
//!
//! # Fields and invariants
//! Only the holder of the processor calls the `&self` methods of [`RunQueue`] (Inv. OneHolder of
//! `machine::bias`); thieves use the [`Thief`] that goes with it.
//! - **Once**: a green thread that was pushed is popped or stolen exactly once.
//! - **Bounded**: no queue holds more than [`CAPACITY`]; who finds it full gets the green thread
//!   back and injects it.

use super::deque::{CAPACITY, Steal, Stealer, Worker};
use crate::primitive::atomic::{AtomicPtr, AtomicU64, Ordering, ord};
use std::cell::Cell;
use std::ptr::NonNull;

/// Turns in a row that the next slot may take before it has to queue.
pub(crate) const INHERITANCE_MAX: u32 = 16;
/// Every so many turns the oldest fresh green thread goes first.
pub(crate) const OLDEST_INTERVAL: u32 = 64;
/// A thief leaves the next slot of another processor alone for this long: its owner is most
/// likely about to run it, with its data in the cache.
pub(crate) const NEXT_SLOT_AGE_NS: u64 = 20_000;

/// A green thread on its way: a pointer that may cross threads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Runnable<T>(pub(crate) NonNull<T>);

// SAFETY: a `Runnable` is the exclusive right to run what it points to (Inv. Once); the pointee is
// reached by one thread at a time, and T says whether that is allowed.
unsafe impl<T: Sync> Send for Runnable<T> {}

/// The holder's end; see the module.
#[derive(Debug)]
pub(crate) struct RunQueue<T> {
    ready: Worker<Runnable<T>>,
    fresh: Worker<Runnable<T>>,
    shared: std::sync::Arc<Shared<T>>,
    /// Turns in a row that came through the next slot.
    inherited: Cell<u32>,
    /// Which of ready and fresh is looked at first in the next turn.
    fresh_first: Cell<bool>,
}

/// What thieves see of the next slot.
#[derive(Debug)]
struct Shared<T> {
    next: AtomicPtr<T>,
    /// When the next slot was filled, by the holder's coarse clock.
    next_since_ns: AtomicU64,
}

/// A thief's end.
#[derive(Debug)]
pub(crate) struct Thief<T> {
    ready: Stealer<Runnable<T>>,
    fresh: Stealer<Runnable<T>>,
    shared: std::sync::Arc<Shared<T>>,
}

impl<T: Sync> RunQueue<T> {
    /// An empty queue.
    pub(crate) fn new() -> Self {
        Self {
            ready: Worker::new_fifo(),
            fresh: Worker::new_lifo(),
            shared: std::sync::Arc::new(Shared {
                next: AtomicPtr::new(std::ptr::null_mut()),
                next_since_ns: AtomicU64::new(0),
            }),
            inherited: Cell::new(0),
            fresh_first: Cell::new(false),
        }
    }

    /// The thieves' end.
    pub(crate) fn thief(&self) -> Thief<T> {
        Thief {
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

    /// Queues a green thread that has run before; gives it back when the queue is full.
    #[inline(always)]
    pub(crate) fn push_ready(&self, green: Runnable<T>) -> Result<(), Runnable<T>> {
        if self.ready.len() >= CAPACITY {
            return Err(green);
        }
        self.ready.push(green);
        Ok(())
    }

    /// Stacks a green thread that has never run; gives it back when the stack is full.
    #[inline(always)]
    pub(crate) fn push_fresh(&self, green: Runnable<T>) -> Result<(), Runnable<T>> {
        if self.fresh.len() >= CAPACITY {
            return Err(green);
        }
        self.fresh.push(green);
        Ok(())
    }

    /// The next green thread of this processor alone.
    #[inline(always)]
    pub(crate) fn pop(&self) -> Option<Runnable<T>> {
        // ORDERING: Relaxed; only the holder fills the slot; the swap below decides.
        if !self.shared.next.load(Ordering::Relaxed).is_null()
            && let Some(green) = self.pop_next()
        {
            return Some(green);
        }
        self.inherited.set(0);
        let fresh_first = self.fresh_first.get();
        self.fresh_first.set(!fresh_first);
        if fresh_first {
            self.fresh.pop().or_else(|| self.ready.pop())
        } else {
            self.ready.pop().or_else(|| self.fresh.pop())
        }
    }

    /// Takes the next slot, unless it has had its share of turns and others wait.
    #[inline(always)]
    fn pop_next(&self) -> Option<Runnable<T>> {
        // ORDERING: Relaxed; the exchange decides between the holder and a thief, and what the
        // holder finds it has put there itself, or its predecessor before it came to hold.
        let next = self.shared.next.swap(std::ptr::null_mut(), Ordering::Relaxed);
        let green = Runnable(NonNull::new(next)?);
        let turns = self.inherited.get() + 1;
        self.inherited.set(turns);
        if turns <= INHERITANCE_MAX || (self.ready.is_empty() && self.fresh.is_empty()) {
            return Some(green);
        }
        // Given back by a full queue, it keeps its turn, which is only unfair.
        self.push_ready(green).err()
    }

    /// The ready queue, for batches from the injector and from victims.
    pub(crate) fn ready(&self) -> &Worker<Runnable<T>> {
        &self.ready
    }

    /// Whether nothing waits here.
    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        // ORDERING: Relaxed; only the holder fills the slot.
        self.shared.next.load(Ordering::Relaxed).is_null()
            && self.ready.is_empty()
            && self.fresh.is_empty()
    }
}

impl<T: Sync> Thief<T> {
    /// Steals half of the ready queue, or of the fresh stack, into `into`; returns one to run.
    ///
    /// On a machine's own thread pointer only: it pins crossbeam-epoch.
    pub(crate) fn steal_half(&self, into: &RunQueue<T>) -> Option<Runnable<T>> {
        for victim in [&self.ready, &self.fresh] {
            loop {
                match victim.steal_batch_and_pop(&into.ready) {
                    Steal::Success(green) => return Some(green),
                    Steal::Empty => break,
                    Steal::Retry => std::hint::spin_loop(),
                }
            }
        }
        None
    }

    /// Steals the oldest fresh green thread: also by the holder itself, every
    /// [`OLDEST_INTERVAL`] turns. On a machine's own thread pointer only.
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

    /// Whether the next slot is filled and so old that thieves may take it.
    pub(crate) fn has_old_next(&self, now_ns: u64) -> bool {
        // ORDERING: Relaxed; a hint for the monitor.
        let since_ns = self.shared.next_since_ns.load(Ordering::Relaxed);
        self.has_next() && now_ns >= since_ns.saturating_add(NEXT_SLOT_AGE_NS)
    }

    /// How many green threads wait in the queues, the next slot not counted.
    pub(crate) fn queued(&self) -> usize {
        self.ready.len() + self.fresh.len()
    }

    /// Whether the next slot is filled.
    pub(crate) fn has_next(&self) -> bool {
        // ORDERING: Relaxed; a hint; the idle protocol fences before it asks.
        !self.shared.next.load(Ordering::Relaxed).is_null()
    }
}
