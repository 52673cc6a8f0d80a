//! The semantics of Go's tests of `sync`, in our words; each names the one it mirrors. Then random
//! stress with a seed, mixed OS and green threads, and the semaphore against a model.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that unwraps is a test that fails, and it explains itself"
)]

mod common;

use common::{Random, on_each_carrier, runtime, silence_panics_on_purpose, stress_asked, watch};
use gthread::sync::{
    Barrier, Condvar, LazyLock, Mutex, Once, OnceLock, RwLock, Semaphore, WaitGroup,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Lets others run until `is_so`.
fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        gthread::yield_now();
    }
}

/// TestMutex: ten threads, a thousand rounds, some of them by `try_lock`.
#[test]
fn mutex_hammer() {
    on_each_carrier("TestMutex", || {
        let sum = Mutex::new(0);
        gthread::scope(|scope| {
            for _ in 0..10 {
                scope.spawn(|| {
                    for round in 0..1_000 {
                        match (round % 3 == 0).then(|| sum.try_lock()).flatten() {
                            Some(mut guard) => *guard += 1,
                            None => *sum.lock() += 1,
                        }
                    }
                });
            }
        });
        assert_eq!(sum.into_inner(), 10_000);
    });
}

/// TestMutexFairness: one that holds the lock nearly always does not keep another out.
#[test]
fn mutex_fairness() {
    on_each_carrier("TestMutexFairness", || {
        let (mutex, stop) = (Mutex::new(()), AtomicBool::new(false));
        gthread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Acquire) {
                    let guard = mutex.lock();
                    gthread::sleep(Duration::from_micros(100));
                    drop(guard);
                }
            });
            for _ in 0..10 {
                gthread::sleep(Duration::from_micros(100));
                drop(mutex.lock());
            }
            stop.store(true, Ordering::Release);
        });
    });
}

/// TestParallelReaders: readers hold the lock together.
#[test]
fn readers_hold_the_lock_together() {
    on_each_carrier("TestParallelReaders", || {
        const READERS: usize = 10;
        let (lock, together) = (RwLock::new(()), Barrier::new(READERS));
        gthread::scope(|scope| {
            for _ in 0..READERS {
                scope.spawn(|| {
                    let guard = lock.read();
                    // All have to be here before one may leave.
                    together.wait();
                    drop(guard);
                });
            }
        });
    });
}

/// TestRWMutex (HammerRWMutex): a writer is alone, also among readers that come and go.
#[test]
fn rwlock_hammer() {
    on_each_carrier("TestRWMutex", || {
        let (lock, activity) = (RwLock::new(()), AtomicI32::new(0));
        gthread::scope(|scope| {
            for thread in 0..12 {
                let (lock, activity) = (&lock, &activity);
                scope.spawn(move || {
                    for _ in 0..200 {
                        let (reading, writing, add) = if thread % 6 == 0 {
                            (None, Some(lock.write()), 10_000)
                        } else {
                            (Some(lock.read()), None, 1)
                        };
                        let before = activity.fetch_add(add, Ordering::AcqRel);
                        let limit = if add == 1 { 0..10_000 } else { 0..1 };
                        assert!(limit.contains(&before), "{before} while adding {add}");
                        gthread::yield_now();
                        activity.fetch_sub(add, Ordering::AcqRel);
                        drop((reading, writing));
                    }
                });
            }
        });
    });
}

/// TestCondSignalGenerations: those that wait are woken in the order in which they came.
#[test]
fn condvar_in_order() {
    on_each_carrier("TestCondSignalGenerations", || {
        const WAITERS: usize = 50;
        let (mutex, condvar) = (Mutex::new(Vec::new()), Condvar::new());
        let waiting = AtomicUsize::new(0);
        gthread::scope(|scope| {
            for number in 0..WAITERS {
                let (mutex, condvar, waiting) = (&mutex, &condvar, &waiting);
                scope.spawn(move || {
                    let mut order = mutex.lock();
                    waiting.fetch_add(1, Ordering::AcqRel);
                    condvar.wait(&mut order);
                    order.push(number);
                });
                // The next one comes when this one waits: it has given the mutex back.
                until(|| waiting.load(Ordering::Acquire) == number + 1);
                drop(mutex.lock());
            }
            for woken in 0..WAITERS {
                assert!(condvar.notify_one());
                until(|| mutex.lock().len() == woken + 1);
            }
        });
        assert!(mutex.into_inner().is_sorted());
    });
}

