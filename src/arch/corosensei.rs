//! The portable backend: corosensei switches the stack, trampolines change the thread pointer.
//!
//! A corosensei coroutine is resumed by somebody and suspends to whoever resumed it. So a green
//! thread switches only to the root context of its machine ([`DIRECT`] is `false`):
//! 1. The machine calls [`switch`] with a prepared context: `call_on` sets its thread pointer and
//!    calls [`resume_here`], which resumes the coroutine.
//! 2. The green thread calls [`switch`] with the root context: the coroutine suspends itself,
//!    `resume_here` returns, and `call_on` puts the machine's thread pointer back.
//!
//! Inv. OneThreadPointer: on the machine's side everything that runs on another thread pointer is
//! behind the opaque `call_on`; the green side is suspended and resumed on its own.
//!
//! corosensei leaves the floating-point control words alone; [`switch`] keeps them on either side.

use super::Entry;
use super::cpu::{FloatControl, call_on};
use crate::primitive::abort::rt_abort;
use crate::primitive::cell::UnsafeCell;
use ::corosensei::stack::{Stack, StackPointer};
use ::corosensei::{CoroutineResult, Yielder};
use std::convert::Infallible;
use std::ptr;

type Coroutine = ::corosensei::Coroutine<*const Context, (), Infallible, Bounds>;

/// A suspended flow of control. One that has been resumed must not move.
///
/// | field | who | when |
/// |---|---|---|
/// | `coroutine` | whoever resumes it | from the resumption to the next suspension |
/// | | `switch` to a root | reads that it is `None`, which never changes |
/// | `yielder` | the context itself | written at its start, read when it suspends itself |
pub(crate) struct Context {
    /// `None` in a root context, and in one that nobody has prepared.
    coroutine: UnsafeCell<Option<Coroutine>>,
    /// How the running coroutine suspends itself; null before it first ran.
    yielder: UnsafeCell<*const Yielder<*const Context, ()>>,
}

/// A stack somebody else owns.
#[derive(Debug)]
struct Bounds {
    bottom: StackPointer,
    top: StackPointer,
}

// SAFETY: by the clauses of `prepare` the bounds enclose writable memory, whose overflow its owner
// guards, and the top is 16-byte aligned.
unsafe impl Stack for Bounds {
    fn base(&self) -> StackPointer {
        self.top
    }

    fn limit(&self) -> StackPointer {
        self.bottom
    }
}

impl Context {
    /// A context in which nothing is suspended yet.
    #[expect(clippy::declare_interior_mutable_const, reason = "each use is a new, empty place")]
    pub(crate) const EMPTY: Self =
        Self { coroutine: UnsafeCell::new(None), yielder: UnsafeCell::new(ptr::null()) };

    /// Where the frame lies is corosensei's business.
    pub(crate) fn prefetch(&self) {}

    /// Whether there is no coroutine: whoever is suspended here waits in [`resume`].
    fn is_root(&self) -> bool {
        self.coroutine.with(|coroutine| {
            // SAFETY: nobody writes the field of a root context; that of another one is not
            // written either, because by the clauses of `switch` it is suspended.
            unsafe { &*coroutine }.is_none()
        })
    }
}

