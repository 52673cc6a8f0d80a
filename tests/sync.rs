//! Mutex, RwLock, Condvar: what they promise, on green threads and on OS threads.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that unwraps is a test that fails, and it explains itself"
)]

mod common;

use common::{on_each_carrier, runtime, silence_panics_on_purpose, watch};
use gthread::sync::{
    Condvar, MappedMutexGuard, Mutex, MutexGuard, ReentrantMutex, RwLock, RwLockReadGuard,
    RwLockUpgradableReadGuard, RwLockWriteGuard, const_mutex, const_rwlock,
};
use gthread::time::timeout;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A timeout that is meant to pass.
const SHORT: Duration = Duration::from_millis(3);
/// A timeout that is not.
const LONG: Duration = Duration::from_secs(3_600);

/// Lets others run until `is_so`.
fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        gthread::yield_now();
    }
}

/// How long a call took, and what it returned.
fn time<T>(f: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let value = f();
    (start.elapsed(), value)
}

// --- Mutex ---------------------------------------------------------------------------------

#[test]
fn one_at_a_time_holds_a_mutex() {
    on_each_carrier("one at a time", || {
        let sum = Mutex::new(0_u64);
        gthread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for round in 0..500 {
                        let mut guard = sum.lock();
                        let seen = *guard;
                        if round % 16 == 0 {
                            gthread::yield_now();
                        }
                        *guard = seen + 1;
                    }
                });
            }
        });
        assert_eq!(sum.into_inner(), 8 * 500);
    });
}

#[test]
fn a_held_mutex_is_not_had_by_try_lock() {
    on_each_carrier("try_lock", || {
        let mutex = Mutex::new(1);
        let guard = mutex.lock();
        assert!(mutex.is_locked() && mutex.try_lock().is_none());
        gthread::scope(|scope| {
            scope.spawn(|| assert!(mutex.try_lock().is_none())).join().unwrap();
        });
        drop(guard);
        assert!(!mutex.is_locked());
        *mutex.try_lock().unwrap() = 2;
        assert_eq!(*mutex.lock(), 2);
    });
}

#[test]
fn a_panic_gives_the_mutex_back_without_poison() {
    silence_panics_on_purpose();
    on_each_carrier("panic", || {
        let mutex = Arc::new(Mutex::new(0));
        let other = Arc::clone(&mutex);
        let thread = gthread::spawn(move || {
            let mut guard = other.lock();
            *guard = 7;
            panic!("on purpose");
        });
        thread.join().unwrap_err();
        assert_eq!(*mutex.lock(), 7);
    });
}

#[test]
fn a_timed_lock_gives_up_at_its_deadline_and_never_before() {
    on_each_carrier("timed lock", || {
        let mutex = Mutex::new(());
        let guard = mutex.lock();
        let (took, result) = time(|| mutex.try_lock_for(SHORT).is_some());
        assert!(!result && took >= SHORT, "{took:?}");
        let deadline = Instant::now() + SHORT;
        assert!(mutex.try_lock_until(deadline).is_none() && Instant::now() >= deadline);
        assert!(mutex.try_lock_for(Duration::ZERO).is_none());
        drop(guard);
        // Nothing is left of those that gave up.
        drop(mutex.try_lock_for(Duration::ZERO).unwrap());
        drop(mutex.try_lock_until(Instant::now()).unwrap());
        drop(mutex.lock());
    });
}

#[test]
fn a_timed_lock_is_had_when_it_is_given_back_in_time() {
    on_each_carrier("in time", || {
        let mutex = Mutex::new(0);
        let mut guard = mutex.lock();
        gthread::scope(|scope| {
            let thread = scope.spawn(|| mutex.try_lock_for(LONG).map(|guard| *guard));
            gthread::yield_now();
            *guard = 5;
            drop(guard);
            assert_eq!(thread.join().unwrap(), Some(5));
        });
    });
}

#[test]
fn timed_forms_inherit_a_deadline_and_lock_does_not() {
    on_each_carrier("inherited", || {
        let mutex = Mutex::new(());
        let guard = mutex.lock();
        timeout(SHORT, || {
            assert!(mutex.try_lock_for(LONG).is_none());
            assert!(mutex.try_lock_until(Instant::now() + LONG).is_none());
        });
        let waits = AtomicBool::new(false);
        gthread::scope(|scope| {
            let thread = scope.spawn(|| {
                timeout(Duration::ZERO, || {
                    waits.store(true, Ordering::Release);
                    drop(mutex.lock());
                });
            });
            until(|| waits.load(Ordering::Acquire));
            gthread::sleep(SHORT);
            assert!(!thread.is_finished());
            drop(guard);
            thread.join().unwrap();
        });
    });
}

