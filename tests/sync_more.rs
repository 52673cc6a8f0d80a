//! Once, OnceLock, LazyLock, Barrier, Semaphore, WaitGroup: what they promise.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that unwraps is a test that fails, and it explains itself"
)]

mod common;

use common::{Count, on_each_carrier, silence_panics_on_purpose, watch};
use gthread::sync::{Barrier, LazyLock, Mutex, Once, OnceLock, Semaphore, WaitGroup};
use gthread::time::timeout;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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

// --- Once ----------------------------------------------------------------------------------

#[test]
fn a_once_runs_once_and_everybody_waits_for_its_end() {
    on_each_carrier("once", || {
        let (once, runs) = (Once::new(), AtomicUsize::new(0));
        gthread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(|| {
                    once.call_once(|| {
                        gthread::sleep(Duration::from_micros(50));
                        gthread::yield_now();
                        runs.fetch_add(1, Ordering::Relaxed);
                    });
                    assert!(once.is_completed());
                    assert_eq!(runs.load(Ordering::Relaxed), 1);
                });
            }
            scope.spawn(|| {
                once.wait();
                once.wait_force();
                assert!(once.wait_timeout(Duration::ZERO) && once.wait_until(Instant::now()));
                assert_eq!(runs.load(Ordering::Relaxed), 1);
            });
        });
    });
}

#[test]
fn a_panic_poisons_a_once_until_it_is_forced() {
    silence_panics_on_purpose();
    on_each_carrier("poison", || {
        let once = Once::new();
        let panics = |f: &dyn Fn()| catch_unwind(AssertUnwindSafe(f)).unwrap_err();
        panics(&|| once.call_once(|| panic!("on purpose")));
        assert!(!once.is_completed());
        let forced = || once.call_once_force(|state| assert!(state.is_poisoned()));
        gthread::scope(|scope| {
            // Waits for whom the poison does not matter.
            let waiter = scope.spawn(|| once.wait_force());
            gthread::yield_now();
            forced();
            waiter.join().unwrap();
        });
        once.call_once(|| unreachable!());
        once.call_once_force(|_| unreachable!());
        assert!(once.is_completed());
    });
}

#[test]
fn the_message_of_a_poisoned_once_is_that_of_std() {
    silence_panics_on_purpose();
    let name = "the_message_of_a_poisoned_once_is_that_of_std";
    if common::is_child(name) {
        let once = Once::new();
        catch_unwind(AssertUnwindSafe(|| once.call_once(|| panic!("on purpose")))).unwrap_err();
        once.call_once(|| ());
    }
    let output = common::in_child(name, &[]);
    assert!(common::errors_of(&output).contains("Once instance has previously been poisoned"));
}

#[test]
fn who_waits_for_a_once_gives_up_at_its_deadline() {
    on_each_carrier("once deadline", || {
        let once = Once::new();
        let start = Instant::now();
        assert!(!once.wait_timeout(SHORT) && start.elapsed() >= SHORT);
        assert!(!timeout(SHORT, || once.wait_until(Instant::now() + LONG)));
        once.call_once(|| ());
        assert!(once.wait_timeout(Duration::ZERO));
    });
}

#[test]
fn a_once_lock_is_written_once_and_dropped_once() {
    on_each_carrier("once lock", || {
        let count = Count::default();
        let cell = OnceLock::new();
        assert!(cell.get().is_none() && cell.wait_timeout(SHORT).is_none());
        gthread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    cell.get_or_init(|| {
                        gthread::yield_now();
                        count.one()
                    });
                });
            }
            scope.spawn(|| {
                cell.wait();
                assert!(cell.wait_until(Instant::now()).is_some());
            });
        });
        assert_eq!(count.alive(), 1);
        assert!(cell.set(count.one()).is_err());
        assert_eq!(count.alive(), 1);
        drop(cell);
        assert_eq!(count.alive(), 0);
        let mut cell = OnceLock::from(3);
        *cell.get_mut().unwrap() += 1;
        assert_eq!((cell.clone(), cell.take(), cell.get()), (OnceLock::from(4), Some(4), None));
        assert_eq!((cell.set(5), cell.into_inner()), (Ok(()), Some(5)));
    });
}

#[test]
fn a_once_lock_stays_empty_after_a_panic() {
    silence_panics_on_purpose();
    on_each_carrier("once lock panics", || {
        let cell = OnceLock::new();
        let panic = || cell.get_or_init(|| panic!("on purpose"));
        catch_unwind(AssertUnwindSafe(|| *panic())).unwrap_err();
        assert_eq!(cell.get(), None);
        assert_eq!(*cell.get_or_init(|| 3), 3);
    });
}

