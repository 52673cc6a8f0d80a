//! Who counts the handles: the last sender or receiver disconnects, the last of all frees.
//!
//! # Invariants
//! - **FreedOnce**: each side disconnects once, by the handle that takes its count to zero. Of the
//!   two sides the one that comes second to `is_half_gone` frees the channel; by then no handle is
//!   left.

use crate::primitive::abort::rt_abort;
use crate::primitive::atomic::{AtomicBool, AtomicUsize, Ordering, mutant, ord};
use std::ptr::NonNull;

/// A channel with its counts.
#[derive(Debug)]
struct Counter<C> {
    senders: AtomicUsize,
    receivers: AtomicUsize,
    is_half_gone: AtomicBool,
    channel: C,
}

/// One counted reference, of a sender or of a receiver.
#[derive(Debug)]
pub(crate) struct Counted<C>(NonNull<Counter<C>>);

/// Which count a reference belongs to; its owner remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    Senders,
    Receivers,
}

/// A reference for the first sender and one for the first receiver.
pub(crate) fn counted<C>(channel: C) -> (Counted<C>, Counted<C>) {
    let counter = Box::new(Counter {
        senders: AtomicUsize::new(1),
        receivers: AtomicUsize::new(1),
        is_half_gone: AtomicBool::new(false),
        channel,
    });
    let counter = NonNull::from(Box::leak(counter));
    (Counted(counter), Counted(counter))
}

impl<C> Counted<C> {
    #[inline(always)]
    fn counter(&self) -> &Counter<C> {
        // SAFETY: the reference is counted, so the counter lives (FreedOnce).
        unsafe { self.0.as_ref() }
    }

    #[inline(always)]
    pub(crate) fn channel(&self) -> &C {
        &self.counter().channel
    }

    fn count(&self, count: Count) -> &AtomicUsize {
        match count {
            Count::Senders => &self.counter().senders,
            Count::Receivers => &self.counter().receivers,
        }
    }

    /// Whether both refer to the same channel.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    /// One more of the same side.
    pub(crate) fn acquire(&self, count: Count) -> Self {
        // ORDERING: Relaxed; who clones holds a reference, so the channel lives, and whoever is
        // given the clone is given it by something that orders.
        if self.count(count).fetch_add(1, Ordering::Relaxed) > isize::MAX as usize {
            rt_abort!("channel: too many handles");
        }
        Self(self.0)
    }

    /// Gives the reference up; `disconnect` is called if it was the last of its side.
    ///
    /// # Safety
    /// - Called once per reference, with the count it belongs to, and the reference is not used
    ///   afterwards.
    pub(crate) unsafe fn release(&self, count: Count, disconnect: impl FnOnce(&C)) {
        let order = ord!("counter.release", AcqRel);
        // ORDERING: `order`; what every handle of this side did comes before the last one's
        // `disconnect`, and so before the end of the channel.
        if self.count(count).fetch_sub(1, order) != 1 {
            return;
        }
        // A message that `disconnect` drops may panic: the side is gone all the same.
        let gone = SideGone(self);
        disconnect(self.channel());
        drop(gone);
    }
}

/// Counts a side as gone when dropped; the second one frees the channel.
struct SideGone<'a, C>(&'a Counted<C>);

impl<C> Drop for SideGone<'_, C> {
    fn drop(&mut self) {
        // ORDERING: AcqRel; what both sides did comes before the end of the channel.
        let order = ord!("counter.half_gone", AcqRel);
        // ORDERING: `order` as said above.
        if self.0.counter().is_half_gone.swap(true, order) && !mutant!("counter.free") {
            // SAFETY: both sides are gone, and the second to come frees: nobody has a reference
            // (FreedOnce); made by `Box` in `counted`.
            drop(unsafe { Box::from_raw(self.0.0.as_ptr()) });
        }
    }
}
