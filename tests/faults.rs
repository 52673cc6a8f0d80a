//! The system refuses: memory, guards, threads, signal stacks. Errors are told, nobody hangs, and
//! the runtime stays usable.
//!
//! A plan of faults is process-wide, so each test runs in a process of its own.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that unwraps is a test that fails, and it explains itself"
)]
#![cfg(feature = "fault-injection")]

mod common;

use common::{
    assert_died_of, assert_passed, errors_of, eventually, in_child, is_child, runtime, watch,
};
use gthread::fault::{Call as Fault, calls, clear, fail};
use gthread::{BuildErrorKind, Builder, Runtime};
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Runs `body` in a process of its own; what it wrote on standard error.
fn alone(name: &'static str, body: fn()) -> String {
    if is_child(name) {
        let _dog = watch(name);
        body();
        return String::new();
    }
    let output = in_child(name, &[]);
    assert_passed(&output);
    errors_of(&output)
}

/// Parks green threads with stacks of many sizes until one cannot be spawned, or there are
/// `limit`; then wakes and joins all. The error, if there was one.
fn park_until_refused(runtime: &Runtime, limit: usize) -> Option<std::io::Error> {
    let sizes = [64 << 10, 256 << 10, 1 << 20, 16 << 20];
    runtime.run(|| {
        let mut parked = Vec::new();
        let mut refused = None;
        for i in 0..limit {
            match Builder::new().stack_size(sizes[i % sizes.len()]).spawn(gthread::park) {
                Ok(handle) => parked.push(handle),
                Err(error) => {
                    refused = Some(error);
                    break;
                }
            }
            if i % 7 == 0 {
                gthread::yield_now();
            }
        }
        for handle in parked {
            handle.thread().unpark();
            handle.join().unwrap();
        }
        refused
    })
}

/// Fails unless the runtime does what runtimes do.
fn assert_usable(runtime: &Runtime) {
    assert_eq!(runtime.run(|| gthread::spawn(|| 5).join().unwrap()), 5);
    assert!(park_until_refused(runtime, 100).is_none());
}

#[test]
fn no_memory_at_any_mapping_is_an_error_of_spawn_and_the_runtime_stays_usable() {
    // A process for each: mappings are kept from runtime to runtime.
    let name = "no_memory_at_any_mapping_is_an_error_of_spawn_and_the_runtime_stays_usable";
    if is_child(name) {
        let _dog = watch(name);
        let number = |name| std::env::var(name).unwrap().parse().unwrap();
        let runtime = runtime(2);
        fail(Fault::Mmap, number("FIRST"), number("COUNT"), libc::ENOMEM);
        for _ in 0..3 {
            if let Some(error) = try_to_park_many(&runtime) {
                assert_eq!(error.kind(), ErrorKind::OutOfMemory, "{error}");
                println!("refused: {error}");
            }
        }
        clear();
        assert_usable(&runtime);
        runtime.shutdown();
        return;
    }
    let mut refusals = 0;
    for first in 0..10_u64 {
        for count in [1, u64::MAX] {
            let (first, count) = (first.to_string(), count.to_string());
            let output = in_child(name, &[("FIRST", &first), ("COUNT", &count)]);
            assert_passed(&output);
            refusals += String::from_utf8_lossy(&output.stdout).matches("refused").count();
        }
    }
    println!("{refusals} spawns were refused");
    assert!(refusals >= 10, "the plans made next to nothing fail");
}

/// [`park_until_refused`], on a runtime whose first stack may be the one that is refused.
fn try_to_park_many(runtime: &Runtime) -> Option<std::io::Error> {
    match Builder::new().spawn_on(runtime, || ()) {
        Ok(handle) => handle.join().unwrap(),
        Err(error) => return Some(error),
    }
    let parked = std::panic::AssertUnwindSafe(|| park_until_refused(runtime, 600));
    // `run` itself panics where it gets no stack.
    std::panic::catch_unwind(parked).unwrap_or_else(|_| Some(ErrorKind::OutOfMemory.into()))
}

