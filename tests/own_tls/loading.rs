//! Modules that are loaded while green threads exist.

use crate::harness::{Group, each, shared_object, yield_now, yields};
use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

const DYNAMIC: &str = "
    static __thread long value = 4242; static __thread char room[4000];
    long increment(void) { room[100]++; return ++value; }
    long *address(void) { return &value; }";

const STATIC: &str = "
    static __thread long value __attribute__((tls_model(\"initial-exec\"))) = 777;
    static __thread long zero __attribute__((tls_model(\"initial-exec\")));
    long get(void) { return value + zero; }
    void set(long to) { value = to; zero = 1; }";

pub(crate) fn load(path: &Path) -> usize {
    let path = CString::new(path.as_os_str().as_bytes()).expect("a path");
    let module = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
    assert!(!module.is_null(), "{:?}", unsafe { CStr::from_ptr(libc::dlerror()) });
    module as usize
}

/// A function of a module, of the type the caller wants.
fn function<F: Copy>(module: usize, name: &CStr) -> F {
    assert_eq!(size_of::<F>(), size_of::<usize>());
    let symbol = unsafe { libc::dlsym(module as *mut _, name.as_ptr()) };
    assert!(!symbol.is_null());
    unsafe { std::mem::transmute_copy(&symbol) }
}

fn count_up(module: usize, rounds: i64) {
    let increment: extern "C" fn() -> i64 = function(module, c"increment");
    let address: extern "C" fn() -> usize = function(module, c"address");
    let place = address();
    for round in 0..rounds {
        assert_eq!(increment(), 4243 + round);
        yield_now();
        assert_eq!(address(), place);
    }
}

#[test]
fn dynamic_thread_locals_are_per_green_thread_and_afresh_in_used_slots() {
    alone!(|| {
        let Some(object) = shared_object("dynamic", DYNAMIC, &[]) else { return };
        let module = Arc::new(AtomicUsize::new(0));
        let group = Group::default();
        for _ in 0..10 {
            let module = module.clone();
            group.spawn(move || {
                while module.load(SeqCst) == 0 {
                    yield_now();
                }
                count_up(module.load(SeqCst), 50);
            });
        }
        yields(5);
        module.store(load(&object), SeqCst);
        group.wait();
        let module = module.load(SeqCst);
        for _ in 0..20 {
            each(30, move |_| count_up(module, 5));
        }
        // They were freed when their slots were used again.
        let in_use = || unsafe { libc::mallinfo2() }.uordblks;
        let before = in_use();
        for _ in 0..20 {
            each(30, move |_| count_up(module, 5));
        }
        let grown = in_use().saturating_sub(before);
        assert!(grown < 400_000, "{grown} bytes more after 600 green threads with 4 KB each");
    });
}

#[test]
fn many_modules_enlarge_the_vector_of_a_green_thread() {
    alone!(|| {
        let Some(object) = shared_object("many", DYNAMIC, &[]) else { return };
        for round in 0..3 {
            let modules: Vec<usize> = (0..40)
                .map(|number| {
                    let copy = object.with_file_name(format!("many-{round}-{number}.so"));
                    std::fs::copy(&object, &copy).expect("a copy");
                    let module = load(&copy);
                    std::fs::remove_file(&copy).expect("removed");
                    module
                })
                .collect();
            let shared = Arc::new(modules);
            let of_green = shared.clone();
            each(10, move |_| of_green.iter().for_each(|module| count_up(*module, 3)));
            for module in shared.iter() {
                assert_eq!(unsafe { libc::dlclose(*module as *mut _) }, 0);
            }
            yields(10);
        }
    });
}

#[test]
fn a_static_thread_local_is_initialised_in_older_green_threads() {
    alone!(|| {
        let Some(object) = shared_object("static", STATIC, &[]) else { return };
        let module = Arc::new(AtomicUsize::new(0));
        let group = Group::default();
        for number in 0..10 {
            let module = module.clone();
            group.spawn(move || {
                while module.load(SeqCst) == 0 {
                    yield_now();
                }
                check_static(module.load(SeqCst), number);
            });
        }
        yields(5);
        module.store(load(&object), SeqCst);
        group.wait();
        let module = module.load(SeqCst);
        // Used slots, and new ones.
        for _ in 0..5 {
            each(30, move |number| check_static(module, number));
        }
        // The place is given back and taken by another module.
        assert_eq!(unsafe { libc::dlclose(module as *mut _) }, 0);
        let source = STATIC.replace("777", "778");
        let Some(object) = shared_object("static-again", &source, &[]) else { return };
        let module = load(&object);
        each(30, move |_| {
            let get: extern "C" fn() -> i64 = function(module, c"get");
            assert_eq!(get(), 778);
        });
    });
}

/// Descriptors make a module's thread-locals static where there is room, without asking for it.
#[test]
fn a_thread_local_behind_a_descriptor_is_initialised_in_older_green_threads() {
    alone!(|| {
        let source = STATIC.replace("__attribute__((tls_model(\"initial-exec\")))", "");
        let flags: &[&str] =
            if cfg!(target_arch = "x86_64") { &["-mtls-dialect=gnu2"] } else { &[] };
        let Some(object) = shared_object("descriptor", &source, flags) else { return };
        let module = Arc::new(AtomicUsize::new(0));
        let group = Group::default();
        for number in 0..10 {
            let module = module.clone();
            group.spawn(move || {
                while module.load(SeqCst) == 0 {
                    yield_now();
                }
                check_static(module.load(SeqCst), number);
            });
        }
        yields(5);
        module.store(load(&object), SeqCst);
        group.wait();
        let module = module.load(SeqCst);
        each(30, move |number| check_static(module, number));
    });
}

fn check_static(module: usize, number: usize) {
    let get: extern "C" fn() -> i64 = function(module, c"get");
    let set: extern "C" fn(i64) = function(module, c"set");
    assert_eq!(get(), 777);
    set(number as i64);
    yields(10);
    assert_eq!(get(), number as i64 + 1);
}

#[test]
fn the_loader_runs_on_the_machines_thread_pointer() {
    alone!(|| {
        let source = "
            #include <pthread.h>
            static unsigned long who;
            __attribute__((constructor)) static void note(void) { who = (unsigned long)pthread_self(); }
            unsigned long loaded_by(void) { return who; }";
        let Some(object) = shared_object("who", source, &[]) else { return };
        let module = load(&object);
        let loaded_by: extern "C" fn() -> usize = function(module, c"loaded_by");
        assert_ne!(loaded_by(), unsafe { libc::pthread_self() } as usize);
    });
}

#[test]
fn an_error_of_the_loader_is_told_to_the_green_thread_that_made_it() {
    alone!(|| each(8, |number| {
        for round in 0..20 {
            let name = CString::new(format!("/nonexistent-{number}-{round}")).expect("a name");
            assert!(unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) }.is_null());
            yield_now();
            let text = unsafe { libc::dlerror() };
            assert!(!text.is_null());
            let text = unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
            assert!(text.contains(name.to_str().expect("ascii")), "{text}");
            assert!(unsafe { libc::dlerror() }.is_null());
        }
    }));
}

#[test]
fn modules_are_loaded_and_unloaded_by_many_at_once() {
    alone!(|| {
        let Some(object) = shared_object("churn", DYNAMIC, &[]) else { return };
        let original = object.to_path_buf();
        each(16, move |number| {
            let copy = original.with_file_name(format!("churn-{number}.so"));
            std::fs::copy(&original, &copy).expect("a copy");
            for _ in 0..40 {
                let module = load(&copy);
                count_up(module, 3);
                yield_now();
                assert_eq!(unsafe { libc::dlclose(module as *mut _) }, 0);
                yield_now();
            }
        });
    });
}

#[test]
fn a_reader_of_restartable_sequences_is_told_there_are_none() {
    alone!(|| {
        let source = "
            #include <stddef.h>
            extern const ptrdiff_t __rseq_offset;
            int cpu(void) { return *(int *)((char *)__builtin_thread_pointer() + __rseq_offset + 4); }";
        let Some(object) = shared_object("reader", source, &[]) else { return };
        let module = Arc::new(AtomicUsize::new(0));
        let group = Group::default();
        for _ in 0..10 {
            let module = module.clone();
            group.spawn(move || {
                while module.load(SeqCst) == 0 {
                    yield_now();
                }
                let cpu: extern "C" fn() -> i32 = function(module.load(SeqCst), c"cpu");
                assert_eq!(cpu(), -2);
            });
        }
        yields(5);
        module.store(load(&object), SeqCst);
        group.wait();
        let module = module.load(SeqCst);
        each(30, move |_| {
            let cpu: extern "C" fn() -> i32 = function(module, c"cpu");
            assert_eq!(cpu(), -2);
        });
    });
}
