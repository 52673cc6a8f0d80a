//! Where a program may allocate under `GthreadAlloc`: before `main`, after it, in destructors of
//! threads, on threads that another library has started, and with less memory than it wants from
//! the first request on.
#![cfg(not(loom))]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::multiple_unsafe_ops_per_block,
    clippy::undocumented_unsafe_blocks,
    reason = "a test that unwraps is a test that fails, and it explains itself"
)]

mod common;

use std::cell::RefCell;
use std::ffi::c_void;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use common::{assert_passed, in_child, is_child};
use gthread::alloc::{self, GthreadAlloc};

#[cfg_attr(not(feature = "test-allocator"), global_allocator)]
#[cfg_attr(feature = "test-allocator", allow(dead_code))]
static GLOBAL: GthreadAlloc = GthreadAlloc::new();

/// What was allocated before `main`.
static EARLY: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Runs before `main`, before the runtime of `std` has begun.
extern "C" fn before_main() {
    #[cfg(feature = "fault-injection")]
    {
        // Without allocating: what is refused is to be the first request of all.
        // SAFETY: a C string; no other thread is there yet.
        let count = unsafe { libc::getenv(c"GTHREAD_MEMORY_REQUESTS".as_ptr()) };
        if !count.is_null() {
            // SAFETY: a variable of the environment is a C string.
            alloc::fail_memory_after(unsafe { libc::atoi(count) } as u64);
        }
    }
    EARLY.lock().unwrap().extend((0..1000).map(|index| format!("early {index}")));
}

// SAFETY: the loader calls what it finds in this section with arguments that may be ignored.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

/// Allocates and frees some; returns a number that depends on the contents.
fn churn(seed: usize) -> usize {
    let texts: Vec<String> = (0..200).map(|index| format!("{seed} {index}")).collect();
    let large = vec![seed as u8; 300_000];
    texts.iter().map(String::len).sum::<usize>() + large.iter().filter(|&&byte| byte == 0).count()
}

#[test]
fn allocated_before_main() {
    let early = EARLY.lock().unwrap();
    assert_eq!(early.len(), 1000);
    assert!(early.iter().enumerate().all(|(index, text)| *text == format!("early {index}")));
}

#[test]
fn after_main() {
    extern "C" fn at_exit() {
        let kept: Vec<String> = std::mem::take(&mut *EARLY.lock().unwrap());
        let more: usize = (0..50).map(churn).sum();
        assert!(kept.len() == 1000 && more > 0);
        drop(kept);
        let text = format!("{} after main\n", "allocated");
        // SAFETY: writes a text to the standard output.
        unsafe { libc::write(1, text.as_ptr().cast(), text.len()) };
    }
    const NAME: &str = "after_main";
    if is_child(NAME) {
        // SAFETY: a function of this program.
        assert_eq!(unsafe { libc::atexit(at_exit) }, 0);
        return;
    }
    let output = in_child(NAME, &[]);
    assert_passed(&output);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("allocated after main"), "{text}");
}

/// The start of a thread that neither `std` nor the crate knows of.
extern "C" fn foreign(argument: *mut c_void) -> *mut c_void {
    // SAFETY: what `foreign_threads_allocate` passes.
    let text = unsafe { Box::from_raw(argument.cast::<String>()) };
    let length = churn(text.len());
    Box::into_raw(Box::new(length)).cast()
}

#[test]
fn threads_of_foreign_libraries() {
    for round in 0..20 {
        let threads: Vec<_> = (0..10)
            .map(|index| {
                let argument = Box::into_raw(Box::new("x".repeat(round * 10 + index + 1)));
                let (mut thread, mut attributes) = (0, unsafe { std::mem::zeroed() });
                unsafe { libc::pthread_attr_init(&raw mut attributes) };
                unsafe { libc::pthread_attr_setstacksize(&raw mut attributes, 128 << 10) };
                let started = unsafe {
                    libc::pthread_create(&raw mut thread, &attributes, foreign, argument.cast())
                };
                assert_eq!(started, 0);
                thread
            })
            .collect();
        for thread in threads {
            let mut result = std::ptr::null_mut();
            assert_eq!(unsafe { libc::pthread_join(thread, &raw mut result) }, 0);
            // SAFETY: what `foreign` returns.
            assert!(*unsafe { Box::from_raw(result.cast::<usize>()) } > 0);
        }
    }
}

/// Destructors of thread-locals free what others made, make what others free, and use
/// thread-locals that were never touched before.
#[test]
fn destructors_of_thread_locals() {
    static LEFT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    struct Last(Vec<String>);
    impl Drop for Last {
        fn drop(&mut self) {
            let others: Vec<_> = std::mem::take(&mut *LEFT.lock().unwrap());
            drop(others);
            LEFT.lock().unwrap().extend(self.0.iter().map(|text| text.clone().into_bytes()));
            RUNS.fetch_add(1 + usize::from(churn(self.0.len()) == 0), Ordering::Relaxed);
            let _ = LATE.try_with(|late| late.borrow_mut().push(self.0.len().to_string()));
        }
    }
    thread_local! {
        static LAST: RefCell<Last> = const { RefCell::new(Last(Vec::new())) };
        static LATE: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    }
    for round in 0..60 {
        let threads: Vec<_> = (0..4)
            .map(|index| {
                let texts = (0..50 + round).map(move |text| format!("{index} {text}"));
                thread::spawn(move || LAST.with_borrow_mut(|last| last.0.extend(texts)))
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    }
    assert_eq!(RUNS.load(Ordering::Relaxed), 240);
}

/// The kernel refuses the k-th request for memory and all after it, for every k from the very
/// first on, until the program gets through: it ends by `std`'s report of memory that is out, never
/// otherwise.
#[cfg(feature = "fault-injection")]
#[test]
fn memory_that_ends_at_any_request() {
    use std::os::unix::process::ExitStatusExt as _;
    const NAME: &str = "memory_that_ends_at_any_request";
    if is_child(NAME) {
        let results = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for seed in 0..3 {
                let results = &results;
                scope.spawn(move || results.lock().unwrap().push(churn(seed)));
            }
        });
        let huge = vec![1u8; 40 << 20];
        assert_eq!(results.into_inner().unwrap().len() + huge.len(), 3 + (40 << 20));
        return;
    }
    let mut refused = 0;
    for count in 0.. {
        assert!(count < 1000, "it never succeeds");
        let output = in_child(NAME, &[("GTHREAD_MEMORY_REQUESTS", &*count.to_string())]);
        if output.status.success() {
            assert_passed(&output);
            break;
        }
        let errors = common::errors_of(&output);
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{count}: {output:?}");
        assert!(errors.contains("memory allocation of"), "{count}: {errors}");
        refused += 1;
    }
    println!("{refused} requests");
    assert!(refused >= 4, "caches, page maps, headers, window, huge block: {refused}");
}

#[test]
fn statistics_and_limits_are_there_before_anything_else() {
    assert!(alloc::stats().live_bytes > 0);
    assert!(alloc::collect(alloc::Collect::Cache) == 0);
}