#[test]
fn a_runtime_without_memory_from_the_start_is_an_error_of_spawn() {
    alone("a_runtime_without_memory_from_the_start_is_an_error_of_spawn", || {
        common::silence_panics_on_purpose();
        fail(Fault::Mmap, 0, u64::MAX, libc::ENOMEM);
        match Runtime::builder().processors(1).build() {
            Err(error) => assert_eq!(error.kind(), BuildErrorKind::System),
            Ok(runtime) => {
                let error = Builder::new().spawn_on(&runtime, || ()).expect_err("no memory");
                assert_eq!(error.kind(), ErrorKind::OutOfMemory, "{error}");
                let run = std::panic::AssertUnwindSafe(|| runtime.run(|| ()));
                assert!(std::panic::catch_unwind(run).is_err());
                clear();
                assert_usable(&runtime);
            }
        }
        clear();
        assert_usable(&runtime(1));
    });
}

#[test]
fn guards_that_cannot_be_had_one_way_are_had_another() {
    alone("guards_that_cannot_be_had_one_way_are_had_another", || {
        fail(Fault::GuardInstall, 0, u64::MAX, libc::EINVAL);
        let first = runtime(2);
        assert!(park_until_refused(&first, 300).is_none());
        fail(Fault::Poison, 0, u64::MAX, libc::EPERM);
        let second = runtime(2);
        assert!(park_until_refused(&second, 300).is_none());
        first.shutdown();
        second.shutdown();
    });
}

#[test]
fn no_guard_at_all_is_an_error_of_spawn() {
    alone("no_guard_at_all_is_an_error_of_spawn", || {
        fail(Fault::GuardInstall, 0, u64::MAX, libc::EINVAL);
        fail(Fault::Poison, 0, u64::MAX, libc::EPERM);
        fail(Fault::Protect, 0, u64::MAX, libc::ENOMEM);
        let runtime = runtime(1);
        let error = Builder::new().spawn_on(&runtime, || ()).expect_err("no guard");
        println!("{error}");
        assert!(error.to_string().contains("map_count") || error.raw_os_error().is_some());
        clear();
        assert_usable(&runtime);
        runtime.shutdown();
    });
}

#[test]
fn memory_that_cannot_be_given_back_is_kept() {
    alone("memory_that_cannot_be_given_back_is_kept", || {
        fail(Fault::DontNeed, 0, u64::MAX, libc::EINVAL);
        for _ in 0..5 {
            let runtime = runtime(2);
            assert_usable(&runtime);
            runtime.shutdown();
        }
    });
}

#[test]
fn a_thread_that_cannot_be_started_is_an_error_of_build() {
    alone("a_thread_that_cannot_be_started_is_an_error_of_build", || {
        for (threads, what) in [(0, "first machine"), (1, "monitor")] {
            for processors in [1, 4] {
                fail(Fault::ThreadSpawn, threads, u64::MAX, libc::EAGAIN);
                let error = Runtime::builder().processors(processors).build();
                let error = error.expect_err("no thread");
                assert_eq!(error.kind(), BuildErrorKind::System);
                let text = error.to_string();
                assert!(text.contains("cannot start a runtime") && text.contains(what), "{text}");
                let source = std::error::Error::source(&error).expect("the kernel's error");
                let source = source.downcast_ref::<std::io::Error>().expect("the kernel's error");
                assert_eq!(source.raw_os_error(), Some(libc::EAGAIN));
                assert_eq!(gthread::inspect::metrics().machines, 0, "the machine has ended");
                clear();
                assert_usable(&runtime(processors));
            }
        }
    });
}

