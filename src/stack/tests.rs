//! Tests of this module from inside. Each uses a stack size of its own, and so a pool of its own.

use super::*;

/// A size nobody else uses: 64 KiB and `pages` pages.
fn size(pages: usize) -> StackSize {
    StackSize::new((64 << 10) + pages * 4096).expect("in range")
}

#[test]
fn a_ticket_always_gets_a_stack() {
    let mut cache = Cache::new(size(1)).expect("a class");
    let mut stacks = Vec::new();
    for _ in 0..1000 {
        let ticket = cache.reserve(size(1)).expect("address space");
        stacks.push(cache.take(ticket));
    }
    let mut ends: Vec<_> = stacks.iter().map(|stack| stack.end() as usize).collect();
    ends.sort_unstable();
    ends.dedup();
    assert_eq!(ends.len(), 1000, "no slot is bound twice");
    for stack in stacks {
        // SAFETY: nothing ran on it.
        unsafe { cache.give(stack) };
    }
}