#[test]
fn bump_lets_in_who_waits() {
    on_each_carrier("bump", || {
        let mutex = Mutex::new(0);
        let mut guard = mutex.lock();
        gthread::scope(|scope| {
            scope.spawn(|| *mutex.lock() += 1);
            scope.spawn(|| *mutex.lock() += 1);
            while *guard < 2 {
                MutexGuard::bump(&mut guard);
                MutexGuard::unlocked(&mut guard, gthread::yield_now);
            }
        });
    });
}

#[test]
fn unlock_fair_goes_to_who_waits() {
    on_each_carrier("unlock_fair", || {
        let mutex = Mutex::new(0);
        gthread::scope(|scope| {
            let guard = mutex.lock();
            let thread = scope.spawn(|| *mutex.lock() = 1);
            // It is queued once an unlock takes the way past the queue: give it the time.
            gthread::sleep(SHORT);
            MutexGuard::unlock_fair(guard);
            thread.join().unwrap();
            assert_eq!(*mutex.lock(), 1);
        });
    });
}

#[test]
fn a_guard_moves_with_its_thread() {
    let _dog = watch("migration");
    let runtime = runtime(2);
    runtime.run(|| {
        let mutex = Mutex::new(0_u32);
        gthread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let mut guard = mutex.lock();
                        *guard += 1;
                        gthread::sleep(Duration::from_micros(10));
                        gthread::yield_now();
                        drop(guard);
                    }
                });
            }
        });
        assert_eq!(mutex.into_inner(), 16 * 50);
    });
    runtime.shutdown();
}

#[test]
fn parts_of_what_is_locked_can_be_lent() {
    static NAMES: Mutex<(u32, u32)> = const_mutex((1, 2));
    static LOCK: RwLock<(u32, u32)> = const_rwlock((1, 2));
    on_each_carrier("mapped", || {
        let mut part: MappedMutexGuard<'_, u32> = MutexGuard::map(NAMES.lock(), |both| &mut both.1);
        *part = 2;
        assert!(NAMES.is_locked());
        drop(part);
        assert_eq!(*NAMES.lock(), (1, 2));
        let part = RwLockReadGuard::map(LOCK.read(), |both| &both.0);
        assert_eq!(*part, 1);
        drop(part);
        *RwLockWriteGuard::map(LOCK.write(), |both| &mut both.1) = 2;
    });
}

#[test]
fn a_reentrant_mutex_knows_its_thread_wherever_it_runs() {
    on_each_carrier("reentrant", || {
        let mutex = ReentrantMutex::new(std::cell::Cell::new(0));
        gthread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let outer = mutex.lock();
                        let seen = outer.get();
                        gthread::yield_now();
                        let inner = mutex.lock();
                        assert!(mutex.try_lock().is_some());
                        inner.set(seen + 1);
                    }
                });
            }
        });
        assert_eq!(mutex.lock().get(), 80);
    });
}

#[test]
fn a_mutex_works_between_os_threads_and_two_runtimes() {
    let _dog = watch("mixture");
    let sum = Arc::new(Mutex::new(0_u64));
    let add = |sum: &Mutex<u64>| {
        for _ in 0..2_000 {
            *sum.lock() += 1;
        }
    };
    let runtimes = [runtime(1), runtime(2)];
    let mut joins: Vec<Box<dyn FnOnce()>> = Vec::new();
    for _ in 0..3 {
        let shared = Arc::clone(&sum);
        let thread = std::thread::spawn(move || add(&shared));
        joins.push(Box::new(move || thread.join().unwrap()));
        for runtime in &runtimes {
            let shared = Arc::clone(&sum);
            let thread = runtime.spawn(move || add(&shared));
            joins.push(Box::new(move || thread.join().unwrap()));
        }
    }
    joins.into_iter().for_each(|join| join());
    assert_eq!(*sum.lock(), 9 * 2_000);
    runtimes.iter().for_each(gthread::Runtime::shutdown);
}

