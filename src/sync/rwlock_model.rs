//! Models of the reader-writer lock, by loom.
//!
// MUTANT: rwlock.take KILLED-BY sync::rwlock_model::a_writer_is_alone
// MUTANT: rwlock.give KILLED-BY sync::rwlock_model::a_writer_is_alone
// MUTANT: rwlock.admit KILLED-BY sync::rwlock_model::a_writer_is_alone
// MUTANT: rwlock.serve KILLED-BY sync::rwlock_model::a_writer_is_alone
// MUTANT: rwlock.downgrade KILLED-BY sync::rwlock_model::a_writer_that_stays_to_read_shows_what_it_wrote
// MUTANT: rwlock.leave KILLED-BY sync::rwlock_model::a_writer_that_gives_up_lets_readers_pass

use super::raw_rwlock::{RawRwLock, Want};
use crate::primitive::model::{Shared, check};
use crate::sched;
use loom::sync::Arc;
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

/// An upgrade waits for the readers, and readers that come later for it.
#[test]
fn an_upgrade_waits_for_readers() {
    check(|| {
        let fixture = Fixture::new();
        let reader = run(&fixture, |fixture| assert!(fixture.read() <= 1));
        fixture.upgrade();
        reader.join().expect("no panic");
        assert_eq!(fixture.read(), 1);
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
