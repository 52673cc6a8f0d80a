//! The monotonic clock, in nanoseconds.

/// A reading of `CLOCK_MONOTONIC` in nanoseconds: 0 is an unspecified start, usually boot.
pub(crate) fn now_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for a timespec; the clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The deadline of a wait of `duration` that begins now; `u64::MAX`, which never comes, for a
/// duration too long to add (584 years).
pub(crate) fn deadline_after(duration: std::time::Duration) -> u64 {
    let duration_ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    now_ns().saturating_add(duration_ns)
}

/// An absolute `CLOCK_MONOTONIC` time as a `timespec`.
pub(crate) fn timespec(ns: u64) -> libc::timespec {
    libc::timespec {
        tv_sec: (ns / 1_000_000_000) as libc::time_t,
        tv_nsec: (ns % 1_000_000_000) as libc::c_long,
    }
}
