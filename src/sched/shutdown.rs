//! The end of a runtime: refuse, wait for the last green thread, stop the machines.

use super::shared::Shared;
use super::wait::wait;
use crate::green::Reason;
use crate::green::wait::Outcome;
use std::cell::Cell;
use std::thread::JoinHandle;

impl Shared {
    /// Waits until no green thread is left, or until the deadline; whether none is left. OS threads
    /// that stood in for green threads have ended then, unless the deadline passed meanwhile.
    ///
    /// # Switches
    pub(crate) fn drain(&self, deadline_ns: Option<u64>) -> bool {
        let announced = Cell::new(None);
        let outcome = wait(Reason::Shutdown, deadline_ns, |token| {
            if self.live() == 0 {
                return false;
            }
            announced.set(Some(token));
            if !self.announce_drain(token) {
                // The last one ended meanwhile: whoever ended it may have our token, or not.
                super::wake(token, Outcome::Woken);
            }
            true
        });
        if let Some(token) = announced.get() {
            self.retract_drain(token);
        }
        if outcome != Outcome::Woken {
            return false;
        }
        self.stand_ins.join_all(deadline_ns);
        true
    }

    /// Tells all machines and the monitor to end, and waits for their threads. No green thread is
    /// left, and the caller is an OS thread or a green thread of another runtime.
    pub(crate) fn stop(&self, monitor: Option<JoinHandle<()>>) {
        self.dismiss();
        // First the monitor: it starts machines, and claims idle processors to empty their caches.
        if let Some(monitor) = monitor {
            // The monitor never panics: a panic in the scheduler aborts.
            let _ = super::blocking(|| monitor.join());
        }
        // A machine on its way to sleep puts itself on the list only after this: it then sees
        // `is_stopping` itself.
        while self.spares.running() != 0 {
            self.stop_sleeping();
            super::blocking(|| {
                std::thread::sleep(std::time::Duration::from_micros(50));
            });
        }
        super::blocking(|| {
            for thread in self.spares.take_threads() {
                // A machine never panics: a panic in the scheduler aborts.
                let _ = thread.join();
            }
        });
        self.stand_ins.join_all(None);
        for processor in &self.processors {
            processor.headers.flush();
            // SAFETY: the monitor and all machines have ended: nobody holds the processor but this thread.
            unsafe { processor.stacks() }.flush();
        }
    }
}
