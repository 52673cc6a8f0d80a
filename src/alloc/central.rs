//! Central: for each class the abandoned spans that have free blocks, for anybody to claim.
//!
//! Doubly linked lists under eight locks (class modulo 8): a span passes through here when a
//! thread ends or gives spans up, a claim saves making a span, and blocks never pass through.
//! Steps 3, 4, 5 and 7 of `README.md`, "The remote word", are functions below.
//!
//! Rejected: a bitmap of abandoned spans per class claimed by compare-and-swap (mimalloc 3): a
//! bit for each granule and class, for an operation that is rare and as often as not is followed
//! by the lock of the page heap.

use super::class::{COUNT, Class};
use super::geometry::{GRANULE, GRANULE_PAGES, PAGE};
use super::kind::Kind;
use super::page_heap::{self, HEAP};
use super::remote::Listing;
use super::span::{Owned, Span};
use crate::primitive::lock::{Guard, Lock, Rank};

/// Locks; a class has the one of its index modulo this.
pub(crate) const STRIPES: usize = 8;

/// The heads of the lists of one stripe.
#[derive(Debug)]
pub(crate) struct Lists {
    heads: [Option<&'static Span>; COUNT / STRIPES],
}

// SAFETY: `heads` refers to headers, which are never unmapped; their links are written under the
// lock this value lives in (Inv. Linked).
unsafe impl Send for Lists {}

const fn stripe(index: u8) -> Lock<Lists> {
    Lock::new(Rank(100 + index), Lists { heads: [None; COUNT / STRIPES] })
}

static CENTRAL: [Lock<Lists>; STRIPES] =
    [stripe(0), stripe(1), stripe(2), stripe(3), stripe(4), stripe(5), stripe(6), stripe(7)];

impl Lists {
    fn push(&mut self, class: Class, span: &'static Span) {
        let head = &mut self.heads[class.index() / STRIPES];
        let (prev, next) = span.links();
        prev.set(None);
        next.set(*head);
        if let Some(second) = *head {
            second.links().0.set(Some(span));
        }
        *head = Some(span);
    }

    fn unlink(&mut self, class: Class, span: &'static Span) {
        let (prev, next) = span.links();
        match prev.get() {
            Some(before) => before.links().1.set(next.get()),
            None => self.heads[class.index() / STRIPES] = next.get(),
        }
        if let Some(after) = next.get() {
            after.links().0.set(prev.get());
        }
        prev.set(None);
        next.set(None);
    }
}

fn lock(class: Class) -> Guard<'static, Lists> {
    CENTRAL[class.index() % STRIPES].lock()
}

/// Takes every lock of central, in rank order: before a fork.
pub(crate) fn lock_all() -> [Guard<'static, Lists>; STRIPES] {
    std::array::from_fn(|index| CENTRAL[index].lock())
}

/// Step 3: gives up a span that has free blocks or remote frees; an empty one goes back.
pub(crate) fn list(span: Owned, class: Class) {
    span.set_owner(0);
    let listing = {
        let mut lists = lock(class);
        lists.push(class, span.span());
        let listing = span.remote().list(span.used());
        if listing == Listing::Empty {
            lists.unlink(class, span.span());
        }
        listing
    };
    if listing == Listing::Empty {
        return_span(span, class);
    }
}

/// Step 4: claims a span of `class`, if there is one.
pub(crate) fn claim(class: Class) -> Option<Owned> {
    let mut lists = lock(class);
    let mut at = lists.heads[class.index() / STRIPES];
    while let Some(span) = at {
        if span.remote().claim_listed(span.used()) {
            lists.unlink(class, span);
            // SAFETY: the exchange above made this thread the owner (Inv. Owner).
            return Some(unsafe { Owned::assume(span) });
        }
        // Its last free has claimed it and waits for the lock.
        at = span.links().1.get();
    }
    None
}

/// Step 5: the span's last free, which has claimed it, takes it off its list and returns it.
pub(crate) fn return_claimed(span: Owned, class: Class) {
    lock(class).unlink(class, span.span());
    return_span(span, class);
}

/// Step 7: a free has claimed a listed span to adopt it, `out` blocks of which are out.
pub(crate) fn adopt_claimed(span: Owned, class: Class, out: u32) {
    lock(class).unlink(class, span.span());
    span.remote().settle(span.used(), out);
}

/// Makes a new span, owned by the caller; `None` when memory is out.
pub(crate) fn make_span(class: Class) -> Option<Owned> {
    let run = page_heap::take(class.span_granules() * GRANULE_PAGES, 1)?;
    // SAFETY: a run of the page heap lies in an opened window.
    let span = unsafe { Span::of(run.address) };
    // SAFETY: the run was just taken, nobody else knows the span.
    let span = unsafe { Owned::assume(span) };
    span.create(class, run.zero);
    Some(span)
}

/// Returns an empty span to the page heap.
pub(crate) fn return_span(span: Owned, class: Class) {
    let address = span.address();
    span.set_owner(0);
    for granule in 0..class.span_granules() {
        // SAFETY: the span's own granules, in an opened window.
        unsafe { Span::of(address + granule * GRANULE) }.set_kind(Kind::Free);
    }
    let touched = span.touched_bytes().div_ceil(PAGE);
    HEAP.lock().give(address, class.span_granules() * GRANULE_PAGES, touched);
}
