//! Any other allocator, with its heap by machine instead of by green thread.

use std::alloc::{GlobalAlloc, Layout};

use crate::own_tls::on_machine;

/// Runs the calls of another allocator on the machine's thread pointer.
///
/// An allocator with a heap per thread (mimalloc, jemalloc, snmalloc …) finds it by thread-local
/// storage, and a green thread has thread-locals of its own: such an allocator would build a heap
/// for each green thread. Around `OnMachine` the thread-locals it sees are those of the machine
/// that carries the green thread, so there are as many heaps as machines. On an OS thread that is
/// no green thread it is a plain call.
///
/// # Examples
/// ```
/// use gthread::alloc::OnMachine;
/// use std::alloc::System;
///
/// #[global_allocator]
/// static GLOBAL: OnMachine<System> = OnMachine::new(System);
///
/// assert_eq!(vec![1; 3].len(), 3);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct OnMachine<A>(A);

impl<A> OnMachine<A> {
    /// Wraps an allocator.
    pub const fn new(allocator: A) -> Self {
        Self(allocator)
    }
}

// SAFETY: every call is passed on with its arguments, on another thread pointer; `A` keeps the
// contract, and as a global allocator it neither unwinds nor parks.
unsafe impl<A: GlobalAlloc> GlobalAlloc for OnMachine<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is that of `A`.
        on_machine(|| unsafe { self.0.alloc(layout) })
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is that of `A`.
        on_machine(|| unsafe { self.0.dealloc(block, layout) });
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is that of `A`.
        on_machine(|| unsafe { self.0.alloc_zeroed(layout) })
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's contract is that of `A`.
        on_machine(|| unsafe { self.0.realloc(block, layout, size) })
    }
}
