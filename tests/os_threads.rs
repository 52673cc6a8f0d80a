//! Green threads that are OS threads: the same lives, however their runtime ends.
#![allow(clippy::unwrap_used, reason = "a test that unwraps is a test that fails")]

mod common;

use common::watch;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

fn runtime() -> gthread::Runtime {
    gthread::Runtime::builder().processors(1).os_threads(true).build().expect("a runtime")
}

#[test]
fn a_survivor_keeps_its_runtime() {
    let _dog = watch("a_survivor_keeps_its_runtime");
    let runtime = runtime();
    let (sender, receiver) = mpsc::channel();
    let survivor = runtime.spawn(move || {
        receiver.recv().unwrap();
        // Asks its runtime, whose handle is gone by now.
        gthread::Builder::new().spawn(|| ()).map(drop).unwrap_err().to_string()
    });
    drop(runtime);
    // Whatever was freed with the handle is somebody else's memory now.
    let others: Vec<Vec<u8>> = (0..64 * 1024).map(|size| vec![1; 16 + size / 16]).collect();
    sender.send(()).unwrap();
    assert_eq!(survivor.join().unwrap(), "the runtime is shut down and takes no new green threads");
    drop(others);
}

#[test]
fn a_name_no_os_thread_can_have_is_kept_by_the_green_thread() {
    let _dog = watch("a_name_no_os_thread_can_have_is_kept_by_the_green_thread");
    let runtime = runtime();
    let builder = gthread::Builder::new().name("a\0b".into());
    let named = builder.spawn_on(&runtime, || gthread::current().name().map(String::from)).unwrap();
    assert_eq!(named.join().unwrap().as_deref(), Some("a\0b"));
    runtime.shutdown();
}

/// Says at its end that it has ended, and takes its time with it.
struct Slow(Arc<AtomicU32>);

