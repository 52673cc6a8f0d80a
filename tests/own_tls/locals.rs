//! Thread-locals, errno, panics, identity: each green thread has its own.

use crate::harness::{Group, each, yield_now, yields};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::panic::{catch_unwind, resume_unwind, set_hook};
use std::sync::{Arc, Mutex};

thread_local! {
    static LIST: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
    static COUNT: Cell<usize> = const { Cell::new(0) };
    static LAZY: String = format!("lazy {:?}", std::thread::current().id());
}

#[test]
fn a_borrow_is_held_over_a_migration() {
    alone!(|| each(8, |number| {
        for round in 0..200 {
            LIST.with(|list| {
                let mut list = list.borrow_mut();
                list.push(number);
                yield_now();
                assert!(list.iter().all(|n| *n == number), "a foreign value");
                assert_eq!(list.len(), round + 1);
            });
            yield_now();
        }
        LAZY.with(|text| assert_eq!(*text, format!("lazy {:?}", std::thread::current().id())));
    }));
}

#[test]
fn an_address_is_kept_and_no_update_is_lost() {
    alone!(|| each(8, |_| {
        let address = COUNT.with(|count| count as *const _ as usize);
        for round in 0..500 {
            COUNT.with(|count| {
                let value = count.get();
                yield_now();
                count.set(value + 1);
            });
            yield_now();
            assert_eq!(address, COUNT.with(|count| count as *const _ as usize));
            assert_eq!(COUNT.get(), round + 1);
        }
    }));
}

#[test]
fn errno_is_kept_over_a_migration() {
    alone!(|| each(8, |number| {
        let mine = number as i32 + 1;
        for _ in 0..300 {
            unsafe { *libc::__errno_location() = mine };
            yield_now();
            assert_eq!(unsafe { *libc::__errno_location() }, mine);
        }
    }));
}

#[test]
fn a_panic_is_counted_where_it_happens() {
    struct YieldsInDrop;
    impl Drop for YieldsInDrop {
        fn drop(&mut self) {
            yields(5);
            assert!(std::thread::panicking(), "not panicking while it unwinds");
        }
    }
    alone!(|| {
        set_hook(Box::new(|_| {}));
        each(6, |number| {
            for _ in 0..100 {
                if number % 2 == 0 {
                    let caught = catch_unwind(|| {
                        let _both = (YieldsInDrop, YieldsInDrop);
                        panic!("on purpose");
                    });
                    assert!(caught.is_err());
                }
                for _ in 0..5 {
                    assert!(!std::thread::panicking(), "a foreign panic is counted here");
                    yield_now();
                }
            }
        });
    });
}

#[test]
fn panics_nest_in_destructors_that_migrate() {
    struct PanicsInDrop;
    impl Drop for PanicsInDrop {
        fn drop(&mut self) {
            for _ in 0..5 {
                yield_now();
                assert!(catch_unwind(|| resume_unwind(Box::new(3_u8))).is_err());
            }
        }
    }
    alone!(|| {
        set_hook(Box::new(|_| {}));
        each(6, |_| {
            for _ in 0..100 {
                let caught = catch_unwind(|| {
                    let _drop = PanicsInDrop;
                    panic!("on purpose");
                });
                assert!(caught.is_err());
                yield_now();
            }
        });
    });
}

#[test]
fn a_foreign_panic_poisons_no_mutex() {
    struct YieldsInDrop;
    impl Drop for YieldsInDrop {
        fn drop(&mut self) {
            yields(5);
        }
    }
    alone!(|| {
        set_hook(Box::new(|_| {}));
        let mutex = Arc::new(Mutex::new(0_usize));
        each(6, move |number| {
            for _ in 0..100 {
                if number % 2 == 0 {
                    let _ = catch_unwind(|| {
                        let _drop = YieldsInDrop;
                        panic!("on purpose");
                    });
                }
                *mutex.lock().expect("poisoned by a foreign panic") += 1;
                yield_now();
            }
        });
    });
}

#[test]
fn the_current_thread_is_the_green_thread() {
    alone!(|| {
        let ids = Arc::new(Mutex::new(HashSet::new()));
        each(50, move |_| {
            let id = std::thread::current().id();
            assert!(ids.lock().expect("ids").insert(id), "an id twice");
            for _ in 0..100 {
                yield_now();
                assert_eq!(std::thread::current().id(), id);
            }
            assert_eq!(std::thread::current().name(), None);
        });
    });
}

#[test]
fn pthread_self_is_kept() {
    alone!(|| each(8, |_| unsafe {
        let own = libc::pthread_self();
        for _ in 0..100 {
            yield_now();
            assert_eq!(libc::pthread_self(), own);
        }
        assert_eq!(libc::pthread_kill(own, 0), 0);
        assert_ne!(libc::pthread_equal(own, libc::pthread_self()), 0);
    }));
}

