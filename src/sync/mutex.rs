//! `Mutex`: the raw mutex behind `lock_api`.

use super::deadline;
use super::raw_mutex::{Handing, RawMutex};
use crate::sched;
use std::num::NonZero;
use std::time::{Duration, Instant};

/// A mutual exclusion lock that blocks the green thread: names and semantics of parking_lot.
///
/// The methods are those of [`lock_api::Mutex`]: `lock`, `try_lock`, `try_lock_for`,
/// `try_lock_until`, `get_mut`, `into_inner`, … There is no poisoning: a panic while the lock is
/// held releases it. A guard stays with its thread (it is not `Send`), and that thread may move
/// from machine to machine while it holds it.
///
/// **Fairness.** An unlock leaves the lock free and wakes who waits longest; a running thread may
/// take it again meanwhile. A waiter that has lost such races for 0.5 ms is handed the lock by the
/// next unlock. `MutexGuard::unlock_fair` hands it over at once; `MutexGuard::bump` does so only
/// if somebody waits.
///
/// **Blocking.** A contended `lock` spins for at most about a microsecond, if another processor is
/// busy and nothing waits for the caller's, and then blocks the green thread, or the OS thread
/// that calls it. The `try_lock_for` and `try_lock_until` forms end at the earlier of their own
/// deadline and that of a [`time::timeout`](crate::time::timeout) around them; `lock` is not
/// affected by it. Locking and unlocking without contention is one exchange each.
///
/// **Panics.** No method panics. A second `lock` by the thread that holds the lock waits for ever;
/// see [`ReentrantMutex`].
///
/// # Examples
/// ```
/// use gthread::sync::Mutex;
/// use std::sync::Arc;
/// let sum = Arc::new(Mutex::new(0));
/// let threads: Vec<_> = (0..10)
///     .map(|n| {
///         let sum = Arc::clone(&sum);
///         gthread::spawn(move || *sum.lock() += n)
///     })
///     .collect();
/// threads.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
/// assert_eq!(*sum.lock(), 45);
/// ```
///
/// A guard does not leave its thread:
/// ```compile_fail,E0277
/// let mutex = gthread::sync::Mutex::new(0);
/// gthread::scope(|scope| {
///     let guard = mutex.lock();
///     scope.spawn(move || drop(guard));
/// });
/// ```
pub type Mutex<T> = lock_api::Mutex<RawMutex, T>;

/// Holds a [`Mutex`]; gives it back when dropped.
pub type MutexGuard<'a, T> = lock_api::MutexGuard<'a, RawMutex, T>;

/// Holds a [`Mutex`], and lends a part of what is in it.
pub type MappedMutexGuard<'a, T> = lock_api::MappedMutexGuard<'a, RawMutex, T>;

/// A mutex that the thread which holds it may lock again.
///
/// Its guards lend shared references only. See [`Mutex`] for everything else.
///
/// # Examples
/// ```
/// use gthread::sync::ReentrantMutex;
/// let mutex = ReentrantMutex::new(7);
/// let outer = mutex.lock();
/// assert_eq!(*outer, *mutex.lock());
/// ```
pub type ReentrantMutex<T> = lock_api::ReentrantMutex<RawMutex, RawThreadId, T>;

/// Holds a [`ReentrantMutex`]; gives it back when dropped.
pub type ReentrantMutexGuard<'a, T> = lock_api::ReentrantMutexGuard<'a, RawMutex, RawThreadId, T>;

/// Holds a [`ReentrantMutex`], and lends a part of what is in it.
pub type MappedReentrantMutexGuard<'a, T> =
    lock_api::MappedReentrantMutexGuard<'a, RawMutex, RawThreadId, T>;

/// A free mutex, in a constant.
///
/// # Examples
/// ```
/// static COUNT: gthread::sync::Mutex<u32> = gthread::sync::const_mutex(0);
/// *COUNT.lock() += 1;
/// ```
pub const fn const_mutex<T>(value: T) -> Mutex<T> {
    Mutex::from_raw(RawMutex::free(), value)
}

/// A free reentrant mutex, in a constant.
pub const fn const_reentrant_mutex<T>(value: T) -> ReentrantMutex<T> {
    ReentrantMutex::from_raw(RawMutex::free(), RawThreadId(()), value)
}

// SAFETY: MutualExclusion of `raw_mutex`: of all that take the lock one holds it until it gives it
// back, and what it did is published to the next.
unsafe impl lock_api::RawMutex for RawMutex {
    #[allow(clippy::declare_interior_mutable_const, reason = "the interface of lock_api")]
    const INIT: Self = Self::free();

    type GuardMarker = lock_api::GuardNoSend;

    #[inline]
    fn lock(&self) {
        while !self.take_until(|| None) {}
    }

    #[inline]
    fn try_lock(&self) -> bool {
        self.try_take()
    }

    #[inline]
    unsafe fn unlock(&self) {
        // SAFETY: the caller's clause.
        unsafe { self.give(Handing::Loose) };
    }

    #[inline]
    fn is_locked(&self) -> bool {
        self.is_taken()
    }
}

// SAFETY: the lock is handed to who waits longest, if anybody waits.
unsafe impl lock_api::RawMutexFair for RawMutex {
    #[inline]
    unsafe fn unlock_fair(&self) {
        // SAFETY: the caller's clause.
        unsafe { self.give(Handing::Over) };
    }

    #[inline]
    unsafe fn bump(&self) {
        if !self.is_waited_for() {
            return;
        }
        // SAFETY: the caller holds the lock, and holds it again at the end.
        unsafe { self.give(Handing::Over) };
        lock_api::RawMutex::lock(self);
    }
}

// SAFETY: as for `RawMutex`; `true` says that the lock was taken.
unsafe impl lock_api::RawMutexTimed for RawMutex {
    type Duration = Duration;
    type Instant = Instant;

    #[inline]
    fn try_lock_for(&self, timeout: Duration) -> bool {
        self.take_until(|| Some(deadline::after(timeout)))
    }

    #[inline]
    fn try_lock_until(&self, deadline: Instant) -> bool {
        self.take_until(|| Some(deadline::at(deadline)))
    }
}

/// What tells threads apart for a [`ReentrantMutex`]: a green thread by itself, wherever it runs.
#[derive(Debug)]
pub struct RawThreadId(());

// SAFETY: the number of a thread of this crate is unique in the process and never used again.
unsafe impl lock_api::GetThreadId for RawThreadId {
    const INIT: Self = Self(());

    fn nonzero_thread_id(&self) -> NonZero<usize> {
        let id = sched::current_or_adopt().id.get();
        NonZero::new(id as usize).unwrap_or(NonZero::<usize>::MAX)
    }
}
