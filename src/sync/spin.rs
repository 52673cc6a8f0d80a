//! A bounded spin before a wait.
//!
//! The owner of a lock is not recorded, so whether it runs cannot be asked. Two rules stand in for
//! it. Nobody spins while others are queued: so for an owner that is itself waiting only the first
//! comer spins, once, for less than a switch there and back costs. And nobody spins with one
//! processor, with all others idle, or while green threads wait for the spinner's processor
//! (`sched::may_spin`), since then the owner is not running, or something better is to be done.

use crate::primitive::atomic::{AtomicU32, Ordering};

/// Rounds; each pauses twice as long as the one before: 127 pauses in all.
const ROUNDS_MAX: u32 = 7;

/// Looks at `word` a few times, until `wanted` holds of it, or `hopeless` does.
#[cfg(not(loom))]
pub(super) fn spin(word: &AtomicU32, wanted: fn(u32) -> bool, hopeless: fn(u32) -> bool) {
    // ORDERING: Relaxed; a hint: whoever takes the lock acquires.
    if hopeless(word.load(Ordering::Relaxed)) || !crate::sched::may_spin() {
        return;
    }
    for round in 0..ROUNDS_MAX {
        for _ in 0..1_u32 << round {
            std::hint::spin_loop();
        }
        // ORDERING: Relaxed; as above.
        let seen = word.load(Ordering::Relaxed);
        if wanted(seen) || hopeless(seen) {
            return;
        }
    }
}

/// Models explore every interleaving anyway.
#[cfg(loom)]
pub(super) fn spin(word: &AtomicU32, wanted: fn(u32) -> bool, hopeless: fn(u32) -> bool) {
    let _ = (word, wanted, hopeless, ROUNDS_MAX, Ordering::Relaxed);
}