impl Drop for Slow {
    fn drop(&mut self) {
        std::thread::sleep(Duration::from_millis(30));
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

thread_local! {
    static SLOW: std::cell::RefCell<Option<Slow>> = const { std::cell::RefCell::new(None) };
}

/// Ends a few detached green threads whose thread-locals take long to be destroyed, then `end`s
/// their runtime; how many destructors have run, of three.
fn destructors_after(end: impl FnOnce(gthread::Runtime)) -> u32 {
    let ended = Arc::new(AtomicU32::new(0));
    let runtime = runtime();
    for _ in 0..3 {
        let slow = Slow(ended.clone());
        drop(runtime.spawn(move || SLOW.with(|local| *local.borrow_mut() = Some(slow))));
    }
    end(runtime);
    ended.load(Ordering::Acquire)
}

#[test]
fn the_end_of_a_runtime_waits_for_the_destructors_of_those_detached() {
    let _dog = watch("destructors of those detached");
    assert_eq!(destructors_after(|runtime| runtime.shutdown()), 3);
    let timeout = Duration::from_secs(50);
    assert_eq!(
        destructors_after(|runtime| assert!(runtime.shutdown_timeout(timeout).is_empty())),
        3
    );
}

#[test]
fn who_runs_its_destructors_has_not_finished() {
    let _dog = watch("exiting");
    let (sender, receiver) = mpsc::channel::<()>();
    struct Wait(mpsc::Receiver<()>);
    impl Drop for Wait {
        fn drop(&mut self) {
            let _ = self.0.recv();
            // As a green thread does, it still has a name.
            assert_eq!(gthread::current().name(), Some("exiting"));
        }
    }
    thread_local! {
        static WAIT: std::cell::RefCell<Option<Wait>> = const { std::cell::RefCell::new(None) };
    }
    let runtime = runtime();
    let exiting = gthread::Builder::new().name("exiting".into());
    let exiting = exiting
        .spawn_on(&runtime, move || WAIT.with(|wait| *wait.borrow_mut() = Some(Wait(receiver))))
        .unwrap();
    let exiting = exiting.join_timeout(Duration::from_millis(50)).expect_err("it cannot end yet");
    let survivors = runtime.shutdown_timeout(Duration::from_millis(1));
    assert_eq!(
        survivors.iter().map(|survivor| survivor.name()).collect::<Vec<_>>(),
        [Some("exiting")]
    );
    sender.send(()).unwrap();
    exiting.join().unwrap();
    runtime.shutdown();
}

/// A value of a thread-specific key that sees all rounds of destructors.
struct Rounds {
    seen: u32,
    key: libc::pthread_key_t,
    ended: Arc<AtomicU32>,
}

/// The destructor of a thread-specific key: comes again until libc's last round, and is slow then.
unsafe extern "C" fn in_last_round(value: *mut libc::c_void) {
    // SAFETY: the value is a box of this, made by the test, and libc has forgotten it.
    let mut rounds = unsafe { Box::from_raw(value.cast::<Rounds>()) };
    rounds.seen += 1;
    if rounds.seen < 4 {
        let key = rounds.key;
        // SAFETY: the key was made by the test.
        unsafe { libc::pthread_setspecific(key, Box::into_raw(rounds).cast()) };
        return;
    }
    std::thread::sleep(Duration::from_millis(30));
    rounds.ended.fetch_add(1, Ordering::AcqRel);
}

#[test]
fn the_end_of_a_runtime_is_the_end_of_its_threads() {
    // After the last thing a thread can be seen to do: what comes after that is its end.
    let _dog = watch("the true end");
    let mut key = 0;
    // SAFETY: a place for a key, and a destructor for the values below.
    assert_eq!(unsafe { libc::pthread_key_create(&raw mut key, Some(in_last_round)) }, 0);
    let ended = Arc::new(AtomicU32::new(0));
    type End<'a> = &'a dyn Fn(gthread::Runtime);
    let ends: [End<'_>; 3] =
        [&|runtime| runtime.shutdown(), &|runtime| drop(runtime), &|runtime| {
            assert!(runtime.shutdown_timeout(Duration::from_secs(50)).is_empty());
        }];
    for (round, end) in (1..).zip(ends) {
        let runtime = runtime();
        let value = Box::new(Rounds { seen: 0, key, ended: ended.clone() });
        let handle = runtime.spawn(move || {
            let value = Box::into_raw(value);
            // SAFETY: the key was made above.
            assert_eq!(unsafe { libc::pthread_setspecific(key, value.cast()) }, 0);
        });
        // Its end as a green thread comes before that of the thread.
        handle.join().unwrap();
        end(runtime);
        assert_eq!(ended.load(Ordering::Acquire), round);
    }
}

#[test]
fn a_runtime_that_is_ended_by_a_destructor_of_its_own_does_not_wait_for_itself() {
    let _dog = watch("ended from inside");
    struct Owner(Option<gthread::Runtime>);
    impl Drop for Owner {
        fn drop(&mut self) {
            if let Some(runtime) = self.0.take() {
                runtime.shutdown();
            }
        }
    }
    thread_local! {
        static OWNER: std::cell::RefCell<Owner> = const { std::cell::RefCell::new(Owner(None)) };
    }
    let runtime = runtime();
    let (send, receive) = mpsc::channel::<gthread::Runtime>();
    let handle = runtime.spawn(move || {
        let owned = receive.recv().unwrap();
        OWNER.with(|owner| owner.borrow_mut().0 = Some(owned));
    });
    send.send(runtime).unwrap();
    handle.join().unwrap();
}

#[test]
fn the_metrics_and_the_dump_know_them() {
    // In a process of its own: both tell of all runtimes.
    let name = "the_metrics_and_the_dump_know_them";
    if !common::is_child(name) {
        return common::assert_passed(&common::in_child(name, &[]));
    }
    let _dog = watch(name);
    let runtime = runtime();
    let builder = gthread::Builder::new().name("seen".into());
    let parked = builder.spawn_on(&runtime, gthread::park).unwrap();
    let metrics = gthread::inspect::metrics();
    assert_eq!((metrics.live, metrics.spawned, metrics.processors), (1, 1, 0));
    let dump = gthread::inspect::dump();
    assert_eq!(dump.green_threads.len(), 1, "{dump}");
    assert_eq!(dump.green_threads[0].name.as_deref(), Some("seen"));
    parked.thread().unpark();
    parked.join().unwrap();
    assert_eq!(gthread::inspect::metrics().live, 0);
    runtime.shutdown();
}
