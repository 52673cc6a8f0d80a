//! Waiting for another thread that is in the middle of some dozen instructions.

use crate::sched;

/// Rounds of spinning before others are let run.
const SPINS: u32 = 6;

/// Waits longer from step to step: spins, then lets other threads run.
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
            if self.0 > 2 * SPINS {
                std::thread::yield_now();
                return;
            }
            for _ in 0..1 << self.0.min(SPINS) {
                std::hint::spin_loop();
            }
            self.0 += 1;
        }
    }
}
