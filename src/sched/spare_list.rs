//! The list of sleeping machines, and the orders for new ones.
//!
//! A machine on the list sleeps on its parker, or is about to. Whoever takes it off the list, and
//! nobody else, sends it one message (Inv. OneSender); a machine that wakes by itself *withdraws*,
//! and if it is no longer on the list, its message is coming. Where there is no machine to take,
//! an *order* is left for the monitor in the same critical section.
//!
//! `M` is the machine: a model has a small one of its own.
//!
//! # Invariants
//! - **Listed**: a machine is on the list at most once, and while it is, its mailbox is empty and
//!   nobody is about to fill it.
//! - **Ordered**: a processor that was granted while nobody slept is in `orders` until the monitor
//!   takes it.
//!
//! The lock orders who took a machine off before whoever puts it on again, so the parker's words
//! need no more than it says.

use crate::primitive::atomic::mutant;
use crate::primitive::lock::{Lock, Rank};
use std::collections::VecDeque;
use std::sync::Arc;

/// How many machines at work are many.
const CROWD: usize = 16;

/// The machines of one runtime, by what they do.
#[derive(Debug)]
pub(crate) struct SpareList<M>(Lock<Inner<M>>);

#[derive(Debug)]
struct Inner<M> {
    /// All machines ever made; they are reused and freed with the runtime (Inv. MachineStable).
    all: Vec<Arc<M>>,
    /// Machines whose thread has ended, for reuse.
    vacant: Vec<Arc<M>>,
    /// Machines that sleep.
    sleeping: VecDeque<Arc<M>>,
    /// Processors for which the monitor is to start a machine; their orderers have claimed them.
    orders: Vec<u32>,
}

impl<M> Inner<M> {
    /// Takes a machine off the list: the one that slept last, whose cache is the warmest. While
    /// many run (each is a green thread that computes, or blocks) the one that slept longest: the
    /// kernel shares the CPUs out evenly among them all, and who has just run has to wait.
    fn take(&mut self) -> Option<Arc<M>> {
        if mutant!("spare.take") {
            return self.sleeping.back().cloned();
        }
        if self.is_crowded() { self.sleeping.pop_front() } else { self.sleeping.pop_back() }
    }

    /// Whether many machines are at work.
    fn is_crowded(&self) -> bool {
        self.all.len() >= CROWD + self.vacant.len() + self.sleeping.len()
    }
}

impl<M> SpareList<M> {
    /// No machines.
    pub(crate) fn new() -> Self {
        let inner = Inner {
            all: Vec::new(),
            vacant: Vec::new(),
            sleeping: VecDeque::new(),
            orders: Vec::new(),
        };
        Self(Lock::new(Rank(20), inner))
    }

    /// Puts a machine on the list, just before it sleeps.
    pub(crate) fn push(&self, machine: &Arc<M>) {
        self.0.lock().sleeping.push_back(machine.clone());
    }

    /// Takes a machine off the list, to send it one message.
    pub(crate) fn pop(&self) -> Option<Arc<M>> {
        self.0.lock().take()
    }

    /// Whether many machines are at work.
    pub(crate) fn is_crowded(&self) -> bool {
        self.0.lock().is_crowded()
    }

    /// While many machines are at work: takes the one off the list that has slept longest.
    pub(crate) fn pop_rested(&self) -> Option<Arc<M>> {
        let mut inner = self.0.lock();
        if inner.is_crowded() { inner.take() } else { None }
    }

    /// As [`pop`](Self::pop); where there is none, leaves an order for one with processor `index`.
    pub(crate) fn pop_or_order(&self, index: u32) -> Option<Arc<M>> {
        let mut inner = self.0.lock();
        let machine = inner.take();
        if machine.is_none() && !mutant!("spare.order") {
            inner.orders.push(index);
        }
        machine
    }

    /// Monitor: takes an order, and the machine that sleeps by now, if one does.
    pub(crate) fn take_order(&self) -> Option<(u32, Option<Arc<M>>)> {
        let mut inner = self.0.lock();
        let index = inner.orders.pop()?;
        Some((index, inner.take()))
    }

    /// Takes `machine` off the list, by itself; `false`: somebody was first, a message is coming.
    #[must_use]
    pub(crate) fn withdraw(&self, machine: &M) -> bool {
        let mut inner = self.0.lock();
        let at = inner.sleeping.iter().rposition(|other| std::ptr::eq(&**other, machine));
        at.and_then(|at| inner.sleeping.remove(at)).is_some() || mutant!("spare.withdraw")
    }

    /// How many machines sleep.
    pub(crate) fn sleeping(&self) -> usize {
        self.0.lock().sleeping.len()
    }

    /// A machine without a thread, to start one for: one whose thread has ended, or a new one,
    /// which `make` makes from its number.
    pub(crate) fn vacant(&self, make: impl FnOnce(u32) -> M) -> Arc<M> {
        let mut inner = self.0.lock();
        inner.vacant.pop().unwrap_or_else(|| {
            let machine = Arc::new(make(inner.all.len() as u32));
            inner.all.push(machine.clone());
            machine
        })
    }

    /// Notes that a machine has no thread.
    pub(crate) fn vacate(&self, machine: Arc<M>) {
        self.0.lock().vacant.push(machine);
    }

    /// Every machine that has been made.
    pub(crate) fn all(&self) -> Vec<Arc<M>> {
        self.0.lock().all.clone()
    }
}
