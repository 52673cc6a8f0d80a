//! An OS thread that waits for the first time while it ends: in destructors of thread-locals, and in
//! each round of destructors of thread-specific keys, the later of which run when `std` has taken
//! down what it keeps of the thread.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that unwraps is a test that fails, and it explains itself"
)]

mod common;

use common::{assert_died_of, assert_passed, errors_of, in_child, is_child, watch};
use gthread::channel::{Receiver, bounded};
use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How many rounds of destructors of keys libc runs.
const ROUNDS: usize = 4;

/// How many threads have waited in a destructor, and come back.
static WAITED: AtomicU32 = AtomicU32::new(0);

/// All kinds of waits; fails if one does not wait.
fn wait_in_every_way() {
    let start = Instant::now();
    gthread::sleep(Duration::from_millis(1));
    gthread::park_timeout(Duration::from_millis(1));
    assert!(start.elapsed() >= Duration::from_millis(2));
    let (sender, receiver) = bounded(0);
    let handle = gthread::spawn(move || sender.send(5).unwrap());
    assert_eq!(receiver.recv(), Ok(5));
    handle.join().unwrap();
    let mutex = gthread::sync::Mutex::new(0);
    gthread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut value = mutex.lock();
                gthread::yield_now();
                *value += 1;
            });
        }
    });
    assert_eq!(*mutex.lock(), 3);
    assert_eq!(gthread::run(|| 7), 7);
    WAITED.fetch_add(1, Ordering::AcqRel);
}

/// A key, the round in which its destructor does what, and the value of the key: itself.
struct Late {
    key: libc::pthread_key_t,
    rounds: Cell<usize>,
    then: fn(),
}

unsafe extern "C" fn in_key_destructor(value: *mut c_void) {
    // SAFETY: the value is a leaked `Late`, of this thread alone.
    let late = unsafe { &*value.cast::<Late>() };
    late.rounds.set(late.rounds.get() - 1);
    if late.rounds.get() == 0 {
        return (late.then)();
    }
    // SAFETY: the key was made by `at_round`, and is never deleted.
    assert_eq!(unsafe { libc::pthread_setspecific(late.key, value) }, 0);
}

/// Does a thing on the running thread, in the given round of destructors of keys; from 1.
fn at_round(round: usize, then: fn()) {
    let mut key = 0;
    // SAFETY: `key` is a place for it.
    assert_eq!(unsafe { libc::pthread_key_create(&raw mut key, Some(in_key_destructor)) }, 0);
    let late = Box::leak(Box::new(Late { key, rounds: Cell::new(round), then }));
    // SAFETY: made above.
    let set = unsafe { libc::pthread_setspecific(key, std::ptr::from_mut(late).cast()) };
    assert_eq!(set, 0);
}

/// A thread by `pthread_create`, which `std` does not know, and its end.
fn foreign_thread(round: usize) {
    extern "C" fn main(round: *mut c_void) -> *mut c_void {
        at_round(round.addr(), wait_in_every_way);
        std::ptr::null_mut()
    }
    let mut thread = 0;
    let argument = std::ptr::without_provenance_mut(round);
    // SAFETY: `thread` is a place for it, and `main` takes a number.
    let made = unsafe { libc::pthread_create(&raw mut thread, std::ptr::null(), main, argument) };
    assert_eq!(made, 0);
    // SAFETY: made above, and joined once.
    assert_eq!(unsafe { libc::pthread_join(thread, std::ptr::null_mut()) }, 0);
}

#[test]
fn the_first_wait_in_a_destructor_of_a_key_waits() {
    let name = "the_first_wait_in_a_destructor_of_a_key_waits";
    if !is_child(name) {
        return assert_passed(&in_child(name, &[]));
    }
    let _dog = watch(name);
    for round in 1..=ROUNDS {
        // What `std` keeps of a thread is taken down only if there was something.
        for asks in [false, true] {
            let body = move || {
                assert!(!asks || std::thread::current().name().is_none());
                at_round(round, wait_in_every_way);
            };
            std::thread::spawn(body).join().unwrap();
        }
        foreign_thread(round);
    }
    assert_eq!(WAITED.load(Ordering::Acquire), 3 * ROUNDS as u32);
}

/// Waits when it is dropped.
struct Waits(Option<Receiver<u32>>);

impl Drop for Waits {
    fn drop(&mut self) {
        if let Some(receiver) = &self.0 {
            assert_eq!(receiver.recv(), Ok(5));
            wait_in_every_way();
        }
    }
}

thread_local! {
    static FIRST: RefCell<Waits> = const { RefCell::new(Waits(None)) };
    static SECOND: RefCell<Waits> = const { RefCell::new(Waits(None)) };
}

#[test]
fn the_first_wait_in_a_destructor_of_a_thread_local_waits() {
    let name = "the_first_wait_in_a_destructor_of_a_thread_local_waits";
    if !is_child(name) {
        return assert_passed(&in_child(name, &[]));
    }
    let _dog = watch(name);
    let (sender, receiver) = bounded(0);
    let thread = std::thread::spawn(move || {
        FIRST.with(|waits| waits.borrow_mut().0 = Some(receiver.clone()));
        SECOND.with(|waits| waits.borrow_mut().0 = Some(receiver));
    });
    sender.send(5).unwrap();
    sender.send(5).unwrap();
    thread.join().unwrap();
    assert_eq!(WAITED.load(Ordering::Acquire), 2);
}

#[test]
fn who_asks_for_a_handle_too_late_is_told_so_as_by_std() {
    let name = "who_asks_for_a_handle_too_late_is_told_so_as_by_std";
    if is_child(name) {
        let asks = || drop(gthread::current());
        let late = move || at_round(ROUNDS, asks);
        return std::thread::spawn(late).join().unwrap();
    }
    let output = in_child(name, &[]);
    // A panic does not leave a destructor of a key.
    assert_died_of(&output, libc::SIGABRT);
    assert!(errors_of(&output).contains("std::thread::current()"), "{output:?}");
}

#[test]
fn a_handle_of_an_os_thread_has_the_name_it_has_with_std() {
    let name = "an OS thread with a name of more than fifteen bytes";
    let body = || {
        gthread::sleep(Duration::from_micros(1));
        let (first, second) = (gthread::current(), gthread::current());
        (first.name().map(String::from), second.name().map(String::from))
    };
    let named = std::thread::Builder::new().name(name.into()).spawn(body).unwrap();
    let expected = Some(String::from(name));
    assert_eq!(named.join().unwrap(), (expected.clone(), expected));
    assert_eq!(std::thread::spawn(body).join().unwrap(), (None, None));
}