#[test]
fn the_default_runtime_is_an_error_of_spawn_until_it_can_be_started() {
    alone("the_default_runtime_is_an_error_of_spawn_until_it_can_be_started", || {
        common::silence_panics_on_purpose();
        fail(Fault::ThreadSpawn, 0, u64::MAX, libc::EAGAIN);
        for _ in 0..2 {
            let error = Builder::new().spawn(|| 5).expect_err("no thread");
            assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
            assert!(error.to_string().contains("first machine"), "{error}");
            assert!(std::panic::catch_unwind(|| gthread::spawn(|| 5)).is_err());
            assert!(std::panic::catch_unwind(|| gthread::run(|| 5)).is_err());
        }
        clear();
        assert_eq!(Builder::new().spawn(|| 5).unwrap().join().unwrap(), 5);
        assert_eq!(gthread::run(|| gthread::spawn(|| 6).join().unwrap()), 6);
    });
}

#[test]
fn a_runtime_without_a_second_machine_goes_on_with_its_first() {
    let text = alone("a_runtime_without_a_second_machine_goes_on_with_its_first", || {
        for processors in [1, 4] {
            let runtime = runtime(processors);
            fail(Fault::ThreadSpawn, 0, u64::MAX, libc::EAGAIN);
            // One that blocks, so that others want a second machine; tried again and again.
            let (sender, receiver) = std::sync::mpsc::channel();
            let blocked = runtime.spawn(move || receiver.recv().unwrap());
            let others: Vec<_> = (0..10).map(|i| runtime.spawn(move || i)).collect();
            eventually("it tries again", || calls(Fault::ThreadSpawn) >= 20);
            // An attempt counts while it is made.
            eventually("there is one", || gthread::inspect::metrics().machines == 1);
            sender.send(5).unwrap();
            assert_eq!(blocked.join().unwrap(), 5);
            for (i, handle) in others.into_iter().enumerate() {
                assert_eq!(handle.join().unwrap(), i);
            }
            runtime.shutdown();
            clear();
        }
    });
    if !text.is_empty() {
        assert_eq!(text.matches("no further machine can be started").count(), 1, "{text}");
    }
}

#[test]
fn a_machine_is_left_for_those_that_are_not_pinned() {
    alone("a_machine_is_left_for_those_that_are_not_pinned", || {
        common::silence_panics_on_purpose();
        for processors in [1, 2] {
            let runtime = runtime(processors);
            fail(Fault::ThreadSpawn, 0, u64::MAX, libc::EAGAIN);
            // With one machine nobody gets it for itself.
            let error = Builder::new().pinned().spawn_on(&runtime, || ()).expect_err("no thread");
            assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
            assert!(error.to_string().contains("left for the others"), "{error}");
            runtime.run(|| {
                let pin = std::panic::catch_unwind(gthread::pin_to_machine);
                assert!(pin.is_err(), "there is no machine for it");
                // And all goes on.
                assert_eq!(gthread::spawn(|| 5).join().unwrap(), 5);
            });
            // With two, one does, and waits for those that the other runs; a second tie is refused.
            fail(Fault::ThreadSpawn, 1, u64::MAX, libc::EAGAIN);
            runtime.run(|| {
                let _nested = (gthread::pin_to_machine(), gthread::pin_to_machine());
                for _ in 0..10 {
                    assert_eq!(gthread::spawn(|| 5).join().unwrap(), 5);
                    assert!(Builder::new().pinned().spawn(|| ()).is_err());
                }
            });
            // What was given back is to be had, in turn.
            for _ in 0..10 {
                let pinned = Builder::new().pinned();
                let waits = || gthread::spawn(|| 5).join().unwrap();
                assert_eq!(pinned.spawn_on(&runtime, waits).unwrap().join().unwrap(), 5);
                runtime.run(|| drop(gthread::pin_to_machine()));
            }
            clear();
            // And without the limit everybody gets one.
            let pinned = || Builder::new().pinned().spawn_on(&runtime, gthread::park);
            let all: Vec<_> = (0..10).map(|_| pinned().unwrap()).collect();
            assert_eq!(runtime.run(|| gthread::spawn(|| 5).join().unwrap()), 5);
            for handle in all {
                handle.thread().unpark();
                handle.join().unwrap();
            }
            runtime.shutdown();
        }
    });
}

