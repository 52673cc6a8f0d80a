//! The environment, without allocating: for code that runs below the allocator.

/// The value of a variable at the start of the process.
///
/// NOTE: to be called before user code can change the environment (the allocator does, at the
/// first allocation): the value is libc's own memory.
pub(crate) fn get(name: &std::ffi::CStr) -> Option<&'static [u8]> {
    // SAFETY: `name` is a C string; nobody writes to the environment at this point.
    let value = unsafe { libc::getenv(name.as_ptr()) };
    if value.is_null() {
        return None;
    }
    // SAFETY: a value of the environment is a C string, which libc keeps.
    Some(unsafe { std::ffi::CStr::from_ptr(value) }.to_bytes())
}

/// A random word of the kernel's, if it has one to give without waiting.
#[cfg(feature = "alloc-hardened")]
pub(crate) fn random_word() -> Option<u64> {
    let mut word = 0u64;
    let (bytes, saved) = (size_of::<u64>(), super::futex::errno());
    // SAFETY: `word` is a valid buffer of its size.
    let got = unsafe { libc::getrandom((&raw mut word).cast(), bytes, libc::GRND_NONBLOCK) };
    super::futex::set_errno(saved);
    (got == bytes as isize).then_some(word)
}
