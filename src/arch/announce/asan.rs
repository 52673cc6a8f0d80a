//! AddressSanitizer: a flow of control is a stack, and the fake stack beside it.

use std::cell::Cell;
use std::ffi::c_void;

unsafe extern "C" {
    fn __sanitizer_start_switch_fiber(save: *mut *mut c_void, bottom: *const c_void, bytes: usize);
    fn __sanitizer_finish_switch_fiber(
        save: *mut c_void,
        bottom: *mut *const c_void,
        bytes: *mut usize,
    );
    fn __asan_unpoison_memory_region(start: *const c_void, bytes: usize);
}

/// A flow of control, as AddressSanitizer knows it: its stack, and its fake stack while
/// it is suspended.
#[derive(Debug)]
pub(crate) struct Flow {
    bottom: Cell<*const c_void>,
    bytes: Cell<usize>,
    fake: Cell<*mut c_void>,
}

impl Flow {
    /// The flow of a context that nobody has prepared.
    pub(crate) const fn none() -> Self {
        Self {
            bottom: Cell::new(std::ptr::null()),
            bytes: Cell::new(0),
            fake: Cell::new(std::ptr::null_mut()),
        }
    }

    /// Notes the running OS thread's own flow.
    pub(crate) fn of_thread(&self) {
        let (bottom, bytes) = crate::sys::thread::stack();
        self.bottom.set(bottom.cast());
        self.bytes.set(bytes);
    }

    /// Begins the flow of a fresh context.
    pub(crate) fn begin(&self, bottom: *mut u8, top: *mut u8) {
        self.bottom.set(bottom.cast_const().cast());
        self.bytes.set(top.addr() - bottom.addr());
        self.fake.set(std::ptr::null_mut());
    }

    /// Announces that `to` goes on; the switch follows.
    #[inline(always)]
    pub(crate) fn leave_for(&self, to: &Flow) {
        // SAFETY: `to` describes a stack that is mapped; `fake` is a place for a pointer.
        unsafe {
            __sanitizer_start_switch_fiber(self.fake.as_ptr(), to.bottom.get(), to.bytes.get());
        }
    }

    /// As `leave_for`, for the last time: frees the fake stack.
    #[inline(always)]
    pub(crate) fn leave_for_good(&self, to: &Flow) {
        let none = std::ptr::null_mut();
        // SAFETY: as in `leave_for`; null says that nobody comes back.
        unsafe { __sanitizer_start_switch_fiber(none, to.bottom.get(), to.bytes.get()) };
    }

    /// Announces that this flow goes on.
    #[inline(always)]
    pub(crate) fn arrive(&self) {
        let none = std::ptr::null_mut();
        // SAFETY: the fake stack is this flow's own, null at its start; nobody asks where
        // it came from.
        unsafe { __sanitizer_finish_switch_fiber(self.fake.get(), none, none.cast()) };
    }

    /// Ends the flow of a context that was left for good: frames that were left without
    /// returning no longer forbid the use of their memory.
    pub(crate) fn end(&self) {
        // SAFETY: the stack is mapped, and nobody runs on it.
        unsafe { __asan_unpoison_memory_region(self.bottom.get(), self.bytes.get()) };
    }
}
