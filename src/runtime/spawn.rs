//! Spawning: `Builder`, `spawn`, and the functions that know the closure's type.

use super::join::JoinHandle;
use super::{BuildError, Runtime, Scope, ScopedJoinHandle};
use crate::green::stage::Stage;
use crate::green::{Flags, Green, Vtable};
use crate::sched::spawn::Order;
use crate::sched::{Carriage, Shared};
use crate::stack::StackSize;
use std::io;
use std::marker::PhantomData;
use std::mem::needs_drop;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::thread::Result as Outcome;

/// Describes a green thread: its name, its stack, whether it has a machine of its own.
///
/// # Examples
/// ```
/// let handle = gthread::Builder::new()
///     .name("adder".into())
///     .stack_size(64 * 1024)
///     .spawn(|| 1 + 1)?;
/// assert_eq!(handle.thread().name(), Some("adder"));
/// assert_eq!(handle.join().unwrap(), 2);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it spawns"]
pub struct Builder {
    name: Option<String>,
    stack_size: Option<usize>,
    pinned: bool,
}

impl Builder {
    /// No name, the runtime's stack size, not pinned.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the green thread: for [`Thread::name`](crate::Thread::name), the dump, and the report
    /// of a stack overflow.
    pub fn name(mut self, name: String) -> Self {
        self.name = Some(name);
        self
    }

    /// The usable stack in bytes, rounded up to whole pages; a guard and the block of
    /// thread-locals come on top. The accepted range is that of
    /// [`RuntimeBuilder::stack_size`](crate::RuntimeBuilder::stack_size).
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Gives the green thread an OS thread of its own for its whole life: for values that are tied
    /// to the kernel thread (a GL context, a namespace, an io_uring with a single
    /// issuer). When it ends, the OS thread goes to others with its first signal mask, and with
    /// whatever else was changed about it; see [`pin_to_machine`](crate::pin_to_machine). Each
    /// switch to or from it costs a hand-over between OS threads.
    ///
    /// One OS thread is always left for green threads without one of their own. So to spawn it may
    /// block the caller until one more OS thread has been started, and fails where none can be.
    pub fn pinned(mut self) -> Self {
        self.pinned = true;
        self
    }

    /// Spawns the green thread on the caller's runtime; off green threads on the default one.
    ///
    /// # Errors
    /// `InvalidInput` for a stack size out of range; `OutOfMemory` or the kernel's error when no
    /// stack can be had, or no OS thread for one that is [`pinned`](Builder::pinned); `Other` when
    /// the runtime is shut down. The runtime stays usable, and the closure is dropped.
    ///
    /// If the default runtime is needed and cannot be started: the [`BuildError`],
    /// with the kind of the kernel's error if there was one. The next spawn tries again.
    #[track_caller]
    pub fn spawn<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let location = Location::caller();
        // SAFETY: `F` and `T` are 'static, so nothing borrowed can end before the green thread.
        try_with_runtime(|shared| unsafe { self.spawn_unchecked(shared, location, f, Free) })?
    }

    /// As [`Builder::spawn`], on the given runtime.
    ///
    /// # Errors
    /// As [`Builder::spawn`].
    #[track_caller]
    pub fn spawn_on<F, T>(self, runtime: &Runtime, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let location = Location::caller();
        // SAFETY: as in `spawn`.
        unsafe { self.spawn_unchecked(runtime.shared(), location, f, Free) }
    }

    /// As [`Scope::spawn`], with a description.
    ///
    /// # Errors
    /// As [`Builder::spawn`].
    #[track_caller]
    pub fn spawn_scoped<'scope, 'env, F, T>(
        self,
        scope: &'scope Scope<'scope, 'env>,
        f: F,
    ) -> io::Result<ScopedJoinHandle<'scope, T>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        scope.spawn_as(self, Location::caller(), f)
    }

    /// Spawns without asking for 'static.
    ///
    /// # Safety
    /// - Whatever `F` and `T` borrow outlives the green thread's use of it, which is over when
    ///   `tail` has been finished, or when the green thread has been joined.
    pub(super) unsafe fn spawn_unchecked<F, T, S>(
        self,
        shared: &Shared,
        location: &'static Location<'static>,
        f: F,
        tail: S,
    ) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send,
        T: Send,
        S: Tail,
    {
        let stack_size = match self.stack_size {
            None => shared.stack_size,
            Some(bytes) => StackSize::new(bytes)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error.to_string()))?,
        };
        let order = Order {
            name: self.name.as_deref().map(std::sync::Arc::from),
            stack_size,
            flags: Flags { pinned: self.pinned },
            location,
            vtable: Typed::<F, T, S>::VTABLE,
        };
        let body = Body { f, tail };
        // SAFETY: the vtable goes with this body.
        let header = shared.spawn(order, |stage: &Stage| unsafe { stage.put(body) })?;
        let mut handle = JoinHandle::new(header);
        if shared.carriage == Carriage::OsThreads {
            handle.start_os_thread(shared, self.name, stack_size)?;
        }
        Ok(handle)
    }
}

