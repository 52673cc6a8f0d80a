//! Models of the join word, by loom; run as those of the wait word are.
//!
// MUTANT: join.reset KILLED-BY green::join_model::an_observer_sees_the_header_it_retains
// MUTANT: join.try_retain KILLED-BY green::join_model::an_observer_sees_the_header_it_retains
// MUTANT: join.result KILLED-BY green::join_model::a_detached_result_is_dropped_once
// MUTANT: join.detach KILLED-BY green::join_model::a_detached_result_is_dropped_once
// MUTANT: join.announce KILLED-BY green::join_model::a_joiner_is_woken_and_takes_the_result
// MUTANT: join.retract KILLED-BY green::join_model::an_impatient_joiner_keeps_out_of_the_exits_way
// MUTANT: join.finish KILLED-BY green::join_model::a_poller_takes_the_result
// MUTANT: join.finish_slow KILLED-BY green::join_model::a_joiner_is_woken_and_takes_the_result
// MUTANT: join.is_finished KILLED-BY green::join_model::a_poller_takes_the_result
// MUTANT: join.release KILLED-BY green::join_model::the_last_of_three_owners_frees
// MUTANT: join.release.last KILLED-BY green::join_model::an_observer_and_the_last_owner_free_once

use super::join::{Announce, Finished, JoinWord};
use crate::primitive::model::{Shared, check};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

/// A header: its word, and what lies under the word's protection.
struct Fixture {
    word: JoinWord,
    /// 0: nothing; 7: a result; 8: taken or dropped.
    stage: Shared<u32>,
    /// The joiner's token: the number of the flag to raise.
    slot: Shared<usize>,
    /// How often the header was freed; every owner reads it before it lets go.
    freed: Shared<u32>,
    /// Stands for the wait word's claim.
    woken: [AtomicBool; 2],
}

impl Fixture {
    fn new(references: u64) -> Arc<Self> {
        let fixture = Self {
            word: JoinWord::new(),
            stage: Shared::new(0),
            slot: Shared::new(9),
            freed: Shared::new(0),
            woken: [AtomicBool::new(false), AtomicBool::new(false)],
        };
        if references != 0 {
            fixture.word.reset(references);
        }
        Arc::new(fixture)
    }

    fn take_result(&self) {
        assert_eq!(self.stage.get(), 7, "no result, or taken before");
        self.stage.set(8);
    }

    fn use_header(&self) {
        assert_eq!(self.freed.get(), 0, "used after it was freed");
    }

    fn free(&self) {
        self.freed.update(|n| *n += 1);
    }

    fn release(&self) {
        self.use_header();
        if self.word.release() {
            self.free();
        }
    }

    /// The green thread: its result, then its exit.
    fn run(&self) {
        self.stage.set(7);
        if self.word.set_result() {
            self.take_result();
        }
        self.use_header();
        match self.word.finish() {
            Finished::Done => {}
            Finished::Free => self.free(),
            Finished::WakeJoiner => {
                let token = self.slot.get();
                self.release();
                self.woken[token].store(true, Ordering::Release);
            }
        }
    }

    /// The joiner's first step; `Done` needs no second.
    fn announce(&self, token: usize) -> Announce {
        self.slot.set(token);
        self.word.announce_joiner()
    }

    fn wait(&self, token: usize) {
        while !self.woken[token].load(Ordering::Acquire) {
            thread::yield_now();
        }
    }

    /// The joiner's last step.
    fn take(&self) {
        assert!(self.word.is_finished());
        self.take_result();
        self.release();
    }
}

/// Runs the green thread beside `joiner`, who has the handle; then the header must be gone.
fn beside_the_exit(joiner: impl Fn(&Fixture) + Sync + Send + 'static) {
    check(move || {
        let fixture = Fixture::new(2);
        let exit = {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || fixture.run())
        };
        joiner(&fixture);
        exit.join().expect("no panic");
        assert_eq!(fixture.stage.get(), 8);
        assert_eq!(fixture.freed.get(), 1);
    });
}

/// OneDrop: the handle is dropped while the thread ends.
#[test]
fn a_detached_result_is_dropped_once() {
    beside_the_exit(|fixture| {
        if fixture.word.detach() {
            fixture.take_result();
        }
        fixture.release();
    });
}

/// A joiner that announces itself is woken, and finds the result.
#[test]
fn a_joiner_is_woken_and_takes_the_result() {
    beside_the_exit(|fixture| {
        if fixture.announce(0) == Announce::Wait {
            fixture.wait(0);
        }
        fixture.take();
    });
}

/// A joiner that asks until it is told finds the result.
#[test]
fn a_poller_takes_the_result() {
    beside_the_exit(|fixture| {
        while !fixture.word.is_finished() {
            thread::yield_now();
        }
        fixture.take();
    });
}

/// SlotLives: a joiner whose deadline passes, and who then joins again or takes the result.
#[test]
fn an_impatient_joiner_keeps_out_of_the_exits_way() {
    beside_the_exit(|fixture| {
        if fixture.announce(0) == Announce::Wait
            && fixture.word.retract_joiner() == Announce::Wait
            && fixture.announce(1) == Announce::Wait
        {
            fixture.wait(1);
        }
        fixture.take_result();
        fixture.release();
    });
}

/// OneFree: the exit, the handle and a `Thread` handle let go at the same time.
#[test]
fn the_last_of_three_owners_frees() {
    check(|| {
        let fixture = Fixture::new(3);
        let owners = [0, 1].map(|owner| {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || if owner == 0 { fixture.run() } else { fixture.release() })
        });
        fixture.release();
        for owner in owners {
            owner.join().expect("no panic");
        }
        assert_eq!(fixture.freed.get(), 1);
    });
}

/// OneFree: the dump looks at a header whose last owner lets go.
#[test]
fn an_observer_and_the_last_owner_free_once() {
    check(|| {
        let fixture = Fixture::new(1);
        let observer = {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || {
                if fixture.word.try_retain() {
                    fixture.release();
                }
            })
        };
        fixture.release();
        observer.join().expect("no panic");
        assert_eq!(fixture.freed.get(), 1);
        assert!(!fixture.word.try_retain(), "a freed header has no owners");
    });
}

/// The dump finds a header that begins its life: it sees all of it or nothing.
#[test]
fn an_observer_sees_the_header_it_retains() {
    check(|| {
        let fixture = Fixture::new(0);
        let observer = {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || {
                if fixture.word.try_retain() {
                    assert_eq!(fixture.slot.get(), 5, "the header as its spawner wrote it");
                    fixture.release();
                }
            })
        };
        fixture.slot.set(5);
        fixture.word.reset(1);
        fixture.release();
        observer.join().expect("no panic");
        assert_eq!(fixture.freed.get(), 1);
    });
}
