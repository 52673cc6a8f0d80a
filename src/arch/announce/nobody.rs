//! No sanitizer: nobody listens, and everything here compiles to nothing.

/// A flow of control, which nobody needs to know of in this build.
#[derive(Debug)]
pub(crate) struct Flow;

impl Flow {
    /// The flow of a context that nobody has prepared.
    pub(crate) const fn none() -> Self {
        Self
    }

    /// Notes the running OS thread's own flow.
    #[inline(always)]
    pub(crate) fn of_thread(&self) {}

    /// Begins the flow of a fresh context.
    #[inline(always)]
    pub(crate) fn begin(&self, _bottom: *mut u8, _top: *mut u8) {}

    /// Announces that `to` goes on; the switch follows.
    #[inline(always)]
    pub(crate) fn leave_for(&self, _to: &Flow) {}

    /// As `leave_for`, for the last time.
    #[inline(always)]
    pub(crate) fn leave_for_good(&self, _to: &Flow) {}

    /// Announces that this flow goes on.
    #[inline(always)]
    pub(crate) fn arrive(&self) {}

    /// Ends the flow of a context that was left for good.
    #[inline(always)]
    pub(crate) fn end(&self) {}
}
