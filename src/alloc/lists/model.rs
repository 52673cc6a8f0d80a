//! Loom models of central: whoever takes a span off a list owns it alone, lists stay whole, and
//! a fork finds them so.
//!
//! The spans are the models' own, with loom's cells for the links and the owner's fields; lists,
//! remote word and lock are the real code.
//!
//! MUTANT lines name the site that is weakened or left out and the model that then fails:
// MUTANT: alloc.central.disown KILLED-BY alloc::lists::model::a_span_given_up_here_is_owned_there
// MUTANT: alloc.central.claim KILLED-BY alloc::lists::model::two_threads_claim_two_spans
// MUTANT: alloc.central.empty KILLED-BY alloc::lists::model::last_frees_take_spans_out_of_the_middle
// MUTANT: alloc.central.take_off KILLED-BY alloc::lists::model::last_frees_take_spans_out_of_the_middle
// MUTANT: alloc.central.order KILLED-BY alloc::lists::model::a_fork_finds_every_list_whole

use loom::thread;

use super::*;
use crate::alloc::remote::{Freed, Slot};
use crate::primitive::atomic::{AtomicUsize, Ordering};
use crate::primitive::lock::Rank;
use crate::primitive::model::{Shared, check};

/// A span of a model: `used` blocks are out.
struct Span {
    prev: Shared<Option<&'static Span>>,
    next: Shared<Option<&'static Span>>,
    used: Shared<u32>,
    owner: AtomicUsize,
    remote: RemoteFrees,
}

impl Listed for Span {
    fn prev(&self) -> Option<&'static Self> {
        self.prev.get()
    }

    fn set_prev(&self, span: Option<&'static Self>) {
        self.prev.set(span);
    }

    fn next(&self) -> Option<&'static Self> {
        self.next.get()
    }

    fn set_next(&self, span: Option<&'static Self>) {
        self.next.set(span);
    }

    fn remote(&self) -> &RemoteFrees {
        &self.remote
    }

    fn used(&self) -> u32 {
        self.used.get()
    }

    fn disown(&self) {
        self.set_owner(0);
    }
}

impl Span {
    fn set_owner(&self, owner: usize) {
        // ORDERING: Relaxed; as the real one's.
        self.owner.store(owner, Ordering::Relaxed);
    }

    fn owner(&self) -> usize {
        // ORDERING: Relaxed; as the real one's.
        self.owner.load(Ordering::Relaxed)
    }
}

type ModelLists = Lists<Span, 1>;

/// The heap of a model: stripes and spans that live until [`Heap::end`].
#[derive(Clone, Copy)]
struct Heap {
    stripes: &'static [Lock<ModelLists>; 2],
    spans: &'static [Span],
}

impl Heap {
    /// So many spans, each owned by thread 1 and with `used` blocks out.
    fn new(spans: usize, used: u32) -> Self {
        let span = || Span {
            prev: Shared::new(None),
            next: Shared::new(None),
            used: Shared::new(used),
            owner: AtomicUsize::new(1),
            remote: RemoteFrees::new(),
        };
        let stripe = |rank| Lock::new(Rank(rank), ModelLists::new());
        Self {
            stripes: Box::leak(Box::new([stripe(0), stripe(1)])),
            spans: Box::leak((0..spans).map(|_| span()).collect()),
        }
    }

    /// Checks the lists and gives the memory back: nobody else is left.
    fn end(self) -> Vec<&'static Span> {
        let listed = self.stripes.iter().flat_map(whole).collect();
        // SAFETY: made by `Box::leak` above; no thread of the model is left to use it.
        drop(unsafe { Box::from_raw(std::ptr::from_ref(self.stripes).cast_mut()) });
        listed
    }

    fn free(self) {
        // SAFETY: made by `Box::leak` above; no thread of the model is left to use it.
        drop(unsafe { Box::from_raw(std::ptr::from_ref(self.spans).cast_mut()) });
    }
}

/// Walks the list of a stripe and checks its links both ways.
fn whole(stripe: &Lock<ModelLists>) -> Vec<&'static Span> {
    walk(&stripe.lock())
}

