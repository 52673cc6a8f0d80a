//! Counters: plain per-processor additions, summed on read.

use crate::processor::counters::{Counter, Counters};
use crate::sched::{self, Carriage, Shared};
use std::fmt;

/// What all runtimes have done so far, and what there is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Green threads that have been spawned and have not finished.
    pub live: u64,
    /// Green threads spawned.
    pub spawned: u64,
    /// Switches to a green thread.
    pub switches: u64,
    /// Waits that left the stack.
    pub parks: u64,
    /// Times green threads were taken from another processor's queue; a batch counts once.
    pub steals: u64,
    /// Times a machine found nothing to do and gave its processor up.
    pub retires: u64,
    /// Times the clock and the timers were looked at.
    pub polls: u64,
    /// Timers that fired.
    pub timers_fired: u64,
    /// Times a machine was given a processor by somebody else.
    pub wakes: u64,
    /// Processors taken from machines that were blocked in the kernel.
    pub handoffs_blocked: u64,
    /// Processors taken from machines that computed for too long.
    pub handoffs_computing: u64,
    /// Machines that have a thread.
    pub machines: u64,
    /// Machines that look for work.
    pub machines_searching: u64,
    /// Machines that sleep, without a processor.
    pub machines_sleeping: u64,
    /// Processors; a runtime of OS threads uses none.
    pub processors: u64,
    /// Stacks bound to green threads, in all runtimes.
    pub stacks_bound: u64,
    /// Stacks mapped, in all runtimes.
    pub stacks_mapped: u64,
}

/// Sums the counters of all runtimes.
///
/// # Examples
/// ```
/// gthread::spawn(|| ()).join().unwrap();
/// assert!(gthread::inspect::metrics().spawned >= 1);
/// ```
pub fn metrics() -> Metrics {
    let mut sum = Metrics::default();
    for shared in sched::runtimes() {
        add(&mut sum, &shared);
    }
    let stacks = crate::stack::stats();
    sum.stacks_bound = stacks.slots_bound as u64;
    sum.stacks_mapped = stacks.slots_mapped as u64;
    sum
}

fn add(sum: &mut Metrics, shared: &Shared) {
    sum.live += shared.live();
    sum.machines += u64::from(shared.spares.running());
    sum.machines_searching += u64::from(shared.idle.searching());
    sum.machines_sleeping += shared.spares.sleeping() as u64;
    if shared.carriage == Carriage::Machines {
        sum.processors += shared.processors.len() as u64;
    }
    sum.handoffs_blocked += shared.taken.blocked.get();
    sum.handoffs_computing += shared.taken.computing.get();
    let total = |field: fn(&Counters) -> &Counter| -> u64 {
        let own = shared.processors.iter().map(|processor| field(&processor.counters).get());
        own.sum::<u64>() + field(&shared.external).get()
    };
    sum.spawned += total(|counters| &counters.spawned);
    sum.switches += total(|counters| &counters.switches);
    sum.parks += total(|counters| &counters.parks);
    sum.steals += total(|counters| &counters.steals);
    sum.retires += total(|counters| &counters.retires);
    sum.polls += total(|counters| &counters.polls);
    sum.timers_fired += total(|counters| &counters.timers);
    sum.wakes += total(|counters| &counters.wakes);
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = [
            ("live", self.live),
            ("spawned", self.spawned),
            ("switches", self.switches),
            ("parks", self.parks),
            ("steals", self.steals),
            ("retires", self.retires),
            ("polls", self.polls),
            ("timers fired", self.timers_fired),
            ("wakes", self.wakes),
            ("hand-offs, blocked", self.handoffs_blocked),
            ("hand-offs, computing", self.handoffs_computing),
            ("machines", self.machines),
            ("machines, searching", self.machines_searching),
            ("machines, sleeping", self.machines_sleeping),
            ("processors", self.processors),
            ("stacks bound", self.stacks_bound),
            ("stacks mapped", self.stacks_mapped),
        ];
        for (name, value) in rows {
            writeln!(f, "{name:<22} {value:>14}")?;
        }
        Ok(())
    }
}
