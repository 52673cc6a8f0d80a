//! The cache of a machine: for each class the span it allocates from and those it could.
//!
//! Only the machine's thread touches it; what others want, they write into the remote words of
//! spans. The fast path: the table of sizes, the current span, one pop.
//!
//! **Inv. Current**: the current span and all partial spans of a class are owned by this cache; a
//! partial span is linked into the list of its class. A span without anything free is given up
//! as full at once (README, "fill up"), so the lists are never scanned.
//!
//! **Inv. CacheForever**: caches live in memory that is never unmapped and are reused, so an
//! address in an `owner` word always means a cache.

use std::cell::Cell;
use std::ptr::{NonNull, null_mut};

use super::central;
use super::class::{COUNT, Class, DIRECT, DIRECT_MAX};
use super::scavenger;
use super::span::{Owned, Span};
use super::thread;

/// The bytes that may stay resident in empty current spans of all caches together …
const KEPT_BYTES_ALL: usize = 1 << 20;

/// … but each cache may keep so much, however many there are,
const KEPT_BYTES_MIN: usize = 4 << 10;

/// and no more than this, however few.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// A class whose current span went back so often since the last reap keeps it whatever the bound:
/// a program that allocates and frees one block in turn would go through the page heap each time.
const RETURNS_MAX: u8 = 3;

/// After so many slow calls the empty current spans go back.
const SLOW_CALLS_PER_REAP: u32 = 64;

/// Partial spans of a class adopted from other caches at a time; further ones go to central.
const ADOPTED_MAX: u32 = 16;

/// Spans with nothing free that a class keeps for a while, instead of giving them up as full.
const RESTING: usize = 2;

/// Spans of more granules than this never rest.
const RESTING_GRANULES_MAX: usize = 2;

/// How many partial spans one reap looks at for remote frees.
const REAP_SPANS: usize = 8;

/// A value shared between threads although its type is not made for that.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Constant<T>(T);

// SAFETY: used for statics of which nothing is written but an atomic: the empty span has no owner
// and no block to pop (of its counts `ready` is written, which is never more than 0), and the empty
// cache has nothing but empty spans, so every path ends before another write.
unsafe impl<T> Sync for Constant<T> {}

static EMPTY_SPAN: Constant<Span> = Constant(Span::empty());

/// The cache of a thread that has none yet.
pub(crate) static EMPTY_CACHE: Constant<Cache> = Constant(Cache::new());

/// The cache of a thread that has given its own up.
pub(crate) static DEAD_CACHE: Constant<Cache> = Constant(Cache::new());

/// One class of a cache.
#[derive(Debug)]
struct Bin {
    /// The first partial span.
    partial: Cell<Option<&'static Span>>,
    /// Partial spans adopted from other caches.
    adopted: Cell<u32>,
    /// How often the current span went back empty since the last reap.
    returns: Cell<u8>,
    /// Spans that had nothing free when they were left, the last one first.
    resting: [Cell<Option<&'static Span>>; RESTING],
}

/// The cache; see the module.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Cache {
    /// The span each class allocates from.
    current: [Cell<Owned>; COUNT],
    bins: [Bin; COUNT],
    /// Classes whose current span is marked retired, one bit each.
    retired: Cell<u128>,
    slow_calls: Cell<u32>,
    /// For the registry, under its lock: the next free cache.
    pub(super) next_free: Cell<Option<&'static Cache>>,
    /// The constant; here it is reached with the address of the cache and nothing else.
    direct: [u8; DIRECT_MAX + 1],
}

/// The empty span, as the current one of a class that has none.
const fn no_span() -> Owned {
    // SAFETY: an empty span may be assumed by anybody; nothing is ever written to it.
    unsafe { Owned::assume(&EMPTY_SPAN.0) }
}

fn is_no_span(span: Owned) -> bool {
    std::ptr::eq(span.span(), &EMPTY_SPAN.0)
}

impl Cache {
    /// A cache without spans.
    pub(crate) const fn new() -> Self {
        Self {
            current: [const { Cell::new(no_span()) }; COUNT],
            bins: [const {
                Bin {
                    partial: Cell::new(None),
                    adopted: Cell::new(0),
                    returns: Cell::new(0),
                    resting: [const { Cell::new(None) }; RESTING],
                }
            }; COUNT],
            retired: Cell::new(0),
            slow_calls: Cell::new(0),
            next_free: Cell::new(None),
            direct: DIRECT,
        }
    }

