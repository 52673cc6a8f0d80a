//! `Condvar`: the raw condition variable, beside a `Mutex`.

use super::deadline;
use super::mutex::MutexGuard;
use super::raw_condvar::RawCondvar;
use std::fmt;
use std::time::{Duration, Instant};

/// A condition variable that blocks the green thread: names and semantics of parking_lot.
///
/// A wait never ends for no reason: it was notified, or its deadline passed. Notifications go to
/// those that have waited longest, and one is never spent on a waiter that reports a timeout.
/// Unlike others' it is not tied to one mutex.
///
/// # Examples
/// ```
/// use gthread::sync::{Condvar, Mutex};
/// use std::sync::Arc;
/// let shared = Arc::new((Mutex::new(false), Condvar::new()));
/// let other = Arc::clone(&shared);
/// let thread = gthread::spawn(move || {
///     *other.0.lock() = true;
///     other.1.notify_one();
/// });
/// let mut is_ready = shared.0.lock();
/// shared.1.wait_while(&mut is_ready, |is_ready| !*is_ready);
/// thread.join().expect("it does not panic");
/// ```
pub struct Condvar(RawCondvar);

/// Whether a wait with a deadline ended by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// Whether the deadline passed before a notification came.
    pub fn timed_out(self) -> bool {
        self.0
    }
}

impl Condvar {
    /// A condition variable that nobody waits for.
    pub const fn new() -> Self {
        Self(RawCondvar::idle())
    }

    /// Gives the mutex back, blocks the running thread, green or not, until it is notified, and
    /// takes the mutex again.
    pub fn wait<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>) {
        while !self.wait_by(guard, None) {}
    }

    /// As [`wait`](Condvar::wait), for at most `timeout`; inside a
    /// [`time::timeout`](crate::time::timeout) until the earlier of the two. The mutex is taken
    /// again in either case, however long that takes.
    pub fn wait_for<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        timeout: Duration,
    ) -> WaitTimeoutResult {
        WaitTimeoutResult(!self.wait_by(guard, Some(deadline::after(timeout))))
    }

    /// As [`wait_for`](Condvar::wait_for), until `deadline`.
    pub fn wait_until<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        deadline: Instant,
    ) -> WaitTimeoutResult {
        WaitTimeoutResult(!self.wait_by(guard, Some(deadline::at(deadline))))
    }

    /// Waits as long as `condition` holds of what is in the mutex.
    ///
    /// # Panics
    /// If `condition` does; the mutex is held then, and given back by the guard.
    pub fn wait_while<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        condition: impl FnMut(&mut T) -> bool,
    ) {
        self.wait_while_by(guard, None, condition);
    }

    /// As [`wait_while`](Condvar::wait_while), for at most `timeout`; timed out means that the
    /// condition still holds.
    pub fn wait_while_for<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        condition: impl FnMut(&mut T) -> bool,
        timeout: Duration,
    ) -> WaitTimeoutResult {
        let deadline_ns = deadline::after(timeout);
        WaitTimeoutResult(!self.wait_while_by(guard, Some(deadline_ns), condition))
    }

    /// As [`wait_while_for`](Condvar::wait_while_for), until `deadline`.
    pub fn wait_while_until<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        condition: impl FnMut(&mut T) -> bool,
        deadline: Instant,
    ) -> WaitTimeoutResult {
        let deadline_ns = deadline::at(deadline);
        WaitTimeoutResult(!self.wait_while_by(guard, Some(deadline_ns), condition))
    }

    /// Ends the wait of the thread that waits longest; whether there was one.
    ///
    /// Whoever changes the condition under the mutex may notify before or after giving it back.
    pub fn notify_one(&self) -> bool {
        self.0.notify_one()
    }

    /// Ends the waits of all threads that wait at this moment; how many they were.
    ///
    /// O(waiters).
    pub fn notify_all(&self) -> usize {
        self.0.notify_all()
    }

    fn wait_by<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>, deadline_ns: Option<u64>) -> bool {
        /// Takes the mutex again, whatever happens.
        struct Relock<'a, T: ?Sized>(&'a super::Mutex<T>);
        impl<T: ?Sized> Drop for Relock<'_, T> {
            fn drop(&mut self) {
                // SAFETY: it is only locked, for the guard that lent it.
                lock_api::RawMutex::lock(unsafe { self.0.raw() });
            }
        }
        let mutex = lock_api::MutexGuard::mutex(guard);
        let mut relock = None;
        self.0.wait(deadline_ns, || {
            // SAFETY: it is unlocked for the guard, which is borrowed until it is locked again.
            let raw = unsafe { mutex.raw() };
            relock = Some(Relock(mutex));
            // SAFETY: the guard holds it.
            unsafe { lock_api::RawMutex::unlock(raw) };
        })
    }

    fn wait_while_by<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        deadline_ns: Option<u64>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> bool {
        while condition(&mut **guard) {
            if !self.wait_by(guard, deadline_ns) {
                return !condition(&mut **guard);
            }
        }
        true
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").finish_non_exhaustive()
    }
}
