//! The remote word of a span: frees by others, and the bit that says whether anybody owns it.
//!
//! States, transitions and the proof are in `README.md` of the parent directory, section "The
//! remote word". This file is the word and knows neither spans nor memory: blocks are numbers
//! ([`Slot`]), and the link that a push writes into a block is written by the caller's closure.
//!
//! Source: the ownership bit is mimalloc 3's (`microsoft/mimalloc` `src/free.c`). Here the word
//! counts as well, so an abandoned span that becomes empty is noticed by its last free without a
//! second read-modify-write on each of the others.

use crate::primitive::atomic::{AtomicU64, Ordering, mutant, ord};

/// The offset of a block in its span, divided by 8, plus 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(u32);

impl Slot {
    /// The slot of the block at `offset` bytes from the start of its span.
    #[inline(always)]
    pub(crate) const fn from_offset(offset: usize) -> Self {
        Self((offset / 8) as u32 + 1)
    }

    /// Bytes from the start of the span to the block.
    #[inline(always)]
    pub(crate) const fn offset(self) -> usize {
        (self.0 as usize - 1) * 8
    }
}

const OWNED: u64 = 1;
const LISTED: u64 = 2;

/// A value of the word; the layout is in the README.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word(u64);

impl Word {
    const FULL: Self = Self(0);
    const OWNED_EMPTY: Self = Self(OWNED);

    const fn new(state: u64, head: u32, count: u32) -> Self {
        Self(state | (count as u64) << 16 | (head as u64) << 32)
    }

    const fn state(self) -> u64 {
        self.0 & (OWNED | LISTED)
    }

    const fn count(self) -> u32 {
        (self.0 >> 16) as u32 & 0xFFFF
    }

    const fn head(self) -> Option<Slot> {
        let head = (self.0 >> 32) as u32;
        if head == 0 { None } else { Some(Slot(head)) }
    }

    const fn head_bits(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// What a free by a thread that is not the owner has come to.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Freed {
    /// The block is in the remote list; the caller has nothing more to do with it.
    Pushed,
    /// The span was full: the caller owns it now and still holds the block.
    ClaimedFull,
    /// It was the last block out of a listed span: the caller owns the span, still holds the
    /// block, and must take the span off central's list.
    ClaimedLast,
    /// The span was listed and the caller wanted it: the caller owns it, still holds the block,
    /// must take the span off central's list and then [`RemoteFrees::settle`] the count.
    ClaimedListed {
        /// Blocks out, the one in hand included.
        out: u32,
    },
}

/// The blocks of a drained remote list: linked from `head`, `count` of them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Drained {
    /// The block pushed last, if any.
    pub(crate) head: Option<Slot>,
    /// How many blocks the list has.
    pub(crate) count: u32,
}

/// What giving a span up to central has come to.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Listing {
    /// The span is Listed: anybody may claim it.
    Listed,
    /// All its blocks are back, so the caller stays the owner and returns it to the page heap.
    Empty,
}

/// The remote word; see the module.
#[derive(Debug)]
pub(crate) struct RemoteFrees {
    word: AtomicU64,
}

