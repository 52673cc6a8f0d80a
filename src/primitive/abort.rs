//! The end of the line for a broken runtime invariant.
//!
//! Nothing unwinds through the scheduler: a machine that would, holds a processor, half a switch
//! and somebody's stack. [`rt_abort!`] writes one line by `write(2)`, without allocating and
//! without touching a lock of `std`, and aborts.

/// Reports a broken runtime invariant and aborts the process.
macro_rules! rt_abort {
    ($($arg:tt)*) => {
        $crate::primitive::abort::abort_with(::std::format_args!($($arg)*))
    };
}
pub(crate) use rt_abort;

/// Writes one line to standard error in the same way, for what has nobody to return an error to.
macro_rules! rt_warn {
    ($($arg:tt)*) => {
        $crate::primitive::abort::warn_with(::std::format_args!($($arg)*))
    };
}
#[cfg(not(loom))]
pub(crate) use rt_warn;

use std::fmt::Write as _;

/// A line of text on the stack, cut at its capacity; usable in a signal handler.
#[derive(Debug)]
pub(crate) struct Line {
    bytes: [u8; 512],
    len: usize,
}

impl Line {
    /// An empty line.
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; 512], len: 0 }
    }

    /// Writes what has been gathered to standard error, ignoring failure: there is nobody to tell.
    pub(crate) fn emit(&self) {
        // SAFETY: `bytes[..len]` is initialised memory that lives across the call; fd 2 may be
        // closed, which write(2) reports and we ignore.
        unsafe { libc::write(2, self.bytes.as_ptr().cast(), self.len) };
    }
}

impl std::fmt::Write for Line {
    fn write_str(&mut self, s: &str) -> std::fmt::Result {
        let room = self.bytes.len() - self.len;
        let n = s.len().min(room);
        self.bytes[self.len..self.len + n].copy_from_slice(&s.as_bytes()[..n]);
        self.len += n;
        Ok(())
    }
}

/// The function behind [`rt_warn!`].
#[cfg(not(loom))]
#[cold]
#[inline(never)]
pub(crate) fn warn_with(warning: std::fmt::Arguments<'_>) {
    let mut line = Line::new();
    // A `Line` never fails to be written to; what does not fit is cut.
    let _ = writeln!(line, "gthread: {warning}");
    line.emit();
}

/// The function behind [`rt_abort!`].
#[cold]
#[inline(never)]
pub(crate) fn abort_with(reason: std::fmt::Arguments<'_>) -> ! {
    let mut line = Line::new();
    // A `Line` never fails to be written to; what does not fit is cut.
    let _ = writeln!(line, "gthread: fatal: {reason}");
    line.emit();
    std::process::abort()
}
