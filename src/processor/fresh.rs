//! Fresh green threads on a runtime of one processor: the newest 64 as a stack, what does not fit
//! behind them as a queue.
//!
//! The same order as that of the fresh deque with its injector, without their locked
//! instructions: there are no thieves. 10,000 spawned at a time pay two of them less for each
//! push and each pop, and no block of an injector is allocated.
//!
//! OwnerLinks and NoHiddenIdle of `backlog` hold here as well.

use super::backlog::{Backlog, Length, Link};
use super::deque::CAPACITY;
use super::run_queue::Runnable;
use std::cell::Cell;
use std::ptr::NonNull;

/// The two; see the module.
#[derive(Debug)]
pub(super) struct Fresh<T> {
    /// A ring; `len` of its places are filled, from `oldest` on.
    newest: [Cell<Option<NonNull<T>>>; CAPACITY],
    oldest: Cell<usize>,
    len: Cell<usize>,
    more: Backlog<T>,
    /// Which of the two the oldest is taken from next.
    from_more: Cell<bool>,
}

impl<T: Link> Fresh<T> {
    /// An empty one.
    pub(super) fn new() -> Self {
        Self {
            newest: [const { Cell::new(None) }; CAPACITY],
            oldest: Cell::new(0),
            len: Cell::new(0),
            more: Backlog::new(),
            from_more: Cell::new(false),
        }
    }

    /// Whether nothing is in it.
    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.len.get() == 0 && self.more.is_empty()
    }

    /// The place `index` behind the oldest.
    #[inline(always)]
    fn place(&self, index: usize) -> &Cell<Option<NonNull<T>>> {
        &self.newest[(self.oldest.get() + index) % CAPACITY]
    }

    /// Puts one in.
    #[inline(always)]
    pub(super) fn push(&self, length: &Length, green: Runnable<T>) {
        let len = self.len.get();
        if len == CAPACITY {
            return self.more.push(length, green);
        }
        self.place(len).set(Some(green.0));
        self.len.set(len + 1);
        length.add(1);
    }

    /// Takes the newest of the stack.
    #[inline(always)]
    pub(super) fn pop_newest(&self, length: &Length) -> Option<Runnable<T>> {
        let last = self.len.get().checked_sub(1)?;
        self.len.set(last);
        length.add(-1);
        self.place(last).get().map(Runnable)
    }

    /// Takes the one of the queue that has waited longest.
    #[inline(always)]
    pub(super) fn pop_more(&self, length: &Length) -> Option<Runnable<T>> {
        self.more.pop(length)
    }

    /// Takes the oldest of the stack and of the queue by turns: which of the two is older is not
    /// known.
    pub(super) fn pop_oldest(&self, length: &Length) -> Option<Runnable<T>> {
        self.from_more.set(!self.from_more.get());
        if self.from_more.get() {
            self.more.pop(length).or_else(|| self.pop_bottom(length))
        } else {
            self.pop_bottom(length).or_else(|| self.more.pop(length))
        }
    }

    /// Takes the oldest of the stack.
    fn pop_bottom(&self, length: &Length) -> Option<Runnable<T>> {
        let last = self.len.get().checked_sub(1)?;
        let green = self.place(0).get();
        self.oldest.set((self.oldest.get() + 1) % CAPACITY);
        self.len.set(last);
        length.add(-1);
        green.map(Runnable)
    }

    /// The one that comes next.
    #[inline(always)]
    pub(super) fn first(&self) -> Option<NonNull<T>> {
        match self.len.get().checked_sub(1) {
            Some(last) => self.place(last).get(),
            None => self.more.first(),
        }
    }
}
