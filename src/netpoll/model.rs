//! Models of a descriptor, by loom; run as those of the wait word are.
//!
//! The kernel of these models is a lock around what there is to read, as a socket has one. Tokens
//! are pairs of equal halves, and a waiter that stands is asleep until its token is taken.
//!
// MUTANT: netpoll.side.seen KILLED-BY netpoll::model::an_event_is_seen_by_the_attempt_or_the_wait
// MUTANT: netpoll.side.observe KILLED-BY netpoll::model::a_waiter_waits_by_the_new_deadline_or_is_taken
// MUTANT: netpoll.side.advance KILLED-BY netpoll::model::a_waiter_waits_by_the_new_deadline_or_is_taken
// MUTANT: netpoll.side.wait KILLED-BY netpoll::model::a_token_is_taken_whole
// MUTANT: netpoll.side.leave KILLED-BY netpoll::model::a_token_is_taken_whole
// MUTANT: netpoll.side.claimed KILLED-BY netpoll::model::two_claims_do_not_meet
// MUTANT: netpoll.side.open KILLED-BY netpoll::model::a_stale_event_does_not_reach_the_next_tenant
// MUTANT: netpoll.side.current KILLED-BY netpoll::model::a_stale_event_does_not_reach_the_next_tenant
// MUTANT: netpoll.side.unsure KILLED-BY netpoll::model::the_end_of_a_stream_is_not_slept_through
// MUTANT: netpoll.crowd.join KILLED-BY netpoll::model::all_of_a_crowd_are_told
// MUTANT: netpoll.turn.take KILLED-BY netpoll::model::one_at_a_time_has_the_turn
// MUTANT: netpoll.turn.give KILLED-BY netpoll::model::one_at_a_time_has_the_turn

use super::crowd::Crowd;
use super::side::{Found, Seen, Side, Standing, Whom};
use super::turn::TurnWord;
use super::{Direction, Name};
use crate::primitive::model::{Shared, check};
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;

/// A token whose halves are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark(usize, u64);

pub(super) const fn mark(number: usize) -> Mark {
    Mark(number, number as u64)
}

impl Name for Mark {
    fn parts(self) -> (*mut (), u64) {
        (std::ptr::without_provenance_mut(self.0), self.1)
    }

    fn from_parts(name: *mut (), number: u64) -> Self {
        Self(name.addr(), number)
    }
}

fn side() -> Arc<Side> {
    let side = Side::new();
    side.open(false);
    Arc::new(side)
}

/// An event, a moved deadline: whom it takes.
fn advance(side: &Side) -> Option<Mark> {
    let found: Found<Mark> = side.advance(Whom::All, false, || true);
    if let Some(Mark(name, number)) = found.waiter {
        assert_eq!(name as u64, number, "a token of two halves");
    }
    found.waiter
}

/// Stands once, from what it sees now; the word it waits at.
fn stand(side: &Side, token: Mark) -> Option<Seen> {
    match side.stand(side.observe(), token) {
        Standing::Waits(at) => Some(at),
        Standing::Stale | Standing::Crowded => None,
    }
}

/// NoLostEvent: data come, and then their event, while a reader finds nothing and waits.
#[test]
fn an_event_is_seen_by_the_attempt_or_the_wait() {
    check(|| {
        let side = side();
        let kernel = Arc::new(Mutex::new(false));
        let reader = {
            let (side, kernel) = (Arc::clone(&side), Arc::clone(&kernel));
            thread::spawn(move || {
                let seen = side.observe();
                let found = *kernel.lock().expect("no panic");
                !found && matches!(side.stand(seen, mark(1)), Standing::Waits(_))
            })
        };
        *kernel.lock().expect("no panic") = true;
        let taken = advance(&side);
        let asleep = reader.join().expect("no panic");
        assert_eq!(taken.is_some(), asleep, "a reader sleeps beside what it could read");
    });
}