impl RemoteFrees {
    /// A span owned by its creator.
    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self { word: AtomicU64::new(OWNED) }
    }

    /// The word of a span that never has blocks; for constants.
    #[cfg(not(loom))]
    pub(crate) const fn nobody() -> Self {
        Self { word: AtomicU64::new(0) }
    }

    /// Makes the caller, who alone knows the span, its owner.
    pub(crate) fn reset_owned(&self) {
        // ORDERING: Relaxed; the span is published by handing out its first block.
        self.word.store(Word::OWNED_EMPTY.0, Ordering::Relaxed);
    }

    /// Whether the remote list has blocks; a hint for the owner.
    #[inline(always)]
    pub(crate) fn has_blocks(&self) -> bool {
        // ORDERING: Relaxed; a hint, `drain` and `try_fill` decide.
        self.word.load(Ordering::Relaxed) != Word::OWNED_EMPTY.0
    }

    /// Frees `block` by a thread that is not the owner, and that adopts a listed span if `wanted`.
    /// `link` writes "the next block is …" into
    /// the block and may be called more than once; the last call counts.
    #[inline]
    pub(crate) fn free(
        &self,
        block: Slot,
        wanted: bool,
        mut link: impl FnMut(Option<Slot>),
    ) -> Freed {
        // ORDERING: Relaxed; the exchange below checks the value and synchronises.
        let mut seen = Word(self.word.load(Ordering::Relaxed));
        loop {
            let (next, freed) = match (seen.state(), seen.count()) {
                (0, _) => (Word::OWNED_EMPTY, Freed::ClaimedFull),
                (LISTED, 1) if !mutant!("alloc.remote.last") => {
                    (Word::new(OWNED, seen.head_bits(), 0), Freed::ClaimedLast)
                }
                (LISTED, out) if wanted => {
                    (Word::new(OWNED, seen.head_bits(), 0), Freed::ClaimedListed { out })
                }
                (LISTED, out) => (Word::new(LISTED, block.0, out - 1), Freed::Pushed),
                (state, count) => (Word::new(state, block.0, count + 1), Freed::Pushed),
            };
            if freed == Freed::Pushed {
                link(seen.head());
            }
            // ORDERING: AcqRel; Release pairs with the Acquire in `drain`: publishes the link and
            // the user's last writes. Acquire pairs with the Release in `try_fill`: the claim of a
            // full span receives the owner's fields (of a listed one: through the lock), and with
            // the Release here: the last free comes after the user's writes to all other blocks.
            let success = ord!("alloc.remote.free", AcqRel);
            // ORDERING: Relaxed on failure; the value is only compared again.
            match self.word.compare_exchange_weak(seen.0, next.0, success, Ordering::Relaxed) {
                Ok(_) => return freed,
                Err(now) => seen = Word(now),
            }
        }
    }

    /// Step 7, by the claimer of a listed span, which is off its list: `used` blocks were out or
    /// in the remote list when it was listed, `out` when it was claimed.
    pub(crate) fn settle(&self, used: u32, out: u32) {
        let pushed = Word::new(0, 0, used - out);
        // ORDERING: Relaxed; a sum with the pushes that came in since, whose release sequences
        // this read-modify-write keeps going.
        self.word.fetch_add(pushed.0, Ordering::Relaxed);
    }

    /// Step 1, by the owner: takes all remote blocks.
    pub(crate) fn drain(&self) -> Drained {
        // ORDERING: Acquire; pairs with the Release in `free`: receives the links.
        let old = Word(self.word.swap(OWNED, ord!("alloc.remote.drain", Acquire)));
        Drained { head: old.head(), count: old.count() }
    }

    /// Step 2, by the owner of a span without a free block: gives the span up as Full, unless a
    /// remote free came in: then the caller stays the owner.
    #[must_use]
    pub(crate) fn try_fill(&self) -> bool {
        if mutant!("alloc.remote.fill") {
            // ORDERING: Relaxed; a mutant that loses a push.
            self.word.store(Word::FULL.0, Ordering::Relaxed);
            return true;
        }
        // ORDERING: Release; pairs with the Acquire in `free`: publishes the owner's fields.
        let success = ord!("alloc.remote.fill.release", Release);
        self.word
            // ORDERING: Relaxed on failure; `drain` follows and acquires.
            .compare_exchange(OWNED, Word::FULL.0, success, Ordering::Relaxed)
            .is_ok()
    }

    /// Step 3, by the owner, with the lock of the class held and the span linked: `used` blocks
    /// are out or in the remote list.
    pub(crate) fn list(&self, used: u32) -> Listing {
        // ORDERING: Relaxed; the exchange below checks the value.
        let mut seen = Word(self.word.load(Ordering::Relaxed));
        loop {
            let out = used - seen.count();
            if out == 0 {
                // The remote blocks are not read any more, but their user's writes have to come
                // before those of the next user of the memory.
                // ORDERING: Acquire; pairs with the Release in `free`.
                self.word.swap(OWNED, Ordering::Acquire);
                return Listing::Empty;
            }
            let next = Word::new(LISTED, seen.head_bits(), out);
            // ORDERING: Relaxed; the lock of the class hands the owner's fields to whoever claims,
            // and a read-modify-write keeps the release sequence of the pushes going.
            match self.exchange(seen, next) {
                Ok(_) => return Listing::Listed,
                Err(now) => seen = Word(now),
            }
        }
    }

    /// Step 4, with the lock of the class held: becomes the owner of a listed span whose owner
    /// last counted `used` blocks. `false`: its last free has claimed it.
    #[must_use]
    pub(crate) fn claim_listed(&self, used: u32) -> bool {
        // ORDERING: Relaxed; the exchange below checks the value.
        let mut seen = Word(self.word.load(Ordering::Relaxed));
        while seen.state() == LISTED {
            let next = Word::new(OWNED, seen.head_bits(), used - seen.count());
            if mutant!("alloc.remote.claim") {
                // ORDERING: Relaxed; a mutant that loses a push.
                self.word.store(next.0, Ordering::Relaxed);
                return true;
            }
            // ORDERING: Relaxed; the lock of the class hands the owner's fields over from `list`,
            // `drain` acquires what the pushes published.
            match self.exchange(seen, next) {
                Ok(_) => return true,
                Err(now) => seen = Word(now),
            }
        }
        false
    }

    /// A relaxed exchange under the lock of the class: orders nothing but the word itself.
    fn exchange(&self, seen: Word, next: Word) -> Result<u64, u64> {
        // ORDERING: Relaxed; see the callers.
        self.word.compare_exchange(seen.0, next.0, Ordering::Relaxed, Ordering::Relaxed)
    }
}

