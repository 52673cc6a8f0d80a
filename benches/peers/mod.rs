//! The peers behind two traits: threads that block, and futures that wait.
//!
//! A workload is written twice at most, once per trait, and every peer runs
//! the same code with its own primitives and its default settings.

mod futures;
mod threads;

use std::time::Duration;

pub(crate) use futures::{Smol, Tokio};
pub(crate) use threads::{May, Ours, Std, dump};

/// Threads of some kind: they block where they stand.
pub(crate) trait Threads: Send + 'static {
    type Handle<T: Send + 'static>: Send;
    /// Wakes a parked thread.
    type Thread: Clone + Send + Sync + 'static;

    /// Runs `main` as a thread of a runtime with so many processors.
    fn run<T: Send + 'static>(processors: usize, main: impl FnOnce() -> T + Send + 'static) -> T;
    fn spawn<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Self::Handle<T>;
    fn spawn_sized<T: Send + 'static>(
        stack_bytes: usize,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> Self::Handle<T>;
    fn join<T: Send + 'static>(handle: Self::Handle<T>) -> T;
    fn thread<T: Send + 'static>(handle: &Self::Handle<T>) -> Self::Thread;
    fn current() -> Self::Thread;
    fn park();
    fn park_timeout(timeout: Duration);
    fn unpark(thread: &Self::Thread);
    fn yield_now();
    fn sleep(duration: Duration);
    /// Runs a blocking call in the way the runtime wants to be told of it.
    fn blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T;
}

/// A runtime of futures.
pub(crate) trait Futures: Send + 'static {
    type Handle<T: Send + 'static>: Future<Output = T> + Send;

    /// Runs `main` as a spawned future of a runtime with so many processors.
    fn run<T: Send + 'static>(
        processors: usize,
        main: impl Future<Output = T> + Send + 'static,
    ) -> T;
    fn spawn<T: Send + 'static>(f: impl Future<Output = T> + Send + 'static) -> Self::Handle<T>;
    fn yield_now() -> impl Future<Output = ()> + Send;
    fn sleep(duration: Duration) -> impl Future<Output = ()> + Send;
    /// Waits for `inner`, at most so long.
    fn timeout(
        limit: Duration,
        inner: impl Future<Output = ()> + Send,
    ) -> impl Future<Output = ()> + Send;
    fn blocking<T: Send + 'static>(
        f: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send;
}