    /// The address, as `owner` words have it.
    #[inline(always)]
    pub(crate) fn address(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }

    /// Whether this is a thread's own cache and not one of the two constants.
    #[inline(always)]
    pub(crate) fn is_live(&self) -> bool {
        !std::ptr::eq(self, &EMPTY_CACHE.0) && !self.is_dead()
    }

    /// Whether the thread has given its cache up.
    pub(crate) fn is_dead(&self) -> bool {
        std::ptr::eq(self, &DEAD_CACHE.0)
    }

    /// A block of `size` bytes, at most [`DIRECT_MAX`], if the current span has one ready.
    #[inline(always)]
    pub(crate) fn pop_direct(&self, size: usize) -> Option<(Owned, NonNull<u8>)> {
        debug_assert!(size <= DIRECT_MAX);
        // SAFETY: `size` is at most DIRECT_MAX, so the index is inside the table.
        let index = *unsafe { self.direct.get_unchecked(size) };
        self.pop(Class::from_index(usize::from(index)))
    }

    /// A block of `class`, if the current span has one ready.
    #[inline(always)]
    pub(crate) fn pop(&self, class: Class) -> Option<(Owned, NonNull<u8>)> {
        // SAFETY: an index of a class is below COUNT.
        let span = unsafe { self.current.get_unchecked(class.index()) }.get();
        span.pop().map(|block| (span, block))
    }

    /// The span a class allocates from, which may be the constant empty one.
    pub(crate) fn current(&self, class: Class) -> Owned {
        self.current[class.index()].get()
    }

    /// A block of `class` by any means; `None` when memory is out. Not on a constant cache.
    pub(crate) fn pop_slow(&self, class: Class) -> Option<(Owned, NonNull<u8>)> {
        debug_assert!(self.is_live());
        let calls = self.slow_calls.get().wrapping_add(1);
        self.slow_calls.set(calls);
        if calls.is_multiple_of(SLOW_CALLS_PER_REAP) {
            self.reap(class);
        }
        if calls.is_multiple_of(scavenger::SLOW_CALLS_PER_LOOK) {
            scavenger::look();
        }
        loop {
            let span = self.current(class);
            span.forget_tries();
            if !is_no_span(span) {
                if !span.free_is_empty() || span.refill() {
                    return span.pop().map(|block| (span, block));
                }
                if self.swap_for_rested(class, span) || self.swap_for_partial(class, span) {
                    continue;
                }
                if span.cut() || span.end_quarantine() {
                    // It may keep more than when it was retired: asked again when it is empty.
                    span.retired().set(false);
                    return span.pop().map(|block| (span, block));
                }
                if !self.rest(class, span) {
                    continue;
                }
            }
            let next = match self.pop_partial(class) {
                Some(next) => next,
                None => {
                    let next = central::claim(class).or_else(|| central::make_span(class));
                    let Some(next) = next else {
                        self.set_current(class, no_span());
                        return None;
                    };
                    next.set_owner(self.address());
                    next
                }
            };
            self.set_current(class, next);
        }
    }

    /// Makes a resting span that has got blocks back the current one.
    fn swap_for_rested(&self, class: Class, span: Owned) -> bool {
        let bin = &self.bins[class.index()];
        for slot in &bin.resting {
            let Some(rested) = slot.get() else { break };
            // SAFETY: resting spans are this cache's (Inv. Current), and this is its thread.
            let rested = unsafe { Owned::assume(rested) };
            if !rested.has_blocks() {
                continue;
            }
            span.retired().set(false);
            if span.is_exhausted() {
                slot.set(Some(span.span()));
            } else {
                self.unrest(class, rested);
                self.push_partial(class, span);
            }
            self.set_current(class, rested);
            return true;
        }
        false
    }