/// Everything that one machine alone can do, on a runtime with more processors.
fn work_that_one_machine_can_do(runtime: &Runtime) {
    let done = Arc::new(AtomicU64::new(0));
    runtime.run(|| {
        let handles: Vec<_> = (0..100)
            .map(|i| {
                let done = done.clone();
                gthread::spawn(move || {
                    match i % 6 {
                        0 => gthread::sleep(Duration::from_micros(200)),
                        1 => std::thread::sleep(Duration::from_micros(500)),
                        2 => gthread::blocking(|| std::thread::sleep(Duration::from_micros(300))),
                        3 => gthread::spawn(gthread::yield_now).join().unwrap(),
                        4 => gthread::park_timeout(Duration::from_micros(200)),
                        _ => (0..10).for_each(|_| gthread::yield_now()),
                    }
                    done.fetch_add(1, Ordering::AcqRel);
                })
            })
            .collect();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
    });
    assert_eq!(done.load(Ordering::Acquire), 100);
}

#[test]
fn a_runtime_goes_on_with_the_machines_it_has() {
    alone("a_runtime_goes_on_with_the_machines_it_has", || {
        for machines in [1, 2, 3] {
            let runtime = runtime(4);
            // One at a time, so that none is started beyond the plan.
            fail(Fault::ThreadSpawn, machines - 1, u64::MAX, libc::EAGAIN);
            (0..5).for_each(|_| work_that_one_machine_can_do(&runtime));
            // An attempt counts while it is made.
            let machines_now = || gthread::inspect::metrics().machines;
            eventually("no more than planned", || machines_now() <= machines);
            clear();
            // And takes more when it can have them: these need two at once.
            runtime.run(|| {
                let (sender, receiver) = std::sync::mpsc::sync_channel(0);
                let child = gthread::spawn(move || sender.send(5).unwrap());
                assert_eq!(receiver.recv(), Ok(5));
                child.join().unwrap();
            });
            runtime.shutdown();
        }
    });
}

#[test]
fn no_os_thread_to_stand_in_is_an_error_of_spawn() {
    // Here the thread is std's own, so the limit is a real one: of address space.
    alone("no_os_thread_to_stand_in_is_an_error_of_spawn", || {
        let runtime = Runtime::builder().os_threads(true).build().unwrap();
        let count = common::Count::default();
        limit_address_space(Some(512 << 20));
        let value = count.one();
        let spawned = Builder::new().stack_size(1 << 30).spawn_on(&runtime, move || drop(value));
        let error = spawned.expect_err("no room for such a stack");
        limit_address_space(None);
        assert_eq!(count.alive(), 0, "{error}");
        assert_eq!(runtime.run(|| gthread::spawn(|| 5).join().unwrap()), 5);
        assert!(runtime.shutdown_timeout(Duration::from_secs(20)).is_empty());
    });
}

#[test]
fn a_real_limit_of_address_space_is_an_error_of_spawn() {
    alone("a_real_limit_of_address_space_is_an_error_of_spawn", || {
        let runtime = runtime(2);
        work_that_one_machine_can_do(&runtime);
        for _ in 0..3 {
            limit_address_space(Some(600 << 20));
            let error = park_until_refused(&runtime, 20_000).expect("the limit is reached");
            limit_address_space(None);
            println!("{error}");
            assert_eq!(error.kind(), ErrorKind::OutOfMemory, "{error}");
            assert_usable(&runtime);
        }
        runtime.shutdown();
    });
}

/// Limits the address space to what is in use and `more_bytes`, or takes the limit away.
fn limit_address_space(more_bytes: Option<u64>) {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').next().unwrap().parse().unwrap();
    let bytes = more_bytes.map_or(libc::RLIM_INFINITY, |more| pages * 4_096 + more);
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the kernel reads the limit.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) }, 0);
}