// --- RwLock --------------------------------------------------------------------------------

#[test]
fn a_reader_behind_a_writer_waits_unless_it_reads_already() {
    on_each_carrier("readers and a writer", || {
        let lock = RwLock::new(0);
        let reading = lock.read();
        gthread::scope(|scope| {
            let writer = scope.spawn(|| *lock.write() = 1);
            // Nobody writes, and yet no reader comes in: the writer waits.
            until(|| lock.try_read().is_none());
            assert_eq!(*lock.read_recursive(), 0);
            assert!(lock.try_read_for(SHORT).is_none());
            assert!(!writer.is_finished() && lock.try_write().is_none());
            let reader = scope.spawn(|| *lock.read());
            // A lock that just comes free may be taken by the reader; given back fairly it is not.
            RwLockReadGuard::unlock_fair(reading);
            writer.join().unwrap();
            assert_eq!(reader.join().unwrap(), 1);
        });
        assert!(!lock.is_locked());
    });
}

#[test]
fn readers_come_in_when_the_writer_before_them_gives_up() {
    on_each_carrier("a writer gives up", || {
        let lock = RwLock::new(0);
        let reading = lock.read();
        gthread::scope(|scope| {
            let writer = scope.spawn(|| lock.try_write_for(SHORT).is_some());
            until(|| lock.try_read().is_none() || writer.is_finished());
            // They wait behind the writer, or it has given up already.
            let readers: Vec<_> = (0..40).map(|_| scope.spawn(|| *lock.read())).collect();
            readers.into_iter().for_each(|reader| assert_eq!(reader.join().unwrap(), 0));
            assert!(!writer.join().unwrap());
        });
        drop(reading);
        drop(lock.try_write().unwrap());
    });
}

#[test]
fn an_upgradable_reader_stands_beside_readers_and_comes_to_write_alone() {
    on_each_carrier("upgrade", || {
        let lock = RwLock::new(0);
        let (reads, leaves) = (AtomicBool::new(false), AtomicBool::new(false));
        gthread::scope(|scope| {
            scope.spawn(|| {
                let reading = lock.read();
                reads.store(true, Ordering::Release);
                until(|| leaves.load(Ordering::Acquire));
                gthread::yield_now();
                drop(reading);
            });
            until(|| reads.load(Ordering::Acquire));
            let looking = lock.upgradable_read();
            assert!(lock.try_upgradable_read().is_none() && lock.try_write().is_none());
            assert!(lock.try_upgradable_read_for(SHORT).is_none());
            let looking = RwLockUpgradableReadGuard::try_upgrade(looking).unwrap_err();
            let looking = RwLockUpgradableReadGuard::try_upgrade_for(looking, SHORT).unwrap_err();
            // The attempt has left nothing behind: readers come in.
            drop(lock.try_read().unwrap());
            leaves.store(true, Ordering::Release);
            let mut writing = RwLockUpgradableReadGuard::upgrade(looking);
            *writing += 1;
            let reader = scope.spawn(|| *lock.read());
            assert!(lock.try_read().is_none());
            let looking = RwLockWriteGuard::downgrade_to_upgradable(writing);
            assert_eq!(reader.join().unwrap(), 1);
            let reading = RwLockUpgradableReadGuard::downgrade(looking);
            assert_eq!((*reading, *lock.upgradable_read()), (1, 1));
        });
        drop(lock.try_write().unwrap());
    });
}

#[test]
fn a_downgrade_lets_readers_in_and_no_writer() {
    on_each_carrier("downgrade", || {
        let lock = RwLock::new(0);
        let mut writing = lock.write();
        gthread::scope(|scope| {
            let readers: Vec<_> = (0..4).map(|_| scope.spawn(|| *lock.read())).collect();
            gthread::yield_now();
            *writing = 3;
            let reading = RwLockWriteGuard::downgrade(writing);
            readers.into_iter().for_each(|reader| assert_eq!(reader.join().unwrap(), 3));
            assert!(lock.try_write().is_none());
            drop(reading);
        });
        drop(lock.try_write().unwrap());
    });
}

