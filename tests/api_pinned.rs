//! Pinning: a green thread that is tied to its OS thread stays on it through every wait, and what
//! others do is not held up by it.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that unwraps is a test that fails, and it explains itself"
)]

mod common;

use common::{runtime, watch};
use gthread::{Builder, Runtime};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// The kernel's number of the OS thread that runs this.
fn thread_number() -> i64 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::syscall(libc::SYS_gettid) }
}

/// Runs `f` as a green thread of runtimes with 1, 2 and 4 processors.
fn on_each_number(name: &'static str, f: impl Fn() + Sync) {
    for processors in [1, 2, 4] {
        let _dog = watch(name);
        let runtime = runtime(processors);
        runtime.run(&f);
        runtime.shutdown();
    }
}

/// Green threads that keep everybody busy until dropped: yielding, sleeping and spawning.
struct Crowd {
    stop: Arc<AtomicBool>,
    members: Vec<gthread::JoinHandle<()>>,
}

impl Crowd {
    fn new(members: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let member = |i: usize| {
            let stop = stop.clone();
            gthread::spawn(move || {
                while !stop.load(Ordering::Acquire) {
                    match i % 4 {
                        0 => gthread::sleep(Duration::from_micros(50)),
                        1 => gthread::spawn(gthread::yield_now).join().unwrap(),
                        _ => gthread::yield_now(),
                    }
                }
            })
        };
        let members = (0..members).map(member).collect();
        Self { stop, members }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.members.drain(..).for_each(|member| member.join().unwrap());
    }
}

/// Every kind of wait, once; the OS thread must be the same after each.
fn wait_in_every_way() {
    let machine = thread_number();
    let check = |after: &str| assert_eq!(thread_number(), machine, "after {after}");
    gthread::yield_now();
    check("a yield");
    gthread::sleep(Duration::from_micros(100));
    check("a sleep");
    gthread::park_timeout(Duration::from_micros(100));
    check("a timed park");
    let me = gthread::current();
    let waker = gthread::spawn(move || me.unpark());
    gthread::park();
    check("a park");
    waker.join().unwrap();
    check("a join");
    gthread::scope(|s| {
        s.spawn(gthread::yield_now);
    });
    check("a scope");
    gthread::blocking(|| std::thread::sleep(Duration::from_micros(300)));
    check("blocking");
    std::thread::sleep(Duration::from_micros(500));
    check("a blocking call");
    gthread::yield_now();
    check("a yield after a blocking call");
}

#[test]
fn a_pinned_green_thread_never_changes_its_os_thread() {
    on_each_number("pinned", || {
        let _crowd = Crowd::new(8);
        let handles: Vec<_> = (0..4)
            .map(|_| {
                let body = || (0..5).for_each(|_| wait_in_every_way());
                Builder::new().pinned().spawn(body).unwrap()
            })
            .collect();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
    });
}

#[test]
fn a_guard_ties_and_unties_and_nests() {
    on_each_number("guards", || {
        let _crowd = Crowd::new(8);
        let handles: Vec<_> = (0..4)
            .map(|_| {
                gthread::spawn(|| {
                    for _ in 0..5 {
                        gthread::yield_now();
                        let outer = gthread::pin_to_machine();
                        let machine = thread_number();
                        wait_in_every_way();
                        let inner = gthread::pin_to_machine();
                        wait_in_every_way();
                        // Not in the order of their making.
                        drop(outer);
                        wait_in_every_way();
                        assert_eq!(thread_number(), machine);
                        drop(inner);
                        gthread::yield_now();
                    }
                })
            })
            .collect();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
    });
}

#[test]
fn two_pinned_green_threads_never_share_an_os_thread() {
    on_each_number("not shared", || {
        let all = Arc::new(AtomicUsize::new(0));
        let handles: Vec<_> = (0..50)
            .map(|_| {
                let all = all.clone();
                let body = move || {
                    all.fetch_add(1, Ordering::AcqRel);
                    while all.load(Ordering::Acquire) < 50 {
                        gthread::sleep(Duration::from_micros(100));
                    }
                    thread_number()
                };
                Builder::new().pinned().spawn(body).unwrap()
            })
            .collect();
        let machines: Vec<_> = handles.into_iter().map(|handle| handle.join().unwrap()).collect();
        let distinct: std::collections::HashSet<_> = machines.iter().collect();
        assert_eq!(distinct.len(), 50);
    });
}

