//! A processor's own slots and units: spawn and exit without an atomic read-modify-write.
//!
//! A cache keeps `units >= slots` (Inv. Covered): whatever it holds back from others, it has paid
//! for. See `src/stack/README.md`.

use super::pool::{BATCH, Pool, Source, Warmth};
use super::slot::SlotId;
use crate::primitive::atomic::{AtomicUsize, Ordering, mutant};
use std::io;
use std::sync::Arc;

/// The most slots a cache holds.
pub(super) const SLOTS_MAX: usize = 2 * BATCH;
/// The most units it holds.
const UNITS_MAX: usize = 2 * SLOTS_MAX;

/// How much a cache holds. Its owner writes, by plain loads and stores; `stats` reads.
#[derive(Debug)]
pub(super) struct Tally {
    units: AtomicUsize,
    slots: AtomicUsize,
}

impl Tally {
    fn new() -> Self {
        Self { units: AtomicUsize::new(0), slots: AtomicUsize::new(0) }
    }

    /// Units and slots, as of two nearby moments.
    pub(super) fn read(&self) -> (usize, usize) {
        // ORDERING: Relaxed, both; the owner's own words, elsewhere a statistic.
        (self.units.load(Ordering::Relaxed), self.slots.load(Ordering::Relaxed))
    }

    #[inline(always)]
    fn set(&self, units: usize, slots: usize) {
        // ORDERING: Relaxed, both; the owner's own words, elsewhere a statistic.
        self.units.store(units, Ordering::Relaxed);
        // ORDERING: Relaxed; as above.
        self.slots.store(slots, Ordering::Relaxed);
    }
}

/// Slots and units of one owner, who may move from thread to thread.
#[derive(Debug)]
pub(super) struct Cache<'p, S: Source> {
    pool: &'p Pool<S>,
    tally: Arc<Tally>,
    /// The first `tally.slots` are held, the last of them the warmest.
    held: [SlotId; SLOTS_MAX],
}

impl<'p, S: Source> Cache<'p, S> {
    /// An empty cache: it holds nothing until it is used.
    pub(super) fn new(pool: &'p Pool<S>) -> Self {
        Self { pool, tally: Arc::new(Tally::new()), held: [SlotId::NONE; SLOTS_MAX] }
    }

    /// How much it holds, for `stats`.
    pub(super) fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    /// Turns a unit into a ticket: a promise of one slot.
    #[inline(always)]
    pub(super) fn reserve(&mut self) -> io::Result<()> {
        let (units, slots) = self.tally.read();
        if units > slots || (mutant!("cache.reserve.uncovered") && units > 0) {
            self.tally.set(units - 1, slots);
            return Ok(());
        }
        self.reserve_slow()
    }

    /// Buys units; when there are none to be had, gives a slot back, which frees the unit that
    /// covers it.
    #[cold]
    #[inline(never)]
    fn reserve_slow(&mut self) -> io::Result<()> {
        let (units, slots) = self.tally.read();
        match self.pool.buy(BATCH) {
            Ok(bought) => self.tally.set(units + bought - 1, slots),
            Err(error) if slots == 0 => return Err(error),
            Err(_) => {
                self.pool.put(&self.held[slots - 1..slots], 0, Warmth::Warm);
                self.tally.set(units - 1, slots - 1);
            }
        }
        Ok(())
    }

    /// Turns a ticket into a slot.
    #[inline(always)]
    pub(super) fn take(&mut self) -> SlotId {
        let (units, slots) = self.tally.read();
        if slots == 0 {
            return self.take_slow();
        }
        self.tally.set(units, slots - 1);
        self.held[slots - 1]
    }

    /// Fetches the ticket's slot, and others as far as the units cover them.
    #[cold]
    #[inline(never)]
    fn take_slow(&mut self) -> SlotId {
        let (units, _) = self.tally.read();
        let covered = if mutant!("cache.take.uncovered") { BATCH } else { units.min(BATCH) };
        let fetched = self.pool.fetch(&mut self.held[..=covered]);
        assert_fetched(fetched);
        self.tally.set(units, fetched - 1);
        self.held[fetched - 1]
    }

    /// Takes a slot back, and with it its unit.
    #[inline(always)]
    pub(super) fn give(&mut self, slot: SlotId) {
        let (units, slots) = self.tally.read();
        if slots < SLOTS_MAX && units < UNITS_MAX {
            self.held[slots] = slot;
            self.tally.set(units + 1, slots + 1);
            return;
        }
        self.give_slow(slot);
    }

    /// Makes room by passing on the coldest slots and the units that nothing asks for.
    #[cold]
    #[inline(never)]
    fn give_slow(&mut self, slot: SlotId) {
        let (units, slots) = self.tally.read();
        let passed = if slots == SLOTS_MAX { BATCH } else { 0 };
        let surplus = if units >= UNITS_MAX { 2 * BATCH } else { passed };
        self.pool.put(&self.held[..passed], surplus, Warmth::Warm);
        self.held.copy_within(passed..slots, 0);
        self.held[slots - passed] = slot;
        self.tally.set(units - surplus + 1, slots - passed + 1);
    }

    /// Passes everything on to the pool.
    pub(super) fn flush(&mut self) {
        let (units, slots) = self.tally.read();
        self.tally.set(0, 0);
        self.pool.put(&self.held[..slots], units, Warmth::Warm);
    }
}

impl<S: Source> Drop for Cache<'_, S> {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Checks Inv. Backed at the one place where its breach would show.
pub(super) fn assert_fetched(fetched: usize) {
    // A model that finds a breach fails by a panic, which shows the schedule.
    assert!(fetched > 0 || !cfg!(loom), "a ticket without a slot");
    if fetched == 0 {
        crate::primitive::abort::rt_abort!("stack: a ticket without a slot");
    }
}
