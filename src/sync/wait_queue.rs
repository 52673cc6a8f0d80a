//! The wait queue: who waits at one lock, in order, and how one of them is chosen.
//!
//! A FIFO list of nodes that lie on the waiting threads' stacks, behind a small internal lock
//! that lies in the object. Every primitive of `sync` has one; it is all they have beside a word.
//! Protocol and proof: `README.md` of this directory, section "Wait queue".
//!
//! # Fields
//! | field | who, when |
//! |---|---|
//! | `WaitQueue::lock` | anyone; held for some dozens of instructions, never across a wait or a wake |
//! | `Node::links` | who holds the lock of the queue, while the node is in it; its owner otherwise |
//!
//! # Invariants
//! - **NodeLives**: a node in the list belongs to a thread that is inside [`WaitQueue::wait`].
//! - **ChosenOnce**: a node leaves the list once: by a chooser, who writes the verdict, or by its
//!   own thread, which has given up. Both hold the lock, so they agree on which it was.
//!
//! Source: Go `runtime/sema.go` for the list in order; `parking_lot_core` for the validation under
//! the queue's lock. Rejected: parking_lot's hashed buckets, which make a lock one byte and every
//! wake a walk through strangers: a million waiters are ours to expect.

use crate::green::Reason;
use crate::green::wait::Outcome;
use crate::primitive::atomic::mutant;
use crate::primitive::cell::UnsafeCell;
use crate::primitive::lock::{Lock, Rank};
use crate::sched;
use std::ptr::NonNull;

#[cfg(not(loom))]
pub(super) use crate::green::Token;
#[cfg(loom)]
pub(super) use crate::sched::Token;