/// Calls `f` with the runtime of the caller, or with the default one.
///
/// # Panics
/// When the default one cannot be started: with the text of the error.
#[track_caller]
pub(super) fn with_runtime<R>(f: impl FnOnce(&Shared) -> R) -> R {
    match crate::green::current().filter(|green| !green.runtime.get().is_null()) {
        // SAFETY: the running green thread has not finished, so its runtime lives.
        Some(green) => f(unsafe { Shared::of(green) }),
        None => f(Runtime::default_runtime().shared()),
    }
}

/// As [`with_runtime`].
///
/// # Errors
/// When the default one cannot be started.
fn try_with_runtime<R>(f: impl FnOnce(&Shared) -> R) -> Result<R, BuildError> {
    match crate::green::current().filter(|green| !green.runtime.get().is_null()) {
        // SAFETY: the running green thread has not finished, so its runtime lives.
        Some(green) => Ok(f(unsafe { Shared::of(green) })),
        None => Ok(f(Runtime::try_default()?.shared())),
    }
}

/// Spawns a green thread on the caller's runtime; off green threads on the default one.
///
/// As `std::thread::spawn`: dropping the handle detaches the green thread, a panic is delivered
/// by `join`.
///
/// # Examples
/// ```
/// let handle = gthread::spawn(|| 6 * 7);
/// assert_eq!(handle.join().unwrap(), 42);
/// ```
///
/// What the closure takes along, and what it returns, must be `Send`, because it may run on
/// another OS thread, and goes on there after each wait:
/// ```compile_fail,E0277
/// let shared = std::rc::Rc::new(5);
/// gthread::spawn(move || assert_eq!(*shared, 5));
/// ```
/// ```compile_fail,E0277
/// gthread::spawn(|| std::rc::Rc::new(5));
/// ```
/// It must not borrow from the caller's frame, which may end first; see [`scope`](crate::scope):
/// ```compile_fail,E0373
/// let local = String::from("borrowed");
/// gthread::spawn(|| local.len());
/// ```
///
/// # Panics
/// If no stack can be had, the runtime is shut down, or the default runtime is needed and cannot be
/// started; [`Builder::spawn`] returns an error instead.
#[track_caller]
pub fn spawn<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    match Builder::new().spawn(f) {
        Ok(handle) => handle,
        Err(error) => panic!("failed to spawn a green thread: {error}"),
    }
}

/// What is told when the body has run and its result has been stored or dropped.
pub(super) trait Tail: Send {
    /// The body has ended; `panicked` says how.
    fn finish(self, panicked: bool);
}

/// Nobody is told.
#[derive(Debug)]
pub(super) struct Free;

impl Tail for Free {
    #[inline(always)]
    fn finish(self, _panicked: bool) {}
}

/// What lies on the stage before the first run.
struct Body<F, S> {
    f: F,
    tail: S,
}

/// The functions of a vtable for one type of closure.
struct Typed<F, T, S>(PhantomData<(F, T, S)>);

impl<F, T, S> Typed<F, T, S>
where
    F: FnOnce() -> T,
    S: Tail,
{
    const VTABLE: &'static Vtable = &Vtable {
        run: Self::run,
        drop_result: Self::drop_result,
        drop_closure: Self::drop_closure,
    };

    /// Runs the body; its result lies on the stage afterwards, or has been dropped.
    ///
    /// # Safety
    /// - The stage holds a `Body<F, S>`, and is the caller's, which is the green thread itself.
    unsafe fn run(green: &Green) {
        // SAFETY: the caller's clause.
        let Body { f, tail } = unsafe { green.stage.take::<Body<F, S>>() };
        let outcome = catch_unwind(AssertUnwindSafe(f));
        let panicked = outcome.is_err();
        let must_drop = panicked || needs_drop::<T>() || !Stage::is_inline::<Outcome<T>>();
        // SAFETY: the stage is empty and still ours: a joiner waits for `FINISHED`.
        unsafe { green.stage.put::<Outcome<T>>(outcome) };
        if must_drop && green.join.set_result() {
            // SAFETY: nobody will take the result (Inv. OneDrop), which was put above.
            unsafe { Self::drop_result(green) };
        }
        tail.finish(panicked);
    }

    /// Drops the result.
    ///
    /// # Safety
    /// - The stage holds an `Outcome<T>`, and is the caller's.
    unsafe fn drop_result(green: &Green) {
        // SAFETY: the caller's clause.
        let outcome = unsafe { green.stage.take::<Outcome<T>>() };
        // A destructor that panics here has nobody to tell: std aborts in the same place.
        if catch_unwind(AssertUnwindSafe(|| drop(outcome))).is_err() {
            crate::primitive::abort::rt_abort!("the result of a green thread panicked on drop");
        }
    }

    /// Drops the body.
    ///
    /// # Safety
    /// - The stage holds a `Body<F, S>`, and is the caller's.
    unsafe fn drop_closure(green: &Green) {
        // SAFETY: the caller's clause.
        drop(unsafe { green.stage.take::<Body<F, S>>() });
    }
}

/// Runs the body of a green thread that is an OS thread, on that thread.
pub(super) fn run_body(green: &Green) {
    if let Some(vtable) = green.vtable.get() {
        // SAFETY: the stage holds the body that goes with the vtable, and is this thread's.
        unsafe { (vtable.run)(green) };
    }
}
