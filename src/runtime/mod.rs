//! The public face: runtimes, green threads, handles, scopes.
//!
//! Everything here is thin: it turns the types and errors of `std::thread` into calls of `sched`.
//!
//! `errno` after an operation that succeeds is what it was before (`tests/errno.rs`), as far as this
//! crate's own calls go: a large closure is boxed by the user's allocator, and a green thread that
//! is an OS thread is started by libc. `std` promises nothing of the kind.

mod builder;
mod error;
mod join;
mod processors;
mod scope;
mod spawn;
mod thread;

pub use crate::green::ThreadId;
pub use crate::inspect::Survivor;
pub use crate::time::{sleep, sleep_until};
pub use builder::RuntimeBuilder;
pub use error::{BuildError, BuildErrorKind};
pub use join::JoinHandle;
pub use processors::available_parallelism;
pub use scope::{Scope, ScopedJoinHandle, scope};
pub use spawn::{Builder, spawn};
pub use thread::{
    Pinned, Thread, blocking, current, park, park_timeout, pin_to_machine, yield_now,
};

use crate::sched::Shared;
use crate::sys::clock;
use parking_lot::Mutex;
use std::fmt;
use std::panic::Location;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// A set of processors with its green threads.
///
/// Most programs need none: [`spawn()`] and [`run`] use the default runtime, which is started when
/// it is first needed and has as many processors as [`available_parallelism`] says, or as the
/// environment variable `GTHREAD_MAXPROCS` says.
///
/// Dropping a runtime refuses new green threads and, when all it had have finished, joins its
/// machines: nothing is left. Green threads that have not finished are never pulled from under
/// themselves: they go on, and the machines end with the last of them. To wait for them, call
/// [`shutdown`](Runtime::shutdown) or [`shutdown_timeout`](Runtime::shutdown_timeout) first.
///
/// # Examples
/// ```
/// let runtime = gthread::Runtime::builder().processors(2).build()?;
/// let sum = runtime.run(|| (1..=10).map(|i| gthread::spawn(move || i)).map(|h| h.join().unwrap()).sum::<i32>());
/// assert_eq!(sum, 55);
/// # Ok::<(), gthread::BuildError>(())
/// ```
#[must_use = "a runtime that is dropped is shut down"]
pub struct Runtime {
    shared: Arc<Shared>,
    monitor: Option<std::thread::JoinHandle<()>>,
}

impl Runtime {
    /// Starts to describe a runtime.
    pub fn builder() -> RuntimeBuilder {
        RuntimeBuilder::new()
    }

    /// As [`try_default`](Self::try_default).
    ///
    /// # Panics
    /// When it cannot be started: with the text of the [`BuildError`].
    #[track_caller]
    fn default_runtime() -> &'static Runtime {
        match Self::try_default() {
            Ok(runtime) => runtime,
            Err(error) => panic!("cannot start the default runtime: {error}"),
        }
    }

    /// The runtime behind [`spawn()`] and [`run`] off green threads; never dropped. Whoever asks
    /// after a failure tries again.
    ///
    /// # Errors
    /// As [`RuntimeBuilder::build`].
    fn try_default() -> Result<&'static Runtime, BuildError> {
        static DEFAULT: OnceLock<Runtime> = OnceLock::new();
        static STARTING: Mutex<()> = Mutex::new(());
        if let Some(runtime) = DEFAULT.get() {
            return Ok(runtime);
        }
        // The callers are OS threads: green threads have a runtime.
        let _one_at_a_time = STARTING.lock();
        if let Some(runtime) = DEFAULT.get() {
            return Ok(runtime);
        }
        let runtime = Runtime::builder().build()?;
        Ok(DEFAULT.get_or_init(|| runtime))
    }

    /// Runs `f` as a green thread of this runtime and returns its value.
    ///
    /// Blocks the calling thread, green or not, until `f` returns; green threads that `f` has
    /// spawned may go on.
    ///
    /// # Panics
    /// If `f` panics, with its payload; if the runtime is shut down or no stack can be had.
    #[track_caller]
    pub fn run<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        scope::run_on(&self.shared, Location::caller(), f)
    }

    /// Spawns a green thread on this runtime; as [`spawn`](crate::spawn).
    ///
    /// # Panics
    /// If the runtime is shut down or no stack can be had; [`Builder::spawn_on`] returns an error
    /// instead.
    #[track_caller]
    pub fn spawn<F, T>(&self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        match Builder::new().spawn_on(self, f) {
            Ok(handle) => handle,
            Err(error) => panic!("failed to spawn a green thread: {error}"),
        }
    }

    /// Refuses new green threads and waits until all have finished.
    ///
    /// Blocks the calling thread. Called on a green thread of this runtime it would wait for
    /// itself: then it only refuses new ones.
    pub fn shutdown(&self) {
        self.shared.close();
        if !self.is_inside() && !crate::sched::fork::in_child() {
            self.shared.drain(None);
        }
    }

    /// As [`shutdown`](Runtime::shutdown), but waits at most `timeout`; returns the green threads
    /// that have not finished by then. They go on. Inside a
    /// [`time::timeout`](crate::time::timeout) the wait ends at the earlier of the two.
    pub fn shutdown_timeout(&self, timeout: Duration) -> Vec<Survivor> {
        self.shared.close();
        let deadline_ns = crate::sched::earlier_deadline_ns(clock::deadline_after(timeout));
        let can_wait = !self.is_inside() && !crate::sched::fork::in_child();
        if can_wait && self.shared.drain(Some(deadline_ns)) {
            return Vec::new();
        }
        crate::inspect::survivors(&self.shared)
    }

    /// How many processors it has.
    pub fn processors(&self) -> usize {
        self.shared.processors.len()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Whether the caller is one of its green threads.
    fn is_inside(&self) -> bool {
        crate::green::current()
            .is_some_and(|green| green.runtime.get() == Arc::as_ptr(&self.shared).cast())
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if crate::sched::fork::in_child() {
            // The machines stayed behind in the parent: there is nobody to join.
            std::mem::forget((self.shared.clone(), self.monitor.take()));
            return;
        }
        self.shared.close();
        if !self.shared.abandon() {
            // Survivors: the machines end with the last of them.
            return;
        }
        self.shared.stop(self.monitor.take());
        if crate::sched::deregister(&self.shared) {
            // SAFETY: called for the blocks of slots that nobody uses, before their memory goes.
            crate::stack::trim_all(Some(|block| unsafe { crate::own_tls::discard(block) }));
        }
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("processors", &self.processors())
            .field("live", &self.shared.live())
            .finish_non_exhaustive()
    }
}

/// Runs `f` as a green thread of the caller's runtime, off green threads of the default one, and
/// returns its value.
///
/// Blocks the calling thread until `f` returns; green threads that it has spawned may go on.
///
/// # Examples
/// ```
/// let answer = gthread::run(|| gthread::spawn(|| 42).join().unwrap());
/// assert_eq!(answer, 42);
/// ```
///
/// # Panics
/// If `f` panics, with its payload; if the default runtime cannot be started.
#[track_caller]
pub fn run<T: Send>(f: impl FnOnce() -> T + Send) -> T {
    let location = Location::caller();
    spawn::with_runtime(|shared| scope::run_on(shared, location, f))
}