impl Drop for Context {
    /// Forgets what is suspended here; nothing on its stack is dropped.
    fn drop(&mut self) {
        self.coroutine.with_mut(|coroutine| {
            // SAFETY: `&mut self`: nobody else uses the field.
            let coroutine = unsafe { &mut *coroutine };
            if let Some(coroutine) = coroutine {
                // SAFETY: who drops or overwrites a context gives up its stack: either its entry
                // has done all it has to, or it never began.
                unsafe { coroutine.force_reset() };
            }
        });
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}

/// Whether a green thread may switch to a green thread.
pub(crate) const DIRECT: bool = false;

/// Makes a context that will call `entry(argument)` on the stack `[stack_bottom, stack_top)`.
///
/// # Safety
/// - `[stack_bottom, stack_top)` is writable memory that nobody else uses until the context has
///   been left for the last time, guarded below; `stack_top` is a multiple of 16.
/// - `entry` may be called with `argument` on the thread that resumes the context, and does not
///   return or unwind.
pub(crate) unsafe fn prepare(
    stack_bottom: *mut u8,
    stack_top: *mut u8,
    entry: Entry,
    argument: *mut (),
) -> Context {
    let bottom = StackPointer::new(stack_bottom as usize).expect("a stack is not at address 0");
    let top = StackPointer::new(stack_top as usize).expect("a stack is not at address 0");
    let body = move |yielder: &Yielder<*const Context, ()>, context: *const Context| {
        // SAFETY: the first resumption passes the address of this very context, which lives while
        // it is used and does not move any more.
        let context = unsafe { &*context };
        // SAFETY: only the context itself uses the field, and it does not do so elsewhere now.
        context.yielder.with_mut(|place| unsafe { *place = yielder });
        // SAFETY: these words are what all Rust code expects.
        unsafe { FloatControl::INITIAL.load() };
        // SAFETY: the second clause.
        unsafe { entry(argument) }
    };
    let coroutine = Coroutine::with_stack(Bounds { bottom, top }, body);
    Context { coroutine: UnsafeCell::new(Some(coroutine)), yielder: UnsafeCell::new(ptr::null()) }
}

/// Suspends the caller into `save`, makes `to_tp` the thread pointer and resumes `to`.
///
/// # Switches
/// Returns when somebody switches to `save`, perhaps on another OS thread.
///
/// # Safety
/// - `super::choose` has returned `Ok`.
/// - `save` and `to` are valid for the duration of the switch, and nobody else uses either.
/// - `to` holds a context that was prepared or suspended, and not resumed since.
/// - `to_tp` is the thread pointer that context was suspended with, or for a prepared one that of
///   a block of thread-locals no other thread runs on.
/// - The caller is resumed with the thread pointer it has now.
/// - Either `save` or `to` is the root context of this machine ([`DIRECT`] is `false`).
pub(crate) unsafe fn switch(save: *const Context, to: *const Context, to_tp: usize) {
    let float = FloatControl::read();
    // SAFETY: the second clause.
    if unsafe { &*to }.is_root() {
        // SAFETY: the second clause; by the last one the caller is the coroutine in `save`.
        suspend(unsafe { &*save });
    } else {
        // SAFETY: `to_tp` is good for `to` by the fourth clause; `resume_here` takes a context
        // with a coroutine, does not unwind, and returns on the thread pointer it has.
        unsafe { call_on(to_tp, resume_here, to.cast_mut().cast()) };
    }
    // SAFETY: the words the caller had, and allowed for.
    unsafe { float.load() };
}

/// Suspends the running coroutine, which is the one in `context`.
fn suspend(context: &Context) {
    // SAFETY: only the context itself uses the field.
    let yielder = context.yielder.with(|yielder| unsafe { *yielder });
    // SAFETY: null, or the yielder of the coroutine that runs: it lives on its stack.
    match unsafe { yielder.as_ref() } {
        Some(yielder) => _ = yielder.suspend(()),
        None => rt_abort!("arch: a context switched to a root without having been resumed"),
    }
}

/// Resumes the coroutine in `to`, a `*const Context`, and returns when it suspends itself.
unsafe extern "C" fn resume_here(to: *mut ()) {
    let context: *const Context = to.cast_const().cast();
    // SAFETY: `switch` passes a valid context.
    let cell = unsafe { &(*context).coroutine };
    cell.with_mut(|coroutine| {
        // SAFETY: by the clauses of `switch` only this machine uses the coroutine, and the
        // coroutine itself uses only `yielder`.
        let coroutine = unsafe { &mut *coroutine };
        match coroutine.as_mut().map(|coroutine| coroutine.resume(context)) {
            Some(CoroutineResult::Yield(())) => {}
            Some(CoroutineResult::Return(never)) => match never {},
            None => rt_abort!("arch: resumed a context that was never prepared"),
        }
    });
}
