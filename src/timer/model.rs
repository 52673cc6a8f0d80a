//! Models of the shelf and of the alarm, by loom.
//!
//! Run by `RUSTFLAGS="--cfg loom" cargo test --release --lib timer::`. Each model states one
//! property; `GTHREAD_MUTANT=<site>` weakens one site, and the model named here has to fail:
//!
// MUTANT: collections.slab.generation KILLED-BY timer::model::each_timer_leaves_exactly_once
// MUTANT: timer.shelf.publish_arm KILLED-BY timer::model::a_sleeper_never_oversleeps
// MUTANT: timer.shelf.publish_cancel KILLED-BY timer::model::the_hint_is_exact_when_all_is_quiet
// MUTANT: timer.shelf.publish_expire KILLED-BY timer::model::the_hint_is_exact_when_all_is_quiet
// MUTANT: timer.alarm.commit_fence KILLED-BY timer::model::a_sleeper_never_oversleeps
// MUTANT: timer.alarm.commit_recheck KILLED-BY timer::model::a_sleeper_never_oversleeps
// MUTANT: timer.alarm.wake_fence KILLED-BY timer::model::a_sleeper_never_oversleeps
// MUTANT: timer.alarm.claim KILLED-BY timer::model::one_armer_wakes_a_sleeper
// MUTANT: timer.alarm.rouse KILLED-BY timer::model::a_roused_sleeper_knows_of_the_wake

use super::alarm::Roused;
use super::*;
use loom::sync::Arc;
use loom::thread;

/// Explores a model; three preemptions reach every interleaving that has mattered here.
fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// A shelf and the alarm of the machine that sleeps on it.
struct Fixture {
    shelf: Shelf<u32>,
    alarm: Alarm,
}

impl Fixture {
    fn new() -> Arc<Self> {
        Arc::new(Self { shelf: Shelf::new(), alarm: Alarm::new() })
    }

    /// Arms, and tells the handle and whether the caller has to wake the sleeper.
    fn arm(&self, deadline_ns: u64) -> (Handle, bool) {
        let armed = self.shelf.arm(deadline_ns, 0);
        (armed.handle, armed.earliest && self.alarm.must_wake(deadline_ns))
    }

    fn commit(&self) -> Option<u64> {
        self.alarm.commit(|| self.shelf.next_deadline_ns())
    }

    /// What must hold once everybody has stopped: `wakes` were sent to who did `commit`.
    fn assert_no_oversleep(&self, committed: Option<u64>, wakes: usize) {
        let next = self.shelf.next_deadline_ns();
        if let Some(until) = committed {
            assert!(wakes > 0 || next >= until, "asleep until {until}, but {next} is due");
        }
    }
}

/// Two armers, one of whom takes its timer back, and a thief that expires.
#[test]
fn each_timer_leaves_exactly_once() {
    check(|| {
        let shelf = Arc::new(Shelf::new());
        let canceller = {
            let shelf = Arc::clone(&shelf);
            thread::spawn(move || {
                let first = shelf.arm(1, 0).handle;
                let cancelled = shelf.cancel(first);
                // The slot is free by now, so this one may be its next tenant.
                let _ = shelf.arm(1, 1);
                assert!(!shelf.cancel(first), "a stale handle cancelled the next tenant");
                cancelled
            })
        };
        let thief = {
            let shelf = Arc::clone(&shelf);
            thread::spawn(move || {
                let mut fired = [0; 3];
                shelf.expire(2, |n: usize| fired[n] += 1);
                fired
            })
        };
        let _ = shelf.arm(2, 2);
        let mut left = [0; 3];
        shelf.expire(1, |n| left[n] += 1);
        left[0] += usize::from(canceller.join().expect("no panic"));
        let fired = thief.join().expect("no panic");
        shelf.expire(2, |n| left[n] += 1);
        let total: Vec<usize> = left.iter().zip(fired).map(|(a, b)| a + b).collect();
        assert_eq!(total, [1, 1, 1]);
    });
}

