//! The futex of models: loom has none, so waiting is modelled by yielding until the word changes.
//!
//! A deadline may pass at any moment; a model that has one sees both outcomes by passing a
//! deadline and having loom explore the order of the threads.

use super::atomic::{AtomicU32, Ordering};

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// The word changed.
    Woken,
    /// The deadline passed.
    Deadline,
}

/// Waits until `word` differs from `expected`; with a deadline, at most one yield.
pub(crate) fn wait(word: &AtomicU32, expected: u32, deadline_ns: Option<u64>) -> Waited {
    // ORDERING: Acquire; the kernel's futex orders a wake before the return of the wait.
    while word.load(Ordering::Acquire) == expected {
        loom::thread::yield_now();
        if deadline_ns.is_some() {
            return Waited::Deadline;
        }
    }
    Waited::Woken
}

/// Nothing to do: waiters look at the word.
pub(crate) fn wake(_word: &AtomicU32, _count: u32) -> u32 {
    0
}
