//! Models of the reader-writer lock, by loom.
//!
// MUTANT: rwlock.take KILLED-BY sync::rwlock_model::a_writer_is_alone
// MUTANT: rwlock.give KILLED-BY sync::rwlock_model::a_writer_is_alone
// MUTANT: rwlock.admit KILLED-BY sync::rwlock_model::a_writer_is_alone
// MUTANT: rwlock.serve KILLED-BY sync::rwlock_model::a_writer_is_alone
// MUTANT: rwlock.grant KILLED-BY sync::rwlock_model::an_upgrade_waits_for_readers
// MUTANT: rwlock.upgrade KILLED-BY sync::rwlock_model::an_upgrade_does_not_wait_for_one_on_its_way
// MUTANT: rwlock.behind KILLED-BY sync::rwlock_model::readers_in_a_row_come_in_together
// MUTANT: rwlock.starving KILLED-BY sync::rwlock_model::one_that_has_starved_is_handed_the_lock
// MUTANT: rwlock.fair KILLED-BY sync::rwlock_model::a_fair_release_hands_the_lock_over
// MUTANT: rwlock.downgrade KILLED-BY sync::rwlock_model::a_writer_that_stays_to_read_shows_what_it_wrote
// MUTANT: queue.leave KILLED-BY sync::rwlock_model::a_writer_that_gives_up_lets_readers_pass

use super::raw_rwlock::{QUEUED, RawRwLock, WOKEN, Want};
use crate::primitive::model::{Shared, check};
use crate::sched;
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

struct Fixture {
    lock: RawRwLock,
    value: Shared<u32>,
}

impl Fixture {
    fn new() -> Arc<Self> {
        sched::forget_model();
        Arc::new(Self { lock: RawRwLock::free(), value: Shared::new(0) })
    }

    fn write(&self) {
        assert!(self.lock.take_until(Want::Write, || None));
        self.value.update(|value| *value += 1);
        // SAFETY: taken above.
        unsafe { self.lock.give(Want::Write) };
    }

    fn read(&self) -> u32 {
        assert!(self.lock.take_until(Want::Read, || None));
        let value = self.value.get();
        // SAFETY: taken above.
        unsafe { self.lock.give(Want::Read) };
        value
    }

    /// Reads, and then adds one.
    fn upgrade(&self) {
        assert!(self.lock.take_until(Want::Upgradable, || None));
        let seen = self.value.get();
        assert!(self.lock.take_until(Want::Upgrade, || None));
        assert_eq!(self.value.get(), seen, "nobody writes between");
        self.value.set(seen + 1);
        // SAFETY: taken above.
        unsafe { self.lock.give(Want::Write) };
    }
}

fn run(fixture: &Arc<Fixture>, f: impl FnOnce(&Fixture) + 'static) -> thread::JoinHandle<()> {
    let fixture = Arc::clone(fixture);
    thread::spawn(move || f(&fixture))
}

/// Admission with its ordering, and Served.
#[test]
fn a_writer_is_alone() {
    check(|| {
        let fixture = Fixture::new();
        let writer = run(&fixture, Fixture::write);
        let reader = run(&fixture, |fixture| assert!(fixture.read() <= 2));
        fixture.write();
        writer.join().expect("no panic");
        reader.join().expect("no panic");
        assert_eq!(fixture.read(), 2);
        assert!(fixture.lock.try_take(Want::Write), "free, and nobody is noted as waiting");
    });
}

/// One may come to write that has held the lock to read, and sees no other's writing between.
#[test]
fn an_upgrade_goes_before_writers() {
    check(|| {
        let fixture = Fixture::new();
        let writer = run(&fixture, Fixture::write);
        fixture.upgrade();
        writer.join().expect("no panic");
        assert_eq!(fixture.read(), 2);
    });
}

/// An upgrade waits for the readers, whichever of them lets it in, and later readers for it.
#[test]
fn an_upgrade_waits_for_readers() {
    check(|| {
        let fixture = Fixture::new();
        let readers = [0, 1].map(|_| run(&fixture, |fixture| assert!(fixture.read() <= 1)));
        fixture.upgrade();
        for reader in readers {
            reader.join().expect("no panic");
        }
        assert_eq!(fixture.read(), 1);
        assert_eq!(fixture.lock.bits(), 0);
    });
}

/// A writer that was woken finds an upgrade before it: the last reader lets that one in.
#[test]
fn an_upgrade_does_not_wait_for_one_on_its_way() {
    check(|| {
        let fixture = Fixture::new();
        assert!(fixture.lock.try_take(Want::Write));
        let writer = run(&fixture, Fixture::write);
        // SAFETY: taken above.
        unsafe { fixture.lock.give(Want::Write) };
        if fixture.lock.try_take(Want::Upgradable) {
            let reads = fixture.lock.try_take(Want::Read);
            let reader = run(&fixture, move |fixture| {
                if reads {
                    // SAFETY: taken above, for this thread to give back.
                    unsafe { fixture.lock.give(Want::Read) };
                }
            });
            assert!(fixture.lock.take_until(Want::Upgrade, || None));
            // SAFETY: just taken.
            unsafe { fixture.lock.give(Want::Write) };
            reader.join().expect("no panic");
        }
        writer.join().expect("no panic");
        assert_eq!(fixture.lock.bits(), 0);
    });
}

