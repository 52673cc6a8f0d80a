//! An `UnsafeCell` in loom's form: access by closure, so that a model sees every access.

#[cfg(loom)]
#[allow(unused_imports, reason = "models compile a part of the crate")]
pub(crate) use loom::cell::UnsafeCell;

/// A cell whose contents are reached through raw pointers lent to a closure.
#[cfg(not(loom))]
#[derive(Debug, Default)]
#[repr(transparent)]
pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[cfg(not(loom))]
impl<T> UnsafeCell<T> {
    /// Makes a cell that holds `value`.
    pub(crate) const fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    /// Lends a shared pointer to the contents; the caller upholds aliasing while it reads.
    #[inline(always)]
    pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }

    /// Lends an exclusive pointer to the contents; the caller upholds aliasing while it writes.
    #[inline(always)]
    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}
