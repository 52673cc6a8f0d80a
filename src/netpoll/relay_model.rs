//! Models of several who accept from one listener, by loom; run as those of the wait word are.
//!
//! The kernel's queue is a number under a lock. Who stands is asleep; who is told goes on, when the
//! threads of the model have ended, as the next turn of it would.
//!
// MUTANT: netpoll.side.kept KILLED-BY netpoll::relay_model::two_connections_are_taken_by_two
// MUTANT: netpoll.relay.leave KILLED-BY netpoll::relay_model::a_deadline_does_not_swallow_a_connection
// MUTANT: netpoll.crowd.left KILLED-BY netpoll::relay_model::a_row_of_three_is_told_one_by_one

use super::crowd::{Crowd, Place};
use super::model::{Mark, mark};
use super::side::{Found, Seen, Side, Standing, Whom};
use super::{Direction, relay};
use crate::primitive::model::check;
use loom::sync::{Arc, Mutex};
use loom::thread;

/// A listener, its kernel's queue, and whom somebody has told.
struct Listener {
    side: Side,
    crowd: Crowd<Mark>,
    queue: Mutex<usize>,
    told: Mutex<Vec<Mark>>,
}

/// Where somebody sleeps.
enum Bed {
    First(Seen),
    Crowd(Place),
}

impl Listener {
    fn new() -> Arc<Self> {
        let side = Side::new();
        side.open(true);
        let (queue, told) = (Mutex::new(0), Mutex::new(Vec::new()));
        Arc::new(Self { side, crowd: Crowd::new(), queue, told })
    }

    fn left(&self) -> usize {
        *self.queue.lock().expect("no panic")
    }

    /// Connections come, and then one event for all of them.
    fn arrive(&self, connections: usize) {
        *self.queue.lock().expect("no panic") += connections;
        self.tell(self.side.advance(Whom::One, false, || true));
    }

    fn tell(&self, found: Found<Mark>) {
        let place = (&self.side, &self.crowd, Direction::Input);
        let wake = |mark| self.told.lock().expect("no panic").push(mark);
        relay::tell(found, place, |_| true, wake);
    }

    /// Accepts one (`None`), or sleeps.
    fn accept(&self, token: Mark) -> Option<Bed> {
        loop {
            let seen = self.side.observe();
            if self.take() {
                self.leave();
                return None;
            }
            let bed = match self.side.stand(seen, token) {
                Standing::Stale => None,
                Standing::Waits(at) => Some(Bed::First(at)),
                Standing::Crowded => {
                    self.crowd.join(&self.side, Direction::Input, seen, token).map(Bed::Crowd)
                }
            };
            if bed.is_some() {
                return bed;
            }
        }
    }

    fn take(&self) -> bool {
        let mut queue = self.queue.lock().expect("no panic");
        let is_any = *queue > 0;
        *queue -= usize::from(is_any);
        is_any
    }

    fn leave(&self) {
        relay::pass_on(&self.side, || self.left() > 0, |found| self.tell(found));
    }

    /// A deadline ends the wait.
    fn give_up(&self, bed: &Bed) {
        let _was_told = match *bed {
            Bed::First(at) => !self.side.retract(at),
            Bed::Crowd(place) => !self.crowd.leave(place),
        };
        self.leave();
    }

    /// Everybody who was told goes on, until nobody moves: Relayed.
    fn settle(&self, mut asleep: Vec<usize>) {
        loop {
            let told = self.told.lock().expect("no panic").pop();
            let Some(told) = told else { break };
            // Whose wait has ended otherwise does not hear it.
            let Some(at) = asleep.iter().position(|&number| mark(number) == told) else { continue };
            if self.accept(told).is_none() {
                asleep.swap_remove(at);
            }
        }
        let left = self.left();
        assert!(left == 0 || asleep.is_empty(), "{asleep:?} sleep beside {left} connections");
    }
}

/// Starts somebody who accepts once; the number of who sleeps.
fn acceptor(listener: &Arc<Listener>, number: usize) -> thread::JoinHandle<Option<usize>> {
    let listener = Arc::clone(listener);
    thread::spawn(move || listener.accept(mark(number)).map(|_bed| number))
}

/// One event for two connections, while two go to wait.
#[test]
fn two_connections_are_taken_by_two() {
    check(|| {
        let listener = Listener::new();
        let acceptors = [acceptor(&listener, 1), acceptor(&listener, 2)];
        listener.arrive(2);
        let asleep = acceptors.map(|acceptor| acceptor.join().expect("no panic"));
        listener.settle(asleep.into_iter().flatten().collect());
        assert_eq!(listener.left(), 0);
    });
}

/// A connection comes as the deadline of one of two who wait passes: the other gets it.
#[test]
fn a_deadline_does_not_swallow_a_connection() {
    check(|| {
        let listener = Listener::new();
        let impatient = {
            let listener = Arc::clone(&listener);
            thread::spawn(move || {
                if let Some(bed) = listener.accept(mark(1)) {
                    listener.give_up(&bed);
                }
            })
        };
        let patient = acceptor(&listener, 2);
        listener.arrive(1);
        impatient.join().expect("no panic");
        let asleep = patient.join().expect("no panic");
        listener.settle(asleep.into_iter().collect());
    });
}

/// Three wait, and there is something for each: the first of the crowd does not take the bit along.
#[test]
fn a_row_of_three_is_told_one_by_one() {
    check(|| {
        let listener = Listener::new();
        let beds = [1, 2].map(|number| listener.accept(mark(number)));
        assert!(beds.iter().all(Option::is_some));
        let third = acceptor(&listener, 3);
        listener.arrive(3);
        let mut asleep = vec![1, 2];
        asleep.extend(third.join().expect("no panic"));
        listener.settle(asleep);
        assert_eq!(listener.left(), 0);
    });
}
