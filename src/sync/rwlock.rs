//! `RwLock`: the raw reader-writer lock behind `lock_api`.

use super::deadline;
use super::raw_rwlock::{RawRwLock, Want};
use std::time::{Duration, Instant};

/// A reader-writer lock that blocks the green thread: names and semantics of parking_lot.
///
/// The methods are those of [`lock_api::RwLock`]: `read`, `write`, `upgradable_read`, their
/// `try_…`, `…_for` and `…_until` forms, `read_recursive`, … and those of the guards: `downgrade`,
/// `upgrade`, `unlock_fair`, `map`. There is no poisoning. Guards are not `Send`.
///
/// **Fairness.** While the lock is held nobody passes a thread that waits, and readers that stand
/// in a row come in together. So a `read` waits if a writer waits, even while others read; a thread
/// that reads already and reads again must use `read_recursive`, which passes everybody, or it may
/// wait for itself. An upgrade goes first of all. A lock that comes free goes to whoever runs, as
/// a [`Mutex`](super::Mutex) does, until who waits longest has lost it for 0.5 ms; or at once to
/// who waits longest, by `unlock_fair`.
///
/// **Blocking.** As [`Mutex`](super::Mutex). At most 2²⁷ − 1 threads read at a time; more wait.
///
/// # Examples
/// ```
/// use gthread::sync::{RwLock, RwLockUpgradableReadGuard};
/// let names = RwLock::new(vec!["a"]);
/// assert_eq!(names.read().len(), 1);
/// let looked = names.upgradable_read();
/// if !looked.contains(&"b") {
///     RwLockUpgradableReadGuard::upgrade(looked).push("b");
/// }
/// assert_eq!(*names.read(), ["a", "b"]);
/// ```
///
/// A guard does not leave its thread:
/// ```compile_fail,E0277
/// let lock = gthread::sync::RwLock::new(0);
/// gthread::scope(|scope| {
///     let guard = lock.read();
///     scope.spawn(move || drop(guard));
/// });
/// ```
pub type RwLock<T> = lock_api::RwLock<RawRwLock, T>;

/// Holds a [`RwLock`] to read.
pub type RwLockReadGuard<'a, T> = lock_api::RwLockReadGuard<'a, RawRwLock, T>;

/// Holds a [`RwLock`] to write.
pub type RwLockWriteGuard<'a, T> = lock_api::RwLockWriteGuard<'a, RawRwLock, T>;

/// Holds a [`RwLock`] to read, and may come to write; one at a time, beside other readers.
pub type RwLockUpgradableReadGuard<'a, T> = lock_api::RwLockUpgradableReadGuard<'a, RawRwLock, T>;

/// Holds a [`RwLock`] to read, and lends a part of what is in it.
pub type MappedRwLockReadGuard<'a, T> = lock_api::MappedRwLockReadGuard<'a, RawRwLock, T>;

/// Holds a [`RwLock`] to write, and lends a part of what is in it.
pub type MappedRwLockWriteGuard<'a, T> = lock_api::MappedRwLockWriteGuard<'a, RawRwLock, T>;

/// A free lock, in a constant.
pub const fn const_rwlock<T>(value: T) -> RwLock<T> {
    RwLock::from_raw(RawRwLock::free(), value)
}

impl RawRwLock {
    #[inline]
    fn take(&self, want: Want) {
        while !self.take_until(want, || None) {}
    }

    #[inline]
    fn take_for(&self, want: Want, timeout: Duration) -> bool {
        self.take_until(want, || Some(deadline::after(timeout)))
    }

    #[inline]
    fn take_at(&self, want: Want, deadline: Instant) -> bool {
        self.take_until(want, || Some(deadline::at(deadline)))
    }
}

// SAFETY: Admission of `raw_rwlock`: a writer is alone, and what it did is published to the next.
unsafe impl lock_api::RawRwLock for RawRwLock {
    #[allow(clippy::declare_interior_mutable_const, reason = "the interface of lock_api")]
    const INIT: Self = Self::free();

    type GuardMarker = lock_api::GuardNoSend;

    #[inline]
    fn lock_shared(&self) {
        self.take(Want::Read);
    }
    #[inline]
    fn try_lock_shared(&self) -> bool {
        self.try_take(Want::Read)
    }
    #[inline]
    unsafe fn unlock_shared(&self) {
        // SAFETY: the caller's clause.
        unsafe { self.give(Want::Read) };
    }
    #[inline]
    fn lock_exclusive(&self) {
        self.take(Want::Write);
    }
    #[inline]
    fn try_lock_exclusive(&self) -> bool {
        self.try_take(Want::Write)
    }
    #[inline]
    unsafe fn unlock_exclusive(&self) {
        // SAFETY: the caller's clause.
        unsafe { self.give(Want::Write) };
    }
    #[inline]
    fn is_locked(&self) -> bool {
        self.holders() != 0
    }
    #[inline]
    fn is_locked_exclusive(&self) -> bool {
        self.is_taken_to_write()
    }
}

