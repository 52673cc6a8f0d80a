//! A number that the first thread to ask for it makes, while others wait: the key of caches.
//!
//! | word | means |
//! |---|---|
//! | 0 | nobody has asked |
//! | 1 | somebody makes it; others wait in the kernel |
//! | 2 | it could not be made |
//! | n + 3 | it is n |
//!
//! `std`'s `Once` and `OnceLock` may allocate or park by thread-locals; this runs below the
//! allocator. What the maker writes before it returns is seen by everybody who got the number.

use crate::primitive::atomic::{AtomicU32, Ordering, mutant, ord};
use crate::primitive::futex;

/// The number; see the module.
#[derive(Debug)]
pub(crate) struct OnceNumber(AtomicU32);

impl OnceNumber {
    /// Nobody has asked.
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Nobody has asked.
    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// The number, made by `make` if the caller is the first; `None` if `make` failed.
    pub(crate) fn get(&self, make: impl FnOnce() -> Option<u32>) -> Option<u32> {
        loop {
            // ORDERING: Acquire; pairs with the Release below: receives what the maker wrote.
            let seen = self.0.load(ord!("alloc.once.receive", Acquire));
            if seen >= 2 {
                return seen.checked_sub(3);
            }
            if seen == 1 {
                futex::wait(&self.0, 1, None);
                continue;
            }
            // ORDERING: Relaxed; only the question "was I first" is asked.
            let first = self.0.compare_exchange(0, 1, Ordering::Relaxed, Ordering::Relaxed);
            if first.is_ok() || mutant!("alloc.once.claim") {
                break;
            }
        }
        let number = make();
        let word = number.map_or(2, |number| number + 3);
        // ORDERING: Release; pairs with the Acquire above: publishes what `make` wrote.
        self.0.store(word, ord!("alloc.once.publish", Release));
        futex::wake(&self.0, i32::MAX as u32);
        number
    }
}

#[cfg(all(test, loom))]
mod model;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_first_makes_it_and_a_failure_stays_one() {
        let number = OnceNumber::new();
        assert_eq!(number.get(|| Some(0)), Some(0));
        assert_eq!(number.get(|| panic!("it is made")), Some(0));
        let none = OnceNumber::new();
        assert_eq!(none.get(|| None), None);
        assert_eq!(none.get(|| panic!("it was tried")), None);
    }
}
