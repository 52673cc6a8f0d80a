//! The condition variable: a queue, and a word that says whether it is empty.
//!
//! A waiter takes a *ticket* as it queues, and lets go of the mutex only then, so a notifier that
//! holds or has held the mutex since finds it. `notify_all` is for the tickets given before it
//! began: who waits anew meanwhile is not woken for nothing, nor for ever.
//!
//! A waiter that was chosen at its deadline was chosen: it reports no timeout, so a notification
//! is never spent on a waiter that goes away (Inv. ChosenOnce of the queue).
//!
//! Rejected: moving the waiters of a `notify_all` to the mutex's queue, as parking_lot does. It
//! spares OS threads a wake-up that ends in another wait; between green threads that is a switch,
//! and the condition variable would be tied to one mutex.
//!
//! Source: Go `runtime/sema.go`, `notifyList`, whose tickets these are.

use super::wait_queue::{self, End, Ended, Verdict, WaitQueue, Wakes, constructor};
use crate::green::Reason;
use crate::primitive::atomic::{AtomicBool, Ordering, mutant};

/// A condition variable that knows no mutex.
#[derive(Debug)]
pub(super) struct RawCondvar {
    /// Whether anybody waits: written under the queue's lock, read by notifiers, who need not see
    /// a waiter whose mutex they have not held.
    has_waiters: AtomicBool,
    /// Tickets; and the next one.
    queue: WaitQueue<u64, u64>,
}

impl RawCondvar {
    constructor! {
        /// Nobody waits.
        pub(super) fn idle() -> Self {
            Self { has_waiters: AtomicBool::new(false), queue: WaitQueue::new(0) }
        }
    }

    /// Queues, calls `release`, and waits until notified or until the deadline; whether notified.
    ///
    /// # Switches
    pub(super) fn wait(&self, deadline_ns: Option<u64>, release: impl FnOnce()) -> bool {
        let mut release = Some(release);
        if mutant!("condvar.release")
            && let Some(release) = release.take()
        {
            release();
        }
        let ended = self.queue.wait(
            Reason::Condvar,
            deadline_ns,
            |list| {
                let ticket = list.state;
                list.state += 1;
                // ORDERING: Relaxed; the mutex that `release` gives back publishes it.
                self.has_waiters.store(true, Ordering::Relaxed);
                Some((End::Back, ticket))
            },
            || release.map_or((), |release| release()),
            |list| self.note(list.is_empty()),
        );
        !matches!(ended, Ended::GaveUp(()))
    }

    /// Ends the wait of the one that waits longest; whether there was one.
    pub(super) fn notify_one(&self) -> bool {
        // ORDERING: Relaxed; who waits under a mutex that the caller has held since is seen.
        if !self.has_waiters.load(Ordering::Relaxed) {
            return false;
        }
        let token = self.queue.with(|list| {
            let token = list.choose_first(Verdict::Granted);
            self.note(list.is_empty());
            token
        });
        token.map(wait_queue::wake).is_some()
    }

    /// Ends the waits of all that wait now; how many there were.
    pub(super) fn notify_all(&self) -> usize {
        // ORDERING: Relaxed; as in `notify_one`.
        if !self.has_waiters.load(Ordering::Relaxed) {
            return 0;
        }
        let end = self.queue.with(|list| list.state);
        let mut count = 0;
        loop {
            let mut wakes = Wakes::none();
            let more = self.queue.with(|list| {
                let may = |ticket| ticket < end || mutant!("condvar.ticket");
                let more = list.choose_while(&mut wakes, may);
                self.note(list.is_empty());
                more
            });
            count += wakes.wake();
            if !more {
                return count;
            }
        }
    }

    /// Under the queue's lock: notes whether anybody waits.
    fn note(&self, is_empty: bool) {
        // ORDERING: Relaxed; as in `wait`.
        self.has_waiters.store(!is_empty, Ordering::Relaxed);
    }
}