#[test]
fn a_pinned_green_thread_that_ends_gives_its_machine_back() {
    // In a process of its own: the machines of all runtimes are counted.
    let name = "a_pinned_green_thread_that_ends_gives_its_machine_back";
    if !common::is_child(name) {
        return common::assert_passed(&common::in_child(name, &[]));
    }
    on_each_number("given back", || {
        for _ in 0..20 {
            let handles: Vec<_> = (0..10)
                .map(|_| Builder::new().pinned().spawn(gthread::yield_now).unwrap())
                .collect();
            handles.into_iter().for_each(|handle| handle.join().unwrap());
        }
        // 200 have come and gone, 10 at a time: machines were used again.
        let machines = gthread::inspect::dump().machines.len();
        assert!(machines < 100, "{machines} machines");
    });
}

#[test]
fn a_pinned_green_thread_may_panic_and_leave_its_guards() {
    common::silence_panics_on_purpose();
    on_each_number("pinned panics", || {
        let handle = gthread::spawn(|| {
            let _pinned = gthread::pin_to_machine();
            gthread::yield_now();
            panic!("on purpose");
        });
        assert!(handle.join().is_err());
        let handle = Builder::new().pinned().spawn(|| panic!("on purpose")).unwrap();
        assert!(handle.join().is_err());
        // A guard that is forgotten ties to the end, and no longer.
        let handle = gthread::spawn(|| {
            std::mem::forget(gthread::pin_to_machine());
            wait_in_every_way();
        });
        handle.join().unwrap();
        wait_for_others();
    });
}

/// Others still run: a few spawns and joins.
fn wait_for_others() {
    let handles: Vec<_> = (0..100).map(|_| gthread::spawn(gthread::yield_now)).collect();
    handles.into_iter().for_each(|handle| handle.join().unwrap());
}

#[test]
fn a_guard_on_an_os_thread_does_nothing() {
    let _dog = watch("guard on an OS thread");
    let outer = gthread::pin_to_machine();
    let inner = gthread::pin_to_machine();
    gthread::yield_now();
    drop(outer);
    drop(inner);
}

#[test]
fn pinned_green_threads_of_os_threads_are_themselves() {
    let _dog = watch("pinned OS threads");
    let runtime = Runtime::builder().processors(1).os_threads(true).build().unwrap();
    runtime.run(|| {
        let body = || {
            let _pinned = gthread::pin_to_machine();
            wait_in_every_way();
        };
        Builder::new().pinned().spawn(body).unwrap().join().unwrap();
    });
    runtime.shutdown();
}

#[test]
fn a_pinned_hog_and_pinned_sleepers_leave_room_for_others() {
    on_each_number("pinned hog", || {
        let stop = Arc::new(AtomicBool::new(false));
        let hogs: Vec<_> = (0..4)
            .map(|_| {
                let stop = stop.clone();
                let body = move || {
                    let machine = thread_number();
                    while !stop.load(Ordering::Acquire) {
                        std::hint::spin_loop();
                    }
                    gthread::yield_now();
                    assert_eq!(thread_number(), machine);
                };
                Builder::new().pinned().spawn(body).unwrap()
            })
            .collect();
        let sleeper = Builder::new().pinned().spawn(|| {
            for _ in 0..10 {
                gthread::sleep(Duration::from_micros(500));
            }
        });
        sleeper.unwrap().join().unwrap();
        wait_for_others();
        stop.store(true, Ordering::Release);
        hogs.into_iter().for_each(|hog| hog.join().unwrap());
    });
}

#[test]
fn pinned_green_threads_wake_each_other() {
    on_each_number("pinned ping-pong", || {
        let rounds = 200_usize;
        let ball = Arc::new(AtomicUsize::new(0));
        let (seen, first) = (ball.clone(), gthread::current());
        let _pinned = gthread::pin_to_machine();
        let body = move || {
            for round in 0..rounds {
                while seen.load(Ordering::Acquire) != 2 * round + 1 {
                    gthread::park();
                }
                seen.store(2 * round + 2, Ordering::Release);
                first.unpark();
            }
        };
        let second = Builder::new().pinned().spawn(body).unwrap();
        for round in 0..rounds {
            ball.store(2 * round + 1, Ordering::Release);
            second.thread().unpark();
            while ball.load(Ordering::Acquire) != 2 * round + 2 {
                gthread::park();
            }
        }
        second.join().unwrap();
    });
}

