//! Scopes: green threads that borrow.

use super::join::JoinHandle;
use super::spawn::{Builder, Free, Tail, with_runtime};
use super::thread::Thread;
use crate::green::{Reason, Token};
use crate::primitive::atomic::{AtomicUsize, Ordering};
use crate::primitive::lock::{Lock, Rank};
use crate::sched::{self, Shared};
use std::io;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::sync::Arc;

/// A scope to spawn borrowing green threads in; see [`scope`].
#[derive(Debug)]
pub struct Scope<'scope, 'env: 'scope> {
    data: Arc<ScopeData>,
    /// Invariance over `'scope`: it cannot shrink to a lifetime that ends inside the closure.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

/// What a scope and its green threads share.
#[derive(Debug)]
struct ScopeData {
    running: AtomicUsize,
    /// Whether a green thread panicked whose handle was not joined.
    panicked: AtomicUsize,
    waiter: Lock<Option<Token>>,
}

/// Tells the scope, when it is dropped, that one of its green threads has let go of everything it
/// borrowed: at its end, or with a closure that never ran.
#[derive(Debug)]
struct Leave(Arc<ScopeData>);

impl Tail for Leave {
    fn finish(self, panicked: bool) {
        if panicked {
            // ORDERING: Relaxed; published by the decrement below.
            self.0.panicked.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        // ORDERING: AcqRel; pairs with the Acquire in `wait`; publishes what the green thread
        // did.
        if self.0.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            let waiter = self.0.waiter.lock().take();
            if let Some(token) = waiter {
                sched::wake(token, crate::green::wait::Outcome::Woken);
            }
        }
    }
}

impl ScopeData {
    /// Waits until no green thread of the scope runs.
    fn wait(&self) {
        // ORDERING: Acquire; pairs with the AcqRel in `finish`; takes what the others did.
        while self.running.load(Ordering::Acquire) != 0 {
            sched::wait(Reason::Scope, None, |token| {
                *self.waiter.lock() = Some(token);
                // ORDERING: Acquire; as above. The lock orders it against the taking of the token:
                // the last to leave decrements before it takes the lock.
                if self.running.load(Ordering::Acquire) != 0 {
                    return true;
                }
                // All have left: if the token is still here nobody will take it.
                self.waiter.lock().take().is_none()
            });
        }
    }
}

/// Owns the right to join a green thread of a scope.
#[derive(Debug)]
pub struct ScopedJoinHandle<'scope, T> {
    inner: JoinHandle<T>,
    data: Arc<ScopeData>,
    _scope: PhantomData<&'scope ()>,
}

/// Creates a scope in which green threads may borrow from the caller's frame.
///
/// As `std::thread::scope`: returns when `f` and all green threads spawned in the scope have
/// ended. Blocks the calling thread, green or not.
///
/// # Examples
/// ```
/// let words = vec!["a", "bc", "def"];
/// let lengths: usize = gthread::scope(|s| {
///     let handles: Vec<_> = words.iter().map(|w| s.spawn(move || w.len())).collect();
///     handles.into_iter().map(|h| h.join().unwrap()).sum()
/// });
/// assert_eq!(lengths, 6);
/// ```
///
/// What is made inside `f` ends before the green threads may, so they cannot borrow it:
/// ```compile_fail,E0373
/// gthread::scope(|s| {
///     let local = String::from("too short");
///     s.spawn(|| local.len());
/// });
/// ```
/// Nor can a handle leave the scope:
/// ```compile_fail
/// let handle = gthread::scope(|s| s.spawn(|| 5));
/// ```
///
/// # Panics
/// If `f` panics, with its payload; if a green thread of the scope panicked and was not joined.
pub fn scope<'env, F, T>(f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    let scope = Scope {
        data: Arc::new(ScopeData {
            running: AtomicUsize::new(0),
            panicked: AtomicUsize::new(0),
            waiter: Lock::new(Rank(14), None),
        }),
        scope: PhantomData,
        env: PhantomData,
    };
    let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
    scope.data.wait();
    match result {
        Err(payload) => resume_unwind(payload),
        // ORDERING: Relaxed; acquired with the count of running ones in `wait`.
        Ok(_) if scope.data.panicked.load(Ordering::Relaxed) != 0 => {
            panic!("a scoped green thread panicked")
        }
        Ok(value) => value,
    }
}

impl<'scope, 'env> Scope<'scope, 'env> {
    /// Spawns a green thread that may borrow what outlives the scope.
    ///
    /// # Panics
    /// If no stack can be had or the runtime is shut down; [`Builder::spawn_scoped`] returns an
    /// error instead.
    #[track_caller]
    pub fn spawn<F, T>(&'scope self, f: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        match self.spawn_as(Builder::new(), Location::caller(), f) {
            Ok(handle) => handle,
            Err(error) => panic!("failed to spawn a green thread: {error}"),
        }
    }

    pub(super) fn spawn_as<F, T>(
        &'scope self,
        builder: Builder,
        location: &'static Location<'static>,
        f: F,
    ) -> io::Result<ScopedJoinHandle<'scope, T>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        // ORDERING: Relaxed; the spawner is in the scope, so the count is not 0 for a waiter yet.
        self.data.running.fetch_add(1, Ordering::Relaxed);
        let leave = Leave(self.data.clone());
        // SAFETY: what `F` and `T` borrow outlives 'scope, and `scope` does not return before
        // `Leave` has been finished, which is after the closure and an unclaimed result are gone.
        let spawned =
            with_runtime(|shared| unsafe { builder.spawn_unchecked(shared, location, f, leave) });
        let inner = spawned?;
        Ok(ScopedJoinHandle { inner, data: self.data.clone(), _scope: PhantomData })
    }
}

impl<T> ScopedJoinHandle<'_, T> {
    /// Waits for the green thread to finish and returns its result; `Err` holds the payload of its
    /// panic, which then does not make the scope panic.
    ///
    /// # Errors
    /// The payload of the panic that ended the green thread.
    pub fn join(self) -> std::thread::Result<T> {
        let result = self.inner.join();
        if result.is_err() {
            // ORDERING: Relaxed; read after the join by the same thread, or by one it returns to.
            self.data.panicked.fetch_sub(1, Ordering::Relaxed);
        }
        result
    }

    /// Whether the green thread has finished; if so, `join` does not wait.
    pub fn is_finished(&self) -> bool {
        self.inner.is_finished()
    }

    /// A handle of the green thread.
    pub fn thread(&self) -> &Thread {
        self.inner.thread()
    }
}

/// Runs `f` as a green thread of `shared` and waits for it.
pub(super) fn run_on<T: Send>(
    shared: &Shared,
    location: &'static Location<'static>,
    f: impl FnOnce() -> T + Send,
) -> T {
    let builder = Builder::new().name("main".into());
    // SAFETY: the green thread is joined below, before anything it borrows can end.
    let spawned = unsafe { builder.spawn_unchecked(shared, location, f, Free) };
    match spawned.map(JoinHandle::join) {
        Ok(Ok(value)) => value,
        Ok(Err(payload)) => resume_unwind(payload),
        Err(error) => panic!("failed to spawn a green thread: {error}"),
    }
}