#[test]
fn values_of_keys_are_kept_low_and_high() {
    alone!(|| unsafe {
        let keys: Vec<u32> = (0..100)
            .map(|_| {
                let mut key = 0;
                assert_eq!(libc::pthread_key_create(&mut key, None), 0);
                key
            })
            .collect();
        for key in [keys[0], keys[10], keys[80]] {
            each(50, move |number| {
                assert!(libc::pthread_getspecific(key).is_null(), "an old value in a used slot");
                libc::pthread_setspecific(key, (number + 1) as *const _);
                for _ in 0..20 {
                    yield_now();
                    assert_eq!(libc::pthread_getspecific(key) as usize, number + 1);
                }
            });
        }
    });
}

#[test]
fn a_used_slot_starts_afresh() {
    alone!(|| {
        for _ in 0..50 {
            each(4, |number| {
                assert!(LIST.with_borrow(Vec::is_empty));
                assert_eq!(COUNT.get(), 0);
                assert_eq!(unsafe { *libc::__errno_location() }, 0);
                LIST.with_borrow_mut(|list| list.push(number));
                COUNT.set(7);
                unsafe { *libc::__errno_location() = 7 };
                yields(3);
            });
        }
    });
}

#[test]
fn memory_is_freed_where_it_was_not_allocated() {
    alone!(|| {
        let pool: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        each(200, move |number| {
            let mut random = number;
            for _ in 0..100 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let bytes = (random >> 40) % 2000 + 1;
                let chunk = vec![bytes as u8; bytes];
                yield_now();
                assert!(chunk.iter().all(|byte| *byte == bytes as u8), "the heap is damaged");
                let mut pool = pool.lock().expect("pool");
                pool.push(chunk);
                let old = (pool.len() > 50).then(|| pool.swap_remove(random % 50));
                drop(pool);
                drop(old);
            }
        });
    });
}

#[test]
fn a_locale_and_character_classes_are_per_green_thread() {
    unsafe extern "C" {
        fn isalpha(c: i32) -> i32;
        fn toupper(c: i32) -> i32;
    }
    alone!(|| each(6, |_| unsafe {
        assert!(isalpha('a' as i32) != 0 && isalpha('1' as i32) == 0);
        assert_eq!(toupper('x' as i32), 'X' as i32);
        let locale = libc::newlocale(libc::LC_ALL_MASK, c"C.UTF-8".as_ptr(), std::ptr::null_mut());
        assert!(!locale.is_null());
        libc::uselocale(locale);
        yields(3);
        assert_eq!(libc::uselocale(std::ptr::null_mut()), locale);
        libc::uselocale(-1_isize as *mut _);
        libc::freelocale(locale);
        assert_eq!(libc::strtod(c"1.5".as_ptr(), std::ptr::null_mut()), 1.5);
    }));
}

#[test]
fn a_backtrace_ends_at_the_first_frame() {
    alone!(|| each(4, |_| {
        for _ in 0..3 {
            let text = std::backtrace::Backtrace::force_capture().to_string();
            assert!(text.contains("a_backtrace_ends_at") && text.contains("entry"), "{text}");
            yield_now();
            let mut frames = [std::ptr::null_mut(); 128];
            let count = unsafe { libc::backtrace(frames.as_mut_ptr(), 128) };
            assert!((3..100).contains(&count), "{count} frames");
        }
    }));
}

#[test]
fn lazy_values_and_channels_work_over_migrations() {
    use std::sync::{LazyLock, mpsc};
    static LAZY: LazyLock<Vec<usize>> = LazyLock::new(|| {
        yields(10);
        vec![1]
    });
    alone!(|| {
        each(3, |_| assert_eq!(LAZY.len(), 1));
        let group = Group::default();
        let (sender, receiver) = mpsc::channel();
        for i in 0..3 {
            let sender = sender.clone();
            group.spawn(move || {
                for j in 0..100 {
                    sender.send(i * j).expect("open");
                    yield_now();
                }
            });
        }
        drop(sender);
        group.spawn(move || assert_eq!(receiver.iter().count(), 300));
        group.wait();
    });
}

#[test]
fn a_locale_ends_with_its_green_thread() {
    alone!(|| {
        for _ in 0..5 {
            each(8, |_| unsafe {
                let global = libc::uselocale(std::ptr::null_mut());
                assert_eq!(global as isize, -1, "a locale of an ended green thread");
                let name = c"C.UTF-8".as_ptr();
                let locale = libc::newlocale(libc::LC_ALL_MASK, name, std::ptr::null_mut());
                libc::uselocale(locale);
                yields(3);
            });
        }
    });
}