#[test]
fn a_timed_write_or_read_gives_up_at_its_deadline() {
    on_each_carrier("timed rwlock", || {
        let lock = RwLock::new(());
        let reading = lock.read();
        let (took, result) = time(|| lock.try_write_for(SHORT).is_some());
        assert!(!result && took >= SHORT);
        assert!(lock.try_write_until(Instant::now() + SHORT).is_none());
        timeout(SHORT, || assert!(lock.try_write_for(LONG).is_none()));
        drop(reading);
        let writing = lock.write();
        assert!(lock.is_locked_exclusive());
        let (took, result) = time(|| lock.try_read_for(SHORT).is_some());
        assert!(!result && took >= SHORT);
        timeout(SHORT, || assert!(lock.try_read_until(Instant::now() + LONG).is_none()));
        assert!(lock.try_read_recursive_for(SHORT).is_none());
        drop(writing);
        drop(lock.try_read_for(Duration::ZERO).unwrap());
        drop(lock.try_write_for(Duration::ZERO).unwrap());
    });
}

// --- Condvar -------------------------------------------------------------------------------

#[test]
fn a_wait_ends_when_the_condition_does() {
    on_each_carrier("wait_while", || {
        let pair = (Mutex::new(0), Condvar::new());
        gthread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut value = pair.0.lock();
                    pair.1.wait_while(&mut value, |value| *value < 3);
                    *value += 1;
                });
            }
            for _ in 0..3 {
                *pair.0.lock() += 1;
                pair.1.notify_all();
                gthread::yield_now();
            }
        });
        assert_eq!(pair.0.into_inner(), 7);
    });
}

#[test]
fn a_timed_wait_says_whether_its_deadline_passed() {
    on_each_carrier("wait_for", || {
        let (mutex, condvar) = (Mutex::new(0), Condvar::new());
        let mut guard = mutex.lock();
        let (took, result) = time(|| condvar.wait_for(&mut guard, SHORT));
        assert!(result.timed_out() && took >= SHORT && mutex.is_locked());
        assert!(condvar.wait_until(&mut guard, Instant::now()).timed_out());
        assert!(timeout(SHORT, || condvar.wait_for(&mut guard, LONG)).timed_out());
        assert!(condvar.wait_while_for(&mut guard, |value| *value == 0, SHORT).timed_out());
        assert!(!condvar.wait_while_for(&mut guard, |value| *value != 0, SHORT).timed_out());
        let later = Instant::now() + SHORT;
        assert!(condvar.wait_while_until(&mut guard, |value| *value == 0, later).timed_out());
        // Nobody waits any more.
        assert!(!condvar.notify_one());
        assert_eq!(condvar.notify_all(), 0);
        gthread::scope(|scope| {
            scope.spawn(|| {
                *mutex.lock() = 1;
                until(|| condvar.notify_one());
            });
            assert!(!condvar.wait_for(&mut guard, LONG).timed_out());
            assert_eq!(*guard, 1);
        });
    });
}

#[test]
fn notify_one_wakes_one_and_notify_all_all() {
    on_each_carrier("notify", || {
        const WAITERS: usize = 40;
        let (mutex, condvar) = (Mutex::new(0), Condvar::new());
        let awake = AtomicUsize::new(0);
        gthread::scope(|scope| {
            for _ in 0..WAITERS {
                scope.spawn(|| {
                    let mut waiting = mutex.lock();
                    *waiting += 1;
                    condvar.wait(&mut waiting);
                    awake.fetch_add(1, Ordering::AcqRel);
                });
            }
            until(|| *mutex.lock() == WAITERS);
            for woken in 1..=3 {
                assert!(condvar.notify_one());
                until(|| awake.load(Ordering::Acquire) == woken);
            }
            assert_eq!(condvar.notify_all(), WAITERS - 3);
        });
        assert_eq!(awake.into_inner(), WAITERS);
        assert!(!condvar.notify_one());
    });
}

#[test]
fn a_condition_that_panics_gives_the_mutex_back() {
    silence_panics_on_purpose();
    on_each_carrier("condition panics", || {
        let pair = Arc::new((Mutex::new(0), Condvar::new()));
        let other = Arc::clone(&pair);
        let thread = gthread::spawn(move || {
            let mut guard = other.0.lock();
            other.1.wait_while_for(&mut guard, |_| panic!("on purpose"), LONG);
        });
        thread.join().unwrap_err();
        assert!(!pair.0.is_locked());
    });
}