// SAFETY: the fair forms hand the lock to who waits first.
unsafe impl lock_api::RawRwLockFair for RawRwLock {
    #[inline]
    unsafe fn unlock_shared_fair(&self) {
        // SAFETY: the caller's clause.
        unsafe { self.give_fairly(Want::Read) };
    }
    #[inline]
    unsafe fn unlock_exclusive_fair(&self) {
        // SAFETY: the caller's clause.
        unsafe { self.give_fairly(Want::Write) };
    }
}

// SAFETY: the lock is not let go of between.
unsafe impl lock_api::RawRwLockDowngrade for RawRwLock {
    #[inline]
    unsafe fn downgrade(&self) {
        // SAFETY: the caller holds it to write, and reading allows no less to others.
        unsafe { self.lessen(Want::Write, Want::Read) };
    }
}

// SAFETY: as for `RawRwLock`; `true` says that the lock was taken.
unsafe impl lock_api::RawRwLockTimed for RawRwLock {
    type Duration = Duration;
    type Instant = Instant;

    #[inline]
    fn try_lock_shared_for(&self, timeout: Duration) -> bool {
        self.take_for(Want::Read, timeout)
    }
    #[inline]
    fn try_lock_shared_until(&self, deadline: Instant) -> bool {
        self.take_at(Want::Read, deadline)
    }
    #[inline]
    fn try_lock_exclusive_for(&self, timeout: Duration) -> bool {
        self.take_for(Want::Write, timeout)
    }
    #[inline]
    fn try_lock_exclusive_until(&self, deadline: Instant) -> bool {
        self.take_at(Want::Write, deadline)
    }
}

// SAFETY: a reader that reads already is let in beside itself, whoever waits.
unsafe impl lock_api::RawRwLockRecursive for RawRwLock {
    #[inline]
    fn lock_shared_recursive(&self) {
        while !self.take_recursive(|| None) {}
    }
    #[inline]
    fn try_lock_shared_recursive(&self) -> bool {
        self.try_take_recursive()
    }
}

// SAFETY: as above; `true` says that the lock was taken.
unsafe impl lock_api::RawRwLockRecursiveTimed for RawRwLock {
    #[inline]
    fn try_lock_shared_recursive_for(&self, timeout: Duration) -> bool {
        self.take_recursive(|| Some(deadline::after(timeout)))
    }
    #[inline]
    fn try_lock_shared_recursive_until(&self, deadline: Instant) -> bool {
        self.take_recursive(|| Some(deadline::at(deadline)))
    }
}

// SAFETY: Admission: one upgradable reader at a time, beside readers, never beside a writer; it
// becomes the writer in the exchange that finds no reader, so nobody writes between.
unsafe impl lock_api::RawRwLockUpgrade for RawRwLock {
    #[inline]
    fn lock_upgradable(&self) {
        self.take(Want::Upgradable);
    }
    #[inline]
    fn try_lock_upgradable(&self) -> bool {
        self.try_take(Want::Upgradable)
    }
    #[inline]
    unsafe fn unlock_upgradable(&self) {
        // SAFETY: the caller's clause.
        unsafe { self.give(Want::Upgradable) };
    }
    #[inline]
    unsafe fn upgrade(&self) {
        self.take(Want::Upgrade);
    }
    #[inline]
    unsafe fn try_upgrade(&self) -> bool {
        self.try_take(Want::Upgrade)
    }
}

// SAFETY: the fair forms hand the lock to who waits first.
unsafe impl lock_api::RawRwLockUpgradeFair for RawRwLock {
    #[inline]
    unsafe fn unlock_upgradable_fair(&self) {
        // SAFETY: the caller's clause.
        unsafe { self.give_fairly(Want::Upgradable) };
    }
}

// SAFETY: the lock is not let go of between.
unsafe impl lock_api::RawRwLockUpgradeDowngrade for RawRwLock {
    #[inline]
    unsafe fn downgrade_upgradable(&self) {
        // SAFETY: the caller holds it upgradable; reading allows no less to others.
        unsafe { self.lessen(Want::Upgradable, Want::Read) };
    }
    #[inline]
    unsafe fn downgrade_to_upgradable(&self) {
        // SAFETY: the caller holds it to write; anything allows no less to others.
        unsafe { self.lessen(Want::Write, Want::Upgradable) };
    }
}

// SAFETY: as for `RawRwLockUpgrade`; `true` says that the lock was taken, or upgraded.
unsafe impl lock_api::RawRwLockUpgradeTimed for RawRwLock {
    #[inline]
    fn try_lock_upgradable_for(&self, timeout: Duration) -> bool {
        self.take_for(Want::Upgradable, timeout)
    }
    #[inline]
    fn try_lock_upgradable_until(&self, deadline: Instant) -> bool {
        self.take_at(Want::Upgradable, deadline)
    }
    #[inline]
    unsafe fn try_upgrade_for(&self, timeout: Duration) -> bool {
        self.take_for(Want::Upgrade, timeout)
    }
    #[inline]
    unsafe fn try_upgrade_until(&self, deadline: Instant) -> bool {
        self.take_at(Want::Upgrade, deadline)
    }
}
