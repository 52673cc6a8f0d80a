//! Branches of the fast paths on words that others may read, in two instructions each.
//!
//! A relaxed load keeps the compiler from comparing with memory, and a relaxed load and store
//! from using the flags of the subtraction: of the 19 instructions of `dealloc` three go that
//! way. Here an aligned access in assembly is what a relaxed one compiles to. Elsewhere (other
//! architectures, sanitizers, which have to see the accesses) it is the relaxed one.

use crate::primitive::atomic::AtomicUsize;

cfg_if::cfg_if! {
    if #[cfg(all(target_arch = "x86_64", not(any(gthread_tsan, gthread_asan, miri))))] {
        use std::arch::asm;

        /// Whether `word` holds `value`, as by a relaxed load.
        #[inline(always)]
        pub(crate) fn holds(word: &AtomicUsize, value: usize) -> bool {
            // SAFETY: reads the word, which is aligned and borrowed.
            unsafe {
                asm!(
                    "cmp qword ptr [{word}], {value}",
                    "jne {differs}",
                    word = in(reg) word.as_ptr(),
                    value = in(reg) value,
                    differs = label { return false },
                    options(readonly, nostack),
                );
            }
            true
        }

        /// Takes 1 from the word at `OFFSET` bytes in `object`, which only the caller writes;
        /// whether it held 1 at most.
        ///
        /// # Safety
        /// - There is an `AtomicU32` at that offset.
        #[inline(always)]
        pub(crate) unsafe fn decrement_to_zero<T, const OFFSET: usize>(object: &T) -> bool {
            // SAFETY: writes the word, which is aligned, borrowed, and the caller's to write.
            unsafe {
                asm!(
                    "sub dword ptr [{object} + {offset}], 1",
                    "jbe {zero}",
                    object = in(reg) std::ptr::from_ref(object),
                    offset = const OFFSET,
                    zero = label { return true },
                    options(nostack),
                );
            }
            false
        }

        /// Takes 1 from the word at `OFFSET` bytes in `object`, which only the caller writes, or
        /// which is never more than 0; whether it is below 0 now.
        ///
        /// # Safety
        /// - There is an `AtomicU32` at that offset.
        #[inline(always)]
        pub(crate) unsafe fn decrement_below_zero<T, const OFFSET: usize>(object: &T) -> bool {
            // SAFETY: writes the word, which is aligned and borrowed, as a relaxed load and a
            // relaxed store would.
            unsafe {
                asm!(
                    "sub dword ptr [{object} + {offset}], 1",
                    "js {below}",
                    object = in(reg) std::ptr::from_ref(object),
                    offset = const OFFSET,
                    below = label { return true },
                    options(nostack),
                );
            }
            false
        }
    } else {
        use crate::primitive::atomic::{AtomicU32, Ordering};

        /// Whether `word` holds `value`.
        #[inline(always)]
        pub(crate) fn holds(word: &AtomicUsize, value: usize) -> bool {
            // ORDERING: Relaxed; the caller says what it asks.
            word.load(Ordering::Relaxed) == value
        }

        /// Takes 1 from the word at `OFFSET` bytes in `object`, which only the caller writes;
        /// whether it held 1 at most.
        ///
        /// # Safety
        /// - There is an `AtomicU32` at that offset.
        #[inline(always)]
        pub(crate) unsafe fn decrement_to_zero<T, const OFFSET: usize>(object: &T) -> bool {
            // SAFETY: the caller's clause.
            unsafe { decrement::<T, OFFSET>(object) <= 1 }
        }

        /// Takes 1 from the word at `OFFSET` bytes in `object`, which only the caller writes, or
        /// which is never more than 0; whether it is below 0 now.
        ///
        /// # Safety
        /// - There is an `AtomicU32` at that offset.
        #[inline(always)]
        pub(crate) unsafe fn decrement_below_zero<T, const OFFSET: usize>(object: &T) -> bool {
            // SAFETY: the caller's clause.
            unsafe { decrement::<T, OFFSET>(object) as i32 <= 0 }
        }

        /// Takes 1 from the word; returns what it held.
        ///
        /// # Safety
        /// - There is an `AtomicU32` at that offset.
        #[inline(always)]
        unsafe fn decrement<T, const OFFSET: usize>(object: &T) -> u32 {
            // SAFETY: by the caller's clause inside the object.
            let word = unsafe { std::ptr::from_ref(object).byte_add(OFFSET) };
            // SAFETY: the caller's clause; the object is borrowed.
            let word = unsafe { &*word.cast::<AtomicU32>() };
            // ORDERING: Relaxed; only the caller writes, or any of these values will do.
            let value = word.load(Ordering::Relaxed);
            // ORDERING: Relaxed; others count only.
            word.store(value.wrapping_sub(1), Ordering::Relaxed);
            value
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitive::atomic::{AtomicU32, Ordering};

    #[test]
    fn a_word_holds_what_was_stored_and_nothing_else() {
        let word = AtomicUsize::new(usize::MAX - 1);
        assert!(holds(&word, usize::MAX - 1));
        assert!(!holds(&word, usize::MAX));
        assert!(!holds(&word, 0));
    }

    #[test]
    fn one_less_is_stored_and_one_or_none_is_told() {
        const MAX: u32 = u32::MAX;
        for (value, less, told) in
            [(2, 1, false), (1, 0, true), (0, MAX, true), (MAX, MAX - 1, false)]
        {
            let words = [5, value, 7].map(AtomicU32::new);
            // SAFETY: the second word is at this offset.
            assert_eq!(unsafe { decrement_to_zero::<_, 4>(&words) }, told, "{value}");
            // ORDERING: Relaxed; one thread.
            assert_eq!(words.each_ref().map(|word| word.load(Ordering::Relaxed)), [5, less, 7]);
        }
    }

    #[test]
    fn one_less_is_stored_and_less_than_none_is_told() {
        const MAX: u32 = u32::MAX;
        for (value, less, told) in
            [(2, 1, false), (1, 0, false), (0, MAX, true), (MAX, MAX - 1, true)]
        {
            let words = [5, value, 7].map(AtomicU32::new);
            // SAFETY: the second word is at this offset.
            assert_eq!(unsafe { decrement_below_zero::<_, 4>(&words) }, told, "{value}");
            // ORDERING: Relaxed; one thread.
            assert_eq!(words.each_ref().map(|word| word.load(Ordering::Relaxed)), [5, less, 7]);
        }
    }
}
