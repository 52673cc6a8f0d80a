//! Central: for each class the abandoned spans that have free blocks, for anybody to claim.
//!
//! Doubly linked lists under eight locks (class modulo 8): a span passes through here when a
//! thread ends or gives spans up, a claim saves making a span, and blocks never pass through.
//! Steps 3, 4, 5 and 7 of `README.md`, "The remote word", are functions below; what they do to the
//! lists is in `lists`, which models compile.
//!
//! Rejected: a bitmap of abandoned spans per class claimed by compare-and-swap (mimalloc 3): a
//! bit for each granule and class, for an operation that is rare and as often as not is followed
//! by the lock of the page heap.

use super::class::{COUNT, Class};
use super::geometry::{GRANULE, GRANULE_PAGES, PAGE};
use super::kind::Kind;
use super::lists::{self, Listed, Lists};
use super::page_heap::{self, HEAP};
use super::remote::{Listing, RemoteFrees};
use super::span::{Owned, Span};
use crate::primitive::lock::{Guard, Lock, Rank};

/// Locks; a class has the one of its index modulo this.
pub(crate) const STRIPES: usize = 8;

/// The lists of the classes of one stripe.
pub(crate) type Stripe = Lists<Span, { COUNT / STRIPES }>;

const fn stripe(index: u8) -> Lock<Stripe> {
    Lock::new(Rank(100 + index), Lists::new())
}

static CENTRAL: [Lock<Stripe>; STRIPES] =
    [stripe(0), stripe(1), stripe(2), stripe(3), stripe(4), stripe(5), stripe(6), stripe(7)];

impl Listed for Span {
    fn prev(&self) -> Option<&'static Self> {
        self.links().0.get()
    }

    fn set_prev(&self, span: Option<&'static Self>) {
        self.links().0.set(span);
    }

    fn next(&self) -> Option<&'static Self> {
        self.links().1.get()
    }

    fn set_next(&self, span: Option<&'static Self>) {
        self.links().1.set(span);
    }

    fn remote(&self) -> &RemoteFrees {
        Self::remote(self)
    }

    fn used(&self) -> u32 {
        Self::used(self)
    }

    fn disown(&self) {
        self.set_owner(0);
    }
}

fn place(class: Class) -> (&'static Lock<Stripe>, usize) {
    (&CENTRAL[class.index() % STRIPES], class.index() / STRIPES)
}

/// Takes every lock of central, in rank order: before a fork.
pub(crate) fn lock_all() -> [Guard<'static, Stripe>; STRIPES] {
    lists::lock_all(&CENTRAL)
}

/// Step 3: gives up a span that has free blocks or remote frees; an empty one goes back.
pub(crate) fn list(span: Owned, class: Class) {
    let (lists, slot) = place(class);
    if lists::list(lists, slot, span.span()) == Listing::Empty {
        return_span(span, class);
    }
}

/// Step 4: claims a span of `class`, if there is one.
pub(crate) fn claim(class: Class) -> Option<Owned> {
    let (lists, slot) = place(class);
    // SAFETY: the claim made this thread the owner (Inv. Owner).
    lists::claim(lists, slot).map(|span| unsafe { Owned::assume(span) })
}

/// Step 5: the span's last free, which has claimed it, takes it off its list and returns it.
pub(crate) fn return_claimed(span: Owned, class: Class) {
    let (lists, slot) = place(class);
    lists::take_off(lists, slot, span.span());
    return_span(span, class);
}

/// Step 7: a free has claimed a listed span to adopt it, `out` blocks of which are out.
pub(crate) fn adopt_claimed(span: Owned, class: Class, out: u32) {
    let (lists, slot) = place(class);
    lists::take_off(lists, slot, span.span());
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
