//! Locks and rendezvous that block the green thread: names and semantics of parking_lot and `std::sync`.
//!
//! | | as | waits, with `_timeout`/`_for` and `_until` forms |
//! |---|---|---|
//! | [`Mutex`], [`ReentrantMutex`] | parking_lot, by `lock_api` | `lock` |
//! | [`RwLock`] | parking_lot, by `lock_api` | `read`, `write`, `upgradable_read`, `upgrade` |
//! | [`Condvar`] | parking_lot | `wait`, `wait_while` |
//! | [`Once`], [`OnceLock`] | `std::sync` | `wait` |
//! | [`LazyLock`] | `std::sync` | none |
//! | [`Barrier`] | `std::sync` | `wait` |
//! | [`Semaphore`] | tokio, without `async` and `close` | `acquire` |
//! | [`WaitGroup`] | `crossbeam_utils` | `wait` |
//!
//! All of them work between green threads, OS threads and runtimes in any mixture, and can be made
//! in a constant (but for `WaitGroup`, which lives on the heap). What waits, waits in order.
//! A wait with a deadline ends by its own or by that of a [`time::timeout`](crate::time::timeout)
//! around it, whichever is earlier; one without is not affected by either. A waiter that was
//! chosen just as its deadline passed has what it waited for.
//!
//! The locks of `std` work on green threads too, but a contended one blocks the machine, which
//! costs a hand-off of its processor.
//!
//! How they are made is told in `README.md` beside this file.

#[cfg(all(test, loom))]
mod barrier_model;
#[cfg(all(test, loom))]
mod condvar_model;
#[cfg(all(test, loom))]
mod mutex_model;
#[cfg(all(test, loom))]
mod once_model;
#[cfg(all(test, loom))]
mod rwlock_model;
#[cfg(all(test, loom))]
mod semaphore_model;
#[cfg(all(test, loom))]
mod wait_group_model;

cfg_if::cfg_if! {
    if #[cfg(not(loom))] {
        mod attempt;
        mod barrier;
        mod condvar;
        mod deadline;
        mod lazy_lock;
        mod mutex;
        mod once;
        mod once_lock;
        mod raw_barrier;
        mod raw_condvar;
        mod raw_mutex;
        mod raw_once;
        mod raw_rwlock;
        mod raw_semaphore;
        mod raw_wait_group;
        mod rwlock;
        mod semaphore;
        mod spin;
        mod wait_group;
        mod wait_queue;

        pub use barrier::{Barrier, BarrierWaitResult};
        pub use condvar::{Condvar, WaitTimeoutResult};
        pub use lazy_lock::LazyLock;
        pub use lock_api;
        pub use mutex::{
            MappedMutexGuard, MappedReentrantMutexGuard, Mutex, MutexGuard, RawThreadId,
            ReentrantMutex, ReentrantMutexGuard, const_mutex, const_reentrant_mutex,
        };
        pub use once::{Once, OnceState};
        pub use once_lock::OnceLock;
        pub use raw_mutex::RawMutex;
        pub use raw_rwlock::RawRwLock;
        pub use rwlock::{
            MappedRwLockReadGuard, MappedRwLockWriteGuard, RwLock, RwLockReadGuard,
            RwLockUpgradableReadGuard, RwLockWriteGuard, const_rwlock,
        };
        pub use semaphore::{ArcPermits, Permits, PermitsOf, Semaphore};
        pub use wait_group::WaitGroup;
    } else if #[cfg(test)] {
        mod attempt;
        mod raw_barrier;
        mod raw_condvar;
        mod raw_mutex;
        mod raw_once;
        mod raw_rwlock;
        mod raw_semaphore;
        mod raw_wait_group;
        mod spin;
        mod wait_queue;
    }
}