#[test]
fn a_lazy_lock_is_made_at_its_first_use_and_stays_broken_after_a_panic() {
    static LAZY: LazyLock<Vec<u32>> = LazyLock::new(|| vec![1, 2, 3]);
    silence_panics_on_purpose();
    on_each_carrier("lazy", || {
        assert_eq!(LAZY.len(), 3);
        let made = AtomicUsize::new(0);
        let lazy = LazyLock::new(|| made.fetch_add(1, Ordering::Relaxed));
        gthread::scope(|scope| {
            for _ in 0..10 {
                scope.spawn(|| assert_eq!(*lazy, 0));
            }
        });
        assert_eq!(made.load(Ordering::Relaxed), 1);
    });
    let broken = LazyLock::new(|| -> u32 { panic!("on purpose") });
    catch_unwind(AssertUnwindSafe(|| *broken)).unwrap_err();
    let thread = std::thread::spawn(move || *broken);
    let payload = thread.join().unwrap_err();
    let text = payload.downcast_ref::<&str>().copied();
    assert_eq!(text, Some("LazyLock instance has previously been poisoned"));
}

// --- Barrier -------------------------------------------------------------------------------

#[test]
fn a_barrier_has_one_leader_in_each_of_its_generations() {
    on_each_carrier("barrier", || {
        const THREADS: usize = 20;
        const ROUNDS: usize = 20;
        let (barrier, leaders, inside) =
            (Barrier::new(THREADS), AtomicUsize::new(0), AtomicUsize::new(0));
        gthread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for round in 0..ROUNDS {
                        inside.fetch_add(1, Ordering::Relaxed);
                        let is_leader = barrier.wait().is_leader();
                        assert!(inside.load(Ordering::Relaxed) >= (round + 1) * THREADS);
                        leaders.fetch_add(usize::from(is_leader), Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(leaders.into_inner(), ROUNDS);
        assert!(Barrier::new(0).wait().is_leader() && Barrier::new(1).wait().is_leader());
    });
}

#[test]
fn who_gives_up_at_a_barrier_has_not_come() {
    on_each_carrier("barrier deadline", || {
        let barrier = Barrier::new(2);
        assert_eq!(barrier.wait_timeout(SHORT), None);
        assert_eq!(timeout(SHORT, || barrier.wait_until(Instant::now() + LONG)), None);
        gthread::scope(|scope| {
            let other = scope.spawn(|| barrier.wait().is_leader());
            gthread::yield_now();
            let is_leader = barrier.wait_timeout(LONG).unwrap().is_leader();
            assert_ne!(is_leader, other.join().unwrap());
        });
    });
}

#[test]
fn who_gives_up_as_the_barrier_opens_has_passed() {
    // More threads than are woken at a time, so that some are still to be woken at their deadline.
    const THREADS: usize = 50;
    const ROUNDS: usize = 30;
    on_each_carrier("barrier opens", || {
        let (barrier, leaders) = (Barrier::new(THREADS), AtomicUsize::new(0));
        let passed = AtomicUsize::new(0);
        gthread::scope(|scope| {
            for thread in 0..THREADS {
                let (barrier, leaders, passed) = (&barrier, &leaders, &passed);
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        let mut patience = Duration::from_micros(1 + 7 * thread as u64);
                        let result = loop {
                            if let Some(result) = barrier.wait_timeout(patience) {
                                break result;
                            }
                            patience *= 2;
                        };
                        passed.fetch_add(1, Ordering::AcqRel);
                        leaders.fetch_add(usize::from(result.is_leader()), Ordering::AcqRel);
                        assert!(passed.load(Ordering::Acquire) > round * THREADS);
                    }
                });
            }
        });
        assert_eq!((leaders.into_inner(), passed.into_inner()), (ROUNDS, ROUNDS * THREADS));
    });
}

// --- Semaphore -----------------------------------------------------------------------------

#[test]
fn never_more_hold_permits_than_there_are() {
    on_each_carrier("semaphore", || {
        let (semaphore, holders) = (Semaphore::new(3), AtomicUsize::new(0));
        gthread::scope(|scope| {
            for thread in 0..12 {
                let (semaphore, holders) = (&semaphore, &holders);
                scope.spawn(move || {
                    for round in 0..50 {
                        let count = 1 + (thread + round) % 3;
                        let permits = semaphore.acquire(count);
                        assert_eq!(permits.count(), count);
                        assert!(holders.fetch_add(count, Ordering::AcqRel) + count <= 3);
                        gthread::yield_now();
                        holders.fetch_sub(count, Ordering::AcqRel);
                    }
                });
            }
        });
        assert_eq!(semaphore.available_permits(), 3);
    });
}

/// Whether the thread of that name waits for a permit.
fn waits_for_permits(name: &str) -> bool {
    let dump = gthread::inspect::dump().to_string();
    dump.lines().any(|line| line.contains(name) && line.contains("semaphore"))
}

