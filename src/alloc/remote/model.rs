//! Loom models of the remote word: each block comes back once, each span goes back once.
//!
//! The owner's fields are one cell (`used`), the links of the blocks one cell each, so loom
//! reports a race wherever an ordering is too weak to hand them over.
//!
//! MUTANT lines name the site that is weakened or left out and the model that then fails:
// MUTANT: alloc.remote.free KILLED-BY alloc::remote::model::two_frees_into_a_span_that_fills_up
// MUTANT: alloc.remote.drain KILLED-BY alloc::remote::model::two_frees_into_a_span_that_fills_up
// MUTANT: alloc.remote.fill KILLED-BY alloc::remote::model::two_frees_into_a_span_that_fills_up
// MUTANT: alloc.remote.fill.release KILLED-BY alloc::remote::model::two_frees_into_a_span_that_fills_up
// MUTANT: alloc.remote.settle KILLED-BY alloc::remote::model::two_frees_that_want_a_listed_span
// MUTANT: alloc.remote.last KILLED-BY alloc::remote::model::last_free_of_a_listed_span_returns_it
// MUTANT: alloc.remote.claim KILLED-BY alloc::remote::model::claim_from_central_against_the_last_free

use std::sync::Arc;

use super::*;
use crate::primitive::cell::UnsafeCell;
use crate::primitive::lock::{Lock, Rank};

const BLOCKS: usize = 2;

/// A span of [`BLOCKS`] blocks or one more, all handed out, owned by the model's main thread.
struct Span {
    frees: RemoteFrees,
    used: UnsafeCell<u32>,
    links: [UnsafeCell<Option<Slot>>; BLOCKS + 1],
    /// Whether the span is on central's list: the list itself, under its lock.
    listed: Lock<bool>,
    /// How often it went back to the page heap. Not loom's: an observation, not a step.
    returned: std::sync::atomic::AtomicU32,
}

fn slot(block: usize) -> Slot {
    Slot::from_offset(block * 8)
}

impl Span {
    fn new() -> Arc<Self> {
        Self::with_blocks(BLOCKS)
    }

    fn with_blocks(blocks: usize) -> Arc<Self> {
        Arc::new(Self {
            frees: RemoteFrees::new(),
            used: UnsafeCell::new(blocks as u32),
            links: std::array::from_fn(|_| UnsafeCell::new(None)),
            listed: Lock::new(Rank(0), false),
            returned: std::sync::atomic::AtomicU32::new(0),
        })
    }

    fn subtract_used(&self, blocks: u32) -> u32 {
        self.used.with_mut(|used| {
            // SAFETY: only the owner calls this (Inv. Owner); loom checks that it is alone.
            let used = unsafe { &mut *used };
            *used -= blocks;
            *used
        })
    }

    /// By the owner: counts the remote blocks in, walking their links.
    fn drain(&self) -> u32 {
        let Drained { mut head, count } = self.frees.drain();
        let mut walked = 0;
        while let Some(block) = head {
            walked += 1;
            head = self.links[block.offset() / 8].with(|link| {
                // SAFETY: a drained block is the owner's; loom checks that it is alone.
                unsafe { *link }
            });
        }
        assert_eq!(walked, count, "the list has as many blocks as the word counted");
        self.subtract_used(count)
    }

    fn return_to_page_heap(&self) {
        self.returned.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }

    /// By the owner of a span with free blocks: step 3.
    fn list(&self) {
        let mut listed = self.listed.lock();
        let used = self.used.with(|used| {
            // SAFETY: the owner reads its own field; loom checks that nobody writes.
            unsafe { *used }
        });
        match self.frees.list(used) {
            Listing::Listed => *listed = true,
            Listing::Empty => self.return_to_page_heap(),
        }
    }

