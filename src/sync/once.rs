//! `Once`: the raw once, with closures.

use super::deadline;
use super::raw_once::{Entry, RawOnce, Stage};
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

/// Runs an initialisation once: names and semantics of `std::sync::Once`.
///
/// Who comes while another thread runs it blocks, green or not, until that has ended. A closure
/// that panics *poisons* the once. One that comes to its own once again waits for ever.
///
/// # Examples
/// ```
/// static START: gthread::sync::Once = gthread::sync::Once::new();
/// START.call_once(|| println!("once"));
/// START.call_once(|| unreachable!());
/// assert!(START.is_completed());
/// ```
pub struct Once(RawOnce);

/// What [`Once::call_once_force`] tells its closure.
#[derive(Debug)]
pub struct OnceState {
    after_panic: bool,
}

impl OnceState {
    /// Whether the last closure panicked.
    pub fn is_poisoned(&self) -> bool {
        self.after_panic
    }
}

impl UnwindSafe for Once {}
impl RefUnwindSafe for Once {}

/// Ends a run: as poisoned, unless it came to its end.
struct Running<'a> {
    once: &'a RawOnce,
    end: Stage,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.once.end(self.end);
    }
}

impl Once {
    /// A once that nobody has called.
    pub const fn new() -> Self {
        Self(RawOnce::incomplete())
    }

    /// Calls `f` if nobody has before; returns when some closure has ended, whoever called it.
    ///
    /// # Panics
    /// If `f` does, and if an earlier closure did: with a message that names the poison.
    #[inline]
    pub fn call_once(&self, f: impl FnOnce()) {
        if !self.0.is_complete() {
            self.call(true, |_| f());
        }
    }

    /// As [`call_once`](Once::call_once), also after a closure that panicked.
    ///
    /// # Panics
    /// If `f` does.
    #[inline]
    pub fn call_once_force(&self, f: impl FnOnce(&OnceState)) {
        if !self.0.is_complete() {
            self.call(false, f);
        }
    }

    /// Whether a closure has come to its end. Then what it did is visible.
    #[inline]
    pub fn is_completed(&self) -> bool {
        self.0.is_complete()
    }

    /// Blocks the running thread until a closure has come to its end.
    ///
    /// # Panics
    /// If a closure panicked.
    pub fn wait(&self) {
        while self.wait_by(true, None).is_none() {}
    }

    /// As [`wait`](Once::wait), but waits on after a closure that panicked.
    pub fn wait_force(&self) {
        while self.wait_by(false, None).is_none() {}
    }

    /// As [`wait`](Once::wait), for at most `timeout`; inside a
    /// [`time::timeout`](crate::time::timeout) until the earlier of the two. Whether it is done.
    ///
    /// # Panics
    /// If a closure panicked.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.wait_by(true, Some(deadline::after(timeout))).is_some()
    }

    /// As [`wait_timeout`](Once::wait_timeout), until `deadline`.
    ///
    /// # Panics
    /// If a closure panicked.
    pub fn wait_until(&self, deadline: Instant) -> bool {
        self.wait_by(true, Some(deadline::at(deadline))).is_some()
    }

    #[cold]
    fn call(&self, minds_poison: bool, f: impl FnOnce(&OnceState)) {
        match self.0.enter(minds_poison) {
            Entry::Done => {}
            Entry::Poisoned => poisoned(),
            Entry::Run { after_panic } => {
                let mut running = Running { once: &self.0, end: Stage::Poisoned };
                f(&OnceState { after_panic });
                running.end = Stage::Complete;
            }
        }
    }

    pub(super) fn wait_by(&self, minds_poison: bool, deadline_ns: Option<u64>) -> Option<()> {
        match self.0.wait_for_end(minds_poison, deadline_ns)? {
            Stage::Poisoned => poisoned(),
            _ => Some(()),
        }
    }

    /// Back to the start; `&mut` says that nobody is here.
    pub(super) fn reset(&mut self) {
        *self = Self::new();
    }
}

#[cold]
fn poisoned() -> ! {
    panic!("Once instance has previously been poisoned")
}

impl Default for Once {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once").finish_non_exhaustive()
    }
}
