//! The word the monitor sleeps on, and who wakes it.
//!
//! The monitor may sleep without a deadline while every processor is idle; whoever takes one up
//! *pokes* it. Whoever has *news* for it (an order for a machine, the end of the runtime) wakes it
//! from whatever sleep. The monitor alone sleeps.
//!
//! # Protocol
//! Monitor, each round: (v1) store `AWAKE`, fence; (v2) look at everything; (v3) sleep with a
//! deadline while the word is `AWAKE`, or deeply: (v4) `AWAKE -> DEEP`, fence; (v5) look whether
//! all is quiet, and sleep while the word is `DEEP`.
//! News: (n1) leave it where v2 looks; (n2) fence; (n3) store `NEWS` and wake.
//! Poke: (k1) take the processor up; (k2) fence; (k3) load the word, and do n2 and n3 if it is
//! `DEEP`.
//!
//! # State table
//! | value | means | leaves it |
//! |---|---|---|
//! | `AWAKE` | awake, or asleep with a deadline | monitor -> `DEEP`; a wake -> `NEWS` |
//! | `DEEP` | sleeps without a deadline | a wake -> `NEWS`; monitor -> `AWAKE` |
//! | `NEWS` | there is news: must not sleep | monitor -> `AWAKE`, before it looks |
//!
//! # Invariants
//! - **NewsIsSeen**: news is seen by the next look, or keeps the monitor from sleeping before it
//!   looks again. If n3 comes after v1 in the order of the word, v3 and v4 find `NEWS`. If it comes
//!   before, n2 comes before the fence of v1, and v2 sees n1.
//! - **NobodyRunsUnseen**: while a processor is in use the monitor does not sleep deeply: k2 and
//!   the fence of v4 are ordered, so k3 sees `DEEP`, or v5 sees k1.

use crate::primitive::atomic::{AtomicU32, Ordering, mutant};
use crate::primitive::{fence, futex};

const AWAKE: u32 = 0;
const DEEP: u32 = 1;
const NEWS: u32 = 2;

/// The word; see the module.
#[derive(Debug)]
pub(crate) struct Watch(AtomicU32);

impl Watch {
    /// Awake.
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(AWAKE))
    }

    /// A machine has got a processor: the monitor must not sleep deeply (k2, k3).
    #[inline]
    pub(crate) fn poke(&self) {
        if !mutant!("watch.poke.fence") {
            fence::full();
        }
        // ORDERING: Relaxed; the fence above pairs with the one in `deep_sleep`.
        if self.0.load(Ordering::Relaxed) == DEEP {
            self.wake();
        }
    }

    /// Wakes the monitor from whatever sleep: there is news (n2, n3).
    #[cold]
    pub(crate) fn wake(&self) {
        if !mutant!("watch.wake.fence") {
            fence::full();
        }
        // ORDERING: Relaxed; the fence above orders it after the caller's news, and pairs with the
        // one in `take_news`. A swap, because loom leaves the order of plain stores to one word
        // open; it costs nothing beside the system call.
        self.0.swap(NEWS, Ordering::Relaxed);
        futex::wake(&self.0, 1);
    }

    /// Monitor, before a look at everything (v1).
    pub(super) fn take_news(&self) {
        // ORDERING: Relaxed; the fence below orders it before the look, and pairs with the one in
        // `wake`.
        self.0.store(AWAKE, Ordering::Relaxed);
        if !mutant!("watch.news.fence") {
            fence::full();
        }
    }

    /// Monitor: sleeps until there is news or the deadline comes (v3).
    pub(super) fn sleep(&self, deadline_ns: Option<u64>) {
        futex::wait(&self.0, AWAKE, deadline_ns);
    }

    /// Monitor: sleeps until a poke, news or the deadline, unless `is_quiet` no longer holds (v4,
    /// v5).
    pub(super) fn deep_sleep(&self, is_quiet: impl Fn() -> bool, deadline_ns: Option<u64>) {
        // ORDERING: Relaxed; the fence below orders it before the second look, and pairs with the
        // one in `poke`.
        let deep = self.0.compare_exchange(AWAKE, DEEP, Ordering::Relaxed, Ordering::Relaxed);
        if !mutant!("watch.deep.fence") {
            fence::full();
        }
        if deep.is_ok() && is_quiet() {
            futex::wait(&self.0, DEEP, deadline_ns);
        }
    }
}
