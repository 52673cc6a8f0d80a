//! Loom models of the pool, the caches and the table.
//!
//! Run by `RUSTFLAGS="--cfg loom" cargo test --release --lib stack::`. Under loom a batch is one
//! slot, a cache holds two. Each model names the mutants (`GTHREAD_MUTANT`) it has to kill:
//!
// MUTANT: cache.reserve.uncovered KILLED-BY stack::model::a_ticket_is_redeemed_wherever_it_goes
// MUTANT: cache.take.uncovered KILLED-BY stack::model::a_cache_takes_no_more_than_it_has_paid_for
// MUTANT: pool.grow.units_first KILLED-BY stack::model::a_ticket_is_redeemed_wherever_it_goes
// MUTANT: pool.put.units_first KILLED-BY stack::model::a_ticket_is_redeemed_wherever_it_goes
// MUTANT: pool.withdraw.unbacked KILLED-BY stack::model::the_scavenger_takes_no_promised_slot
// MUTANT: slot.owner.load KILLED-BY stack::model::whoever_sees_an_owner_sees_what_it_holds
// MUTANT: slot.owner.store KILLED-BY stack::model::whoever_sees_an_owner_sees_what_it_holds
// MUTANT: table.end.load KILLED-BY stack::model::a_slab_is_found_whole_or_not_at_all
// MUTANT: table.end.store KILLED-BY stack::model::a_slab_is_found_whole_or_not_at_all

use super::cache::Cache;
use super::pool::{Pool, Run, Source, Warmth};
use super::slot::{Slot, SlotId, nobody};
use super::table::{GUARD_BYTES, Slab, Table};
use crate::primitive::atomic::{AtomicUsize, Ordering};
use std::io;
use std::sync::Arc;

/// Slots without memory: `slots.len()` of them, made one at a time.
struct Shop {
    slots: Vec<Slot>,
}

impl Source for Shop {
    type Growth = usize;

    fn slot(&self, id: SlotId) -> &Slot {
        &self.slots[id.index()]
    }

    fn grow(&self, made: &mut usize) -> io::Result<Run> {
        if *made == self.slots.len() {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        *made += 1;
        Ok(Run { first: SlotId::new(0, *made - 1), len: 1 })
    }
}

fn pool(slots: usize) -> Arc<Pool<Shop>> {
    let slots = (0..slots).map(|_| Slot::new()).collect();
    Arc::new(Pool::new(Shop { slots }, 0))
}

/// A pool whose slots have all been made and lie in one magazine, with their units unsold.
fn stocked_pool(slots: usize) -> Arc<Pool<Shop>> {
    let pool = pool(slots);
    let ids: Vec<_> = (0..slots)
        .map(|_| {
            assert_eq!(pool.buy(1).expect("there is one left"), 1);
            fetch(&pool)
        })
        .collect();
    pool.put(&ids, slots, Warmth::Warm);
    pool
}

/// What a thread without a processor does with a ticket.
fn fetch(pool: &Pool<Shop>) -> SlotId {
    let mut slot = [SlotId::NONE];
    assert_eq!(pool.fetch(&mut slot), 1, "a ticket gets its slot");
    slot[0]
}

/// Uses a slot as its only holder.
fn live_on(pool: &Pool<Shop>, id: SlotId) {
    let slot = pool.source().slot(id);
    assert!(slot.owner().is_null(), "a slot has one holder");
    slot.set_owner(nobody());
    loom::thread::yield_now();
    slot.set_owner(std::ptr::null());
}

/// At the end everything is in the pool, and unsold.
fn assert_whole(pool: &Pool<Shop>) {
    let stock = pool.stock();
    assert_eq!(stock.free, stock.mapped, "every slot is back");
    assert_eq!(stock.unsold, stock.mapped, "every unit is back");
}

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(builder.preemption_bound.unwrap_or(3));
    builder.check(model);
}

/// Kills `cache.reserve.uncovered`, `pool.grow.units_first` and `pool.put.units_first`.
#[test]
fn a_ticket_is_redeemed_wherever_it_goes() {
    check(|| {
        let pool = pool(2);
        assert_eq!(pool.buy(1).expect("the first slot can be made"), 1);
        let first = {
            let pool = Arc::clone(&pool);
            loom::thread::spawn(move || {
                let mut cache = Cache::new(&pool);
                let slot = cache.take();
                live_on(&pool, slot);
                cache.give(slot);
                // A ticket that is bought here and redeemed elsewhere.
                if cache.reserve().is_ok() {
                    let slot = fetch(&pool);
                    live_on(&pool, slot);
                    pool.put(&[slot], 1, Warmth::Warm);
                }
            })
        };
        let mut cache = Cache::new(&pool);
        if cache.reserve().is_ok() {
            let slot = cache.take();
            live_on(&pool, slot);
            cache.give(slot);
        }
        drop(cache);
        first.join().expect("the model holds");
        assert_whole(&pool);
    });
}