/// TestCondSignalStealing: a notification reaches one that waits already, not one that comes after.
#[test]
fn condvar_no_stealing() {
    on_each_carrier("TestCondSignalStealing", || {
        for _ in 0..200 {
            let (mutex, condvar) = (Mutex::new((false, false)), Condvar::new());
            gthread::scope(|scope| {
                let first = scope.spawn(|| {
                    let mut state = mutex.lock();
                    state.0 = true;
                    condvar.wait(&mut state);
                });
                until(|| mutex.lock().0);
                scope.spawn(|| {
                    let mut state = mutex.lock();
                    state.1 = true;
                    // Late comers wait for a notification of their own.
                    condvar.wait(&mut state);
                });
                assert!(condvar.notify_one());
                first.join().unwrap();
                until(|| mutex.lock().1);
                drop(mutex.lock());
                until(|| condvar.notify_one());
            });
        }
    });
}

/// TestRace (of Cond), TestCondBroadcast: three that change the condition for each other.
#[test]
fn condvar_race() {
    on_each_carrier("TestRace", || {
        let (mutex, condvar) = (Mutex::new(0), Condvar::new());
        gthread::scope(|scope| {
            for turn in 0..3 {
                let (mutex, condvar) = (&mutex, &condvar);
                scope.spawn(move || {
                    for round in 0..300 {
                        let mut value = mutex.lock();
                        condvar.wait_while(&mut value, |value| *value != 3 * round + turn);
                        *value += 1;
                        condvar.notify_all();
                    }
                });
            }
        });
        assert_eq!(mutex.into_inner(), 900);
    });
}

/// TestWaitGroup, TestWaitGroupRace: what the members did before they left is seen.
#[test]
fn wait_group_race() {
    on_each_carrier("TestWaitGroupRace", || {
        for _ in 0..300 {
            let (group, sum) = (WaitGroup::new(), Arc::new(AtomicI32::new(0)));
            for _ in 0..2 {
                let (member, sum) = (group.clone(), Arc::clone(&sum));
                gthread::spawn(move || {
                    sum.fetch_add(1, Ordering::Relaxed);
                    drop(member);
                });
            }
            group.wait();
            assert_eq!(sum.load(Ordering::Relaxed), 2);
        }
    });
}

/// TestOnce, TestOnceFunc, TestOnceValue, and their panicking forms: once, and replayed.
#[test]
fn once_func_and_value() {
    silence_panics_on_purpose();
    on_each_carrier("TestOnceValue", || {
        let calls = AtomicUsize::new(0);
        let (once, value) = (Once::new(), LazyLock::new(|| calls.fetch_add(1, Ordering::Relaxed)));
        gthread::scope(|scope| {
            for _ in 0..10 {
                scope.spawn(|| {
                    once.call_once(|| assert_eq!(*value, 0));
                    assert_eq!(*value, 0);
                });
            }
        });
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        let broken = Arc::new(LazyLock::new(|| -> u32 { panic!("on purpose") }));
        for _ in 0..2 {
            let broken = Arc::clone(&broken);
            let thread = gthread::spawn(move || {
                let quiet = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| **broken));
                assert!(quiet.is_err(), "on purpose");
            });
            thread.join().unwrap();
        }
    });
}

/// No more rounds of a stress are begun after this, whatever was asked for.
const STRESS_MAX: Duration = Duration::from_secs(12);

/// What a random thread of the stress does its work on.
#[derive(Default)]
struct Stage {
    sum: Mutex<u64>,
    /// Twice the same, but while somebody writes.
    pair: RwLock<(u64, u64)>,
    changed: Condvar,
    tokens: Mutex<u64>,
    given: AtomicU64,
    taken: AtomicU64,
    done: AtomicU64,
    holders: AtomicUsize,
    made: OnceLock<u64>,
}