/// A deadline moves while a reader goes to wait: it reads the new one, does not wait, or is taken.
#[test]
fn a_waiter_waits_by_the_new_deadline_or_is_taken() {
    check(|| {
        let side = side();
        let reader = {
            let side = Arc::clone(&side);
            thread::spawn(move || {
                let seen = side.observe();
                let deadline_ns = side.deadline_ns();
                (deadline_ns, matches!(side.stand(seen, mark(1)), Standing::Waits(_)))
            })
        };
        side.set_deadline_ns(1);
        let taken = advance(&side);
        let (deadline_ns, asleep) = reader.join().expect("no panic");
        assert!(!asleep || taken.is_some() || deadline_ns == 1, "asleep by the old deadline");
    });
}

/// OneTaker and Untorn, the simple case: two events beside one waiter, one takes it, whole.
#[test]
fn a_token_is_taken_whole() {
    check(|| {
        let side = side();
        let pollers = [(); 2].map(|()| {
            let side = Arc::clone(&side);
            thread::spawn(move || advance(&side))
        });
        let asleep = stand(&side, mark(1)).is_some();
        let [first, second] = pollers.map(|poller| poller.join().expect("no panic"));
        assert!(first.is_none() || second.is_none(), "taken twice");
        let taken = first.or(second);
        assert!(taken.is_none_or(|taken| taken == mark(1)));
        // What was not taken is taken now.
        assert!(taken.is_some() || advance(&side).is_some() == asleep);
    });
}

/// Untorn: one waiter gives up and another comes while a taker reads the halves.
#[test]
fn a_token_is_not_of_two_waiters() {
    check(|| {
        let side = side();
        let waiters = {
            let side = Arc::clone(&side);
            thread::spawn(move || {
                let first = stand(&side, mark(1));
                let given_up = first.is_none_or(|at| side.retract(at));
                (given_up, stand(&side, mark(2)).is_some())
            })
        };
        let taken = advance(&side);
        let (given_up, second) = waiters.join().expect("no panic");
        match taken {
            Some(taken) if taken == mark(1) => assert!(!given_up, "taken after it gave up"),
            Some(taken) => assert!(second && taken == mark(2)),
            None => assert_eq!(advance(&side).is_some(), second),
        }
    });
}

/// A claim that an event overtakes is still alone with the halves.
#[test]
fn two_claims_do_not_meet() {
    check(|| {
        let side = side();
        let other = {
            let side = Arc::clone(&side);
            thread::spawn(move || stand(&side, mark(1)).is_some())
        };
        let poller = {
            let side = Arc::clone(&side);
            thread::spawn(move || advance(&side))
        };
        let mine = stand(&side, mark(2)).is_some();
        let theirs = other.join().expect("no panic");
        let first = poller.join().expect("no panic");
        let second = advance(&side);
        let taken = [first, second].into_iter().flatten().count();
        assert_eq!(taken, usize::from(mine) + usize::from(theirs), "one sleeps for ever");
    });
}

/// A close meets a waiter: it is taken, or does not wait; and nobody waits afterwards.
#[test]
fn a_close_leaves_nobody_behind() {
    check(|| {
        let side = side();
        let closer = {
            let side = Arc::clone(&side);
            thread::spawn(move || side.close::<Mark>().waiter)
        };
        let asleep = stand(&side, mark(1)).is_some();
        let taken = closer.join().expect("no panic");
        assert_eq!(taken.is_some(), asleep, "asleep by a closed descriptor");
        assert!(side.observe().is_closed());
        assert_eq!(stand(&side, mark(2)), None);
    });
}

/// The descriptor is closed and its slot goes to another while an event of the old one arrives.
#[test]
fn a_stale_event_does_not_reach_the_next_tenant() {
    check(|| {
        let side = side();
        let generation = Arc::new(AtomicU32::new(0));
        let poller = {
            let (side, generation) = (Arc::clone(&side), Arc::clone(&generation));
            thread::spawn(move || {
                let is_current = || generation.load(Ordering::Relaxed) == 0;
                let found: Found<Mark> = side.advance(Whom::All, true, is_current);
                found.waiter
            })
        };
        let _ = side.close::<Mark>();
        generation.store(1, Ordering::Relaxed);
        side.open(false);
        let seen = side.observe();
        assert!(matches!(side.stand(seen, mark(2)), Standing::Waits(_)), "woken by a stale event");
        assert_eq!(poller.join().expect("no panic"), None, "taken by a stale event");
    });
}

