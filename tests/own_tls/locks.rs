//! Locks that have an owner: the owner is the green thread.

use crate::harness::{Group, each, yield_now, yields};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A mutex of libc's of the given kind, never freed.
fn mutex(kind: i32) -> usize {
    unsafe {
        let mut attributes: libc::pthread_mutexattr_t = std::mem::zeroed();
        libc::pthread_mutexattr_init(&mut attributes);
        libc::pthread_mutexattr_settype(&mut attributes, kind);
        let mutex = Box::into_raw(Box::new(std::mem::zeroed::<libc::pthread_mutex_t>()));
        libc::pthread_mutex_init(mutex, &attributes);
        mutex as usize
    }
}

#[test]
fn the_stdout_lock_has_one_owner() {
    static INSIDE: AtomicUsize = AtomicUsize::new(0);
    alone!(|| each(2, |_| {
        for _ in 0..200 {
            let first = std::io::stdout().lock();
            let second = std::io::stdout().lock();
            assert_eq!(INSIDE.fetch_add(1, SeqCst), 0, "two owners");
            yields(5);
            INSIDE.fetch_sub(1, SeqCst);
            drop((first, second));
            yield_now();
        }
    }));
}

#[test]
fn a_parked_thread_is_found_by_its_handle() {
    alone!(|| {
        let slot: Arc<Mutex<Option<std::thread::Thread>>> = Arc::default();
        let told = Arc::new(AtomicUsize::new(0));
        let group = Group::default();
        let (slot_of_parker, told_to_parker) = (slot.clone(), told.clone());
        group.spawn(move || {
            for round in 0..100 {
                *slot_of_parker.lock().expect("slot") = Some(std::thread::current());
                yield_now();
                let mut returns = 0;
                while told_to_parker.load(SeqCst) <= round {
                    std::thread::park_timeout(Duration::from_secs(20));
                    returns += 1;
                    assert!(returns < 1000, "parking does not wait");
                }
            }
        });
        group.spawn(move || {
            for _ in 0..100 {
                let thread = loop {
                    yields(3);
                    if let Some(thread) = slot.lock().expect("slot").take() {
                        break thread;
                    }
                };
                told.fetch_add(1, SeqCst);
                thread.unpark();
            }
        });
        group.wait();
    });
}

#[test]
fn recursive_and_checked_mutexes_know_their_owner() {
    alone!(|| each(8, |number| unsafe {
        let is_recursive = number % 2 == 0;
        let mutex = mutex(if is_recursive {
            libc::PTHREAD_MUTEX_RECURSIVE
        } else {
            libc::PTHREAD_MUTEX_ERRORCHECK
        }) as *mut libc::pthread_mutex_t;
        for _ in 0..100 {
            assert_eq!(libc::pthread_mutex_lock(mutex), 0);
            yield_now();
            let again = libc::pthread_mutex_lock(mutex);
            if is_recursive {
                assert_eq!(again, 0);
                yield_now();
                assert_eq!(libc::pthread_mutex_unlock(mutex), 0);
            } else {
                assert_eq!(again, libc::EDEADLK);
            }
            yield_now();
            assert_eq!(libc::pthread_mutex_unlock(mutex), 0);
            if !is_recursive {
                assert_eq!(libc::pthread_mutex_unlock(mutex), libc::EPERM);
            }
        }
    }));
}

#[test]
fn a_contended_recursive_mutex_has_one_owner() {
    static INSIDE: AtomicUsize = AtomicUsize::new(0);
    alone!(|| {
        let mutex = mutex(libc::PTHREAD_MUTEX_RECURSIVE);
        each(4, move |_| unsafe {
            let mutex = mutex as *mut libc::pthread_mutex_t;
            let mut times = 0;
            while times < 50 {
                if libc::pthread_mutex_trylock(mutex) == 0 {
                    assert_eq!(INSIDE.fetch_add(1, SeqCst), 0, "two owners");
                    yields(3);
                    INSIDE.fetch_sub(1, SeqCst);
                    assert_eq!(libc::pthread_mutex_unlock(mutex), 0);
                    times += 1;
                }
                yield_now();
            }
        });
    });
}

#[test]
fn a_stream_of_libc_has_one_owner() {
    unsafe extern "C" {
        fn flockfile(file: *mut libc::FILE);
        fn funlockfile(file: *mut libc::FILE);
        fn ftrylockfile(file: *mut libc::FILE) -> i32;
    }
    static INSIDE: AtomicUsize = AtomicUsize::new(0);
    alone!(|| {
        let file = unsafe { libc::fopen(c"/dev/null".as_ptr(), c"w".as_ptr()) } as usize;
        each(4, move |_| unsafe {
            let file = file as *mut libc::FILE;
            let mut times = 0;
            while times < 50 {
                if ftrylockfile(file) == 0 {
                    assert_eq!(INSIDE.fetch_add(1, SeqCst), 0, "two owners");
                    flockfile(file);
                    yields(3);
                    libc::fprintf(file, c"%d %s\n".as_ptr(), 3, c"x".as_ptr());
                    funlockfile(file);
                    INSIDE.fetch_sub(1, SeqCst);
                    funlockfile(file);
                    times += 1;
                }
                yield_now();
            }
        });
    });
}
