//! Whether it is worth looking at a word a few more times before waiting for it.

use super::enter::{current_green, enter};
use crate::primitive::atomic::{AtomicU32, Ordering};
use crate::sys::cpu;

/// Whether somebody else may be running right now, and nobody waits for the caller's processor.
///
/// Then what the caller waits for may come without a switch. With one processor, with all others
/// idle, or with a queue behind the caller, spinning only keeps others from running.
pub(crate) fn may_spin() -> bool {
    let Some(me) = current_green() else { return cpus() > 1 };
    let entered = enter(me);
    let may = match entered.processor {
        Some(processor) => !entered.shared.idle.is_all_but_one_idle() && processor.queue.is_empty(),
        None => cpus() > 1,
    };
    entered.leave();
    may
}

/// How many CPUs the process had when it was first asked.
fn cpus() -> u32 {
    static CPUS: AtomicU32 = AtomicU32::new(0);
    // ORDERING: Relaxed; a number that anybody may find out again.
    let known = CPUS.load(Ordering::Relaxed);
    if known != 0 {
        return known;
    }
    let found = cpu::affinity().map_or(1, |count| u32::try_from(count.get()).unwrap_or(u32::MAX));
    // ORDERING: Relaxed; as above.
    CPUS.store(found, Ordering::Relaxed);
    found
}