/// What is left on a stream: bytes, and whether it ends after them.
#[derive(Default)]
struct Stream {
    bytes: usize,
    ended: bool,
    /// Whether the kernel has something to tell the poller.
    news: bool,
}

/// A short read stands for "nothing is left" only while the end of the stream cannot be behind it.
#[test]
fn the_end_of_a_stream_is_not_slept_through() {
    check(|| {
        let side = side();
        let stream = Arc::new(Mutex::new(Stream { bytes: 1, news: true, ended: false }));
        let reader = {
            let (side, stream) = (Arc::clone(&side), Arc::clone(&stream));
            thread::spawn(move || read_to_end(&side, &stream))
        };
        let mut taken = poll(&side, &stream);
        {
            let mut stream = stream.lock().expect("no panic");
            (stream.ended, stream.news) = (true, true);
        }
        taken |= poll(&side, &stream);
        let ended = reader.join().expect("no panic");
        assert!(ended || taken, "asleep before the end of a stream");
    });
}

/// Reads until the end of the stream (`true`), or until it sleeps.
fn read_to_end(side: &Side, stream: &Mutex<Stream>) -> bool {
    loop {
        let seen = side.observe();
        if !side.is_drained(seen) {
            let mut stream = stream.lock().expect("no panic");
            if std::mem::take(&mut stream.bytes) > 0 {
                side.drain(seen);
                continue;
            }
            if stream.ended {
                return true;
            }
        }
        if let Standing::Waits(_) = side.stand(seen, mark(1)) {
            return false;
        }
    }
}

/// Asks the kernel once, and notes what it says; whether somebody was taken.
fn poll(side: &Side, stream: &Mutex<Stream>) -> bool {
    let (news, ended) = {
        let mut stream = stream.lock().expect("no panic");
        (std::mem::take(&mut stream.news), stream.ended)
    };
    let found: Option<Found<Mark>> = news.then(|| side.advance(Whom::All, ended, || true));
    found.is_some_and(|found| found.waiter.is_some())
}

/// Two wait for one direction, and an event comes: each is told, or has not waited.
#[test]
fn all_of_a_crowd_are_told() {
    check(|| {
        let both = Arc::new((side(), Crowd::new()));
        let waiter = |number| {
            let both = Arc::clone(&both);
            thread::spawn(move || wait(&both.0, &both.1, mark(number)))
        };
        let waiters = [waiter(1), waiter(2)];
        let mut told = tell(&both.0, &both.1);
        let asleep = waiters.map(|waiter| waiter.join().expect("no panic"));
        told += tell(&both.0, &both.1);
        let asleep = asleep.into_iter().filter(|&asleep| asleep).count();
        assert_eq!(asleep, told, "some of {asleep} were not told");
    });
}

/// Stands, or joins the crowd; whether it waits.
fn wait(side: &Side, crowd: &Crowd<Mark>, token: Mark) -> bool {
    let seen = side.observe();
    match side.stand(seen, token) {
        Standing::Waits(_) => true,
        Standing::Stale => false,
        Standing::Crowded => crowd.join(side, Direction::Input, seen, token).is_some(),
    }
}

/// An event; how many were told.
fn tell(side: &Side, crowd: &Crowd<Mark>) -> usize {
    let found: Found<Mark> = side.advance(Whom::All, false, || true);
    let crowd = match found.crowd {
        Whom::All => crowd.take(Direction::Input).count(),
        _ => 0,
    };
    usize::from(found.waiter.is_some()) + crowd
}

/// OneTurn: a sleeper, a processor and whoever else asks are alone with the events.
#[test]
fn one_at_a_time_has_the_turn() {
    check(|| {
        let turn = Arc::new((TurnWord::new(), Shared::new(0)));
        let asker = |sleeps: bool| {
            let turn = Arc::clone(&turn);
            thread::spawn(move || ask(&turn, sleeps))
        };
        let askers = [asker(false), asker(true)];
        ask(&turn, false);
        for asker in askers {
            asker.join().expect("no panic");
        }
    });
}

fn ask((turn, events): &(TurnWord, Shared<u32>), sleeps: bool) {
    if if sleeps { turn.try_sleep() } else { turn.try_ask() } {
        events.update(|events| *events += 1);
        turn.give();
    }
}
