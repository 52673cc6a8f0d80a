//! Models of the condition variable, by loom.
//!
// MUTANT: condvar.release KILLED-BY sync::condvar_model::a_notification_under_the_mutex_is_not_lost
// MUTANT: condvar.ticket KILLED-BY sync::condvar_model::notify_all_is_for_those_that_wait_now

use super::raw_condvar::RawCondvar;
use super::raw_mutex::{Handing, RawMutex};
use crate::primitive::model::{Shared, check};
use crate::sched;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;

struct Fixture {
    mutex: RawMutex,
    condvar: RawCondvar,
    /// Under the mutex.
    value: Shared<u32>,
    /// How many have queued that use no mutex.
    queued: AtomicU32,
}

impl Fixture {
    fn new() -> Arc<Self> {
        sched::forget_model();
        Arc::new(Self {
            mutex: RawMutex::free(),
            condvar: RawCondvar::idle(),
            value: Shared::new(0),
            queued: AtomicU32::new(0),
        })
    }

    fn lock(&self) {
        assert!(self.mutex.take_until(|| None));
    }

    fn unlock(&self) {
        // SAFETY: each caller has taken it.
        unsafe { self.mutex.give(Handing::Loose) };
    }

    /// Under the mutex: waits; whether it was notified.
    fn wait(&self, deadline_ns: Option<u64>) -> bool {
        let is_notified = self.condvar.wait(deadline_ns, || self.unlock());
        self.lock();
        is_notified
    }

    /// Waits until the value is not 0, and takes one off it.
    fn take(&self) {
        self.lock();
        while self.value.get() == 0 {
            self.wait(None);
        }
        self.value.update(|value| *value -= 1);
        self.unlock();
    }

    /// Adds to the value.
    fn add(&self, more: u32) {
        self.lock();
        self.value.update(|value| *value += more);
        self.unlock();
    }
}

fn run(fixture: &Arc<Fixture>, f: impl FnOnce(&Fixture) + 'static) -> thread::JoinHandle<()> {
    let fixture = Arc::clone(fixture);
    thread::spawn(move || f(&fixture))
}

/// Who changes the condition under the mutex and notifies afterwards reaches whoever saw it before.
#[test]
fn a_notification_under_the_mutex_is_not_lost() {
    check(|| {
        let fixture = Fixture::new();
        let waiter = run(&fixture, Fixture::take);
        fixture.add(1);
        fixture.condvar.notify_one();
        waiter.join().expect("no panic");
    });
}

/// One notification, one waiter whose deadline has passed, one that has none: a notification that
/// was given to the first is reported by it, so that it can be passed on, or goes to the second.
#[test]
fn a_notification_is_not_spent_on_one_that_times_out() {
    check(|| {
        let fixture = Fixture::new();
        sched::expire(5);
        let [hasty, patient] = [Some(5), None].map(|deadline_ns| {
            run(&fixture, move |fixture| {
                // No mutex: who has queued is counted.
                let count = || fixture.queued.fetch_add(1, Ordering::Release);
                let is_notified = fixture.condvar.wait(deadline_ns, || drop(count()));
                if is_notified && deadline_ns.is_some() {
                    fixture.condvar.notify_one();
                }
            })
        });
        while fixture.queued.load(Ordering::Acquire) < 2 {
            thread::yield_now();
        }
        fixture.condvar.notify_one();
        patient.join().expect("no panic");
        hasty.join().expect("no panic");
    });
}

/// All that wait are woken, once, and none that comes later: also with one wake at a time.
#[test]
fn notify_all_is_for_those_that_wait_now() {
    check(|| {
        let fixture = Fixture::new();
        sched::expire(5);
        let waits = |then: Option<u64>| {
            run(&fixture, move |fixture| {
                let count = || fixture.queued.fetch_add(1, Ordering::Release);
                assert!(fixture.condvar.wait(None, || drop(count())));
                if then.is_some() {
                    // Again, until its own deadline: nobody notifies any more.
                    assert!(!fixture.condvar.wait(then, || ()));
                }
            })
        };
        let threads = [waits(Some(5)), waits(None)];
        while fixture.queued.load(Ordering::Acquire) < 2 {
            thread::yield_now();
        }
        assert_eq!(fixture.condvar.notify_all(), 2);
        for thread in threads {
            thread.join().expect("no panic");
        }
    });
}
