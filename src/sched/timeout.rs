//! The deadline that a thread's waits for input and output inherit from `time::timeout`.
//!
//! It is a word of the thread's header, so it moves with a green thread, and an OS thread has one
//! as well. Only the thread itself reads or writes it.

use super::wait::current_or_adopt;

/// Runs `f` with the deadline `deadline_ns`, or with the present one if that is earlier; puts the
/// present one back afterwards, also when `f` panics.
pub(crate) fn with_deadline<R>(deadline_ns: u64, f: impl FnOnce() -> R) -> R {
    struct Restore(u64);
    impl Drop for Restore {
        fn drop(&mut self) {
            current_or_adopt().set_deadline_ns(self.0);
        }
    }
    let me = current_or_adopt();
    let restore = Restore(me.deadline_ns());
    me.set_deadline_ns(deadline_ns.min(restore.0));
    let value = f();
    drop(restore);
    value
}

/// The deadline of a wait that has `own_ns` for its own: that, or the inherited one if it is earlier.
pub(crate) fn earlier_deadline_ns(own_ns: u64) -> u64 {
    deadline_ns().map_or(own_ns, |inherited_ns| inherited_ns.min(own_ns))
}

/// The deadline of the innermost `time::timeout` around the running thread, in nanoseconds of the
/// monotonic clock.
pub(crate) fn deadline_ns() -> Option<u64> {
    let deadline_ns = crate::green::current()?.deadline_ns();
    (deadline_ns != u64::MAX).then_some(deadline_ns)
}
