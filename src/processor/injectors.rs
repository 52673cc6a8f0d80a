//! The queues everybody can push to: what overflows a processor's queues, and what comes from
//! those who hold none.
//!
//! One for each kind of green thread, as in the run queue: so that those who have run before do
//! not queue behind thousands who have not, and those whose deadline has come not behind either.

use super::deque::{Injector, Steal, Worker};
use super::run_queue::{Line, Runnable};

/// The three queues.
#[derive(Debug)]
pub(crate) struct Injectors<T> {
    urgent: Injector<Runnable<T>>,
    ready: Injector<Runnable<T>>,
    fresh: Injector<Runnable<T>>,
}

impl<T: Sync> Injectors<T> {
    /// Three empty queues.
    pub(crate) fn new() -> Self {
        Self { urgent: Injector::new(), ready: Injector::new(), fresh: Injector::new() }
    }

    fn line(&self, line: Line) -> &Injector<Runnable<T>> {
        match line {
            Line::Urgent => &self.urgent,
            Line::Ready => &self.ready,
            Line::Fresh => &self.fresh,
        }
    }

    /// Queues a green thread behind the others of its kind.
    pub(crate) fn push(&self, line: Line, green: Runnable<T>) {
        self.line(line).push(green);
    }

    /// Whether nothing of a kind waits.
    #[inline(always)]
    pub(crate) fn is_line_empty(&self, line: Line) -> bool {
        self.line(line).is_empty()
    }

    /// Whether nothing waits.
    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.urgent.is_empty() && self.ready.is_empty() && self.fresh.is_empty()
    }

    /// How many green threads wait, as a hint.
    pub(crate) fn len(&self) -> usize {
        self.urgent.len() + self.ready.len() + self.fresh.len()
    }

    /// Takes a batch of a kind: one to run, the rest into an empty local queue.
    #[inline]
    pub(crate) fn take_batch(&self, line: Line, into: &Worker<Runnable<T>>) -> Option<Runnable<T>> {
        let injector = self.line(line);
        if injector.is_empty() {
            return None;
        }
        loop {
            match injector.steal_batch_and_pop(into) {
                Steal::Success(green) => return Some(green),
                Steal::Empty => return None,
                Steal::Retry => std::hint::spin_loop(),
            }
        }
    }

    /// Takes one, the most urgent kind first.
    pub(crate) fn take_one(&self) -> Option<Runnable<T>> {
        [&self.urgent, &self.ready, &self.fresh].into_iter().find_map(|injector| {
            loop {
                match injector.steal() {
                    Steal::Success(green) => return Some(green),
                    Steal::Empty => return None,
                    Steal::Retry => std::hint::spin_loop(),
                }
            }
        })
    }
}