/// One step of the stress; how often it added to the sum.
fn step(stage: &Stage, permits: &Arc<Semaphore>, random: &mut Random) -> u64 {
    let short = Duration::from_nanos(random.below(200_000));
    match random.below(12) {
        0..=2 => *stage.sum.lock() += 1,
        3 => {
            let Some(mut sum) = stage.sum.try_lock_for(short) else { return 0 };
            *sum += 1;
            if random.below(8) == 0 {
                gthread::sleep(short / 8);
            }
            lock_api_unlock(sum, random);
        }
        4 => {
            let mut pair = stage.pair.write();
            pair.0 += 1;
            gthread::yield_now();
            pair.1 += 1;
            return 0;
        }
        5 => {
            let pair = stage.pair.read();
            assert_eq!(pair.0, pair.1);
            return 0;
        }
        6 => {
            if let Some(pair) = stage.pair.try_upgradable_read_for(short) {
                let seen = pair.0;
                let upgraded =
                    gthread::sync::RwLockUpgradableReadGuard::try_upgrade_for(pair, short);
                if let Ok(mut pair) = upgraded {
                    assert_eq!(*pair, (seen, seen));
                    *pair = (seen + 1, seen + 1);
                }
            }
            return 0;
        }
        7 => {
            *stage.tokens.lock() += 1;
            stage.given.fetch_add(1, Ordering::Relaxed);
            stage.changed.notify_one();
            return 0;
        }
        8 => {
            let mut tokens = stage.tokens.lock();
            let wait = stage.changed.wait_while_for(&mut tokens, |tokens| *tokens == 0, short);
            if !wait.timed_out() {
                *tokens -= 1;
                stage.taken.fetch_add(1, Ordering::Relaxed);
            }
            return 0;
        }
        9 => {
            stage.made.get_or_init(|| 7);
            assert_eq!(stage.made.wait(), &7);
            return 0;
        }
        _ => {
            let count = 1 + random.below(3) as usize;
            let Some(held) = permits.acquire_timeout(count, short) else { return 0 };
            assert!(stage.holders.fetch_add(count, Ordering::AcqRel) + count <= 3);
            if random.below(4) == 0 {
                gthread::yield_now();
            }
            stage.holders.fetch_sub(count, Ordering::AcqRel);
            drop(held);
            return 0;
        }
    }
    1
}

/// Gives a mutex back in one of the two ways.
fn lock_api_unlock(guard: gthread::sync::MutexGuard<'_, u64>, random: &mut Random) {
    if random.below(2) == 0 {
        gthread::sync::MutexGuard::unlock_fair(guard);
    }
}

fn stress(processors: usize, random: &mut Random) {
    let _dog = watch("sync stress");
    let runtime = runtime(processors);
    let (stage, permits) = (Arc::new(Stage::default()), Arc::new(Semaphore::new(3)));
    let body = |mut random: Random| {
        let (stage, permits) = (Arc::clone(&stage), Arc::clone(&permits));
        move || {
            let added: u64 = (0..300).map(|_| step(&stage, &permits, &mut random)).sum();
            stage.done.fetch_add(added, Ordering::Relaxed);
            if random.below(4) == 0 {
                // A panic while holding one of each.
                let _held = (stage.sum.lock(), stage.pair.read(), permits.acquire(1));
                panic!("on purpose");
            }
        }
    };
    let green: Vec<_> = (0..24).map(|_| runtime.spawn(body(random.fork()))).collect();
    let os: Vec<_> = (0..3).map(|_| std::thread::spawn(body(random.fork()))).collect();
    green.into_iter().for_each(|handle| drop(handle.join()));
    os.into_iter().for_each(|handle| drop(handle.join()));
    assert_eq!(*stage.sum.lock(), stage.done.load(Ordering::Relaxed));
    assert_eq!(permits.available_permits(), 3);
    let left = stage.given.load(Ordering::Relaxed) - stage.taken.load(Ordering::Relaxed);
    assert_eq!(*stage.tokens.lock(), left);
    drop((stage.sum.try_lock().unwrap(), stage.pair.try_write().unwrap()));
    runtime.shutdown();
}