#[test]
fn permits_are_given_in_the_order_of_asking() {
    on_each_carrier("first come", || {
        let semaphore = Arc::new(Semaphore::new(1));
        let order = Arc::new(Mutex::new(Vec::new()));
        let permit = semaphore.acquire(1);
        let ask = |place: usize| {
            let (semaphore, order) = (Arc::clone(&semaphore), Arc::clone(&order));
            let name = format!("in line: {place}");
            let builder = gthread::Builder::new().name(name.clone());
            let handle = builder.spawn(move || {
                // One that wants more than there is at first, in the middle.
                let mut permits = semaphore.acquire(if place == 5 { 2 } else { 1 });
                order.lock().push(place);
                permits.split(permits.count() - 1).unwrap().forget();
            });
            until(|| waits_for_permits(&name));
            handle.unwrap()
        };
        let handles: Vec<_> = (0..10).map(ask).collect();
        drop(permit);
        until(|| order.lock().len() == 5 && semaphore.available_permits() == 1);
        assert!(semaphore.try_acquire(1).is_none(), "somebody waits");
        semaphore.add_permits(1);
        handles.into_iter().for_each(|handle| handle.join().unwrap());
        assert_eq!(*order.lock(), (0..10).collect::<Vec<_>>());
    });
}

#[test]
fn who_gives_up_takes_no_permit_and_lets_others_pass() {
    on_each_carrier("semaphore deadline", || {
        let semaphore = Semaphore::new(1);
        let start = Instant::now();
        assert!(semaphore.acquire_timeout(2, SHORT).is_none() && start.elapsed() >= SHORT);
        assert!(timeout(SHORT, || semaphore.acquire_until(2, Instant::now() + LONG)).is_none());
        gthread::scope(|scope| {
            let greedy = scope.spawn(|| semaphore.acquire_timeout(2, SHORT).is_none());
            until(|| greedy.is_finished() || semaphore.try_acquire(1).is_none());
            drop(semaphore.acquire(1));
            assert!(greedy.join().unwrap());
        });
        assert_eq!(semaphore.available_permits(), 1);
    });
}

#[test]
fn permits_can_be_split_merged_moved_and_forgotten() {
    on_each_carrier("permits", || {
        let semaphore = Arc::new(Semaphore::new(5));
        let mut permits = semaphore.acquire(4);
        assert!(permits.split(5).is_none() && semaphore.try_acquire(2).is_none());
        let part = permits.split(1).unwrap();
        drop(part);
        assert_eq!(semaphore.available_permits(), 2);
        permits.merge(semaphore.acquire(2));
        assert_eq!((permits.count(), semaphore.available_permits()), (5, 0));
        permits.split(2).unwrap().forget();
        drop(permits);
        assert_eq!(semaphore.available_permits(), 3);
        let moved = semaphore.acquire_arc(2);
        gthread::spawn(move || drop(moved)).join().unwrap();
        assert!(semaphore.try_acquire_arc(4).is_none());
        assert!(semaphore.acquire_arc_timeout(4, SHORT).is_none());
        assert!(semaphore.acquire_arc_until(4, Instant::now()).is_none());
        assert_eq!((semaphore.forget_permits(9), semaphore.available_permits()), (3, 0));
        semaphore.add_permits(1);
        drop(semaphore.try_acquire(1).unwrap());
        drop(semaphore.acquire(0));
    });
}

#[test]
fn there_cannot_be_too_many_permits() {
    silence_panics_on_purpose();
    let semaphore = Semaphore::new(Semaphore::MAX_PERMITS);
    let thread = std::thread::spawn(move || semaphore.add_permits(1));
    let payload = thread.join().unwrap_err();
    let told = format!("too many permits: 1 more make more than {}", Semaphore::MAX_PERMITS);
    assert_eq!(payload.downcast_ref::<String>(), Some(&told));
}

// --- WaitGroup -----------------------------------------------------------------------------

#[test]
fn a_group_is_waited_for_until_its_last_member_is_gone() {
    silence_panics_on_purpose();
    on_each_carrier("wait group", || {
        let (group, done) = (WaitGroup::new(), Arc::new(AtomicUsize::new(0)));
        let handles: Vec<_> = (0..20)
            .map(|number| {
                let (member, done) = (group.clone(), Arc::clone(&done));
                gthread::spawn(move || {
                    gthread::yield_now();
                    done.fetch_add(1, Ordering::Relaxed);
                    // A panic drops the member too, and several may wait.
                    assert!(number % 5 != 0, "on purpose");
                    if number % 3 == 0 { member.wait() } else { drop(member) }
                })
            })
            .collect();
        group.wait();
        assert_eq!(done.load(Ordering::Relaxed), 20);
        for (number, handle) in handles.into_iter().enumerate() {
            assert_eq!(handle.join().is_err(), number % 5 == 0);
        }
    });
}

#[test]
fn who_gives_up_waiting_is_a_member_again() {
    on_each_carrier("wait group deadline", || {
        let group = WaitGroup::new();
        let member = group.clone();
        let group = group.wait_timeout(SHORT).unwrap_err();
        let group = timeout(SHORT, || group.wait_until(Instant::now() + LONG)).unwrap_err();
        let waiter = gthread::spawn(move || member.wait());
        gthread::sleep(SHORT);
        assert!(!waiter.is_finished());
        group.wait_timeout(LONG).unwrap();
        waiter.join().unwrap();
        let _dog = watch("an empty group");
        WaitGroup::default().wait_until(Instant::now()).unwrap();
    });
}