/// Defines a constructor: `const`, but for models, where no atomic is.
macro_rules! constructor {
    ($(#[$about:meta])* $visible:vis fn $name:ident($($argument:ident: $of:ty),*) -> Self $body:block) => {
        $(#[$about])*
        #[cfg(not(loom))]
        $visible const fn $name($($argument: $of),*) -> Self $body

        $(#[$about])*
        #[cfg(loom)]
        $visible fn $name($($argument: $of),*) -> Self $body
    };
}
pub(super) use constructor;

/// What the chooser has decided about a waiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has what it waited for.
    Granted,
    /// It is to try again.
    Retry,
}

/// Where a new waiter is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Behind all others.
    Back,
    /// Before all others.
    Front,
    /// Behind the first one, if there is one.
    Second,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended<R> {
    /// There was nothing to wait for.
    Declined,
    /// A chooser has taken it off the list.
    Chosen(Verdict),
    /// It has taken itself off the list; with what it did under the lock then.
    GaveUp(R),
}

/// Whether a node is in the list, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In no list.
    Outside,
    /// In the list.
    Queued,
    /// Taken off it by a chooser.
    Chosen(Verdict),
}

#[derive(Debug)]
struct Links<K> {
    next: NonNull<Node<K>>,
    previous: NonNull<Node<K>>,
    token: Option<Token>,
    place: Place,
    kind: Option<K>,
}

/// A waiter's place in the list; on its stack.
#[derive(Debug)]
struct Node<K> {
    links: UnsafeCell<Links<K>>,
}

/// Works on the links of a node.
///
/// # Safety
/// - The node lives, and nobody else works on its links during the call.
unsafe fn edit<K, R>(node: NonNull<Node<K>>, f: impl FnOnce(&mut Links<K>) -> R) -> R {
    // SAFETY: the caller's clause.
    let node = unsafe { node.as_ref() };
    // SAFETY: the caller's clause: exclusive for as long as `f` runs.
    node.links.with_mut(|links| f(unsafe { &mut *links }))
}

/// The waiters in order, `K` being what each wants, and what else the lock guards.
#[derive(Debug)]
pub(super) struct List<K, S> {
    /// The first; the list is circular.
    head: Option<NonNull<Node<K>>>,
    /// The primitive's own.
    pub(super) state: S,
}

// SAFETY: `head` leads to nodes that live (NodeLives) and are reached under the lock alone; `K`
// and `S` go from thread to thread with it.
unsafe impl<K: Send, S: Send> Send for List<K, S> {}

impl<K: Copy, S> List<K, S> {
    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    /// What the first waiter wants.
    pub(super) fn first(&self) -> Option<K> {
        // SAFETY: NodeLives; the lock is held by whoever has `&self`.
        self.head.and_then(|head| unsafe { edit(head, |links| links.kind) })
    }

    /// Takes the first waiter off the list; the caller wakes it after it has let go of the lock.
    #[must_use]
    pub(super) fn choose_first(&mut self, verdict: Verdict) -> Option<Token> {
        let head = self.head?;
        self.unlink(head);
        // SAFETY: the node lives, since its thread cannot go on before it has seen the place
        // written here, under this lock or by the wake that follows.
        unsafe {
            edit(head, |links| {
                links.place = Place::Chosen(verdict);
                links.token
            })
        }
    }

    /// Takes the waiters at the front off the list, as long as `may` says so of what they want.
    /// At most as many as fit into `wakes`: whether there may be more.
    #[must_use]
    pub(super) fn choose_while(&mut self, wakes: &mut Wakes, may: impl Fn(K) -> bool) -> bool {
        while self.first().is_some_and(&may) {
            if wakes.is_full() {
                return true;
            }
            wakes.push(self.choose_first(Verdict::Granted));
        }
        false
    }

    /// Asks `primitive` about the first waiter, and then about the next, until one has to wait or
    /// `wakes` is full; whether there may be more.
    #[must_use]
    fn serve(&mut self, wakes: &mut Wakes, primitive: &impl Serve<K>) -> bool {
        while let Some(want) = self.first() {
            if wakes.is_full() {
                return true;
            }
            let Some(verdict) = primitive.serve_first(want) else { return false };
            wakes.push(self.choose_first(verdict));
        }
        primitive.note_empty();
        false
    }

    fn link(&mut self, node: NonNull<Node<K>>, end: End) {
        let Some(head) = self.head else {
            // SAFETY: the caller's own node, not in any list.
            unsafe { edit(node, |links| (links.next, links.previous) = (node, node)) };
            self.head = Some(node);
            return;
        };
        let next = match end {
            End::Back | End::Front => head,
            // SAFETY: NodeLives, and the lock is held.
            End::Second => unsafe { edit(head, |links| links.next) },
        };
        // SAFETY: as above.
        let previous = unsafe { edit(next, |links| std::mem::replace(&mut links.previous, node)) };
        // SAFETY: as above; `previous` may be `next`, whose edit has ended.
        unsafe { edit(previous, |links| links.next = node) };
        // SAFETY: the caller's own node, not in any list.
        unsafe { edit(node, |links| (links.next, links.previous) = (next, previous)) };
        if end == End::Front {
            self.head = Some(node);
        }
    }

    fn unlink(&mut self, node: NonNull<Node<K>>) {
        // SAFETY: NodeLives, and the lock is held.
        let (next, previous) = unsafe { edit(node, |links| (links.next, links.previous)) };
        if next == node {
            self.head = None;
            return;
        }
        // SAFETY: as above: a neighbour.
        unsafe { edit(previous, |links| links.next = next) };
        // SAFETY: as above.
        unsafe { edit(next, |links| links.previous = previous) };
        if self.head == Some(node) {
            self.head = Some(next);
        }
    }
}

/// A primitive that serves its waiters in order; asked under the queue's lock.
pub(super) trait Serve<K> {
    /// Gives the first waiter what it wants, or sends it to try again, if the word allows it.
    fn serve_first(&self, want: K) -> Option<Verdict>;

    /// Nobody waits any more.
    fn note_empty(&self);
}

/// The list behind its lock; see the module.
#[derive(Debug)]
pub(super) struct WaitQueue<K, S = ()> {
    lock: Lock<List<K, S>>,
}

impl<K: Copy, S> WaitQueue<K, S> {
    constructor! {
        /// An empty queue.
        pub(super) fn new(state: S) -> Self {
            Self { lock: Lock::new(Rank(10), List { head: None, state }) }
        }
    }

    /// Works on the list under the lock. `f` wakes nobody and runs no user's code.
    #[inline]
    pub(super) fn with<R>(&self, f: impl FnOnce(&mut List<K, S>) -> R) -> R {
        f(&mut self.lock.lock())
    }

    /// Serves whoever is first, and then the next.
    #[cold]
    pub(super) fn serve(&self, primitive: &impl Serve<K>) {
        loop {
            let mut wakes = Wakes::none();
            let more = self.with(|list| list.serve(&mut wakes, primitive));
            wakes.wake();
            if !more {
                return;
            }
        }
    }

    /// As [`WaitQueue::wait`] in the queue of `primitive`. Who gives up serves: those who stood
    /// behind may be content with less.
    ///
    /// # Switches
    pub(super) fn wait_in_line(
        &self,
        reason: Reason,
        deadline_ns: Option<u64>,
        admit: impl FnOnce(&mut List<K, S>) -> Option<(End, K)>,
        primitive: &impl Serve<K>,
    ) -> Ended<()> {
        let mut wakes = Wakes::none();
        let left =
            |list: &mut List<K, S>| !mutant!("queue.leave") && list.serve(&mut wakes, primitive);
        match self.wait(reason, deadline_ns, admit, || (), left) {
            Ended::Declined => Ended::Declined,
            Ended::Chosen(verdict) => Ended::Chosen(verdict),
            Ended::GaveUp(more) => {
                wakes.wake();
                if more {
                    self.serve(primitive);
                }
                Ended::GaveUp(())
            }
        }
    }

    /// Waits in the queue, until chosen or until the deadline.
    ///
    /// 1. `admit` looks, under the lock, whether there is something to wait for, and says where
    ///    to stand and for what. `None`: declined.
    /// 2. `queued` runs without the lock: from here on the waiter can be chosen.
    /// 3. When the deadline passes before it was chosen: `left` runs under the lock, after the
    ///    waiter was taken off the list. A waiter that was chosen, however late it learns of it,
    ///    was chosen: nothing that was granted is lost.
    ///
    /// # Switches
    pub(super) fn wait<R>(
        &self,
        reason: Reason,
        deadline_ns: Option<u64>,
        admit: impl FnOnce(&mut List<K, S>) -> Option<(End, K)>,
        queued: impl FnOnce(),
        left: impl FnOnce(&mut List<K, S>) -> R,
    ) -> Ended<R> {
        let node = Node {
            links: UnsafeCell::new(Links {
                next: NonNull::dangling(),
                previous: NonNull::dangling(),
                token: None,
                place: Place::Outside,
                kind: None,
            }),
        };
        let node = NonNull::from(&node);
        let outcome = sched::wait(reason, deadline_ns, |token| {
            let admitted = self.with(|list| {
                let (end, kind) = admit(list)?;
                // SAFETY: our own node, not in any list yet.
                unsafe {
                    edit(node, |links| {
                        links.token = Some(token);
                        links.kind = Some(kind);
                        links.place = Place::Queued;
                    });
                }
                list.link(node, end);
                Some(())
            });
            if admitted.is_some() {
                queued();
            }
            admitted.is_some()
        });
        if outcome != Outcome::Woken {
            return self.give_up(node, left);
        }
        // SAFETY: declined: it never was in a list. Woken: the chooser took it off the list before
        // the wake, which we have acquired.
        match unsafe { edit(node, |links| links.place) } {
            Place::Chosen(verdict) => Ended::Chosen(verdict),
            Place::Outside | Place::Queued => Ended::Declined,
        }
    }

    /// The deadline has passed: takes the node off the list, unless a chooser has.
    #[cold]
    fn give_up<R>(
        &self,
        node: NonNull<Node<K>>,
        left: impl FnOnce(&mut List<K, S>) -> R,
    ) -> Ended<R> {
        self.with(|list| {
            // SAFETY: our own node; the lock is held.
            if let Place::Chosen(verdict) = unsafe { edit(node, |links| links.place) } {
                return Ended::Chosen(verdict);
            }
            list.unlink(node);
            Ended::GaveUp(left(list))
        })
    }
}

/// How many waiters one hold of the lock chooses at most.
#[cfg(not(loom))]
const WAKES_MAX: usize = 16;
#[cfg(loom)]
const WAKES_MAX: usize = 1;

/// Who was chosen under the lock, to be woken after it.
#[derive(Debug)]
#[must_use]
pub(super) struct Wakes {
    tokens: [Option<Token>; WAKES_MAX],
    count: usize,
}

impl Wakes {
    /// Nobody.
    pub(super) fn none() -> Self {
        Self { tokens: [None; WAKES_MAX], count: 0 }
    }

    /// Whether those noted have to be woken first.
    pub(super) fn is_full(&self) -> bool {
        self.count == WAKES_MAX
    }

    /// Notes one more; the caller has asked [`Wakes::is_full`].
    pub(super) fn push(&mut self, token: Option<Token>) {
        self.tokens[self.count] = token;
        self.count += 1;
    }

    /// Wakes them, in the order in which they were chosen; how many they were.
    pub(super) fn wake(self) -> usize {
        for token in self.tokens[..self.count].iter().flatten() {
            wake(*token);
        }
        self.count
    }
}

/// Wakes a waiter that was chosen. It may have seen its verdict at its deadline already, and be
/// gone: then this is late, and harmless.
pub(super) fn wake(token: Token) {
    let _late = sched::wake(token, Outcome::Woken);
}
