//! How many blocks of a span are out, counted by one instruction in `alloc` and one in `free`.
//!
//! Both instructions serve their caller's branch as well. `alloc` takes 1 from `ready`, the blocks
//! in the list it pops from, and their sign says whether there was one: the list's end is not
//! looked for. `free` takes 1 from `due`, and at 0 the owner *looks*. Between two slow steps
//!
//! > out = `base` + `due` - `ready`
//!
//! holds: either instruction changes one term. A look makes `due` the number of blocks out, so
//! that the next one comes after so many frees: a span cannot have become empty before (**Inv.
//! Due**: `due` is at most the number of blocks out, or 0 at most if that is 0). A span with `k`
//! blocks out for long is looked at every `k`th free.
//!
//! Rejected: a count of the blocks out in both (the end of the list had to be looked for: one
//! instruction more in `alloc`); charging a span with its whole list at each refill (an empty
//! span with a list goes unnoticed until the next one); both counts in one word (flags tell about
//! its upper half only, and accesses of different sizes to it would wait for one another).

use crate::primitive::atomic::{AtomicU32, Ordering};

/// The counts of a span; only its owner writes them. Each is a number modulo 2^32.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Counts {
    /// Blocks in the list that `alloc` pops from. Less than 0 means 0: so often it was tried.
    ready: AtomicU32,
    /// Local frees until the owner looks.
    due: AtomicU32,
    /// See the module.
    base: AtomicU32,
}

impl Counts {
    /// Where the word is that each `alloc` takes 1 from.
    pub(crate) const READY: usize = std::mem::offset_of!(Counts, ready);

    /// Where the word is that each local `free` takes 1 from.
    pub(crate) const DUE: usize = std::mem::offset_of!(Counts, due);

    /// No block out, none to pop.
    pub(crate) const fn new() -> Self {
        Self { ready: AtomicU32::new(0), due: AtomicU32::new(0), base: AtomicU32::new(0) }
    }

    /// Blocks in the list that `alloc` pops from; for the owner.
    pub(crate) fn ready(&self) -> u32 {
        // ORDERING: Relaxed; only the owner writes, others count.
        (self.ready.load(Ordering::Relaxed) as i32).max(0) as u32
    }

    /// Blocks out: exact for the owner; a number near it, or any at all, for others.
    pub(crate) fn used(&self) -> u32 {
        // ORDERING: Relaxed; only the owner writes, others count.
        let base = self.base.load(Ordering::Relaxed);
        // ORDERING: Relaxed; as above.
        let due = self.due.load(Ordering::Relaxed);
        base.wrapping_add(due).wrapping_sub(self.ready())
    }

    /// Says how many blocks are out and how many can be popped, by the owner: a slow step.
    pub(crate) fn set(&self, used: u32, ready: u32) {
        // ORDERING: Relaxed; only the owner writes, others count.
        self.due.store(used, Ordering::Relaxed);
        // ORDERING: Relaxed; as above.
        self.base.store(ready, Ordering::Relaxed);
        // ORDERING: Relaxed; as above.
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// A look, by the owner, who has seen that so many blocks are out.
    pub(crate) fn look(&self, used: u32) {
        // ORDERING: Relaxed; only the owner writes, others count.
        self.due.store(used, Ordering::Relaxed);
        // ORDERING: Relaxed; as above.
        self.base.store(self.ready(), Ordering::Relaxed);
    }

    /// After pops that found nothing, which `ready` would count for ever. For the constant empty
    /// span any thread may do so at any time: its `ready` is never more than 0, whatever is lost.
    pub(crate) fn forget_tries(&self) {
        // ORDERING: Relaxed; as above.
        if (self.ready.load(Ordering::Relaxed) as i32) < 0 {
            // ORDERING: Relaxed; as above.
            self.ready.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::branch;
    use super::*;

    fn pop(counts: &Counts) -> bool {
        // SAFETY: the word is there.
        !unsafe { branch::decrement_below_zero::<_, { Counts::READY }>(counts) }
    }

    fn push(counts: &Counts) -> bool {
        // SAFETY: the word is there.
        unsafe { branch::decrement_to_zero::<_, { Counts::DUE }>(counts) }
    }

    /// Random pops, frees and slow steps beside a plain count: it is always right, and no free
    /// that empties the span goes without a look.
    #[test]
    fn blocks_out_are_counted_and_the_last_one_back_is_noticed() {
        let mut random = 0x9E37_79B9_7F4A_7C15u64;
        let mut below = |n: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 32) % n
        };
        let counts = Counts::new();
        let (mut used, mut ready, mut looks, mut empty) = (0, 0, 0, 0);
        for _ in 0..200_000 {
            match below(16) {
                0..7 => {
                    assert_eq!(pop(&counts), ready > 0);
                    if ready > 0 {
                        (used, ready) = (used + 1, ready - 1);
                    } else if below(2) == 0 {
                        counts.forget_tries();
                    }
                }
                7..14 if used > 0 => {
                    used -= 1;
                    let looks_now = push(&counts);
                    assert!(looks_now || used > 0, "an empty span that nobody looks at");
                    if looks_now {
                        assert_eq!(counts.used(), used);
                        counts.look(used);
                        looks += 1;
                        empty += u32::from(used == 0);
                    }
                }
                14 if ready == 0 => {
                    ready = below(9) as u32;
                    counts.set(counts.used(), ready);
                }
                _ => {}
            }
            assert_eq!((counts.used(), counts.ready()), (used, ready));
        }
        assert!(looks > 100 && empty > 100, "{looks} looks, {empty} times empty");
    }

    #[test]
    fn a_free_of_a_span_without_blocks_out_looks_and_finds_less_than_none() {
        let counts = Counts::new();
        counts.set(0, 3);
        assert!(push(&counts));
        assert_eq!(counts.used() as i32, -1);
        let counts = Counts::new();
        counts.set(0, 1);
        assert!(pop(&counts) && push(&counts));
        assert_eq!(counts.used(), 0);
        counts.look(0);
        assert!(push(&counts));
        assert_eq!(counts.used() as i32, -1);
    }
}
