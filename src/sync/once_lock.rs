//! `OnceLock`: a value that is written once.

use super::deadline;
use super::once::Once;
use crate::primitive::cell::UnsafeCell;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

/// A cell that is written once, and read by everybody after that: names and semantics of
/// `std::sync::OnceLock`.
///
/// Who comes while another thread makes the value blocks, green or not, until it is there. If
/// making it panics the cell stays empty, and the next one tries again. A closure that comes to
/// its own cell waits for ever.
///
/// # Examples
/// ```
/// static NAME: gthread::sync::OnceLock<String> = gthread::sync::OnceLock::new();
/// assert_eq!(NAME.get(), None);
/// assert_eq!(NAME.get_or_init(|| "a name".to_owned()), "a name");
/// assert_eq!(NAME.set("another".to_owned()), Err("another".to_owned()));
/// ```
///
/// What it holds goes from thread to thread, so it has to be `Send`:
/// ```compile_fail,E0277
/// fn share<T: Sync>(_: T) {}
/// share(gthread::sync::OnceLock::<std::rc::Rc<u32>>::new());
/// ```
pub struct OnceLock<T> {
    once: Once,
    /// Written by the one run of `once` that completes; read by who has seen it complete, or
    /// holds the cell exclusively.
    value: UnsafeCell<Option<T>>,
}

// SAFETY: the value is written by one thread and may be read or dropped by another (`T: Send`),
// and is read by several at a time (`T: Sync`).
unsafe impl<T: Sync + Send> Sync for OnceLock<T> {}
// SAFETY: an owned cell is an owned value.
unsafe impl<T: Send> Send for OnceLock<T> {}

impl<T: RefUnwindSafe + UnwindSafe> RefUnwindSafe for OnceLock<T> {}
impl<T: UnwindSafe> UnwindSafe for OnceLock<T> {}

impl<T> OnceLock<T> {
    /// An empty cell.
    pub const fn new() -> Self {
        Self { once: Once::new(), value: UnsafeCell::new(None) }
    }

    /// The value, if it is there.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        if !self.once.is_completed() {
            return None;
        }
        // SAFETY: complete: nobody writes any more while the cell is shared.
        self.value.with(|value| unsafe { &*value }.as_ref())
    }

    /// The value, if it is there.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        // SAFETY: `&mut self`: nobody else reaches the value.
        self.value.with_mut(|value| unsafe { &mut *value }.as_mut())
    }

    /// Writes the value if the cell is empty. Blocks while another thread makes it.
    ///
    /// # Errors
    /// The value, if the cell is full.
    pub fn set(&self, value: T) -> Result<(), T> {
        let mut value = Some(value);
        self.get_or_init(|| value.take().expect("the closure is called at most once"));
        value.map_or(Ok(()), Err)
    }

    /// The value; if there is none yet, `f` makes it. Of several callers one calls its closure.
    ///
    /// # Panics
    /// If `f` does; the cell stays empty.
    #[inline]
    pub fn get_or_init(&self, f: impl FnOnce() -> T) -> &T {
        if let Some(value) = self.get() {
            return value;
        }
        self.once.call_once_force(|_| {
            let made = f();
            // SAFETY: the one run at this time, and nobody reads before it has completed.
            self.value.with_mut(|value| unsafe { *value = Some(made) });
        });
        self.get().expect("a run that completes has written the value")
    }

    /// Blocks the running thread until the value is there.
    pub fn wait(&self) -> &T {
        self.once.wait_force();
        self.get().expect("a run that completes has written the value")
    }

    /// As [`wait`](OnceLock::wait), for at most `timeout`; inside a
    /// [`time::timeout`](crate::time::timeout) until the earlier of the two.
    pub fn wait_timeout(&self, timeout: Duration) -> Option<&T> {
        self.once.wait_by(false, Some(deadline::after(timeout)))?;
        self.get()
    }

    /// As [`wait_timeout`](OnceLock::wait_timeout), until `deadline`.
    pub fn wait_until(&self, deadline: Instant) -> Option<&T> {
        self.once.wait_by(false, Some(deadline::at(deadline)))?;
        self.get()
    }

    /// The value, if it is there.
    pub fn into_inner(mut self) -> Option<T> {
        self.take()
    }

    /// The value, if it is there; leaves the cell empty.
    pub fn take(&mut self) -> Option<T> {
        self.once.reset();
        // SAFETY: `&mut self`: nobody else reaches the value.
        self.value.with_mut(|value| unsafe { &mut *value }.take())
    }
}

impl<T> Default for OnceLock<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Clone> Clone for OnceLock<T> {
    fn clone(&self) -> Self {
        self.get().cloned().map_or_else(Self::new, Self::from)
    }
}

impl<T> From<T> for OnceLock<T> {
    fn from(value: T) -> Self {
        let cell = Self::new();
        let _is_empty = cell.set(value);
        cell
    }
}

impl<T: PartialEq> PartialEq for OnceLock<T> {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq> Eq for OnceLock<T> {}

impl<T: fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OnceLock").field(&self.get()).finish()
    }
}