/// Two readers that wait for a writer read together afterwards: none gives the lock back before
/// both have it.
#[test]
fn readers_in_a_row_come_in_together() {
    check(|| {
        let fixture = Fixture::new();
        let meeting = Arc::new((Mutex::new(0), Condvar::new()));
        assert!(fixture.lock.try_take(Want::Write));
        let readers = [0, 1].map(|_| {
            let meeting = Arc::clone(&meeting);
            run(&fixture, move |fixture| {
                assert!(fixture.lock.take_until(Want::Read, || None));
                let mut there = meeting.0.lock().expect("no panic");
                *there += 1;
                meeting.1.notify_all();
                while *there < 2 {
                    there = meeting.1.wait(there).expect("no panic");
                }
                drop(there);
                // SAFETY: taken above.
                unsafe { fixture.lock.give(Want::Read) };
            })
        });
        // SAFETY: taken above.
        unsafe { fixture.lock.give(Want::Write) };
        for reader in readers {
            reader.join().expect("no panic");
        }
        assert_eq!(fixture.lock.bits(), 0);
    });
}

/// A writer that takes the lock again and again cannot keep a waiter out: once that was woken and
/// has lost, the next release hands the lock over.
#[test]
fn one_that_has_starved_is_handed_the_lock() {
    check(|| {
        let fixture = Fixture::new();
        assert!(fixture.lock.try_take(Want::Write));
        let waiter = run(&fixture, Fixture::write);
        for _ in 0..2 {
            // SAFETY: taken above, or at the end of the last round.
            unsafe { fixture.lock.give(Want::Write) };
            if !fixture.lock.try_take(Want::Write) {
                return waiter.join().expect("no panic");
            }
            let before = fixture.lock.bits();
            thread::yield_now();
            let after = fixture.lock.bits();
            if before & WOKEN != 0 && after & (WOKEN | QUEUED) == QUEUED {
                // SAFETY: taken above.
                unsafe { fixture.lock.give(Want::Write) };
                let is_free = fixture.lock.try_take(Want::Write);
                assert!(!is_free || fixture.value.get() == 1, "it was its turn");
                return waiter.join().expect("no panic");
            }
        }
        // SAFETY: taken at the end of the last round.
        unsafe { fixture.lock.give(Want::Write) };
        waiter.join().expect("no panic");
    });
}

/// Given back fairly, the lock is not to be had before who waits has had it.
#[test]
fn a_fair_release_hands_the_lock_over() {
    check(|| {
        let fixture = Fixture::new();
        assert!(fixture.lock.try_take(Want::Write));
        let waiter = run(&fixture, Fixture::write);
        thread::yield_now();
        let waits = fixture.lock.bits() & QUEUED != 0;
        // SAFETY: taken above.
        unsafe { fixture.lock.give_fairly(Want::Write) };
        if waits && fixture.lock.try_take(Want::Read) {
            assert_eq!(fixture.value.get(), 1, "it was its turn");
            // SAFETY: just taken.
            unsafe { fixture.lock.give(Want::Read) };
        }
        waiter.join().expect("no panic");
        assert_eq!(fixture.lock.bits(), 0);
    });
}

/// A waiter whose deadline passes as it is chosen has the lock or does not; in the end the word
/// knows that nobody waits.
#[test]
fn a_deadline_at_the_moment_of_the_choice_leaves_no_trace() {
    check(|| {
        let fixture = Fixture::new();
        assert!(fixture.lock.try_take(Want::Write));
        let holder = run(&fixture, |fixture| {
            // SAFETY: taken above, for this thread to give back.
            unsafe { fixture.lock.give(Want::Write) };
        });
        let clock = run(&fixture, |_| sched::expire(5));
        if fixture.lock.take_until(Want::Write, || Some(5)) {
            // SAFETY: just taken.
            unsafe { fixture.lock.give(Want::Write) };
        }
        clock.join().expect("no panic");
        holder.join().expect("no panic");
        assert_eq!(fixture.lock.bits(), 0);
    });
}

/// A downgrade lets readers in, who see what was written before it.
#[test]
fn a_writer_that_stays_to_read_shows_what_it_wrote() {
    check(|| {
        let fixture = Fixture::new();
        assert!(fixture.lock.try_take(Want::Write));
        let reader = run(&fixture, |fixture| assert_eq!(fixture.read(), 1));
        fixture.value.set(1);
        // SAFETY: taken above; held to read from here on.
        unsafe { fixture.lock.lessen(Want::Write, Want::Read) };
        // The reader comes in although this one still reads.
        reader.join().expect("no panic");
        // SAFETY: still held to read.
        unsafe { fixture.lock.give(Want::Read) };
    });
}

/// A reader behind a writer that gives up does not wait for the reader before it.
#[test]
fn a_writer_that_gives_up_lets_readers_pass() {
    check(|| {
        let fixture = Fixture::new();
        assert!(fixture.lock.try_take(Want::Read));
        let writer = run(&fixture, |fixture| {
            if fixture.lock.take_until(Want::Write, || Some(5)) {
                // SAFETY: just taken.
                unsafe { fixture.lock.give(Want::Write) };
            }
        });
        let reader = run(&fixture, |fixture| assert_eq!(fixture.read(), 0));
        sched::expire(5);
        reader.join().expect("no panic");
        // SAFETY: taken above.
        unsafe { fixture.lock.give(Want::Read) };
        writer.join().expect("no panic");
        assert!(fixture.lock.try_take(Want::Write), "free, and nobody is noted as waiting");
    });
}
