//! The pool of one stack size: what is free, what is promised, and how the two stay in step.
//!
//! The protocol and its proof are in `src/stack/README.md`. In short: every mapped slot is one
//! *unit*. A unit is unsold, or lies in a cache, or is a ticket, or is a bound stack. Whoever
//! gives a slot back gives its unit back in the same step. So there are always at least as many
//! free slots in the pool as there are tickets (Inv. Backed), and `take` cannot fail.
//!
//! Free slots lie in *magazines* (Bonwick and Adams, "Magazines and Vmem", USENIX 2001): lists
//! that are linked outside of the lock and change hands as a whole, so that the lock is held for a
//! few loads and stores. Magazines are piled by warmth, the warmest on top.
//!
//! This file knows no memory and no system call; `model` checks it with loom.

use super::slot::{Slot, SlotId};
use crate::primitive::atomic::mutant;
use crate::primitive::lock::{Lock, Rank};
use std::io;

/// How many slots, or units, change hands at a time.
pub(super) const BATCH: usize = if cfg!(loom) { 1 } else { 32 };

/// Slots of one slab that follow each other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) first: SlotId,
    pub(super) len: usize,
}

/// Where slots come from.
pub(super) trait Source {
    /// What a grower has to remember; under the lock of growth.
    type Growth;

    /// The record of a slot.
    fn slot(&self, id: SlotId) -> &Slot;

    /// Makes at least one more slot, guarded and never used.
    fn grow(&self, growth: &mut Self::Growth) -> io::Result<Run>;
}

/// How much memory the slots of a pile hold, from most to least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Warmth {
    /// Given back since the last visit of the scavenger.
    Warm,
    /// Not wanted between its last two visits.
    Cool,
    /// Trimmed: only the page of the block is left.
    Cold,
    /// Trimmed to nothing, the block discarded.
    Bare,
}

/// Magazines upon each other.
#[derive(Debug)]
struct Pile {
    top: SlotId,
    slots: usize,
}

impl Pile {
    const EMPTY: Self = Self { top: SlotId::NONE, slots: 0 };
}

/// What the lock of a pool protects.
#[derive(Debug)]
struct Shelf {
    /// Slots made so far.
    mapped: usize,
    /// Units that are nobody's: so many more tickets can be sold.
    unsold: usize,
    /// By [`Warmth`]; linked magazines.
    piles: [Pile; 4],
    /// Slots never used; here a magazine is a run of neighbours, which needs no links.
    fresh: Pile,
    /// Slots trimmed so far.
    trimmed: u64,
}

/// The free slots of one stack size and the units to buy them with.
pub(super) struct Pool<S: Source> {
    source: S,
    /// Taken before `shelf`, so that takers do not wait while slots are made.
    growth: Lock<S::Growth>,
    shelf: Lock<Shelf>,
}

impl<S: Source> std::fmt::Debug for Pool<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

/// What a pool has; see the fields of [`Shelf`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stock {
    pub(super) mapped: usize,
    pub(super) unsold: usize,
    pub(super) free: usize,
    pub(super) trimmed: u64,
}

/// The rank of the lock of growth; the pool's own is 40.
const RANK_GROWTH: Rank = Rank(39);
/// The rank of the pool's lock.
const RANK_POOL: Rank = Rank(40);

impl Shelf {
    const EMPTY: Self =
        Self { mapped: 0, unsold: 0, piles: [Pile::EMPTY; 4], fresh: Pile::EMPTY, trimmed: 0 };
}

impl<S: Source> Pool<S> {
    /// An empty pool.
    #[cfg(not(loom))]
    pub(super) const fn new(source: S, growth: S::Growth) -> Self {
        Self {
            source,
            growth: Lock::new(RANK_GROWTH, growth),
            shelf: Lock::new(RANK_POOL, Shelf::EMPTY),
        }
    }

    /// An empty pool; loom's locks have no constant form.
    #[cfg(loom)]
    pub(super) fn new(source: S, growth: S::Growth) -> Self {
        Self {
            source,
            growth: Lock::new(RANK_GROWTH, growth),
            shelf: Lock::new(RANK_POOL, Shelf::EMPTY),
        }
    }

    /// Where the slots come from.
    pub(super) fn source(&self) -> &S {
        &self.source
    }

    /// What the pool has.
    pub(super) fn stock(&self) -> Stock {
        let shelf = self.shelf.lock();
        let free = shelf.piles.iter().map(|pile| pile.slots).sum::<usize>() + shelf.fresh.slots;
        Stock { mapped: shelf.mapped, unsold: shelf.unsold, free, trimmed: shelf.trimmed }
    }

    /// Sells between 1 and `wanted` units, making slots if none is unsold.
    pub(super) fn buy(&self, wanted: usize) -> io::Result<usize> {
        loop {
            if let Some(units) = self.buy_unsold(wanted) {
                return Ok(units);
            }
            let mut growth = self.growth.lock();
            // Whoever held the lock of growth before may have left enough for all.
            if let Some(units) = self.buy_unsold(wanted) {
                return Ok(units);
            }
            let run = self.source.grow(&mut growth)?;
            self.stock_run(run);
        }
    }

    fn buy_unsold(&self, wanted: usize) -> Option<usize> {
        let mut shelf = self.shelf.lock();
        let units = wanted.min(shelf.unsold);
        shelf.unsold -= units;
        (units > 0).then_some(units)
    }