/// The hint, written by three threads, ends as what the heap says.
#[test]
fn the_hint_is_exact_when_all_is_quiet() {
    check(|| {
        let shelf = Arc::new(Shelf::new());
        let due = shelf.arm(1, 0).handle;
        let late = shelf.arm(9, 0).handle;
        let expirer = {
            let shelf = Arc::clone(&shelf);
            thread::spawn(move || shelf.expire(3, |_| ()))
        };
        let armer = {
            let shelf = Arc::clone(&shelf);
            thread::spawn(move || shelf.arm(5, 0).handle)
        };
        let cancelled = shelf.cancel(due);
        let expired = expirer.join().expect("no panic");
        assert_eq!(expired, usize::from(!cancelled));
        let middle = armer.join().expect("no panic");
        assert_eq!(shelf.next_deadline_ns(), 5);
        assert!(shelf.cancel(middle));
        assert_eq!(shelf.next_deadline_ns(), 9);
        assert!(shelf.cancel(late));
        assert_eq!(shelf.next_deadline_ns(), u64::MAX);
    });
}

/// The sleeper goes to sleep while two others bring its deadline forward, and one of them back.
///
/// The armer of 50 may find 30 there and ask nothing; 30 is then cancelled. Somebody wakes the
/// sleeper all the same.
#[test]
fn a_sleeper_never_oversleeps() {
    check(|| {
        let fixture = Fixture::new();
        let _ = fixture.arm(100);
        let armers = [
            {
                let fixture = Arc::clone(&fixture);
                thread::spawn(move || {
                    let (handle, wake) = fixture.arm(30);
                    fixture.shelf.cancel(handle);
                    wake
                })
            },
            {
                let fixture = Arc::clone(&fixture);
                thread::spawn(move || fixture.arm(50).1)
            },
        ];
        let committed = fixture.commit();
        let wakes = armers.map(|armer| armer.join().expect("no panic"));
        let wakes = wakes.into_iter().filter(|wake| *wake).count();
        fixture.assert_no_oversleep(committed, wakes);
    });
}

/// However many bring the deadline forward, one of them makes the system call.
#[test]
fn one_armer_wakes_a_sleeper() {
    check(|| {
        let fixture = Fixture::new();
        assert_eq!(fixture.commit(), Some(u64::MAX));
        let armers = [50, 30].map(|deadline_ns| {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || fixture.arm(deadline_ns).1)
        });
        let wakes = armers.map(|armer| armer.join().expect("no panic"));
        assert_eq!(wakes.into_iter().filter(|wake| *wake).count(), 1);
    });
}

/// A sleeper that wakes by itself, just when it is woken, knows that a wake is on its way.
#[test]
fn a_roused_sleeper_knows_of_the_wake() {
    check(|| {
        let fixture = Fixture::new();
        let _ = fixture.arm(100);
        assert_eq!(fixture.commit(), Some(100));
        let armer = {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || fixture.arm(50).1)
        };
        let roused = fixture.alarm.rouse();
        let wake = armer.join().expect("no panic");
        assert_eq!(wake, roused == Roused::ByArmer);
        assert!(!fixture.alarm.must_wake(0), "nobody sleeps any more");
    });
}

/// Round after round: what was armed while the sleeper was awake is seen by its next commitment.
#[test]
fn a_second_sleep_sees_what_was_armed_during_the_first() {
    check(|| {
        let fixture = Fixture::new();
        let armers = [50, 30].map(|deadline_ns| {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || fixture.arm(deadline_ns).1)
        });
        let first = fixture.commit();
        let by_armer = first.is_some() && fixture.alarm.rouse() == Roused::ByArmer;
        let second = fixture.commit();
        let wakes = armers.map(|armer| armer.join().expect("no panic"));
        let wakes = wakes.into_iter().filter(|wake| *wake).count();
        // The wake that `rouse` told of was consumed by the first sleep.
        fixture.assert_no_oversleep(second, wakes - usize::from(by_armer));
    });
}
