//! Waking one of several who accept from one listener, and the next when there is more.
//!
//! A hundred threads that accept from one listener were all woken by each connection, and
//! ninety-nine found nothing. What they wait for is not shared, as bytes of a stream are: a
//! connection is for one of them, and any of them will do. So:
//!
//! 1. **event**: takes the waiter of the direction, or, if there is none, one green thread of the
//!    crowd ([`tell`]). The others stand as they stood, and the crowd's bit stays set.
//! 2. **try**: who was taken tries. It would block: it waits again, from a word later than the
//!    event.
//! 3. **leave**: whoever gives up accepting, for whatever reason (it has a connection, a deadline
//!    has passed, an error, the user's non-blocking mode), looks, if others wait, whether the queue
//!    holds a connection, and does step 1 if it does ([`pass_on`]).
//!
//! Moved deadlines, a close and a poller that goes still wake all. OS threads block in poll(2), are
//! woken by the kernel, and are not taken in step 1; they keep to step 3 like the others.
//!
//! # Invariant
//! **Relayed**: when nobody moves any more, and nobody was woken and has not run, then the queue is
//! empty or no green thread waits.
//!
//! Suppose connection *c* is left and *w* waits. Its arrival made an event; consider the advance
//! *a* of the poller that notes it. *w* found the queue empty before *c* came, or it would have
//! taken *c* or something before it; so its word is older than *a*, and it stood before *a*: in the
//! crowd, or as the waiter. So *a* found the waiter, a claim, or the crowd's bit, and one of these
//! follows:
//! - it took the waiter or one of the crowd, *t*. Had *t*'s wait been ended by a deadline just
//!   before, it leaves by step 3 all the same.
//! - it overtook the claim of *t*, which tries again (or leaves, step 3).
//! - the list held nobody that could be taken: then no green thread waits.
//!
//! *t* tries after *a*. It finds nothing: *c* is not left. It takes another connection, or leaves
//! without trying: in step 3 it sees *c* in the queue, and that others wait, for the word it reads
//! is *a*'s or later and the bit stays while somebody is in the crowd, so it takes a *t'*; and so
//! on, each time one fewer of those who stood before *a*. In the end *w* is taken. ∎
//!
//! A waiter that has come after *a* may be taken before *w* is: it finds something, or nothing.
//!
//! Rejected: `EPOLLEXCLUSIVE`, which is for several epoll instances; to wake the next without
//! looking, which costs a switch and a failed `accept` for each connection.

use super::crowd::Crowd;
use super::side::{Found, Side, Whom};
use super::{Direction, Name};
use crate::primitive::atomic::mutant;

/// Step 1: wakes whom an advance has found. `may`: whom of the crowd one may be.
#[inline(always)]
pub(super) fn tell<T: Name, M: From<T>>(
    found: Found<T>,
    (side, crowd, direction): (&Side, &Crowd<M>, Direction),
    may: impl Fn(&M) -> bool,
    mut wake: impl FnMut(M),
) {
    if let Some(waiter) = found.waiter {
        wake(waiter.into());
    }
    match found.crowd {
        Whom::Nobody => {}
        Whom::One => crowd.take_one(side, direction, may).into_iter().for_each(wake),
        Whom::All => crowd.take(direction).for_each(wake),
    }
}

/// Step 3: somebody leaves; if others wait and `is_more` says that there is more, `tell` one.
#[inline]
pub(super) fn pass_on<T: Name>(
    side: &Side,
    is_more: impl FnOnce() -> bool,
    tell: impl FnOnce(Found<T>),
) {
    if side.is_awaited() && !mutant!("netpoll.relay.leave") && is_more() {
        tell(side.advance(Whom::One, false, || true));
    }
}