    /// Takes units back whose slots are in the pool.
    pub(super) fn refund(&self, units: usize) {
        self.shelf.lock().unsold += units;
    }

    /// Adds slots just made, and their units.
    fn stock_run(&self, run: Run) {
        if mutant!("pool.grow.units_first") {
            self.shelf.lock().unsold += run.len;
        }
        let mut shelf = self.shelf.lock();
        let top = shelf.fresh.top;
        let extends = top != SlotId::NONE && top.slab() == run.first.slab() && {
            let head = self.source.slot(top);
            top.index() + head.len() == run.first.index()
        };
        if extends {
            let head = self.source.slot(top);
            head.set_head(head.below(), head.len() + run.len);
        } else {
            self.source.slot(run.first).set_head(top, run.len);
            shelf.fresh.top = run.first;
        }
        shelf.fresh.slots += run.len;
        shelf.mapped += run.len;
        if !mutant!("pool.grow.units_first") {
            shelf.unsold += run.len;
        }
    }

    /// Gives slots back, the last of them the warmest, together with `units`.
    pub(super) fn put(&self, slots: &[SlotId], units: usize, warmth: Warmth) {
        let Some(&head) = slots.last() else {
            return self.refund(units);
        };
        for pair in slots.windows(2) {
            self.source.slot(pair[1]).set_next(pair[0]);
        }
        if mutant!("pool.put.units_first") {
            self.shelf.lock().unsold += units;
        }
        let mut shelf = self.shelf.lock();
        let pile = &mut shelf.piles[warmth as usize];
        self.source.slot(head).set_head(pile.top, slots.len());
        pile.top = head;
        pile.slots += slots.len();
        if !mutant!("pool.put.units_first") {
            shelf.unsold += units;
        }
    }

    /// Takes at least one slot for a ticket, and up to `out.len()` that the caller has units for.
    /// The last of them is the warmest. 0 only if the caller has no ticket.
    pub(super) fn fetch(&self, out: &mut [SlotId]) -> usize {
        let mut shelf = self.shelf.lock();
        let Shelf { piles, fresh, .. } = &mut *shelf;
        if let Some(pile) = piles.iter_mut().find(|pile| pile.slots > 0) {
            let (head, taken) = self.split(pile, out.len());
            drop(shelf);
            self.unlink(head, &mut out[..taken]);
            return taken;
        }
        if fresh.slots == 0 {
            return 0;
        }
        let head = fresh.top;
        let (record, below) = (self.source.slot(head), self.source.slot(head).below());
        let taken = record.len().min(out.len());
        fresh.slots -= taken;
        fresh.top = below;
        if taken < record.len() {
            fresh.top = head.plus(taken);
            self.source.slot(fresh.top).set_head(below, record.len() - taken);
        }
        for (place, slot) in out[..taken].iter_mut().rev().enumerate() {
            *slot = head.plus(place);
        }
        taken
    }

    /// Takes up to `out.len()` slots of one pile together with as many unsold units, so that no
    /// ticket loses its slot. Returns how many.
    pub(super) fn withdraw(&self, warmth: Warmth, out: &mut [SlotId]) -> usize {
        let mut shelf = self.shelf.lock();
        let limit =
            if mutant!("pool.withdraw.unbacked") { out.len() } else { out.len().min(shelf.unsold) };
        let pile = &mut shelf.piles[warmth as usize];
        if limit == 0 || pile.slots == 0 {
            return 0;
        }
        let (head, taken) = self.split(pile, limit);
        shelf.unsold = shelf.unsold.saturating_sub(taken);
        drop(shelf);
        self.unlink(head, &mut out[..taken]);
        taken
    }

    /// Lets what is warm cool down, once everything cool is gone.
    pub(super) fn cool_down(&self) {
        let mut shelf = self.shelf.lock();
        if shelf.piles[Warmth::Cool as usize].slots == 0 {
            shelf.piles.swap(Warmth::Warm as usize, Warmth::Cool as usize);
        }
    }

    /// How many slots some piles have.
    pub(super) fn count(&self, piles: &[Warmth]) -> usize {
        let shelf = self.shelf.lock();
        piles.iter().map(|&warmth| shelf.piles[warmth as usize].slots).sum()
    }

    /// Notes that slots were trimmed.
    pub(super) fn count_trimmed(&self, slots: usize) {
        self.shelf.lock().trimmed += slots as u64;
    }

    /// Takes the first slots, at most `limit`, of the magazine on top of a pile that has one.
    fn split(&self, pile: &mut Pile, limit: usize) -> (SlotId, usize) {
        let head = pile.top;
        let (len, below) = (self.source.slot(head).len(), self.source.slot(head).below());
        let taken = len.min(limit);
        pile.slots -= taken;
        pile.top = below;
        if taken < len {
            let rest = (0..taken).fold(head, |slot, _| self.source.slot(slot).next());
            self.source.slot(rest).set_head(below, len - taken);
            pile.top = rest;
        }
        (head, taken)
    }

    /// Reads the names of a magazine that is out of the pool; its head, the warmest, comes last.
    fn unlink(&self, head: SlotId, out: &mut [SlotId]) {
        let mut slot = head;
        for place in out.iter_mut().rev() {
            *place = slot;
            slot = self.source.slot(slot).next();
        }
    }
}
