//! A role that passes from thread to thread, so that their shares of the CPUs add up.
//!
//! Among N threads that compute the kernel gives each an N-th of a CPU; who has used that up waits
//! until the others have had theirs, however little it is that it wants. The role is a message: a
//! box with all that its player remembers, sent to the next one's parker. Everybody else sleeps in
//! its own.
//!
//! # Protocol
//! (y1) Who has the role acts, until it wants to pass it on. (y2) It sends the box to its
//! successor, and receives. (y3) Told to stop, it sends the box to the first player. (y4) The first
//! one, told to stop, dismisses the others.
//!
//! # Invariants
//! - **OnePlayer**: there is one box, and who has it owns it; y2 gives it up. So whatever holds if a
//!   single thread acts (`sched::watch`, OneMonitor of `machine::bias`) holds of the role.
//! - **OneSender**: only who has the role sends, and never to itself. A receiver's mailbox is empty
//!   then: what was sent to it before was the role, which it has received, since it has passed it on.

use crate::machine::parker::Parker;
use crate::primitive::atomic::mutant;

/// How many may play. With 256 hogs on two CPUs one thread has 8 us of each millisecond.
#[cfg(not(loom))]
pub(super) const PLAYERS_MAX: usize = 8;
#[cfg(loom)]
pub(super) const PLAYERS_MAX: usize = 2;
/// The message that ends a player; no box is at 1.
const STOP: usize = 1;

/// What the player does after it has acted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cue {
    /// It acts again.
    Again,
    /// The next one acts.
    Pass,
    /// Nobody acts any more.
    Stop,
}

/// What is passed on.
pub(super) trait Role: Send {
    /// Acts once; after [`Cue::Stop`] it may be asked once more, by the first player, and stops again.
    fn act(&mut self) -> Cue;
    /// How many play it, from 1 to [`PLAYERS_MAX`]; they are numbered from 0.
    fn players(&self) -> usize;
}

/// The places of the players; see the module.
#[derive(Debug)]
pub(super) struct Relay {
    places: [Parker; PLAYERS_MAX],
}

impl Relay {
    /// Nobody has the role.
    pub(super) fn new() -> Self {
        Self { places: std::array::from_fn(|_| Parker::new()) }
    }

    /// Plays the role as number `me`, whenever it is here. The first player gets it back when it
    /// stops, all others `None`, when they are dismissed.
    pub(super) fn play<R: Role>(&self, me: usize, mut role: Option<Box<R>>) -> Option<Box<R>> {
        loop {
            let mut mine = match role.take() {
                Some(role) => role,
                None => self.receive(me)?,
            };
            let next = match mine.act() {
                Cue::Stop if me == 0 || mutant!("relay.stop") => return Some(mine),
                Cue::Stop => 0,
                Cue::Again => me,
                Cue::Pass => (me + 1) % mine.players(),
            };
            if next == me {
                role = Some(mine);
            } else {
                self.send(next, mine);
            }
        }
    }

    /// First player, with the role in its hands: the others among `players` end (y4).
    pub(super) fn dismiss(&self, players: usize) {
        for place in &self.places[1..players] {
            place.send(STOP, || {});
        }
    }

    fn send<R: Role>(&self, to: usize, role: Box<R>) {
        self.places[to].send(Box::into_raw(role).expose_provenance(), || {});
    }

    /// Waits for the role; `None`: dismissed.
    fn receive<R: Role>(&self, me: usize) -> Option<Box<R>> {
        let message = self.places[me].receive(None);
        let address = message.filter(|&message| message != STOP)?;
        // SAFETY: only `send` sends anything but STOP: a box that it has given up, and that is
        // received once (Inv. OneSender). All players of a relay have the same role.
        Some(unsafe { Box::from_raw(std::ptr::with_exposed_provenance_mut(address)) })
    }
}