#[test]
fn a_machine_without_a_signal_stack_works_and_still_dies_of_an_overflow() {
    /// Goes down until the stack ends.
    #[inline(never)]
    fn descend(depth: u64) -> u64 {
        let frame = std::hint::black_box([depth; 64]);
        if std::hint::black_box(depth) == u64::MAX { 0 } else { descend(depth + 1) + frame[63] }
    }
    let name = "a_machine_without_a_signal_stack_works_and_still_dies_of_an_overflow";
    if is_child(name) {
        let _dog = watch(name);
        fail(Fault::SignalStack, 0, u64::MAX, libc::ENOMEM);
        let runtime = runtime(2);
        assert_usable(&runtime);
        println!("usable");
        runtime.run(|| descend(0));
        return;
    }
    let output = in_child(name, &[]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("usable"), "{output:?}");
    // std's own signal stack of the thread serves as well.
    assert_died_of(&output, libc::SIGABRT);
    assert!(errors_of(&output).contains("has overflowed its stack"), "{output:?}");
}

#[test]
fn a_refused_signal_action_is_an_error_of_build_or_goes_without_reports() {
    alone("a_refused_signal_action_is_an_error_of_build_or_goes_without_reports", || {
        fail(Fault::SignalAction, 0, u64::MAX, libc::EINVAL);
        match Runtime::builder().processors(1).build() {
            Err(error) => assert_eq!(error.kind(), BuildErrorKind::System),
            Ok(runtime) => assert_usable(&runtime),
        }
        clear();
        assert_usable(&runtime(1));
    });
}

/// Whether a signal mask that one green thread has changed is seen by others.
fn a_mask_leaks() -> bool {
    /// The mask of the kernel's thread, by the kernel's own word.
    fn mask() -> u64 {
        let mut mask = 0_u64;
        let (nothing, place) = (std::ptr::null::<u64>(), &raw mut mask);
        // SAFETY: no new mask is given; the old one is written to `mask`.
        unsafe { libc::syscall(libc::SYS_rt_sigprocmask, 0, nothing, place, 8_usize) };
        mask
    }
    let runtime = runtime(1);
    let leaks = runtime.run(|| {
        let before = mask();
        let masker = gthread::spawn(|| {
            // SAFETY: a signal set of zeros is one.
            let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
            // SAFETY: `set` is a signal set.
            unsafe { libc::sigaddset(&raw mut set, libc::SIGUSR2) };
            // SAFETY: as above, and the old one is not asked for.
            unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
            gthread::park();
        });
        let mut leaks = false;
        for _ in 0..50 {
            gthread::yield_now();
            leaks |= mask() != before;
            leaks |= gthread::spawn(move || mask() != before).join().unwrap();
        }
        masker.thread().unpark();
        masker.join().unwrap();
        leaks
    });
    runtime.shutdown();
    leaks
}

#[test]
fn a_signal_mask_leaks_without_its_fix_only() {
    let name = "a_signal_mask_leaks_without_its_fix_only";
    if is_child(name) {
        let _dog = watch(name);
        assert_eq!(a_mask_leaks(), std::env::var_os("GTHREAD_TEST_WITHOUT").is_some());
        return;
    }
    assert_passed(&in_child(name, &[]));
    // The control, in which other green threads have to see it.
    assert_passed(&in_child(name, &[("GTHREAD_TEST_WITHOUT", "F10")]));
}

