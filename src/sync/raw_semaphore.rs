//! The semaphore: a word and a queue, strictly first come, first served.
//!
//! # State table
//! | bits | means | changes |
//! |---|---|---|
//! | `QUEUED` | the queue is not empty | under the queue's lock |
//! | `PERMIT` and above | how many permits there are | by exchange; while `QUEUED` is set downwards only under the queue's lock, or by [`RawSemaphore::take_up_to`] |
//!
//! # Invariants
//! - **Conserved**: permits in the word plus permits held are what was put in.
//! - **FirstComeFirstServed**: while somebody waits nobody else takes a permit, so a waiter that
//!   wants many is not passed by those who want few.
//! - **Served**: with the queue's lock free, the first waiter wants more than there are, or
//!   somebody is on its way to [`WaitQueue::serve`].
//!
//! Source: Go's and tokio's semaphores, which both queue in order; the queue is that of this
//! directory.

use super::wait_queue::{End, Ended, Serve, Verdict, WaitQueue, constructor};
use crate::green::Reason;
use crate::primitive::atomic::{AtomicUsize, Ordering, mutant, ord};

const QUEUED: usize = 1;
const PERMIT: usize = 2;

/// A count of permits, without guards.
#[derive(Debug)]
pub(super) struct RawSemaphore {
    word: AtomicUsize,
    /// How many each waiter wants.
    queue: WaitQueue<usize>,
}

impl RawSemaphore {
    /// The most permits there can be.
    pub(super) const PERMITS_MAX: usize = usize::MAX / PERMIT;

    constructor! {
        /// A semaphore with so many permits, at most [`RawSemaphore::PERMITS_MAX`].
        pub(super) fn with(permits: usize) -> Self {
            Self { word: AtomicUsize::new(permits * PERMIT), queue: WaitQueue::new(()) }
        }
    }

    /// How many permits there are.
    pub(super) fn permits(&self) -> usize {
        // ORDERING: Relaxed; a snapshot that promises nothing.
        self.word.load(Ordering::Relaxed) / PERMIT
    }

    /// Takes permits if there are so many, and nobody waits.
    #[inline]
    pub(super) fn try_take(&self, wanted: usize) -> bool {
        self.exchange(wanted, QUEUED)
    }

    /// Takes permits, waiting until the deadline at most; whether they were taken.
    ///
    /// # Switches
    #[inline]
    pub(super) fn take_until(
        &self,
        wanted: usize,
        deadline_ns: impl FnOnce() -> Option<u64>,
    ) -> bool {
        self.try_take(wanted) || self.take_slow(wanted, deadline_ns)
    }

    /// Takes as many permits as there are, at most `wanted`; how many.
    pub(super) fn take_up_to(&self, wanted: usize) -> usize {
        // ORDERING: Relaxed; a guess that the exchange checks.
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            let taken = wanted.min(seen / PERMIT);
            let next = seen - taken * PERMIT;
            // ORDERING: Acquire; as in `exchange`. Relaxed on failure: it is looked at again.
            match self.word.compare_exchange_weak(seen, next, Ordering::Acquire, Ordering::Relaxed)
            {
                Ok(_) => return taken,
                Err(now) => seen = now,
            }
        }
    }

    /// Puts permits in; `false`: that would be more than there can be, and none was put in.
    #[inline]
    pub(super) fn put(&self, permits: usize) -> bool {
        // ORDERING: Relaxed; a guess that the exchange checks.
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            let Some(next) = permits.checked_mul(PERMIT).and_then(|more| seen.checked_add(more))
            else {
                return false;
            };
            let release = ord!("semaphore.put", Release);
            // ORDERING: `release` pairs with the Acquire in `exchange`; publishes what the permits
            // were held for. Relaxed on failure: the value is looked at again.
            match self.word.compare_exchange_weak(seen, next, release, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => seen = now,
            }
        }
        if seen & QUEUED != 0 && !mutant!("semaphore.serve") {
            self.queue.serve(self);
        }
        true
    }

    /// Takes permits if there are so many and the word has none of the bits `barred`.
    #[inline]
    fn exchange(&self, wanted: usize, barred: usize) -> bool {
        // ORDERING: Relaxed; a guess that the exchange checks.
        let mut seen = self.word.load(Ordering::Relaxed);
        while seen & barred == 0 && seen / PERMIT >= wanted {
            let acquire = ord!("semaphore.take", Acquire);
            let next = seen - wanted * PERMIT;
            // ORDERING: `acquire` pairs with the Release in `put`; publishes what the permits were
            // held for. Relaxed on failure: the value is looked at again.
            match self.word.compare_exchange_weak(seen, next, acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    #[cold]
    fn take_slow(&self, wanted: usize, deadline_ns: impl FnOnce() -> Option<u64>) -> bool {
        let ended = self.queue.wait_in_line(
            Reason::Semaphore,
            deadline_ns(),
            |list| self.admit(wanted, list.is_empty()).then_some((End::Back, wanted)),
            self,
        );
        ended != Ended::GaveUp(())
    }

    /// Under the queue's lock: whether there is something to wait for, which whoever puts permits
    /// in then sees. `false`: they have been taken.
    fn admit(&self, wanted: usize, is_first: bool) -> bool {
        // ORDERING: Relaxed; a guess that the exchange checks.
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            let is_taken = is_first && seen / PERMIT >= wanted;
            let next = if is_taken { seen - wanted * PERMIT } else { seen | QUEUED };
            let acquire = ord!("semaphore.admit", Acquire);
            // ORDERING: `acquire` as in `exchange`, if they were taken; a waiter needs none.
            // Relaxed on failure: the value is looked at again.
            match self.word.compare_exchange_weak(seen, next, acquire, Ordering::Relaxed) {
                Ok(_) => return !is_taken,
                Err(now) => seen = now,
            }
        }
    }
}

impl Serve<usize> for RawSemaphore {
    /// Permits, in the name of the waiter, if there are as many as it wants.
    fn serve_first(&self, wanted: usize) -> Option<Verdict> {
        self.exchange(wanted, 0).then_some(Verdict::Granted)
    }

    fn note_empty(&self) {
        // ORDERING: Relaxed; says nothing but that the queue is empty, under its lock.
        self.word.fetch_and(!QUEUED, Ordering::Relaxed);
    }
}
