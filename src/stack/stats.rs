//! Numbers about stacks.

use super::cache::Tally;
use super::class::Class;
use super::slab::{self, GuardKind, TABLE};
use crate::primitive::lock::{Lock, Rank};
use std::sync::Arc;

/// How the stacks of the process stand. Taken while others work, so the numbers belong to nearby
/// moments, not to one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stats {
    /// Slots with a guard: bound, cached, or free.
    pub(crate) slots_mapped: usize,
    /// Slots that are a green thread's stack.
    pub(crate) slots_bound: usize,
    /// Tickets: green threads that have not run yet.
    pub(crate) slots_reserved: usize,
    /// Slots in the caches of processors.
    pub(crate) slots_cached: usize,
    /// Times a slot was trimmed by `scavenge` or `trim_all`.
    pub(crate) slots_trimmed: u64,
    /// Mappings that slots were made from.
    pub(crate) slabs: usize,
    /// Mappings the kernel may count for all that: `slabs`, and two for each guard made by
    /// `mprotect`.
    pub(crate) mappings: usize,
    /// How the latest guards were made.
    pub(crate) guard: Option<GuardKind>,
}

/// The tallies of all caches. On a machine's thread pointer only, but for `stats`, which may run
/// anywhere: so a `Lock`.
static TALLIES: Lock<Vec<(Class, Arc<Tally>)>> = Lock::new(Rank(38), Vec::new());

/// Adds a cache's tally.
pub(super) fn register(class: Class, tally: &Arc<Tally>) {
    TALLIES.lock().push((class, Arc::clone(tally)));
}

/// Forgets a cache's tally.
pub(super) fn forget(tally: &Arc<Tally>) {
    TALLIES.lock().retain(|(_, other)| !Arc::ptr_eq(other, tally));
}

/// How the stacks of the process stand.
pub(crate) fn stats() -> Stats {
    Class::all().map(of).fold(overall(), |sum, class| Stats {
        slots_mapped: sum.slots_mapped + class.slots_mapped,
        slots_bound: sum.slots_bound + class.slots_bound,
        slots_reserved: sum.slots_reserved + class.slots_reserved,
        slots_cached: sum.slots_cached + class.slots_cached,
        slots_trimmed: sum.slots_trimmed + class.slots_trimmed,
        ..sum
    })
}

fn overall() -> Stats {
    let slabs = TABLE.len();
    let mappings = slabs + 2 * slab::protected();
    Stats { slabs, mappings, guard: slab::guard_kind(), ..Stats::default() }
}

/// The slots of one class. Units are conserved (Inv. Conserved), so what is neither unsold nor in
/// a cache is a ticket or a bound stack; and slots that are in no cache and not free are bound.
pub(super) fn of(class: Class) -> Stats {
    let (mut units, mut slots_cached) = (0, 0);
    for (_, tally) in TALLIES.lock().iter().filter(|(other, _)| *other == class) {
        let (cache_units, cache_slots) = tally.read();
        units += cache_units;
        slots_cached += cache_slots;
    }
    let stock = class.pool().stock();
    let slots_bound = stock.mapped.saturating_sub(stock.free + slots_cached);
    let promised = stock.mapped.saturating_sub(stock.unsold + units);
    Stats {
        slots_mapped: stock.mapped,
        slots_bound,
        slots_reserved: promised.saturating_sub(slots_bound),
        slots_cached,
        slots_trimmed: stock.trimmed,
        ..Stats::default()
    }
}
