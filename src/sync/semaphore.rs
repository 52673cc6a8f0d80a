//! `Semaphore`: the raw semaphore with guards.

use super::deadline;
use super::raw_semaphore::RawSemaphore;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A counting semaphore that blocks the green thread.
///
/// **Fairness.** Strictly first come, first served, also between those that want many permits and
/// those that want few; `try_acquire` fails while somebody waits.
///
/// **Blocking.** `acquire` blocks the running thread, green or not. The `_timeout` and `_until`
/// forms end at the earlier of their own deadline and that of a
/// [`time::timeout`](crate::time::timeout) around them; `acquire` is not affected by it.
///
/// There is no `close`: an `acquire` that can fail would make every caller handle what almost none
/// can meet. To end waiters early give them a deadline, or put permits in by
/// [`add_permits`](Semaphore::add_permits) and have them look at a flag.
///
/// # Examples
/// At most 4 of 100 at a time:
/// ```
/// use gthread::sync::Semaphore;
/// use std::sync::Arc;
/// let slots = Arc::new(Semaphore::new(4));
/// let threads: Vec<_> = (0..100)
///     .map(|_| {
///         let slot = slots.acquire_arc(1);
///         gthread::spawn(move || drop(slot))
///     })
///     .collect();
/// threads.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
/// assert_eq!(slots.available_permits(), 4);
/// ```
pub struct Semaphore(RawSemaphore);

/// Permits held; given back when dropped.
pub type Permits<'a> = PermitsOf<&'a Semaphore>;

/// Permits held, together with a count of the semaphore: may outlive who took them.
pub type ArcPermits = PermitsOf<Arc<Semaphore>>;

/// Permits of the semaphore that `S` refers to: [`Permits`] or [`ArcPermits`]. Given back when
/// dropped; may be dropped by another thread.
#[must_use = "permits are given back when dropped"]
pub struct PermitsOf<S: Deref<Target = Semaphore>> {
    semaphore: S,
    count: usize,
}

impl Semaphore {
    /// The most permits there can be.
    pub const MAX_PERMITS: usize = RawSemaphore::PERMITS_MAX;

    /// A semaphore with so many permits.
    ///
    /// # Panics
    /// If they are more than [`MAX_PERMITS`](Semaphore::MAX_PERMITS).
    pub const fn new(permits: usize) -> Self {
        assert!(permits <= Self::MAX_PERMITS, "too many permits");
        Self(RawSemaphore::with(permits))
    }

    /// How many permits there are at this moment.
    pub fn available_permits(&self) -> usize {
        self.0.permits()
    }

    /// Takes `count` permits, blocking the running thread, green or not, until there are so many.
    ///
    /// More than were ever put in are waited for until somebody adds them.
    pub fn acquire(&self, count: usize) -> Permits<'_> {
        while !self.0.take_until(count, || None) {}
        PermitsOf { semaphore: self, count }
    }

    /// Takes `count` permits if there are so many and nobody waits.
    pub fn try_acquire(&self, count: usize) -> Option<Permits<'_>> {
        self.0.try_take(count).then(|| PermitsOf { semaphore: self, count })
    }

    /// As [`acquire`](Semaphore::acquire), for at most `timeout`.
    pub fn acquire_timeout(&self, count: usize, timeout: Duration) -> Option<Permits<'_>> {
        let is_taken = self.0.take_until(count, || Some(deadline::after(timeout)));
        is_taken.then(|| PermitsOf { semaphore: self, count })
    }

    /// As [`acquire`](Semaphore::acquire), until `deadline` at most.
    pub fn acquire_until(&self, count: usize, deadline: Instant) -> Option<Permits<'_>> {
        let is_taken = self.0.take_until(count, || Some(deadline::at(deadline)));
        is_taken.then(|| PermitsOf { semaphore: self, count })
    }

    /// As [`acquire`](Semaphore::acquire), for permits that keep the semaphore alive.
    pub fn acquire_arc(self: &Arc<Self>, count: usize) -> ArcPermits {
        self.acquire(count).forget();
        PermitsOf { semaphore: Arc::clone(self), count }
    }

    /// As [`try_acquire`](Semaphore::try_acquire), for permits that keep the semaphore alive.
    pub fn try_acquire_arc(self: &Arc<Self>, count: usize) -> Option<ArcPermits> {
        self.try_acquire(count)?.forget();
        Some(PermitsOf { semaphore: Arc::clone(self), count })
    }

    /// As [`acquire_timeout`](Semaphore::acquire_timeout), for permits that keep the semaphore
    /// alive.
    pub fn acquire_arc_timeout(
        self: &Arc<Self>,
        count: usize,
        timeout: Duration,
    ) -> Option<ArcPermits> {
        self.acquire_timeout(count, timeout)?.forget();
        Some(PermitsOf { semaphore: Arc::clone(self), count })
    }

    /// As [`acquire_until`](Semaphore::acquire_until), for permits that keep the semaphore alive.
    pub fn acquire_arc_until(
        self: &Arc<Self>,
        count: usize,
        deadline: Instant,
    ) -> Option<ArcPermits> {
        self.acquire_until(count, deadline)?.forget();
        Some(PermitsOf { semaphore: Arc::clone(self), count })
    }

    /// Puts `count` permits in. O(waiters that are served).
    ///
    /// # Panics
    /// If there were more than [`MAX_PERMITS`](Semaphore::MAX_PERMITS) then; none is put in.
    pub fn add_permits(&self, count: usize) {
        let max = Self::MAX_PERMITS;
        assert!(self.0.put(count), "too many permits: {count} more make more than {max}");
    }

    /// Takes permits away for good, at most `count` of those that are there; how many.
    ///
    /// Goes before those that wait.
    pub fn forget_permits(&self, count: usize) -> usize {
        self.0.take_up_to(count)
    }
}

impl<S: Deref<Target = Semaphore>> PermitsOf<S> {
    /// How many they are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Never gives them back.
    pub fn forget(mut self) {
        self.count = 0;
    }

    /// Takes `count` of them into a guard of their own; `None` if they are fewer.
    pub fn split(&mut self, count: usize) -> Option<Self>
    where
        S: Clone,
    {
        self.count = self.count.checked_sub(count)?;
        Some(Self { semaphore: self.semaphore.clone(), count })
    }

    /// Takes the permits of another guard into this one.
    ///
    /// # Panics
    /// If they are another semaphore's.
    pub fn merge(&mut self, mut other: Self) {
        assert!(std::ptr::eq(&*self.semaphore, &*other.semaphore), "permits of two semaphores");
        self.count = self.count.saturating_add(std::mem::take(&mut other.count));
    }
}

impl<S: Deref<Target = Semaphore>> Drop for PermitsOf<S> {
    fn drop(&mut self) {
        if self.count > 0 {
            // Permits that were added beside these may have filled the count: then these go.
            let _is_put = self.semaphore.0.put(self.count);
        }
    }
}

impl<S: Deref<Target = Semaphore>> fmt::Debug for PermitsOf<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permits").field("count", &self.count).finish_non_exhaustive()
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore").field("available_permits", &self.available_permits()).finish()
    }
}
