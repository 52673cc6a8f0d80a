//! The stage of a header: first the closure, then its result.
//!
//! Values of up to [`INLINE_BYTES`] lie in the header itself, larger ones in a box. The type is
//! known to the functions of the header's vtable and to the join handle.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;

/// How large a closure or a result may be to lie in the header.
pub(crate) const INLINE_BYTES: usize = 96;

/// Room for one value.
#[repr(C, align(16))]
#[derive(Debug)]
pub(crate) struct Stage(UnsafeCell<MaybeUninit<[u8; INLINE_BYTES]>>);

/// Whether a `T` lies in the header.
const fn fits<T>() -> bool {
    size_of::<T>() <= INLINE_BYTES && align_of::<T>() <= 16
}

impl Stage {
    /// An empty stage.
    pub(crate) const fn new() -> Self {
        Self(UnsafeCell::new(MaybeUninit::uninit()))
    }

    /// Whether a `T` lies in the header itself.
    pub(crate) const fn is_inline<T>() -> bool {
        fits::<T>()
    }

    /// Puts a value on the stage.
    ///
    /// # Safety
    /// - The caller has the stage for itself, and it is empty.
    #[inline(always)]
    pub(crate) unsafe fn put<T>(&self, value: T) {
        let place = self.0.get();
        if const { fits::<T>() } {
            // SAFETY: the place is large and aligned enough (`fits`), and the caller's alone.
            unsafe { place.cast::<T>().write(value) };
        } else {
            let boxed = Box::into_raw(Box::new(value));
            // SAFETY: the place holds a pointer, and is the caller's alone.
            unsafe { place.cast::<*mut T>().write(boxed) };
        }
    }

    /// Takes the value off the stage.
    ///
    /// # Safety
    /// - The caller has the stage for itself.
    /// - The stage holds a `T`, put there by [`Stage::put`]; afterwards it is empty.
    #[inline(always)]
    pub(crate) unsafe fn take<T>(&self) -> T {
        let place = self.0.get();
        if const { fits::<T>() } {
            // SAFETY: the place holds a `T` (second clause), which is moved out.
            unsafe { place.cast::<T>().read() }
        } else {
            // SAFETY: the place holds the pointer that `put` wrote (second clause).
            let boxed = unsafe { place.cast::<*mut T>().read() };
            // SAFETY: `put` made the pointer from a box, and it is taken once.
            *unsafe { Box::from_raw(boxed) }
        }
    }
}
