//! ThreadSanitizer: a flow of control is one of its fibers.

use std::cell::Cell;
use std::ffi::{c_uint, c_void};

unsafe extern "C" {
    fn __tsan_get_current_fiber() -> *mut c_void;
    fn __tsan_create_fiber(flags: c_uint) -> *mut c_void;
    fn __tsan_switch_to_fiber(flow: *mut c_void, flags: c_uint);
    fn __tsan_destroy_fiber(flow: *mut c_void);
}

/// A flow of control, as ThreadSanitizer knows it.
#[derive(Debug)]
pub(crate) struct Flow(Cell<*mut c_void>);

impl Flow {
    /// The flow of a context that nobody has prepared.
    pub(crate) const fn none() -> Self {
        Self(Cell::new(std::ptr::null_mut()))
    }

    /// Notes the running OS thread's own flow.
    pub(crate) fn of_thread(&self) {
        // SAFETY: takes nothing; the answer is valid while the OS thread lives.
        self.0.set(unsafe { __tsan_get_current_fiber() });
    }

    /// Begins the flow of a fresh context.
    pub(crate) fn begin(&self, _bottom: *mut u8, _top: *mut u8) {
        // SAFETY: takes a number; 0 is the only flag that exists for it.
        self.0.set(unsafe { __tsan_create_fiber(0) });
    }

    /// Announces that `to` goes on; the switch follows.
    #[inline(always)]
    pub(crate) fn leave_for(&self, to: &Flow) {
        // SAFETY: `to` was begun or is a thread's own, and has not ended.
        unsafe { __tsan_switch_to_fiber(to.0.get(), 0) };
    }

    /// As `leave_for`, for the last time.
    #[inline(always)]
    pub(crate) fn leave_for_good(&self, to: &Flow) {
        self.leave_for(to);
    }

    /// Announces that this flow goes on: nothing to say.
    #[inline(always)]
    pub(crate) fn arrive(&self) {}

    /// Ends the flow of a context that was left for good.
    pub(crate) fn end(&self) {
        // SAFETY: begun once, left for good, and not the running one.
        unsafe { __tsan_destroy_fiber(self.0.replace(std::ptr::null_mut())) };
    }
}
