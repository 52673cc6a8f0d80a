//! The machine's parker: a mailbox for one message, and sleep while it is empty.
//!
//! A machine without a processor sleeps here until somebody grants it one (a pointer) or tells it
//! to stop. The mailbox is one word; it is filled by exactly one sender at a time, because a
//! sender has first taken the machine off the list of spare machines.
//!
//! # State table
//! | `state` | means | leaves it |
//! |---|---|---|
//! | `EMPTY` | nobody sleeps, no message | sender -> `FULL`; owner -> `ASLEEP` |
//! | `ASLEEP` | the owner sleeps or is about to | sender -> `FULL` (and wakes); owner -> `EMPTY` at its deadline |
//! | `ELSEWHERE` | the owner sleeps in the poller, or is about to | sender -> `FULL` (and rings); owner -> `EMPTY` when it has woken |
//! | `FULL` | `message` holds the message | owner -> `EMPTY` |
//!
//! # Invariants
//! - **NoLostGrant**: a message that was sent is received by the next [`Parker::receive`], or by
//!   the one that sleeps; a deadline that races with a message loses.

use crate::primitive::atomic::{AtomicU32, AtomicUsize, Ordering, ord};
use crate::primitive::futex;

const EMPTY: u32 = 0;
const ASLEEP: u32 = 1;
const FULL: u32 = 2;
const ELSEWHERE: u32 = 3;

/// The mailbox; see the module.
#[derive(Debug)]
pub(crate) struct Parker {
    state: AtomicU32,
    message: AtomicUsize,
}

impl Parker {
    /// An empty mailbox.
    pub(crate) fn new() -> Self {
        Self { state: AtomicU32::new(EMPTY), message: AtomicUsize::new(0) }
    }

    /// Sends `message` to the owner and wakes it if it sleeps; calls `ring` if it sleeps elsewhere.
    /// One sender at a time, and only to an empty mailbox.
    pub(crate) fn send(&self, message: usize, ring: impl FnOnce()) {
        // ORDERING: Relaxed; released by the exchange of `state` below.
        self.message.store(message, Ordering::Relaxed);
        // ORDERING: AcqRel; Release pairs with the Acquire in `receive`; publishes the message.
        match self.state.swap(FULL, ord!("parker.send", AcqRel)) {
            ASLEEP => {
                futex::wake(&self.state, 1);
            }
            ELSEWHERE => ring(),
            _ => {}
        }
    }

    /// As [`Parker::receive`], asleep in `sleep`, which a sender's `ring` wakes, now or next; it
    /// may wake for other reasons too. `None`: no message has come.
    pub(crate) fn receive_elsewhere(&self, sleep: impl FnOnce()) -> Option<usize> {
        let (acquire, relaxed) = (ord!("parker.elsewhere", Acquire), Ordering::Relaxed);
        // ORDERING: Acquire on failure: FULL publishes the message.
        if self.state.compare_exchange(EMPTY, ELSEWHERE, relaxed, acquire).is_ok() {
            sleep();
        }
        // ORDERING: as above.
        match self.state.compare_exchange(ELSEWHERE, EMPTY, relaxed, acquire) {
            Ok(_) => None,
            Err(_) => Some(self.take()),
        }
    }

    /// Receives a message, sleeping until there is one or until the absolute time `deadline_ns`
    /// of the monotonic clock; `None`: the deadline passed first.
    pub(crate) fn receive(&self, deadline_ns: Option<u64>) -> Option<usize> {
        loop {
            // ORDERING: Acquire on success and failure; FULL publishes the message.
            match self.state.compare_exchange(
                EMPTY,
                ASLEEP,
                Ordering::Relaxed,
                ord!("parker.receive", Acquire),
            ) {
                Ok(_) => {}
                Err(FULL) => return Some(self.take()),
                Err(_) => {}
            }
            if futex::wait(&self.state, ASLEEP, deadline_ns) == futex::Waited::Deadline {
                // ORDERING: Acquire on failure: a message came with the deadline; take it.
                let left = self.state.compare_exchange(
                    ASLEEP,
                    EMPTY,
                    Ordering::Relaxed,
                    Ordering::Acquire,
                );
                return match left {
                    Ok(_) => None,
                    Err(_) => Some(self.take()),
                };
            }
        }
    }

    /// Takes the message out of a full mailbox.
    fn take(&self) -> usize {
        // ORDERING: Relaxed; acquired by the exchange that read FULL.
        let message = self.message.load(Ordering::Relaxed);
        // ORDERING: Relaxed; the next sender is ordered after this by the list of spare
        // machines, or by the role it has got from here.
        self.state.store(EMPTY, Ordering::Relaxed);
        message
    }
}