#[test]
fn anything_at_once_from_os_and_green_threads() {
    silence_panics_on_purpose();
    let (mut random, start) = (Random::new("sync stress"), Instant::now());
    for _ in 0..3 * stress_asked() {
        for processors in [1, 2, 8] {
            stress(processors, &mut random);
        }
        if start.elapsed() > STRESS_MAX {
            break;
        }
    }
}

/// A deadline that falls on the moment of the choice: waits of every length around the time a
/// hand-over takes, on a lock that is handed round.
#[test]
fn deadlines_at_the_moment_of_the_choice() {
    let (mut random, start) = (Random::new("sync deadlines"), Instant::now());
    for processors in [1, 2].repeat(stress_asked() as usize) {
        if start.elapsed() > STRESS_MAX {
            break;
        }
        let _dog = watch("sync deadlines");
        let runtime = runtime(processors);
        let random = Mutex::new(random.fork());
        runtime.run(|| {
            let (permits, mutex) = (Semaphore::new(1), Mutex::new(0_u64));
            let got = AtomicU64::new(0);
            gthread::scope(|scope| {
                for _ in 0..6 {
                    scope.spawn(|| {
                        let mut random = random.lock().fork();
                        for _ in 0..500 {
                            let short = Duration::from_nanos(random.below(20_000));
                            let permit = permits.acquire_until(1, Instant::now() + short);
                            let guard = mutex.try_lock_for(short);
                            gthread::yield_now();
                            got.fetch_add(
                                guard.map_or(0, |mut sum| {
                                    *sum += 1;
                                    1
                                }),
                                Ordering::Relaxed,
                            );
                            drop(permit);
                        }
                    });
                }
            });
            assert_eq!((permits.available_permits(), mutex.into_inner()), (1, got.into_inner()));
        });
        runtime.shutdown();
    }
}

#[cfg(not(gthread_lean))]
mod model {
    use super::*;
    use proptest::prelude::*;

    /// An operation on a semaphore by one thread, which never waits.
    #[derive(Clone, Copy, Debug)]
    enum Operation {
        Take(usize),
        TakeFor(usize),
        Give,
        Split(usize),
        Forget,
        Add(usize),
        ForgetFree(usize),
    }

    fn operation() -> impl Strategy<Value = Operation> {
        prop_oneof![
            (0_usize..4).prop_map(Operation::Take),
            (0_usize..4).prop_map(Operation::TakeFor),
            Just(Operation::Give),
            (0_usize..3).prop_map(Operation::Split),
            Just(Operation::Forget),
            (0_usize..3).prop_map(Operation::Add),
            (0_usize..3).prop_map(Operation::ForgetFree),
        ]
    }

    proptest! {
        /// The semaphore is a count: every operation does to it what it does to a number.
        #[test]
        fn a_semaphore_is_a_count(operations in prop::collection::vec(operation(), 0..60)) {
            let (semaphore, mut free) = (Semaphore::new(3), 3_usize);
            let mut held = Vec::new();
            for operation in operations {
                match operation {
                    Operation::Take(count) | Operation::TakeFor(count) => {
                        let permits = match operation {
                            Operation::Take(_) => semaphore.try_acquire(count),
                            _ => semaphore.acquire_timeout(count, Duration::ZERO),
                        };
                        prop_assert_eq!(permits.is_some(), count <= free);
                        free -= permits.as_ref().map_or(0, |permits| permits.count());
                        held.extend(permits);
                    }
                    Operation::Give => free += held.pop().map_or(0, |permits| permits.count()),
                    Operation::Split(count) => {
                        let Some(last) = held.last_mut() else { continue };
                        let part = last.split(count);
                        held.extend(part);
                    }
                    Operation::Forget => drop(held.pop().map(|permits| permits.forget())),
                    Operation::Add(count) => {
                        semaphore.add_permits(count);
                        free += count;
                    }
                    Operation::ForgetFree(count) => {
                        prop_assert_eq!(semaphore.forget_permits(count), count.min(free));
                        free -= count.min(free);
                    }
                }
                prop_assert_eq!(semaphore.available_permits(), free);
            }
        }
    }
}
