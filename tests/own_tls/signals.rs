//! Signals, processors, the stack.

use crate::harness::{each, thread_pointer, yield_now, yields};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

thread_local!(static COUNT: Cell<usize> = const { Cell::new(0) });

#[test]
fn handlers_may_use_thread_locals_while_green_threads_switch() {
    static HITS: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn handler(_signal: i32) {
        unsafe {
            let errno = *libc::__errno_location();
            *libc::__errno_location() = 99;
            HITS.fetch_add(1, SeqCst);
            COUNT.set(COUNT.get().wrapping_add(1));
            *libc::__errno_location() = errno;
        }
    }
    alone!(|| unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(libc::SIGPROF, &action, std::ptr::null_mut());
        let tick = libc::timeval { tv_sec: 0, tv_usec: 100 };
        let timer = libc::itimerval { it_interval: tick, it_value: tick };
        libc::setitimer(libc::ITIMER_PROF, &timer, std::ptr::null_mut());
        let end = Instant::now() + Duration::from_millis(1500);
        each(16, move |number| {
            // A machine that stands still gives no signal either: at least one has to come.
            while Instant::now() < end || HITS.load(SeqCst) == 0 {
                *libc::__errno_location() = number as i32;
                for _ in 0..10 {
                    yield_now();
                    assert_eq!(*libc::__errno_location(), number as i32);
                }
            }
        });
        let off: libc::itimerval = std::mem::zeroed();
        libc::setitimer(libc::ITIMER_PROF, &off, std::ptr::null_mut());
        assert!(HITS.load(SeqCst) > 0);
        eprintln!("note: {} signals", HITS.load(SeqCst));
    });
}

#[test]
fn credentials_change_from_green_threads() {
    alone!(|| each(4, |_| unsafe {
        for _ in 0..20 {
            assert_eq!(libc::setgid(libc::getgid()), 0);
            yield_now();
            assert_eq!(libc::setuid(libc::getuid()), 0);
            yield_now();
            assert_eq!(libc::setresuid(u32::MAX, libc::geteuid(), u32::MAX), 0);
        }
    }));
}

#[test]
fn credentials_change_from_a_thread_beside_green_threads() {
    alone!(|| {
        let changer = std::thread::spawn(|| unsafe {
            for _ in 0..50 {
                assert_eq!(libc::setgid(libc::getgid()), 0);
            }
        });
        while !changer.is_finished() {
            yields(10);
        }
        changer.join().expect("changed");
    });
}

/// A processor this process may run on, by number.
fn processor(number: usize) -> usize {
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of_val(&set), &mut set);
        let allowed: Vec<usize> = (0..1024).filter(|cpu| libc::CPU_ISSET(*cpu, &set)).collect();
        allowed[number % allowed.len()]
    }
}

#[test]
fn sched_getcpu_tells_the_machines_processor() {
    alone!(|| {
        let processors = [processor(0), processor(1)];
        each(8, move |number| unsafe {
            for round in 0..50 {
                let cpu = processors[(number + round) % 2];
                let mut set: libc::cpu_set_t = std::mem::zeroed();
                libc::CPU_SET(cpu, &mut set);
                libc::sched_setaffinity(0, size_of_val(&set), &set);
                assert_eq!(libc::sched_getcpu(), cpu as i32);
                yield_now();
            }
        });
    });
}

#[test]
fn the_stack_is_the_green_threads_own() {
    alone!(|| each(4, |_| unsafe {
        let mut attributes: libc::pthread_attr_t = std::mem::zeroed();
        let result = libc::pthread_getattr_np(libc::pthread_self(), &mut attributes);
        assert_eq!(result, 0);
        let (mut bottom, mut bytes) = (std::ptr::null_mut(), 0);
        libc::pthread_attr_getstack(&attributes, &mut bottom, &mut bytes);
        libc::pthread_attr_destroy(&mut attributes);
        let here = (&raw const attributes) as usize;
        let stack = bottom as usize..bottom as usize + bytes;
        assert!(stack.contains(&here), "{here:#x} is not in {stack:#x?}");
        yield_now();
    }));
}

#[test]
fn the_restartable_sequence_area_does_not_lie() {
    alone!(|| each(4, |_| unsafe {
        // Whoever finds the area by its symbol is either told -2, or nobody was there to look
        // when the process started and the area is zero; then the symbol is in no string table.
        let offset = libc::dlsym(libc::RTLD_DEFAULT, c"__rseq_offset".as_ptr());
        if offset.is_null() {
            return;
        }
        let tp = thread_pointer();
        let cpu = (tp.wrapping_add_signed(*offset.cast::<isize>()) + 4) as *const i32;
        assert!(matches!(cpu.read(), 0 | -2), "{}", cpu.read());
    }));
}
