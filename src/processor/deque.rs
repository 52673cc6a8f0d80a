//! The deques: crossbeam-deque's, or a locked stand-in with the same contract under loom.
//!
//! crossbeam-deque is not written against loom, so a model of the protocol *around* it uses a
//! queue under a lock: what the models check is the next slot, the order of sources and the idle
//! handshake, not the deque itself, which its own project checks.
//!
//! A `Worker` allocates a new buffer when it grows and when it shrinks, and pins crossbeam-epoch
//! to retire the old one, which registers the running *thread-locals* as a participant. On a
//! green thread's own thread-locals that would register every green thread. So a queue here
//! never holds more than [`CAPACITY`], the buffer a `Worker` starts with and never shrinks below.

/// How much a local queue holds: crossbeam-deque's smallest buffer.
pub(crate) const CAPACITY: usize = if cfg!(loom) { 2 } else { 64 };

#[cfg(not(loom))]
pub(crate) use crossbeam_deque::{Injector, Steal, Stealer, Worker};

#[cfg(loom)]
#[allow(unused_imports, reason = "models compile a part of the crate")]
pub(crate) use model::{Injector, Steal, Stealer, Worker};

/// The stand-in.
#[cfg(loom)]
mod model {
    use loom::sync::{Arc, Mutex};
    use std::collections::VecDeque;

    /// The outcome of a steal; the stand-in never asks for a retry.
    #[derive(Debug)]
    pub(crate) enum Steal<T> {
        Empty,
        Success(T),
        #[allow(dead_code)]
        Retry,
    }

    /// The owner's end.
    #[derive(Debug)]
    pub(crate) struct Worker<T> {
        queue: Arc<Mutex<VecDeque<T>>>,
        fifo: bool,
    }

    /// A thief's end.
    #[derive(Debug, Clone)]
    pub(crate) struct Stealer<T>(Arc<Mutex<VecDeque<T>>>);

    /// The queue that everybody pushes to.
    #[derive(Debug)]
    pub(crate) struct Injector<T>(Mutex<VecDeque<T>>);

    impl<T> Worker<T> {
        pub(crate) fn new_fifo() -> Self {
            Self { queue: Arc::new(Mutex::new(VecDeque::new())), fifo: true }
        }
        pub(crate) fn new_lifo() -> Self {
            Self { queue: Arc::new(Mutex::new(VecDeque::new())), fifo: false }
        }
        pub(crate) fn stealer(&self) -> Stealer<T> {
            Stealer(self.queue.clone())
        }
        pub(crate) fn push(&self, item: T) {
            self.queue.lock().expect("not poisoned").push_back(item);
        }
        pub(crate) fn pop(&self) -> Option<T> {
            let mut queue = self.queue.lock().expect("not poisoned");
            if self.fifo { queue.pop_front() } else { queue.pop_back() }
        }
        pub(crate) fn len(&self) -> usize {
            self.queue.lock().expect("not poisoned").len()
        }
        pub(crate) fn is_empty(&self) -> bool {
            self.len() == 0
        }
    }

    impl<T> Stealer<T> {
        pub(crate) fn is_empty(&self) -> bool {
            self.0.lock().expect("not poisoned").is_empty()
        }
        pub(crate) fn len(&self) -> usize {
            self.0.lock().expect("not poisoned").len()
        }
        pub(crate) fn steal(&self) -> Steal<T> {
            match self.0.lock().expect("not poisoned").pop_front() {
                Some(item) => Steal::Success(item),
                None => Steal::Empty,
            }
        }
        pub(crate) fn steal_batch_and_pop(&self, into: &Worker<T>) -> Steal<T> {
            let mut batch = {
                let mut queue = self.0.lock().expect("not poisoned");
                let take = queue.len().div_ceil(2);
                queue.drain(..take).collect::<VecDeque<T>>()
            };
            let Some(first) = batch.pop_front() else { return Steal::Empty };
            into.queue.lock().expect("not poisoned").extend(batch);
            Steal::Success(first)
        }
    }

    impl<T> Injector<T> {
        pub(crate) fn new() -> Self {
            Self(Mutex::new(VecDeque::new()))
        }
        pub(crate) fn push(&self, item: T) {
            self.0.lock().expect("not poisoned").push_back(item);
        }
        pub(crate) fn is_empty(&self) -> bool {
            self.0.lock().expect("not poisoned").is_empty()
        }
        pub(crate) fn len(&self) -> usize {
            self.0.lock().expect("not poisoned").len()
        }
        pub(crate) fn steal(&self) -> Steal<T> {
            match self.0.lock().expect("not poisoned").pop_front() {
                Some(item) => Steal::Success(item),
                None => Steal::Empty,
            }
        }
        pub(crate) fn steal_batch_and_pop(&self, into: &Worker<T>) -> Steal<T> {
            let mut batch = {
                let mut queue = self.0.lock().expect("not poisoned");
                let take = queue.len().div_ceil(2).min(super::CAPACITY);
                queue.drain(..take).collect::<VecDeque<T>>()
            };
            let Some(first) = batch.pop_front() else { return Steal::Empty };
            into.queue.lock().expect("not poisoned").extend(batch);
            Steal::Success(first)
        }
    }
}
