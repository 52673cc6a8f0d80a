//! Peers whose threads block: this crate, the standard library, may.

use std::time::Duration;

use super::Threads;

const STARTS: &str = "the runtime starts on this machine";
const SPAWNS: &str = "the machine has room for the row's threads";
const ENDS: &str = "no workload panics";

/// The runtime's account of itself, for a cell that hangs.
pub(crate) fn dump() -> String {
    gthread::inspect::dump().to_string()
}

/// This crate.
#[derive(Debug)]
pub(crate) struct Ours;

impl Threads for Ours {
    type Handle<T: Send + 'static> = gthread::JoinHandle<T>;
    type Thread = gthread::Thread;

    fn run<T: Send + 'static>(processors: usize, main: impl FnOnce() -> T + Send + 'static) -> T {
        let runtime = gthread::Runtime::builder().processors(processors).build().expect(STARTS);
        let value = runtime.run(main);
        runtime.shutdown();
        value
    }
    fn spawn<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Self::Handle<T> {
        gthread::spawn(f)
    }
    fn spawn_sized<T: Send + 'static>(
        stack_bytes: usize,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> Self::Handle<T> {
        gthread::Builder::new().stack_size(stack_bytes).spawn(f).expect(SPAWNS)
    }
    fn join<T: Send + 'static>(handle: Self::Handle<T>) -> T {
        handle.join().expect(ENDS)
    }
    fn thread<T: Send + 'static>(handle: &Self::Handle<T>) -> Self::Thread {
        handle.thread().clone()
    }
    fn current() -> Self::Thread {
        gthread::current()
    }
    fn park() {
        gthread::park();
    }
    fn park_timeout(timeout: Duration) {
        gthread::park_timeout(timeout);
    }
    fn unpark(thread: &Self::Thread) {
        thread.unpark();
    }
    fn yield_now() {
        gthread::yield_now();
    }
    fn sleep(duration: Duration) {
        gthread::sleep(duration);
    }
    fn blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
        gthread::blocking(f)
    }
}

/// OS threads of the standard library.
#[derive(Debug)]
pub(crate) struct Std;

impl Threads for Std {
    type Handle<T: Send + 'static> = std::thread::JoinHandle<T>;
    type Thread = std::thread::Thread;

    fn run<T: Send + 'static>(_: usize, main: impl FnOnce() -> T + Send + 'static) -> T {
        main()
    }
    fn spawn<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Self::Handle<T> {
        std::thread::spawn(f)
    }
    fn spawn_sized<T: Send + 'static>(
        stack_bytes: usize,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> Self::Handle<T> {
        std::thread::Builder::new().stack_size(stack_bytes).spawn(f).expect(SPAWNS)
    }
    fn join<T: Send + 'static>(handle: Self::Handle<T>) -> T {
        handle.join().expect(ENDS)
    }
    fn thread<T: Send + 'static>(handle: &Self::Handle<T>) -> Self::Thread {
        handle.thread().clone()
    }
    fn current() -> Self::Thread {
        std::thread::current()
    }
    fn park() {
        std::thread::park();
    }
    fn park_timeout(timeout: Duration) {
        std::thread::park_timeout(timeout);
    }
    fn unpark(thread: &Self::Thread) {
        thread.unpark();
    }
    fn yield_now() {
        std::thread::yield_now();
    }
    fn sleep(duration: Duration) {
        std::thread::sleep(duration);
    }
    fn blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
        f()
    }
}

/// The crate may: stackful coroutines. Its `spawn` is unsafe, because a
/// coroutine that moves to another thread keeps references to thread-locals of
/// the one it left; no workload here touches any.
#[derive(Debug)]
pub(crate) struct May;

impl Threads for May {
    type Handle<T: Send + 'static> = may::coroutine::JoinHandle<T>;
    type Thread = may::coroutine::Coroutine;

    fn run<T: Send + 'static>(processors: usize, main: impl FnOnce() -> T + Send + 'static) -> T {
        may::config().set_workers(processors);
        Self::join(Self::spawn(main))
    }
    fn spawn<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Self::Handle<T> {
        // SAFETY: the workloads use no thread-locals and fit the default stack.
        unsafe { may::coroutine::spawn(f) }
    }
    fn spawn_sized<T: Send + 'static>(
        stack_bytes: usize,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> Self::Handle<T> {
        // may counts stacks in words.
        let builder = may::coroutine::Builder::new().stack_size(stack_bytes / size_of::<usize>());
        // SAFETY: as in `spawn`; the workloads fit the stack asked for.
        unsafe { builder.spawn(f) }.expect(SPAWNS)
    }
    fn join<T: Send + 'static>(handle: Self::Handle<T>) -> T {
        handle.join().expect(ENDS)
    }
    fn thread<T: Send + 'static>(handle: &Self::Handle<T>) -> Self::Thread {
        handle.coroutine().clone()
    }
    fn current() -> Self::Thread {
        may::coroutine::current()
    }
    fn park() {
        may::coroutine::park();
    }
    fn park_timeout(timeout: Duration) {
        may::coroutine::park_timeout(timeout);
    }
    fn unpark(thread: &Self::Thread) {
        thread.unpark();
    }
    fn yield_now() {
        may::coroutine::yield_now();
    }
    fn sleep(duration: Duration) {
        may::coroutine::sleep(duration);
    }
    fn blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
        f()
    }
}
