//! The internal lock of paths that run on a green thread's thread pointer.
//!
//! parking_lot is the crate's lock for everything that runs on a machine's own thread pointer. It
//! cannot be taken on a green thread's: its slow path registers a thread-local record with a
//! process-wide table, so a million green threads would become a million registered threads. This
//! lock has no record: it spins a little and then waits in the kernel by futex, blocking the
//! machine. Critical sections are a few dozen instructions, never call user code, and are never
//! held across a switch.
//!
//! | state | means |
//! |---|---|
//! | 0 | free |
//! | 1 | held, nobody sleeps |
//! | 2 | held, somebody may sleep |
//!
//! Source: Ulrich Drepper, "Futexes Are Tricky" (2011), mutex 3.
//!
//! Every lock has a [`Rank`]; debug builds check that ranks are taken in rising order. The table
//! of ranks is in ARCHITECTURE.md.

#[cfg(not(loom))]
use super::atomic::{AtomicU32, Ordering};

/// The order in which locks may be nested: a lock is taken only while all held ones rank lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank(pub(crate) u8);

/// A lock around a `T`; see the module.
#[cfg(not(loom))]
pub(crate) struct Lock<T> {
    state: AtomicU32,
    #[cfg_attr(not(debug_assertions), allow(dead_code))]
    rank: Rank,
    value: std::cell::UnsafeCell<T>,
}

// SAFETY: `state` and `rank` are Send; `value` is handed from thread to thread by the lock, which
// needs `T: Send` and no more.
#[cfg(not(loom))]
unsafe impl<T: Send> Send for Lock<T> {}
// SAFETY: a shared `Lock` gives out `&mut T` to one thread at a time (Inv. MutualExclusion), which
// needs `T: Send`; `state` and `rank` are Sync.
#[cfg(not(loom))]
unsafe impl<T: Send> Sync for Lock<T> {}

/// Holds a [`Lock`]; gives it back when dropped. Never held across a switch.
#[cfg(not(loom))]
pub(crate) struct Guard<'a, T> {
    lock: &'a Lock<T>,
    /// Not `Send`: the rank record is the taker's.
    _local: std::marker::PhantomData<*const ()>,
}

#[cfg(not(loom))]
impl<T> Lock<T> {
    /// Makes a free lock of the given rank.
    pub(crate) const fn new(rank: Rank, value: T) -> Self {
        Self { state: AtomicU32::new(0), rank, value: std::cell::UnsafeCell::new(value) }
    }

    /// Takes the lock, blocking the machine (not only the green thread) while it is held.
    #[inline(always)]
    pub(crate) fn lock(&self) -> Guard<'_, T> {
        // ORDERING: Acquire on success, pairs with the Release in `Guard::drop`; publishes `value`.
        let taken = self.state.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed);
        if taken.is_err() {
            self.lock_slow();
        }
        ranks::taken(self.rank);
        Guard { lock: self, _local: std::marker::PhantomData }
    }

    /// Takes the lock if it is free.
    #[inline(always)]
    pub(crate) fn try_lock(&self) -> Option<Guard<'_, T>> {
        // ORDERING: Acquire on success, pairs with the Release in `Guard::drop`; publishes `value`.
        let taken = self.state.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed);
        if taken.is_err() {
            return None;
        }
        ranks::taken(self.rank);
        Some(Guard { lock: self, _local: std::marker::PhantomData })
    }

    #[cold]
    #[inline(never)]
    fn lock_slow(&self) {
        for _ in 0..100 {
            std::hint::spin_loop();
            // ORDERING: Relaxed; only decides whether the exchange below is worth trying.
            if self.state.load(Ordering::Relaxed) == 0
                // ORDERING: Acquire on success, pairs with the Release in `Guard::drop`.
                && self.state.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok()
            {
                return;
            }
        }
        // ORDERING: Acquire; pairs with the Release in `Guard::drop`; publishes `value`.
        while self.state.swap(2, Ordering::Acquire) != 0 {
            crate::sys::futex::wait(&self.state, 2, None);
        }
    }
}

#[cfg(not(loom))]
impl<T> std::ops::Deref for Guard<'_, T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: the guard holds the lock, so nobody else reaches the value (MutualExclusion).
        unsafe { &*self.lock.value.get() }
    }
}

#[cfg(not(loom))]
impl<T> std::ops::DerefMut for Guard<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard holds the lock and is borrowed exclusively (MutualExclusion).
        unsafe { &mut *self.lock.value.get() }
    }
}

#[cfg(not(loom))]
impl<T> Drop for Guard<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        ranks::given_back(self.lock.rank);
        // ORDERING: Release; pairs with the Acquire of the next taker; publishes `value`.
        if self.lock.state.swap(0, Ordering::Release) == 2 {
            crate::sys::futex::wake(&self.lock.state, 1);
        }
    }
}

#[cfg(not(loom))]
impl<T> std::fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lock").field("rank", &self.rank.0).finish_non_exhaustive()
    }
}

/// The record of held ranks of the running thread: debug builds only.
#[cfg(not(loom))]
pub(crate) mod ranks {
    use super::Rank;

    #[cfg(all(debug_assertions, not(any(gthread_tsan, gthread_asan))))]
    thread_local! {
        static HELD: std::cell::Cell<u128> = const { std::cell::Cell::new(0) };
    }

    /// Notes that a lock of this rank was taken, and that all held ones rank lower.
    #[inline(always)]
    pub(crate) fn taken(rank: Rank) {
        #[cfg(all(debug_assertions, not(any(gthread_tsan, gthread_asan))))]
        HELD.with(|held| {
            let bits = held.get();
            if bits >> rank.0 != 0 {
                crate::primitive::abort::rt_abort!(
                    "lock: rank {} taken while ranks {bits:#b} are held",
                    rank.0
                );
            }
            held.set(bits | 1 << rank.0);
        });
        let _ = rank;
    }

    /// Notes that a lock of this rank was given back.
    #[inline(always)]
    pub(crate) fn given_back(rank: Rank) {
        #[cfg(all(debug_assertions, not(any(gthread_tsan, gthread_asan))))]
        HELD.with(|held| held.set(held.get() & !(1 << rank.0)));
        let _ = rank;
    }

    /// Checks that no internal lock is held: called before every switch.
    #[inline(always)]
    pub(crate) fn assert_none_held() {
        #[cfg(all(debug_assertions, not(any(gthread_tsan, gthread_asan))))]
        HELD.with(|held| {
            if held.get() != 0 {
                crate::primitive::abort::rt_abort!(
                    "lock: a switch while ranks {:#b} are held",
                    held.get()
                );
            }
        });
    }
}

/// Under loom: the guard of loom's mutex.
#[cfg(loom)]
pub(crate) type Guard<'a, T> = loom::sync::MutexGuard<'a, T>;

/// Under loom: loom's mutex, with the same face.
#[cfg(loom)]
#[derive(Debug)]
pub(crate) struct Lock<T>(loom::sync::Mutex<T>);

#[cfg(loom)]
impl<T> Lock<T> {
    /// Makes a free lock; ranks are not checked in models.
    pub(crate) fn new(_rank: Rank, value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    /// Takes the lock.
    pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
        self.0.lock().expect("a model's lock is not poisoned")
    }
}
