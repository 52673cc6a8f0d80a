//! Futex wait and wake, private to the process.
//!
//! `errno` is preserved: these run on green threads, between two instructions of user code.

use crate::primitive::atomic::AtomicU32;

/// How a wait ended. A wake may be spurious: callers re-check their condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// Woken, interrupted, or the word did not hold the expected value.
    Woken,
    /// The deadline passed.
    Deadline,
}

/// Sleeps while `word` holds `expected`, until a wake or the absolute `CLOCK_MONOTONIC` deadline
/// in nanoseconds.
pub(crate) fn wait(word: &AtomicU32, expected: u32, deadline_ns: Option<u64>) -> Waited {
    let deadline = deadline_ns.map(super::clock::timespec);
    let deadline = deadline.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let saved = errno();
    // SAFETY: `word` lives across the call; `deadline` is null or points to a live timespec.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex,
            std::ptr::from_ref(word),
            libc::FUTEX_WAIT_BITSET | libc::FUTEX_PRIVATE_FLAG,
            expected,
            deadline,
            std::ptr::null::<u32>(),
            libc::FUTEX_BITSET_MATCH_ANY,
        )
    };
    let timed_out = result == -1 && errno() == libc::ETIMEDOUT;
    set_errno(saved);
    if timed_out { Waited::Deadline } else { Waited::Woken }
}

/// Wakes at most `count` threads that wait on `word`; returns how many it woke.
pub(crate) fn wake(word: &AtomicU32, count: u32) -> u32 {
    let saved = errno();
    // SAFETY: the kernel only uses the address of `word` as a key and never writes through it.
    let woken = unsafe {
        libc::syscall(
            libc::SYS_futex,
            std::ptr::from_ref(word),
            libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
            count,
        )
    };
    set_errno(saved);
    woken.max(0) as u32
}

/// The running thread's `errno`.
pub(crate) fn errno() -> i32 {
    // SAFETY: `__errno_location` returns the running thread's errno, always valid.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: valid and of this thread alone.
    unsafe { *place }
}

/// Sets the running thread's `errno`.
pub(crate) fn set_errno(value: i32) {
    // SAFETY: `__errno_location` returns the running thread's errno, always valid.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: valid and of this thread alone.
    unsafe { *place = value };
}
