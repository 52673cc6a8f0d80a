//! The end of a green thread, and of the process.

use crate::harness::{Group, each, yield_now, yields};
use crate::scheduler::spawn;
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

static DROPS: AtomicUsize = AtomicUsize::new(0);
static SUM: AtomicUsize = AtomicUsize::new(0);

struct Counted(Cell<usize>);

impl Drop for Counted {
    fn drop(&mut self) {
        DROPS.fetch_add(1, SeqCst);
        SUM.fetch_add(self.0.get(), SeqCst);
    }
}

thread_local! {
    static COUNTED: Counted = const { Counted(Cell::new(0)) };
    static YIELDS: Counted = const { Counted(Cell::new(0)) };
}

#[test]
fn destructors_run_once_each() {
    alone!(|| {
        each(100, |number| {
            COUNTED.with(|counted| counted.0.set(number + 1));
            yields(10);
            COUNTED.with(|counted| assert_eq!(counted.0.get(), number + 1));
        });
        while DROPS.load(SeqCst) < 100 {
            yield_now();
        }
        assert_eq!((DROPS.load(SeqCst), SUM.load(SeqCst)), (100, 5050));
    });
}

#[test]
fn destructors_may_yield_and_panic_and_use_other_thread_locals() {
    struct Busy;
    impl Drop for Busy {
        fn drop(&mut self) {
            yields(5);
            COUNTED.with(|counted| counted.0.set(1));
            yields(5);
            assert!(std::panic::catch_unwind(|| panic!("on purpose")).is_err());
        }
    }
    thread_local!(static BUSY: Busy = const { Busy });
    alone!(|| {
        std::panic::set_hook(Box::new(|_| {}));
        each(50, |_| BUSY.with(|_| yield_now()));
        while DROPS.load(SeqCst) < 50 {
            yield_now();
        }
        assert_eq!((DROPS.load(SeqCst), SUM.load(SeqCst)), (50, 50));
    });
}

#[test]
fn destructors_of_keys_run_with_their_values() {
    extern "C" fn destroy(value: *mut libc::c_void) {
        yield_now();
        DROPS.fetch_add(1, SeqCst);
        SUM.fetch_add(value as usize, SeqCst);
    }
    alone!(|| unsafe {
        let mut keys = Vec::new();
        for _ in 0..64 {
            let mut key = 0;
            assert_eq!(libc::pthread_key_create(&mut key, Some(destroy)), 0);
            keys.push(key);
        }
        let (low, high) = (keys[1], keys[60]);
        each(100, move |number| {
            assert!(libc::pthread_getspecific(low).is_null());
            assert!(libc::pthread_getspecific(high).is_null());
            libc::pthread_setspecific(low, (number + 1) as *const _);
            libc::pthread_setspecific(high, (number + 1) as *const _);
            yields(10);
        });
        // A group is left before the destructors of keys run; how long they then take is up to
        // the kernel, so the bound is a time and not a number of turns.
        let end = Instant::now() + Duration::from_secs(30);
        while DROPS.load(SeqCst) < 200 && Instant::now() < end {
            yield_now();
        }
        assert_eq!((DROPS.load(SeqCst), SUM.load(SeqCst)), (200, 10_100));
        // A key that is deleted and created again has the new destructor, or none.
        assert_eq!(libc::pthread_key_delete(low), 0);
        each(10, move |_| yield_now());
        let mut again = 0;
        assert_eq!(libc::pthread_key_create(&mut again, None), 0);
        assert_eq!(again, low);
        each(10, move |_| {
            libc::pthread_setspecific(again, std::ptr::dangling());
            yield_now();
        });
        yields(100);
        assert_eq!(DROPS.load(SeqCst), 200);
    });
}

#[test]
fn a_value_set_in_a_destructor_gets_four_rounds() {
    static KEY: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn destroy(value: *mut libc::c_void) {
        DROPS.fetch_add(1, SeqCst);
        unsafe { libc::pthread_setspecific(KEY.load(SeqCst) as u32, value) };
    }
    alone!(|| unsafe {
        let mut key = 0;
        assert_eq!(libc::pthread_key_create(&mut key, Some(destroy)), 0);
        KEY.store(key as usize, SeqCst);
        each(1, move |_| {
            libc::pthread_setspecific(key, std::ptr::dangling());
        });
        while DROPS.load(SeqCst) < 4 {
            yield_now();
        }
        yields(100);
        assert_eq!(DROPS.load(SeqCst), 4);
        // The slot is used again, without the fifth value.
        each(2, move |_| assert!(libc::pthread_getspecific(key).is_null()));
    });
}

#[test]
fn green_threads_leave_nothing_on_the_heap() {
    alone!(|| {
        let in_use = || {
            let info = unsafe { libc::mallinfo2() };
            info.uordblks
        };
        let round = || {
            each(50, |number| {
                COUNTED.with(|counted| counted.0.set(number));
                let kept = vec![1_u8; 100 + number];
                yields(3);
                drop(kept);
            });
            yields(200);
        };
        (0..20).for_each(|_| round());
        let before = in_use();
        (0..100).for_each(|_| round());
        let grown = in_use().saturating_sub(before);
        assert!(grown < 200_000, "{grown} bytes more after 5000 green threads");
    });
}

#[test]
fn the_process_exits_from_a_green_thread() {
    extern "C" fn last() {
        eprintln!("test result: ok. 1 passed");
    }
    alone!(|| {
        unsafe { libc::atexit(last) };
        spawn(|| {
            COUNTED.with(|counted| counted.0.set(1));
            yields(3);
            std::process::exit(0);
        });
        let group = Group::default();
        group.spawn(|| {
            loop {
                yield_now();
            }
        });
        group.wait();
    });
}