    /// Leaves the current span, which has nothing free: it rests, and the one that has rested
    /// longest is given up as full. `false`: that one is the current one now, a remote free came.
    fn rest(&self, class: Class, span: Owned) -> bool {
        if class.span_granules() > RESTING_GRANULES_MAX {
            return self.give_up_full(span);
        }
        span.retired().set(false);
        let mut last = Some(span.span());
        for slot in &self.bins[class.index()].resting {
            last = slot.replace(last);
            if last.is_none() {
                return true;
            }
        }
        let Some(last) = last else { return true };
        // SAFETY: resting spans are this cache's (Inv. Current), and this is its thread.
        let last = unsafe { Owned::assume(last) };
        let is_full = self.give_up_full(last);
        if !is_full {
            self.set_current(class, last);
        }
        is_full
    }

    /// Takes a span off the resting ones; whether it was one.
    fn unrest(&self, class: Class, span: Owned) -> bool {
        let resting = &self.bins[class.index()].resting;
        let is_it = |slot: &Cell<Option<&'static Span>>| {
            slot.get().is_some_and(|resting| std::ptr::eq(resting, span.span()))
        };
        let Some(at) = resting.iter().position(is_it) else { return false };
        for index in at..RESTING {
            let next = resting.get(index + 1).and_then(Cell::get);
            resting[index].set(next);
        }
        true
    }

    /// Before more of the current span is cut: makes the first partial span the current one if it
    /// has a free block, so that memory in use serves before memory that was never touched.
    fn swap_for_partial(&self, class: Class, span: Owned) -> bool {
        let Some(first) = self.bins[class.index()].partial.get() else { return false };
        // SAFETY: partial spans are this cache's (Inv. Current), and this is its thread.
        let first = unsafe { Owned::assume(first) };
        if span.is_exhausted() || !first.has_blocks() {
            return false;
        }
        self.unlink_partial(class, first);
        span.retired().set(false);
        self.push_partial(class, span);
        self.set_current(class, first);
        true
    }

    /// Whether a span of others could be adopted.
    pub(crate) fn has_room(&self, class: Class) -> bool {
        self.bins[class.index()].adopted.get() < ADOPTED_MAX
    }

    /// Takes over a span that the caller owns by a claim, with free blocks: a partial span.
    /// `false`: there are too many adopted ones, the caller keeps it.
    pub(crate) fn adopt(&self, span: Owned, class: Class) -> bool {
        let bin = &self.bins[class.index()];
        let foreign = span.origin().get() != self.address();
        if foreign {
            if !self.has_room(class) {
                return false;
            }
            bin.adopted.set(bin.adopted.get() + 1);
        }
        span.adopted().set(foreign);
        span.set_owner(self.address());
        self.push_partial(class, span);
        true
    }

    /// Gives all spans up: the thread ends, or its machine will not run for long.
    pub(crate) fn give_up_all(&self) {
        for index in 0..COUNT {
            let class = Class::from_index(index);
            let current = self.current[index].get();
            if !is_no_span(current) {
                self.set_current(class, no_span());
                Self::give_up(current, class);
            }
            while let Some(span) = self.pop_partial(class) {
                Self::give_up(span, class);
            }
            for slot in &self.bins[index].resting {
                let Some(span) = slot.take() else { break };
                // SAFETY: resting spans are this cache's (Inv. Current), and this is its thread.
                Self::give_up(unsafe { Owned::assume(span) }, class);
            }
        }
        self.retired.set(0);
    }

    /// Returns empty current spans, and of `class` the spans that others have emptied.
    fn reap(&self, class: Class) {
        self.reap_retired();
        for bin in &self.bins {
            bin.returns.set(0);
        }
        let mut at = self.bins[class.index()].partial.get();
        for _ in 0..REAP_SPANS {
            let Some(span) = at else { break };
            at = span.links().1.get();
            // SAFETY: partial spans are this cache's (Inv. Current), and this is its thread.
            let span = unsafe { Owned::assume(span) };
            if span.remote().has_blocks() {
                span.drain();
                if span.used() == 0 {
                    self.unlink_partial(class, span);
                    central::return_span(span, class);
                }
            }
        }
    }

    /// Returns the current spans that are retired and still empty.
    fn reap_retired(&self) {
        let mut classes = self.retired.replace(0);
        while classes != 0 {
            let class = Class::from_index(classes.trailing_zeros() as usize);
            classes &= classes - 1;
            let span = self.current(class);
            if is_no_span(span) || !span.retired().replace(false) || span.used() != 0 {
                continue;
            }
            self.set_current(class, no_span());
            central::return_span(span, class);
        }
    }

    /// The span's last block has come back: keeps the span if it is the current one and cheap
    /// to keep, else returns it.
    pub(crate) fn emptied(&self, span: Owned) {
        if span.retired().get() {
            return;
        }
        let super::kind::Kind::Small(class) = span.kind() else { return };
        let current = self.current(class);
        if std::ptr::eq(current.span(), span.span()) {
            let share = KEPT_BYTES_ALL / thread::live_caches().max(1);
            let most = share.clamp(KEPT_BYTES_MIN, KEPT_BYTES_MAX);
            let returns = &self.bins[class.index()].returns;
            if returns.get() >= RETURNS_MAX || self.kept_bytes() + span.kept_bytes() <= most {
                span.retired().set(true);
                self.retired.set(self.retired.get() | 1 << class.index());
                return;
            }
            returns.set(returns.get() + 1);
            self.set_current(class, no_span());
        } else if !self.unrest(class, span) {
            self.unlink_partial(class, span);
        }
        central::return_span(span, class);
    }

    /// Bytes resident in retired spans; forgets those that are in use again.
    fn kept_bytes(&self) -> usize {
        let (mut bytes, mut classes) = (0, self.retired.get());
        while classes != 0 {
            let index = classes.trailing_zeros() as usize;
            classes &= classes - 1;
            let span = self.current[index].get();
            if is_no_span(span) || !span.retired().get() || span.used() != 0 {
                span_in_use_again(span);
                self.retired.set(self.retired.get() & !(1 << index));
            } else {
                bytes += span.kept_bytes();
            }
        }
        bytes
    }

    /// Step 2: gives the current span, which has nothing free, up as full. `false`: a remote free
    /// came in meanwhile, and the span is the current one still.
    fn give_up_full(&self, span: Owned) -> bool {
        span.retired().set(false);
        span.origin().set(self.address());
        span.set_owner(0);
        if span.remote().try_fill() {
            return true;
        }
        span.set_owner(self.address());
        false
    }

    /// Steps 2 and 3: gives up a span in whatever state it is.
    fn give_up(span: Owned, class: Class) {
        span.retired().set(false);
        span.drain();
        if span.used() == 0 {
            central::return_span(span, class);
            return;
        }
        span.set_owner(0);
        span.origin().set(0);
        if span.is_exhausted() && span.remote().try_fill() {
            return;
        }
        central::list(span, class);
    }

    fn set_current(&self, class: Class, span: Owned) {
        self.current[class.index()].set(span);
    }

    fn push_partial(&self, class: Class, span: Owned) {
        let bin = &self.bins[class.index()];
        let (prev, next) = span.links();
        prev.set(None);
        next.set(bin.partial.get());
        if let Some(second) = bin.partial.get() {
            second.links().0.set(Some(span.span()));
        }
        bin.partial.set(Some(span.span()));
    }

    fn pop_partial(&self, class: Class) -> Option<Owned> {
        let span = self.bins[class.index()].partial.get()?;
        // SAFETY: partial spans are this cache's (Inv. Current), and this is its thread.
        let span = unsafe { Owned::assume(span) };
        self.unlink_partial(class, span);
        Some(span)
    }

    fn unlink_partial(&self, class: Class, span: Owned) {
        let bin = &self.bins[class.index()];
        let (prev, next) = span.links();
        match prev.get() {
            Some(before) => before.links().1.set(next.get()),
            None => bin.partial.set(next.get()),
        }
        if let Some(after) = next.get() {
            after.links().0.set(prev.get());
        }
        prev.set(None);
        next.set(None);
        if span.adopted().replace(false) {
            bin.adopted.set(bin.adopted.get() - 1);
        }
    }
}

/// Takes the mark of a retired span off, unless it is the constant one.
fn span_in_use_again(span: Owned) {
    if !is_no_span(span) {
        span.retired().set(false);
    }
}

/// A null pointer for "no memory".
#[inline(always)]
pub(crate) fn or_null(block: Option<(Owned, NonNull<u8>)>) -> *mut u8 {
    block.map_or(null_mut(), |(_, block)| block.as_ptr())
}