#[cfg(all(test, loom))]
mod model;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn owned() -> RemoteFrees {
        let frees = RemoteFrees::nobody();
        frees.reset_owned();
        frees
    }

    #[test]
    fn a_slot_gives_its_offset_back_and_is_never_zero() {
        for offset in (0..256 << 10).step_by(8) {
            let slot = Slot::from_offset(offset);
            assert_eq!(slot.offset(), offset);
            assert_ne!(slot.0, 0);
        }
    }

    #[test]
    fn drain_returns_what_was_pushed_in_reverse_order() {
        let frees = owned();
        let mut links = Vec::new();
        for offset in [64, 0, 128] {
            let freed = frees.free(Slot::from_offset(offset), false, |next| links.push(next));
            assert_eq!(freed, Freed::Pushed);
        }
        let (a, b) = (Slot::from_offset(64), Slot::from_offset(0));
        assert_eq!(links, [None, Some(a), Some(b)]);
        assert!(frees.has_blocks());
        assert_eq!(frees.drain(), Drained { head: Some(Slot::from_offset(128)), count: 3 });
        assert!(!frees.has_blocks());
    }

    #[test]
    fn a_full_span_is_claimed_by_the_next_free_and_only_by_it() {
        let frees = owned();
        assert!(frees.try_fill());
        let block = Slot::from_offset(8);
        assert_eq!(
            frees.free(block, false, |_| panic!("the claimer keeps its block")),
            Freed::ClaimedFull
        );
        assert_eq!(frees.free(block, false, |_| {}), Freed::Pushed);
        assert!(!frees.try_fill(), "a remote block is there");
    }

    #[test]
    fn the_last_free_of_a_listed_span_claims_it() {
        let frees = owned();
        let block = Slot::from_offset(0);
        assert_eq!(frees.free(block, false, |_| {}), Freed::Pushed);
        assert_eq!(frees.list(3), Listing::Listed);
        assert_eq!(frees.free(block, false, |_| {}), Freed::Pushed);
        assert_eq!(frees.free(block, false, |_| {}), Freed::ClaimedLast);
        assert!(!frees.claim_listed(3));
    }

    #[test]
    fn a_listed_span_is_claimed_by_a_free_that_wants_it() {
        let frees = owned();
        let block = Slot::from_offset(0);
        assert_eq!(frees.free(block, false, |_| {}), Freed::Pushed);
        assert_eq!(frees.list(4), Listing::Listed);
        assert_eq!(frees.free(block, false, |_| {}), Freed::Pushed);
        let freed = frees.free(block, true, |_| panic!("the claimer keeps its block"));
        assert_eq!(freed, Freed::ClaimedListed { out: 2 });
        assert_eq!(frees.free(block, true, |_| {}), Freed::Pushed);
        frees.settle(4, 2);
        assert_eq!(frees.drain(), Drained { head: Some(block), count: 3 });
    }

    #[test]
    fn a_claim_from_central_knows_how_many_blocks_came_back() {
        let frees = owned();
        assert_eq!(frees.list(3), Listing::Listed);
        assert_eq!(frees.free(Slot::from_offset(16), false, |_| {}), Freed::Pushed);
        assert!(frees.claim_listed(3));
        assert_eq!(frees.drain(), Drained { head: Some(Slot::from_offset(16)), count: 1 });
    }

    #[test]
    fn a_span_whose_blocks_are_all_back_is_not_listed() {
        let frees = owned();
        assert_eq!(frees.free(Slot::from_offset(16), false, |_| {}), Freed::Pushed);
        assert_eq!(frees.list(1), Listing::Empty);
        assert!(!frees.has_blocks());
    }
}