#[test]
fn a_signal_mask_changed_by_a_pinned_green_thread_is_its_own() {
    on_each_number("signal masks", || {
        let body = || {
            change_mask(libc::SIG_BLOCK);
            gthread::yield_now();
            assert!(is_blocked(), "kept across a wait");
            gthread::spawn(|| assert!(!is_blocked(), "not inherited")).join().unwrap();
            assert!(is_blocked());
            change_mask(libc::SIG_UNBLOCK);
        };
        let handles: Vec<_> =
            (0..8).map(|_| Builder::new().pinned().spawn(body).unwrap()).collect();
        for _ in 0..200 {
            gthread::spawn(|| assert!(!is_blocked(), "somebody else's mask")).join().unwrap();
        }
        handles.into_iter().for_each(|handle| handle.join().unwrap());
    });
}

/// Blocks or unblocks SIGUSR2 for the running OS thread.
fn change_mask(how: i32) {
    // SAFETY: a signal set of zeros is one.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is a signal set.
    unsafe { libc::sigaddset(&raw mut set, libc::SIGUSR2) };
    // SAFETY: `set` is a signal set, and the old one is not asked for.
    unsafe { libc::pthread_sigmask(how, &raw const set, std::ptr::null_mut()) };
}

/// Whether SIGUSR2 is blocked for the running OS thread.
fn is_blocked() -> bool {
    // SAFETY: a signal set of zeros is one.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: no new mask is given; the old one is written to `set`.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &raw mut set) };
    // SAFETY: `set` has been written.
    unsafe { libc::sigismember(&raw const set, libc::SIGUSR2) == 1 }
}

#[test]
fn what_a_pinned_green_thread_leaves_of_its_mask_goes_to_nobody() {
    on_each_number("left masks", || {
        for i in 0..20 {
            if i % 2 == 0 {
                let body = || change_mask(libc::SIG_BLOCK);
                Builder::new().pinned().spawn(body).unwrap().join().unwrap();
            } else {
                let body = || {
                    let _pinned = gthread::pin_to_machine();
                    change_mask(libc::SIG_BLOCK);
                    gthread::yield_now();
                };
                gthread::spawn(body).join().unwrap();
            }
            let handles: Vec<_> = (0..20).map(|_| gthread::spawn(is_blocked)).collect();
            for handle in handles {
                assert!(!handle.join().unwrap(), "somebody else's mask");
            }
        }
    });
}

#[test]
fn machines_inherit_nothing_from_the_os_thread_that_spawns() {
    // Go: TestLockOSThreadAvoidsStatePropagation.
    let _dog = watch("inherited state");
    let runtime = runtime(4);
    std::thread::scope(|s| {
        s.spawn(|| {
            change_mask(libc::SIG_BLOCK);
            let before = cpus();
            run_on_one_cpu();
            assert_eq!(cpus(), 1);
            let handles: Vec<_> = (0..50)
                .map(|_| {
                    runtime.spawn(|| {
                        gthread::blocking(|| std::thread::sleep(Duration::from_micros(200)));
                        (is_blocked(), cpus())
                    })
                })
                .collect();
            for handle in handles {
                assert_eq!(handle.join().unwrap(), (false, before));
            }
        });
    });
    runtime.shutdown();
}

/// How many CPUs the running OS thread may run on.
fn cpus() -> i32 {
    // SAFETY: a CPU set of zeros is one.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes at most the size of the set to it.
    unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) };
    // SAFETY: reads the set.
    unsafe { libc::CPU_COUNT(&set) }
}

/// Ties the running OS thread to one of its CPUs.
fn run_on_one_cpu() {
    // SAFETY: a CPU set of zeros is one.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: takes nothing; the CPU the thread is on is one of its own.
    let cpu = unsafe { libc::sched_getcpu() };
    // SAFETY: a number the kernel gave fits in the set.
    unsafe { libc::CPU_SET(cpu as usize, &mut set) };
    // SAFETY: the kernel reads the set.
    unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
}
