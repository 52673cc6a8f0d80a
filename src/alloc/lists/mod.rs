//! The lists of one stripe of central, and the steps of the remote word's protocol that go through them.
//!
//! Generic over the span ([`Listed`]), so that models compile this very code: a model's span has
//! cells that loom watches where the real one has `Cell`s. The steps are numbered in `README.md` of
//! the allocator, "The remote word".

use super::remote::{Listing, RemoteFrees};
use crate::primitive::atomic::mutant;
use crate::primitive::lock::{Guard, Lock};

/// What central needs of a span. The links are read and written under the lock of the span's class
/// only (Inv. Linked), `used` by the owner or under that lock while nobody owns the span.
pub(crate) trait Listed: 'static {
    /// The span before this one.
    fn prev(&self) -> Option<&'static Self>;
    /// Says which span comes before this one.
    fn set_prev(&self, span: Option<&'static Self>);
    /// The span behind this one.
    fn next(&self) -> Option<&'static Self>;
    /// Says which span comes behind this one.
    fn set_next(&self, span: Option<&'static Self>);
    /// The remote word.
    fn remote(&self) -> &RemoteFrees;
    /// Blocks out, or in the remote list, as its last owner counted them.
    fn used(&self) -> u32;
    /// Writes that no cache owns the span; by its owner.
    fn disown(&self);
}

/// The heads of the lists of one stripe, `N` classes.
pub(crate) struct Lists<S: Listed, const N: usize> {
    heads: [Option<&'static S>; N],
}

// SAFETY: `heads` refers to spans that are never unmapped; their links are written under the lock
// this value lives in (Inv. Linked).
unsafe impl<S: Listed, const N: usize> Send for Lists<S, N> {}

impl<S: Listed, const N: usize> Lists<S, N> {
    /// Empty lists.
    pub(crate) const fn new() -> Self {
        Self { heads: [None; N] }
    }

    fn push(&mut self, slot: usize, span: &'static S) {
        let head = &mut self.heads[slot];
        span.set_prev(None);
        span.set_next(*head);
        if let Some(second) = *head {
            second.set_prev(Some(span));
        }
        *head = Some(span);
    }

    fn unlink(&mut self, slot: usize, span: &'static S) {
        match span.prev() {
            Some(before) => before.set_next(span.next()),
            None => self.heads[slot] = span.next(),
        }
        if let Some(after) = span.next() {
            after.set_prev(span.prev());
        }
        span.set_prev(None);
        span.set_next(None);
    }
}

impl<S: Listed, const N: usize> std::fmt::Debug for Lists<S, N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lists").finish_non_exhaustive()
    }
}

/// Takes the locks of all stripes, in rank order: before a fork.
pub(crate) fn lock_all<S: Listed, const N: usize, const STRIPES: usize>(
    stripes: &'static [Lock<Lists<S, N>>; STRIPES],
) -> [Guard<'static, Lists<S, N>>; STRIPES] {
    std::array::from_fn(|index| stripes[index].lock())
}

/// Step 3, by the owner: gives the span up, unless all its blocks are back.
pub(crate) fn list<S: Listed, const N: usize>(
    lists: &Lock<Lists<S, N>>,
    slot: usize,
    span: &'static S,
) -> Listing {
    if !mutant!("alloc.central.disown") {
        span.disown();
    }
    let early = mutant!("alloc.central.order").then(|| span.remote().list(span.used()));
    let mut lists = lists.lock();
    lists.push(slot, span);
    let listing = early.unwrap_or_else(|| span.remote().list(span.used()));
    if listing == Listing::Empty && !mutant!("alloc.central.empty") {
        lists.unlink(slot, span);
    }
    drop(lists);
    if mutant!("alloc.central.disown") {
        span.disown();
    }
    listing
}

/// Step 4: claims a span of the list, if there is one: the caller becomes its owner.
pub(crate) fn claim<S: Listed, const N: usize>(
    lists: &Lock<Lists<S, N>>,
    slot: usize,
) -> Option<&'static S> {
    let mut lists = lists.lock();
    let mut at = lists.heads[slot];
    while let Some(span) = at {
        if span.remote().claim_listed(span.used()) {
            if !mutant!("alloc.central.claim") {
                lists.unlink(slot, span);
            }
            return Some(span);
        }
        // Its last free has claimed it and waits for the lock.
        at = span.next();
    }
    None
}

/// Steps 5 and 7: takes a span off its list that the caller, a free, has claimed.
pub(crate) fn take_off<S: Listed, const N: usize>(
    lists: &Lock<Lists<S, N>>,
    slot: usize,
    span: &'static S,
) {
    let mut lists = lists.lock();
    if !mutant!("alloc.central.take_off") {
        lists.unlink(slot, span);
    }
}

#[cfg(all(test, loom))]
mod model;
