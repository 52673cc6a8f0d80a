//! The backlog: a queue of any length, linked through what it holds, for the holder alone.
//!
//! It stands behind the ready queue, which holds 64 and which thieves can see. Without thieves no
//! instruction has to be locked, so a crowd that yields costs two plain stores a turn instead of
//! two trips through the injector.
//!
//! # Invariants
//! - **OwnerLinks**: only the holder of the processor touches the backlog, and the link of what
//!   is in it; the next holder sees it all (SeesAll of `machine::bias`).
//! - **NoHiddenIdle**: an idle processor has an empty backlog, for nobody would look into it. A
//!   machine retires only after it has found nothing, and whoever else makes a processor idle
//!   empties it first ([`Backlog::pop`], into the injector).

use super::run_queue::Runnable;
use crate::primitive::atomic::{AtomicUsize, Ordering};
use std::cell::Cell;
use std::ptr::NonNull;

/// What has a place for the link of a list it is in: it is in one at a time.
pub(crate) trait Link: Sized {
    /// The one behind it.
    fn link(&self) -> Option<NonNull<Self>>;
    /// Sets the one behind it.
    fn set_link(&self, behind: Option<NonNull<Self>>);
}

/// The queue; see the module.
#[derive(Debug)]
pub(crate) struct Backlog<T> {
    first: Cell<Option<NonNull<T>>>,
    last: Cell<Option<NonNull<T>>>,
}

/// How long the backlog is, for those who may not look into it.
#[derive(Debug, Default)]
pub(crate) struct Length(AtomicUsize);

impl Length {
    /// Nothing in it.
    pub(super) fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    /// The length when last looked at.
    pub(super) fn get(&self) -> usize {
        // ORDERING: Relaxed; a statistic for the monitor and the dump.
        self.0.load(Ordering::Relaxed)
    }

    /// The holder changes it by `delta`.
    #[inline(always)]
    pub(super) fn add(&self, delta: isize) {
        // ORDERING: Relaxed; the only writer reads its own value, or its predecessor's (SeesAll).
        let length = self.0.load(Ordering::Relaxed).wrapping_add_signed(delta);
        // ORDERING: Relaxed; a statistic, see `get`.
        self.0.store(length, Ordering::Relaxed);
    }
}

impl<T: Link> Backlog<T> {
    /// An empty one.
    pub(super) fn new() -> Self {
        Self { first: Cell::new(None), last: Cell::new(None) }
    }

    /// Whether nothing is in it.
    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.first.get().is_none()
    }

    /// The one that has waited longest.
    #[inline(always)]
    pub(super) fn first(&self) -> Option<NonNull<T>> {
        self.first.get()
    }

    /// Queues behind all others.
    #[inline(always)]
    pub(super) fn push(&self, length: &Length, green: Runnable<T>) {
        let green = green.0;
        // SAFETY: the caller gives the right to run it, and with it its link (OwnerLinks).
        unsafe { green.as_ref() }.set_link(None);
        match self.last.replace(Some(green)) {
            // SAFETY: it is in the backlog, so it and its link are the holder's (OwnerLinks).
            Some(last) => unsafe { last.as_ref() }.set_link(Some(green)),
            None => self.first.set(Some(green)),
        }
        length.add(1);
    }

    /// Takes the one that has waited longest.
    #[inline(always)]
    pub(super) fn pop(&self, length: &Length) -> Option<Runnable<T>> {
        let green = self.first.get()?;
        // SAFETY: it is in the backlog, so it and its link are the holder's (OwnerLinks).
        let behind = unsafe { green.as_ref() }.link();
        self.first.set(behind);
        if behind.is_none() {
            self.last.set(None);
        }
        length.add(-1);
        Some(Runnable(green))
    }
}
