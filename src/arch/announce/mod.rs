//! Tells a sanitizer of each switch; nothing at all in every other build.
//!
//! ThreadSanitizer keeps a shadow call stack and a vector clock per flow of control, and
//! AddressSanitizer the bounds of the running stack and a fake stack for locals. Both take the
//! running OS thread's unless they are told that another flow of control goes on. So each
//! [`Context`](super::Context) has a [`Flow`] beside it:
//!
//! 1. [`Flow::of_thread`] on a machine's own stack, [`Flow::begin`] with a green thread's stack.
//! 2. [`Flow::leave_for`] right before the switch, [`Flow::arrive`] right after it, on the other
//!    side; a flow that never comes back leaves by [`Flow::leave_for_good`].
//! 3. [`Flow::end`] by somebody else, when the stack is given up.
//!
//! Under ThreadSanitizer a switch orders what was done before it with what comes after it, on
//! the same machine: a race between two green threads is found when they run side by side.
//!
//! Source: compiler-rt `tsan_interface.h`, `common_interface_defs.h`.

cfg_if::cfg_if! {
    if #[cfg(gthread_tsan)] {
        mod tsan;
        pub(crate) use tsan::Flow;
    } else if #[cfg(gthread_asan)] {
        mod asan;
        pub(crate) use asan::Flow;
    } else {
        mod nobody;
        pub(crate) use nobody::Flow;
    }
}
