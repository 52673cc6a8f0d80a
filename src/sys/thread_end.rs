//! What a process tells about its threads: the end of one, the time it has used, and a fork.

use std::ffi::c_void;

/// A thread-specific key whose destructor runs at the end of each thread that set it.
pub(crate) type Key = libc::pthread_key_t;

/// Makes a key; `None` if the process has too many.
pub(crate) fn key(destructor: unsafe extern "C" fn(*mut c_void)) -> Option<Key> {
    let mut key = 0;
    // SAFETY: `key` is a valid place; the destructor is called with what `set` was given.
    let result = unsafe { libc::pthread_key_create(&raw mut key, Some(destructor)) };
    (result == 0).then_some(key)
}

/// Sets the running thread's value: a value other than null arms the destructor.
pub(crate) fn set(key: Key, value: *const c_void) -> bool {
    // SAFETY: `key` was made by `key` and is never deleted.
    unsafe { libc::pthread_setspecific(key, value) == 0 }
}

/// Registers handlers that run around every fork; `false` if there is no memory.
pub(crate) fn at_fork(
    prepare: unsafe extern "C" fn(),
    parent: unsafe extern "C" fn(),
    child: unsafe extern "C" fn(),
) -> bool {
    // SAFETY: the handlers are functions of this crate, which is never unloaded while in use.
    unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) == 0 }
}

/// Processor time of the running thread in nanoseconds.
pub(crate) fn time_used_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place; every Linux has the clock.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