#[test]
fn no_memory_for_thread_locals_delays_a_green_thread_and_loses_none() {
    let name = "no_memory_for_thread_locals_delays_a_green_thread_and_loses_none";
    let errors = alone(name, || {
        let runtime = runtime(2);
        let done = Arc::new(AtomicU64::new(0));
        let spawn = |pinned: bool, hold: &Arc<AtomicBool>| {
            let (done, hold) = (done.clone(), hold.clone());
            let builder = if pinned { Builder::new().pinned() } else { Builder::new() };
            let body = move || {
                while hold.load(Ordering::Acquire) {
                    gthread::yield_now();
                }
                done.fetch_add(1, Ordering::AcqRel);
            };
            builder.spawn_on(&runtime, body).unwrap()
        };
        // The first few get blocks, then there is no memory for ever: the others run one after the
        // other on the slots that those leave. Some keep theirs until others have asked in vain.
        let hold = Arc::new(AtomicBool::new(true));
        fail(Fault::Block, 4, u64::MAX, libc::ENOMEM);
        let handles: Vec<_> = (0..60).map(|n| spawn(n % 7 == 0, &hold)).collect();
        eventually("nobody asked for a fifth block", || calls(Fault::Block) > 6);
        assert_eq!(done.load(Ordering::Acquire), 0);
        hold.store(false, Ordering::Release);
        handles.into_iter().for_each(|handle| handle.join().unwrap());
        assert_eq!(done.load(Ordering::Acquire), 60);
        clear();
        assert_usable(&runtime);
        // And for a time: they wait until it is over.
        fail(Fault::Block, 0, 5, libc::ENOMEM);
        let late = Builder::new().stack_size(1 << 21).spawn_on(&runtime, || ()).unwrap();
        late.join().unwrap();
        assert!(calls(Fault::Block) >= 6, "it was not in want of memory");
        clear();
        runtime.shutdown();
    });
    let told = errors.matches("no memory for the thread-locals").count();
    assert!(is_child(name) || told == 1, "told once: {errors}");
}

/// An echo over a pair of sockets, on green threads and from an OS thread.
fn echo_works() {
    use gthread::net::UnixStream;
    use std::io::{Read as _, Write as _};
    fn ping(stream: &mut UnixStream) {
        for round in 0..20_u64 {
            stream.write_all(&round.to_ne_bytes()).unwrap();
            let mut buffer = [0; 8];
            stream.read_exact(&mut buffer).unwrap();
            assert_eq!(u64::from_ne_bytes(buffer), round);
        }
    }
    let runtime = runtime(2);
    let (mut mine, mut theirs) = UnixStream::pair().unwrap();
    let server = runtime.spawn(move || {
        let mut buffer = [0; 8];
        while theirs.read(&mut buffer).unwrap() > 0 {
            theirs.write_all(&buffer).unwrap();
        }
    });
    ping(&mut mine);
    let mut mine = runtime.run(|| {
        ping(&mut mine);
        // Beside a timer, by which the machine in the poller sleeps.
        let start = Instant::now();
        gthread::sleep(Duration::from_micros(1500));
        assert!(start.elapsed() >= Duration::from_micros(1500), "woke early");
        mine
    });
    // A deadline that passes while it waits.
    mine.set_read_deadline(Some(Instant::now() + Duration::from_millis(5)));
    assert_eq!(mine.read(&mut [0]).unwrap_err().kind(), ErrorKind::TimedOut);
    drop(mine);
    server.join().unwrap();
    runtime.shutdown();
}

#[test]
fn sockets_work_without_a_poller() {
    alone("sockets_work_without_a_poller", || {
        for first in 0..3 {
            // For the first calls, then for none; for all.
            for count in [2, u64::MAX] {
                for (call, errno) in [
                    (Fault::EpollCreate, libc::EMFILE),
                    (Fault::EpollAdd, libc::ENOSPC),
                    (Fault::EventFd, libc::EMFILE),
                ] {
                    fail(call, first, count, errno);
                    echo_works();
                    assert!(calls(call) > 0, "{call:?} was never asked for");
                    clear();
                }
            }
        }
    });
}

#[test]
fn polling_works_without_epoll_pwait2() {
    alone("polling_works_without_epoll_pwait2", || {
        // Found out once and remembered; and an interruption in between.
        fail(Fault::EpollWait, 0, 5, libc::EINTR);
        echo_works();
        assert!(calls(Fault::EpollWait) > 0);
        fail(Fault::EpollWait, 0, u64::MAX, libc::ENOSYS);
        echo_works();
        assert_eq!(calls(Fault::EpollWait), 1, "asked for again");
        clear();
        echo_works();
    });
}
