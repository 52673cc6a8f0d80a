//! Those who wait for a direction that somebody waits for already.
//!
//! One waiter for each direction is the rule, and has a place in the word's own protocol
//! (`super::side`). Several threads that accept from one listener, and OS threads, stand here.
//!
//! 1. **join**: under the lock, the newcomer is put on the list, and then the crowd's bit is set in
//!    the word, by an exchange from the very word its attempt began with. That fails if there was
//!    an advance: it leaves the list and tries its operation again.
//! 2. **take**: who advances a word with the bit set clears the bit with that, and then takes all
//!    of that direction off the list. It finds whoever has set the bit: a newcomer is on the list
//!    before that, and the lock is held until after.
//! 3. **leave**: who stops waiting takes itself off. The bit may stay: the next taker finds nobody.
//!
//! All of a crowd are woken at an event: which of them will find something is the kernel's. At a
//! listener it is one (`super::relay`): **take one** takes the first of those it may be off the
//! list, and the bit stays. Nobody left on the list: the bit is taken back, under the lock, where
//! no newcomer can be between its steps.

use super::Direction;
use super::side::{Seen, Side};
use crate::primitive::atomic::mutant;
use crate::primitive::lock::{Lock, Rank};

/// The lock rank of a crowd (ARCHITECTURE.md, "Lock ranks").
const RANK: Rank = Rank(25);

/// The list; see the module.
#[derive(Debug)]
pub(super) struct Crowd<M>(Lock<List<M>>);

#[derive(Debug)]
struct List<M> {
    members: Vec<Entry<M>>,
    next_place: u64,
}

#[derive(Debug)]
struct Entry<M> {
    place: Place,
    direction: Direction,
    member: M,
}

/// Names a place in a crowd, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(u64);

impl<M> Crowd<M> {
    /// Nobody.
    pub(super) fn new() -> Self {
        Self(Lock::new(RANK, List { members: Vec::new(), next_place: 0 }))
    }

    /// Step 1; `None`: something has happened since `seen`.
    pub(super) fn join(
        &self,
        side: &Side,
        direction: Direction,
        seen: Seen,
        member: M,
    ) -> Option<Place> {
        let mut list = self.0.lock();
        let place = Place(list.next_place);
        list.next_place += 1;
        list.members.push(Entry { place, direction, member });
        if side.join_crowd(seen) || mutant!("netpoll.crowd.join") {
            return Some(place);
        }
        list.members.pop();
        None
    }

    /// Step 2: everybody of a direction.
    #[cold]
    pub(super) fn take(&self, direction: Direction) -> impl Iterator<Item = M> {
        let mut taken = Vec::new();
        let mut list = self.0.lock();
        taken.extend(list.members.extract_if(.., |entry| entry.direction == direction));
        drop(list);
        taken.into_iter().map(|entry: Entry<M>| entry.member)
    }

    /// Takes the first of a direction that `may` be taken; if nobody is left of the direction, the
    /// bit goes as well.
    #[cold]
    pub(super) fn take_one(
        &self,
        side: &Side,
        direction: Direction,
        may: impl Fn(&M) -> bool,
    ) -> Option<M> {
        let mut list = self.0.lock();
        let mut of_direction = list.members.iter().enumerate();
        let is_first =
            |(_, entry): &(usize, &Entry<M>)| entry.direction == direction && may(&entry.member);
        let at = of_direction.find(is_first).map(|(at, _)| at);
        let taken = at.map(|at| list.members.remove(at).member);
        let is_left = list.members.iter().any(|entry| entry.direction == direction);
        if !is_left || mutant!("netpoll.crowd.left") {
            side.forget_crowd();
        }
        taken
    }

    /// Step 3; `false`: somebody has taken it.
    pub(super) fn leave(&self, place: Place) -> bool {
        let mut list = self.0.lock();
        let at = list.members.iter().position(|entry| entry.place == place);
        at.map(|at| list.members.remove(at)).is_some()
    }
}