/// Kills `cache.take.uncovered`.
#[test]
fn a_cache_takes_no_more_than_it_has_paid_for() {
    check(|| {
        let pool = stocked_pool(2);
        assert_eq!(pool.buy(2).expect("two are unsold"), 2);
        let other = {
            let pool = Arc::clone(&pool);
            loom::thread::spawn(move || {
                let mut cache = Cache::new(&pool);
                let slot = cache.take();
                live_on(&pool, slot);
                cache.give(slot);
            })
        };
        let slot = fetch(&pool);
        live_on(&pool, slot);
        pool.put(&[slot], 1, Warmth::Warm);
        other.join().expect("the model holds");
        assert_whole(&pool);
    });
}

/// Kills `pool.withdraw.unbacked`.
#[test]
fn the_scavenger_takes_no_promised_slot() {
    check(|| {
        let pool = stocked_pool(2);
        pool.cool_down();
        let scavenger = {
            let pool = Arc::clone(&pool);
            loom::thread::spawn(move || {
                let mut slots = [SlotId::NONE; 2];
                let taken = pool.withdraw(Warmth::Cool, &mut slots);
                slots[..taken].iter().for_each(|&slot| live_on(&pool, slot));
                pool.put(&slots[..taken], taken, Warmth::Cold);
            })
        };
        // Everything may be with the scavenger: then there is no ticket, but none is broken.
        if pool.buy(1).is_ok() {
            let slot = fetch(&pool);
            live_on(&pool, slot);
            pool.put(&[slot], 1, Warmth::Warm);
        }
        scavenger.join().expect("the model holds");
        assert_whole(&pool);
    });
}

/// With no unit to be had, a cache falls back on the slots it holds: the last slot can always be
/// sold by whoever has it.
#[test]
fn an_exhausted_cache_sells_what_it_holds() {
    check(|| {
        let pool = pool(1);
        let mut cache = Cache::new(&pool);
        cache.reserve().expect("one slot can be made");
        let slot = cache.take();
        cache.give(slot);
        cache.reserve().expect("its slot is there to be sold");
        let other = {
            let pool = Arc::clone(&pool);
            loom::thread::spawn(move || {
                let slot = fetch(&pool);
                live_on(&pool, slot);
                pool.put(&[slot], 1, Warmth::Warm);
            })
        };
        if cache.reserve().is_ok() {
            let slot = cache.take();
            live_on(&pool, slot);
            cache.give(slot);
        }
        drop(cache);
        other.join().expect("the model holds");
        assert_whole(&pool);
    });
}

/// Kills `table.end.store` and `table.end.load`.
#[test]
fn a_slab_is_found_whole_or_not_at_all() {
    check(|| {
        const START: usize = 1 << 20;
        const STRIDE: usize = GUARD_BYTES * 2;
        let table = Arc::new(Table::<2>::new());
        let slots: Arc<[Slot]> = Arc::new([Slot::new()]);
        let grower = {
            let (table, slots) = (Arc::clone(&table), Arc::clone(&slots));
            loom::thread::spawn(move || {
                let index = table.claim().expect("two are free");
                let slots = slots.as_ptr();
                let end = START + STRIDE;
                let slab = Slab { start: START, end, stride: STRIDE, usable: 4096, slots };
                // SAFETY: claimed above; `slots` outlives the model's threads.
                unsafe { table.publish(index, slab) };
                table.set_carved(index, 1);
            })
        };
        if let Some((id, offset, slab)) = table.find(START + 1) {
            assert_eq!((id, offset, slab.usable), (SlotId::new(0, 0), 1, 4096));
            assert_eq!(slab.slots, slots.as_ptr());
        }
        grower.join().expect("the model holds");
        assert!(table.find(START + STRIDE).is_none());
    });
}

/// Kills `slot.owner.store` and `slot.owner.load`.
#[test]
fn whoever_sees_an_owner_sees_what_it_holds() {
    check(|| {
        let slot = Arc::new(Slot::new());
        let green = Arc::new(AtomicUsize::new(0));
        let spawner = {
            let (slot, green) = (Arc::clone(&slot), Arc::clone(&green));
            loom::thread::spawn(move || {
                // ORDERING: Relaxed; published by `set_owner` below.
                green.store(7, Ordering::Relaxed);
                slot.set_owner(Arc::as_ptr(&green).cast());
            })
        };
        if !slot.owner().is_null() {
            // ORDERING: Relaxed; `owner` acquired what was written before.
            assert_eq!(green.load(Ordering::Relaxed), 7);
        }
        spawner.join().expect("the model holds");
    });
}
