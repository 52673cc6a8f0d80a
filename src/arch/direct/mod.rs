//! The assembly backend: a context is the stack pointer below its saved registers.
//!
//! The frame that [`switch`] leaves on a stack is drawn in `asm/README.md`; its layout is
//! `frame::Frame`. [`prepare`] writes the same frame, with the address of the start trampoline as
//! its return address, so that the first resumption is like any other.

use super::Entry;
use crate::primitive::cell::UnsafeCell;

cfg_if::cfg_if! {
    if #[cfg(target_arch = "x86_64")] {
        mod x86_64;
        use x86_64 as frame;
    } else if #[cfg(target_arch = "aarch64")] {
        mod aarch64;
        use aarch64 as frame;
    }
}

/// A suspended flow of control.
///
/// | field | who | when |
/// |---|---|---|
/// | `stack_pointer` | the context itself, in `switch` | written as it suspends itself |
/// | | whoever resumes it, in `switch` | read; the scheduler orders it after the write |
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Context {
    /// The address of the `frame::Frame` on the context's stack; 0 when nothing is suspended.
    stack_pointer: UnsafeCell<usize>,
}

impl Context {
    /// A context in which nothing is suspended yet.
    #[expect(clippy::declare_interior_mutable_const, reason = "each use is a new, empty place")]
    pub(crate) const EMPTY: Self = Self { stack_pointer: UnsafeCell::new(0) };

    /// Asks for the cache lines of the saved frame, and for the next: the frame of the caller.
    #[inline(always)]
    pub(crate) fn prefetch(&self) {
        // SAFETY: the caller has the context to itself, as for a switch to it.
        let frame = self.stack_pointer.with(|stack_pointer| unsafe { *stack_pointer });
        super::prefetch(frame);
        super::prefetch(frame.wrapping_add(64));
    }

    /// Where in a `Context` the assembly finds the stack pointer.
    pub(super) const STACK_POINTER: usize = core::mem::offset_of!(Context, stack_pointer);
}

/// Whether a green thread may switch to a green thread.
pub(crate) const DIRECT: bool = true;

/// Makes a context that will call `entry(argument)` on the stack `[stack_bottom, stack_top)`.
///
/// # Safety
/// - `[stack_bottom, stack_top)` is writable memory that nobody else uses until the context has
///   been left for the last time; `stack_top` is a multiple of 16.
/// - `entry` may be called with `argument` on the thread that resumes the context, and does not
///   return or unwind.
pub(crate) unsafe fn prepare(
    stack_bottom: *mut u8,
    stack_top: *mut u8,
    entry: Entry,
    argument: *mut (),
) -> Context {
    debug_assert_eq!(stack_top as usize % 16, 0, "the top of a stack is 16-byte aligned");
    debug_assert!(stack_top as usize - stack_bottom as usize >= size_of::<frame::Frame>());
    // SAFETY: the first clause: there is room for a frame below the top.
    let place = unsafe { stack_top.sub(size_of::<frame::Frame>()) }.cast::<frame::Frame>();
    // SAFETY: writable memory of our own; both the top and the size of a frame are multiples of
    // 16, so `place` is aligned.
    unsafe { place.write(frame::Frame::first(entry, argument)) };
    Context { stack_pointer: UnsafeCell::new(place as usize) }
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
#[inline(always)]
pub(crate) unsafe fn switch(save: *const Context, to: *const Context, to_tp: usize) {
    // SAFETY: the callee's clauses are ours.
    unsafe { frame::switch(save, to, to_tp) }
}