fn walk(lists: &ModelLists) -> Vec<&'static Span> {
    let (mut spans, mut at) = (Vec::new(), lists.heads[0]);
    let mut before: Option<&'static Span> = None;
    while let Some(span) = at {
        let back = span.prev().map(std::ptr::from_ref);
        assert_eq!(back, before.map(std::ptr::from_ref), "the way back is the way there");
        assert!(spans.len() < 3, "the list has a cycle");
        spans.push(span);
        before = Some(span);
        at = span.next();
    }
    spans
}

/// The last free of a listed span with one block out, by a thread that does not adopt.
/// Returns whether the caller got the span.
fn last_free(stripe: &Lock<ModelLists>, span: &'static Span) -> bool {
    match span.remote.free(Slot::from_offset(0), false, |_| {}) {
        Freed::ClaimedLast => {
            take_off(stripe, 0, span);
            true
        }
        Freed::Pushed => false,
        other => panic!("nobody fills the span up or adopts it: {other:?}"),
    }
}

#[test]
fn two_threads_claim_two_spans() {
    check(|| {
        let heap = Heap::new(2, 1);
        for span in heap.spans {
            assert_eq!(list(&heap.stripes[0], 0, span), Listing::Listed);
        }
        let claimer = |me: usize| {
            move || {
                let span = claim(&heap.stripes[0], 0).expect("there are as many as claimers");
                span.set_owner(me);
                // The owner's fields are this thread's alone, or loom fails the model.
                span.used.update(|used| *used += me as u32);
                assert_eq!(span.owner(), me);
            }
        };
        let other = thread::spawn(claimer(2));
        claimer(3)();
        other.join().expect("no panic");
        assert!(heap.end().is_empty());
        heap.free();
    });
}

#[test]
fn a_span_given_up_here_is_owned_there() {
    check(|| {
        let heap = Heap::new(1, 1);
        let claimer = thread::spawn(move || {
            let span = claim(&heap.stripes[0], 0)?;
            span.set_owner(2);
            Some(span)
        });
        assert_eq!(list(&heap.stripes[0], 0, &heap.spans[0]), Listing::Listed);
        let claimed = claimer.join().expect("no panic");
        if let Some(span) = claimed {
            assert_eq!(span.owner(), 2, "the one who gave it up wrote after it was given up");
        }
        assert_eq!(heap.end().len(), usize::from(claimed.is_none()));
        heap.free();
    });
}

#[test]
fn last_frees_take_spans_out_of_the_middle() {
    check(|| {
        let heap = Heap::new(3, 1);
        // The third has had its block back before it is given up: it is never listed.
        let early = heap.spans[2].remote.free(Slot::from_offset(0), false, |_| {});
        assert_eq!(early, Freed::Pushed);
        let [first, second, third] = [0, 1, 2].map(|index| &heap.spans[index]);
        assert_eq!(list(&heap.stripes[0], 0, first), Listing::Listed);
        let freer = thread::spawn(move || last_free(&heap.stripes[0], first));
        assert_eq!(list(&heap.stripes[0], 0, second), Listing::Listed);
        assert_eq!(list(&heap.stripes[0], 0, third), Listing::Empty);
        let claimed = claim(&heap.stripes[0], 0);
        let returned = freer.join().expect("no panic");
        let was_first = claimed.is_some_and(|span| std::ptr::eq(span, first));
        assert!(!(was_first && returned), "a span is claimed once");
        let listed = heap.end();
        assert_eq!(listed.len(), 2 - usize::from(returned) - usize::from(claimed.is_some()));
        assert!(listed.iter().all(|span| !std::ptr::eq(*span, third)));
        heap.free();
    });
}

/// A fork copies the memory at one instant, at which it holds all the locks: whatever the other
/// threads are in the middle of, it sees whole lists.
#[test]
fn a_fork_finds_every_list_whole() {
    check(|| {
        let heap = Heap::new(1, 1);
        let span = &heap.spans[0];
        let giver = thread::spawn(move || list(&heap.stripes[1], 0, span));
        let freer = thread::spawn(move || last_free(&heap.stripes[1], span));
        let held = lock_all(heap.stripes);
        let seen: usize = held.iter().map(|lists| walk(lists).len()).sum();
        assert!(seen <= 1);
        drop(held);
        let claimed = freer.join().expect("no panic");
        let kept = giver.join().expect("no panic") == Listing::Empty;
        assert!(claimed != kept, "the span's last block came back: one of them returns it");
        assert!(heap.end().is_empty(), "a span that is returned is on no list");
        heap.free();
    });
}
