//! Waiting for another thread that is in the middle of some dozen instructions.
//!
//! It may take longer: the kernel has taken that thread's machine off its processor, or it is a
//! select that computes its message. So the waiter spins, then lets others run, and then sleeps.

use crate::sched;
#[cfg(not(loom))]
use crate::sys::clock;

/// Rounds of spinning before others are let run.
const SPINS: u32 = 6;

/// How often others are let run before the thread sleeps between two looks.
#[cfg(not(loom))]
const YIELDS: u32 = 64;

/// The first sleep, and how often it is doubled: to 1.3 ms.
#[cfg(not(loom))]
const NAP_NS: u64 = 20_000;
#[cfg(not(loom))]
const NAP_DOUBLINGS: u32 = 6;

/// Waits longer from step to step: spins, lets other threads run, sleeps.
#[derive(Debug)]
pub(crate) struct Snooze(u32);

impl Snooze {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self(0)
    }

    /// Spins for a moment: somebody was faster, and is done.
    #[inline(always)]
    pub(crate) fn spin(&mut self) {
        for _ in 0..1 << self.0.min(SPINS) {
            std::hint::spin_loop();
        }
        self.0 = (self.0 + 1).min(SPINS);
    }

    /// Waits for somebody who is not done. Its machine may have been taken off its processor by
    /// the kernel, or it may be a green thread that waits to run: both get a turn.
    ///
    /// # Switches
    #[cold]
    pub(crate) fn wait(&mut self) {
        if cfg!(loom) || self.0 > SPINS {
            sched::yield_now();
        }
        #[cfg(not(loom))]
        {
            if self.0 <= 2 * SPINS {
                for _ in 0..1 << self.0.min(SPINS) {
                    std::hint::spin_loop();
                }
            } else {
                std::thread::yield_now();
                nap(self.0.saturating_sub(2 * SPINS + YIELDS));
            }
            self.0 = self.0.saturating_add(1);
        }
    }
}

/// Sleeps, at the `turn`th time; not at all at the 0th.
///
/// # Switches
#[cfg(not(loom))]
fn nap(turn: u32) {
    if turn > 0 {
        let nap_ns = NAP_NS << (turn - 1).min(NAP_DOUBLINGS);
        sched::sleep_until(clock::now_ns().saturating_add(nap_ns));
    }
}