    /// A free by a thread that adopts the span if it is listed and `wanted`.
    fn free(&self, block: usize, wanted: bool) {
        let freed = self.frees.free(slot(block), wanted, |next| {
            self.links[block].with_mut(|link| {
                // SAFETY: the block is the caller's until the push; loom checks it.
                unsafe { *link = next };
            });
        });
        match freed {
            Freed::Pushed => {}
            Freed::ClaimedFull => {
                self.subtract_used(1);
                self.list();
            }
            Freed::ClaimedLast => {
                let mut listed = self.listed.lock();
                assert!(*listed, "a listed span is on the list");
                *listed = false;
                drop(listed);
                // The owner's fields are the claimer's now.
                self.subtract_used(0);
                self.return_to_page_heap();
            }
            Freed::ClaimedListed { out } => {
                let mut listed = self.listed.lock();
                assert!(*listed, "a listed span is on the list");
                *listed = false;
                drop(listed);
                if !mutant!("alloc.remote.settle") {
                    self.frees.settle(self.subtract_used(0), out);
                }
                self.subtract_used(1);
                if self.drain() == 0 {
                    self.return_to_page_heap();
                } else {
                    self.list();
                }
            }
        }
    }

    /// Step 4: takes the span off the list, if it is there and nobody else has claimed it.
    fn claim(&self) -> bool {
        let mut listed = self.listed.lock();
        if !*listed {
            return false;
        }
        let used = self.used.with(|used| {
            // SAFETY: nobody writes the field of a span on the list (Inv. Linked).
            unsafe { *used }
        });
        let claimed = self.frees.claim_listed(used);
        *listed = *listed && !claimed;
        claimed
    }

    fn times_returned(&self) -> u32 {
        self.returned.load(std::sync::atomic::Ordering::Relaxed)
    }
}

#[test]
fn two_frees_into_a_span_that_fills_up() {
    loom::model(|| {
        let span = Span::new();
        let threads: Vec<_> = (0..BLOCKS)
            .map(|block| {
                let span = span.clone();
                loom::thread::spawn(move || span.free(block, false))
            })
            .collect();
        // The owner finds nothing free and gives the span up, or drains until it is empty.
        loop {
            if span.frees.try_fill() {
                break;
            }
            if span.drain() == 0 {
                span.return_to_page_heap();
                break;
            }
        }
        for thread in threads {
            thread.join().expect("a free does not fail");
        }
        assert_eq!(span.times_returned(), 1);
    });
}

#[test]
fn last_free_of_a_listed_span_returns_it() {
    loom::model(|| {
        let span = Span::new();
        let threads: Vec<_> = (0..BLOCKS)
            .map(|block| {
                let span = span.clone();
                loom::thread::spawn(move || span.free(block, false))
            })
            .collect();
        // The owner writes its fields a last time and gives the span up to central.
        span.subtract_used(0);
        span.list();
        for thread in threads {
            thread.join().expect("a free does not fail");
        }
        assert_eq!(span.times_returned(), 1);
    });
}

#[test]
fn claim_from_central_against_the_last_free() {
    loom::model(|| {
        let span = Span::new();
        let threads: Vec<_> = (0..BLOCKS)
            .map(|block| {
                let span = span.clone();
                loom::thread::spawn(move || span.free(block, false))
            })
            .collect();
        span.list();
        if span.claim() {
            // The owner again: some blocks are out, some in the remote list. It gives the span up
            // once more, as a thread does that ends.
            if span.drain() == 0 {
                span.return_to_page_heap();
            } else {
                span.list();
            }
        }
        for thread in threads {
            thread.join().expect("a free does not fail");
        }
        assert_eq!(span.times_returned(), 1);
    });
}

#[test]
fn two_frees_that_want_a_listed_span() {
    loom::model(|| {
        // One block more is in the remote list already, so that there is something to settle.
        let span = Span::with_blocks(BLOCKS + 1);
        span.free(BLOCKS, false);
        let threads: Vec<_> = (0..BLOCKS)
            .map(|block| {
                let span = span.clone();
                loom::thread::spawn(move || span.free(block, true))
            })
            .collect();
        span.list();
        for thread in threads {
            thread.join().expect("a free does not fail");
        }
        assert_eq!(span.times_returned(), 1);
    });
}
