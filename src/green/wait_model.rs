//! Models of the wait word, by loom.
//!
//! Run by `RUSTFLAGS="--cfg loom" cargo test --release --lib model`. Each model states one
//! property; `GTHREAD_MUTANT=<site>` weakens one site, and the model named here has to fail:
//!
// MUTANT: wait.commit KILLED-BY green::wait_model::exactly_one_of_two_wakers_resumes
// MUTANT: wait.claim KILLED-BY green::wait_model::exactly_one_of_two_wakers_resumes
// MUTANT: wait.finish KILLED-BY green::wait_model::an_early_claim_shows_what_the_waker_wrote
// MUTANT: wait.sequence KILLED-BY green::wait_model::a_late_claim_loses_against_a_later_episode

use super::wait::{Claim, Outcome, Sequence, WaitWord};
use crate::primitive::model::{Shared, check};
use loom::sync::Arc;
use loom::thread;

/// A thread that waits: its word, its context, and what each waker leaves for it.
struct Fixture {
    word: WaitWord,
    /// Written by the owner before the commit, read by whoever resumes it.
    context: Shared<u32>,
    /// Counted by whoever resumes it; a second resumption races with the first or shows here.
    resumptions: Shared<u32>,
    /// What the partner and the timer wrote before their claims.
    gifts: [Shared<u32>; 2],
}

impl Fixture {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            word: WaitWord::new(),
            context: Shared::new(0),
            resumptions: Shared::new(0),
            gifts: [Shared::new(0), Shared::new(0)],
        })
    }

    /// A waker: leaves its gift, claims, and resumes what it has won.
    fn wake(&self, sequence: Sequence, outcome: Outcome) -> Claim {
        self.gifts[index(outcome)].set(7);
        let claim = self.word.claim(sequence, outcome);
        if claim == Claim::Resume {
            self.resume();
        }
        claim
    }

    /// Whoever calls this runs the owner from here on.
    fn resume(&self) {
        assert_eq!(self.context.get(), 1, "resumed before the context was saved");
        self.resumptions.update(|n| *n += 1);
        let outcome = self.word.finish().expect("resumed, so claimed");
        assert_eq!(self.gifts[index(outcome)].get(), 7);
    }

    /// The owner leaves its stack; resumes itself when a waker was faster.
    fn leave_stack(&self) {
        self.context.set(1);
        if !self.word.commit() {
            self.resume();
        }
    }
}

fn index(outcome: Outcome) -> usize {
    usize::from(outcome != Outcome::Woken)
}

/// OneWake and SavedBeforeResumed: the partner and the deadline race for one episode.
#[test]
fn exactly_one_of_two_wakers_resumes() {
    check(|| {
        let fixture = Fixture::new();
        let sequence = fixture.word.begin();
        let wakers = [Outcome::Woken, Outcome::Deadline].map(|outcome| {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || fixture.wake(sequence, outcome))
        });
        fixture.leave_stack();
        let claims = wakers.map(|waker| waker.join().expect("no panic"));
        assert_eq!(claims.iter().filter(|claim| **claim == Claim::Lost).count(), 1);
        assert_eq!(fixture.resumptions.get(), 1);
    });
}

/// The owner that has not left its stack sees there what the waker wrote before its claim.
#[test]
fn an_early_claim_shows_what_the_waker_wrote() {
    check(|| {
        let fixture = Fixture::new();
        let sequence = fixture.word.begin();
        let waker = {
            let fixture = Arc::clone(&fixture);
            thread::spawn(move || fixture.wake(sequence, Outcome::Cancelled))
        };
        let early = fixture.word.is_claimed();
        if early {
            let outcome = fixture.word.finish().expect("claimed");
            assert_eq!(outcome, Outcome::Cancelled);
            assert_eq!(fixture.gifts[1].get(), 7);
        } else {
            fixture.leave_stack();
        }
        let claim = waker.join().expect("no panic");
        assert!(claim == Claim::Early || !early);
        assert_eq!(fixture.resumptions.get(), u32::from(!early));
    });
}

/// Two wakers of a first episode, one of which comes when the owner is in its second.
#[test]
fn a_late_claim_loses_against_a_later_episode() {
    check(|| {
        let word = Arc::new(WaitWord::new());
        let first = word.begin();
        let wakers = [Outcome::Woken, Outcome::Deadline].map(|outcome| {
            let word = Arc::clone(&word);
            thread::spawn(move || word.claim(first, outcome))
        });
        let _ = word.commit();
        while word.finish().is_none() {
            thread::yield_now();
        }
        let second = word.begin();
        let _ = word.commit();
        let claims = wakers.map(|waker| waker.join().expect("no panic"));
        assert_eq!(claims.iter().filter(|claim| **claim == Claim::Lost).count(), 1);
        assert!(!word.is_claimed(), "a late claim has ended a later episode");
        assert_eq!(word.claim(second, Outcome::Woken), Claim::Resume);
        assert_eq!(word.finish(), Some(Outcome::Woken));
    });
}

/// An OS thread polls its word, so it may be gone before its waker has looked at its header: the
/// waker is told to wake it, and never to resume it.
#[test]
fn a_waker_of_an_os_thread_is_never_told_to_resume_it() {
    check(|| {
        let word = Arc::new(WaitWord::new());
        let kind = Arc::new(Shared::new(1));
        let sequence = word.begin();
        let waker = {
            let (word, kind) = (Arc::clone(&word), Arc::clone(&kind));
            thread::spawn(move || {
                if word.claim(sequence, Outcome::Woken) == Claim::Resume {
                    assert_eq!(kind.get(), 1, "somebody else's header by now");
                }
            })
        };
        let _ = word.commit_asleep();
        while word.finish().is_none() {
            thread::yield_now();
        }
        // The thread ends, and its header begins another life.
        kind.set(2);
        waker.join().expect("no panic");
    });
}
