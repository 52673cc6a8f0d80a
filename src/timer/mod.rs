//! Timers: what is due, exactly.
//!
//! A [`Shelf`] keeps values until their deadlines. Every processor has one and the runtime has a
//! shared one for machines without a processor; any machine may call any of them (a thief expires
//! its victim's, a green thread cancels its timer wherever it has migrated to). A shelf returns
//! what has expired and readies nothing: that is the scheduler's business, so the sink of
//! [`Shelf::expire`] is called with no lock held. Who sleeps until a
//! deadline, and is woken for an earlier one, is the business of `sched::timekeeper`.
//!
//! Deadlines are nanoseconds of the monotonic clock, kept as they are: no ticks, no rounding.
//!
//! **Invariants**
//! - *Hint*: whenever the lock is free, `next` is the earliest deadline in the heap.
//! - *Once*: a timer leaves once: under the lock, by `cancel` or by `expire`, and then its handle
//!   names nothing for ever (`collections::slab`, Inv. NoWrap).
//! - *Order*: one call of `expire` hands out rising deadlines, equal ones in the order of `arm`.
//!   Two machines that expire one shelf at a time each take a batch: between those there is none.
//!
//! # Why a heap
//! Six structures were measured behind the same face, without a lock: values of 16 bytes, CPU
//! time of the thread, the least of eight rounds (three for 1,000,000) taken in turn. The machine
//! was shared and busy: differences of a fifth say little.
//!
//! | ns per operation | this heap | without prefetch, branching | 8-ary | pairing heap | list wheel | chunk wheel |
//! |---|---|---|---|---|---|---|
//! | cancel and arm 30 s ahead, 100,000 live | 65 | 54 | 52 | 103 | 170 | 60 |
//! | expire one and arm at random, 32,000 | 73 | 87 | 101 | 232 | 96 | 55 |
//! | the same, 100,000 | 96 | 171 | 182 | 386 | 276 | 76 |
//! | the same, 1,000,000 | 421 | 837 | 819 | 2364 | 1040 | 300 |
//! | expire all of 100,000 | 85 | 121 | 105 | 231 | 197 | 52 |
//! | expire all of 1,000,000 | 379 | 500 | 415 | 1338 | 738 | 193 |
//! | longest single call, 100,000 live | ≤ 55 us | – | – | 420 us | 1.8 ms | 660 us |
//!
//! - *Pairing heap*: arms fastest, but each expiry chases pointers.
//! - *List wheel*: six bits to a level, intrusive lists, the slot that is current in a heap: each
//!   cascade touches each node, and the nodes are cold.
//! - *Chunk wheel*: the same with 16-byte entries in chunks of 31 instead of lists. It expires
//!   faster by a fifth to a half, and was rejected for its tail and its size: opening a slot moves
//!   all it holds under the lock (0.66 ms at 100,000, 6 ms at 1,000,000, while others wait to arm
//!   or cancel), and it is three times the code, a heap of this kind included.
//! - *8-ary*: two cache lines to a node; no gain that lasts.
//! - Go's lazy deletion leaves garbage behind for `cancel` to be cheap: here it is as cheap
//!   without, because a timeout that is later than most is armed and deleted near a leaf.
//!
//! What the heap owes its place to, in [`heap`]: four children in one cache line, entries that
//! carry their deadline, a dense array for the way back, no branch in the choice of a child, and
//! a prefetch of all grandchildren.
//!
//! The shelf with its lock, on the wall clock (`timer::bench`, the better of two runs):
//!
//! | ns per operation, live timers | 1,000 | 32,000 | 100,000 | 1,000,000 |
//! |---|---|---|---|---|
//! | arm and cancel a timeout later than half of all | 13 | 13 | 13 | 13 |
//! | cancel a random one and arm it 30 s ahead | 24 | 38 | 49 | 343 |
//! | expire one and arm it at random | 59 | 86 | 104 | 438 |
//! | arm at random, from an empty shelf | 13 | 38 | 55 | 36 |
//! | expire all, all due at once | 32 | 64 | 84 | 292 |
//! | expire all, those of each 100 us at a time | 46 | 72 | 89 | 306 |
//!
//! Memory: 44 bytes a timer (16 of heap, 4 of way back, 24 of slab), up to twice that after a
//! doubling. It is reused at once and never given back while the shelf lives. A doubling moves
//! what there is under the lock.

#[cfg(all(test, not(loom)))]
mod bench;
mod heap;
#[cfg(all(test, loom))]
mod model;
#[cfg(all(test, not(any(loom, gthread_lean))))]
mod properties;
#[cfg(all(test, not(loom)))]
mod tests;

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
    next: Hint,
}

/// On a cache line of its own: thieves and sleepers read it, and an `arm` or `cancel` that does
/// not change it does not take it from them.
#[derive(Debug)]
#[repr(align(128))]
struct Hint(AtomicU64);

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
    /// `Timekeeper::must_wake`.
    pub(crate) earliest: bool,
}

impl<T: Copy> Shelf<T> {
    /// An empty shelf; allocates nothing.
    pub(crate) fn new() -> Self {
        Self { heap: Lock::new(RANK, Heap::new()), next: Hint(AtomicU64::new(u64::MAX)) }
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
    /// `sched::timekeeper`.
    #[inline(always)]
    pub(crate) fn next_deadline_ns(&self) -> u64 {
        // ORDERING: Relaxed; pairs with the store in `publish`. Who sleeps on it fences
        // (`Timekeeper::cover`), who expires on it takes the lock.
        self.next.0.load(Ordering::Relaxed)
    }

    /// How many timers are armed; takes the lock.
    pub(crate) fn len(&self) -> usize {
        self.heap.lock().len()
    }

    /// How many bytes the timers hold on to; takes the lock. Only [`Shelf::new`] gives them back.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.heap.lock().bytes()
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
        let first = heap.first_deadline_ns();
        // ORDERING: Relaxed; exact, because all stores are made under the lock the caller holds.
        if self.next.0.load(Ordering::Relaxed) != first {
            // ORDERING: Relaxed; pairs with the load in `next_deadline_ns`; the fence in
            // `Timekeeper::must_wake` orders it before that armer's question.
            self.next.0.store(first, Ordering::Relaxed);
        }
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
