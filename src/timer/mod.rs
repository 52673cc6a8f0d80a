//! Timers: what is due, exactly.
//!
//! A [`Shelf`] keeps values until their deadlines. Every processor has one and the runtime has a
//! shared one for machines without a processor; any machine may call any of them (a thief expires
//! its victim's, a green thread cancels its timer wherever it has migrated to). A shelf returns
//! what has expired and readies nothing: that is the scheduler's business, so the sink of
//! [`Shelf::expire`] is called with no lock held.

mod alarm;
mod heap;
#[cfg(all(test, loom))]
mod model;
#[cfg(all(test, not(loom)))]
mod tests;

pub(crate) use alarm::Alarm;

use crate::collections::slab::Key;
use crate::primitive::atomic::{AtomicU64, Ordering, mutant};
use crate::primitive::lock::{Lock, Rank};
use heap::Heap;
use std::mem::MaybeUninit;

/// The lock rank of a shelf (ARCHITECTURE.md, "Lock ranks").
const RANK: Rank = Rank(30);

/// How many timers leave a shelf under one hold of its lock.
const BATCH: usize = 32;

/// Values of type `T`, each kept until its deadline.
///
/// | field | who, when |
/// |---|---|
/// | `heap` | whoever holds its lock |
/// | `next` | written only under the lock of `heap`; read by anybody at any time |
#[derive(Debug)]
pub(crate) struct Shelf<T> {
    heap: Lock<Heap<T>>,
    /// The earliest deadline in `heap`, `u64::MAX` if there is none (Inv. Hint).
    next: AtomicU64,
}

/// Names one armed timer; a stale one is harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Handle(Key);

/// What [`Shelf::arm`] did.
#[derive(Clone, Copy, Debug)]
#[must_use = "an earliest timer may have to wake a sleeper"]
pub(crate) struct Armed {
    /// Cancels this timer.
    pub(crate) handle: Handle,
    /// Whether the timer is earlier than all others of its shelf were: then the caller asks
    /// [`Alarm::must_wake`].
    pub(crate) earliest: bool,
}

impl<T: Copy> Shelf<T> {
    /// An empty shelf; allocates nothing.
    pub(crate) fn new() -> Self {
        Self { heap: Lock::new(RANK, Heap::new()), next: AtomicU64::new(u64::MAX) }
    }

    /// Keeps `value` until `deadline_ns`: O(log n) at worst, O(1) for one later than most.
    ///
    /// A deadline in the past expires at the next [`expire`](Self::expire); `u64::MAX` never.
    #[inline]
    pub(crate) fn arm(&self, deadline_ns: u64, value: T) -> Armed {
        let mut heap = self.heap.lock();
        let earliest = deadline_ns < heap.first_deadline_ns();
        let handle = Handle(heap.insert(deadline_ns, value));
        if earliest && !mutant!("timer.shelf.publish_arm") {
            self.publish(&heap);
        }
        Armed { handle, earliest }
    }

    /// Deletes a timer; `true` iff it had neither expired nor been cancelled before.
    ///
    /// Its memory is free for the next [`arm`](Self::arm) at once.
    #[inline]
    pub(crate) fn cancel(&self, handle: Handle) -> bool {
        let mut heap = self.heap.lock();
        let removed = heap.remove(handle.0).is_some();
        if removed && !mutant!("timer.shelf.publish_cancel") {
            self.publish(&heap);
        }
        removed
    }

    /// Hands every value whose deadline is `now_ns` or earlier to `sink`, in order; how many.
    ///
    /// Equal deadlines leave in the order they were armed. No lock is held while `sink` runs; a
    /// value on its way to `sink` has expired, so `cancel` of its handle is `false`.
    #[inline]
    pub(crate) fn expire(&self, now_ns: u64, sink: impl FnMut(T)) -> usize {
        self.expire_at_most(usize::MAX, now_ns, sink)
    }

    /// As [`expire`](Self::expire), for at most `limit` values: a bounded turn.
    ///
    /// What is left over is told by [`next_deadline_ns`](Self::next_deadline_ns).
    #[inline]
    pub(crate) fn expire_at_most(
        &self,
        limit: usize,
        now_ns: u64,
        mut sink: impl FnMut(T),
    ) -> usize {
        let mut expired = 0;
        while expired < limit && self.next_deadline_ns() <= now_ns {
            let mut batch = Batch::new();
            let more = self.take_due(&mut batch, now_ns, limit - expired);
            expired += batch.len;
            batch.drain(&mut sink);
            if !more {
                break;
            }
        }
        expired
    }

    /// The earliest deadline, `u64::MAX` if there is none.
    ///
    /// A hint: it was exact when the shelf's lock was last given back. To sleep on it, see
    /// [`Alarm`].
    #[inline(always)]
    pub(crate) fn next_deadline_ns(&self) -> u64 {
        // ORDERING: Relaxed; pairs with the store in `publish`. Who sleeps on it fences
        // (`Alarm::commit`), who expires on it takes the lock.
        self.next.load(Ordering::Relaxed)
    }

    /// How many timers are armed; takes the lock.
    pub(crate) fn len(&self) -> usize {
        self.heap.lock().len()
    }

    /// Moves what is due into `batch`; whether there may be more.
    fn take_due(&self, batch: &mut Batch<T>, now_ns: u64, limit: usize) -> bool {
        // `u64::MAX` means "never", also to a clock that stands there.
        let now_ns = now_ns.min(u64::MAX - 1);
        let room = limit.min(BATCH);
        let mut heap = self.heap.lock();
        while batch.len < room {
            let Some(value) = heap.pop_due(now_ns) else { break };
            batch.push(value);
        }
        if !mutant!("timer.shelf.publish_expire") {
            self.publish(&heap);
        }
        batch.len == room
    }

    /// Restores Inv. Hint; the caller holds the lock of `heap`.
    #[inline(always)]
    fn publish(&self, heap: &Heap<T>) {
        // ORDERING: Relaxed; pairs with the load in `next_deadline_ns`. All stores are ordered
        // by the lock; the fence in `Alarm::must_wake` orders this one before its question.
        self.next.store(heap.first_deadline_ns(), Ordering::Relaxed);
    }
}

/// What left the heap under one hold of the lock.
struct Batch<T> {
    values: [MaybeUninit<T>; BATCH],
    /// `values[..len]` are initialised.
    len: usize,
}

impl<T: Copy> Batch<T> {
    #[inline(always)]
    fn new() -> Self {
        Self { values: [MaybeUninit::uninit(); BATCH], len: 0 }
    }

    #[inline(always)]
    fn push(&mut self, value: T) {
        self.values[self.len].write(value);
        self.len += 1;
    }

    #[inline(always)]
    fn drain(self, sink: &mut impl FnMut(T)) {
        for value in &self.values[..self.len] {
            // SAFETY: `values[..len]` are initialised: `push` alone raises `len`, after a write.
            sink(unsafe { value.assume_init() });
        }
    }
}
