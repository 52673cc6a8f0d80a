//! Asking the memory for a cache line ahead of its use.

/// Starts to fetch the cache line at `address`; a hint that has no effect on any value.
///
/// `address` need not be valid: a prefetch never faults.
#[inline(always)]
pub(crate) fn prefetch<T>(address: *const T) {
    cfg_if::cfg_if! {
        if #[cfg(all(target_arch = "x86_64", not(miri)))] {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: SSE is part of x86-64, and `prefetcht0` takes any address without a fault.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
        } else {
            // NOTE: aarch64's is not stable in `std::arch`; there the heap waits a little longer.
            let _ = address;
        }
    }
}
