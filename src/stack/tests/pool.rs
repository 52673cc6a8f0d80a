//! What the pool and the caches promise.

use super::*;
use crate::primitive::lock::{Lock, Rank};
use crate::stack::class::Class;
use crate::stack::stats::of;

#[test]
fn a_size_is_whole_pages_in_the_accepted_range() {
    assert_eq!(StackSize::default().bytes(), 256 << 10);
    let min = StackSize::min();
    assert_eq!(min.bytes() % 4096, 0);
    assert!(min.bytes() >= crate::sys::signal::frame_bytes_max() + (8 << 10));
    assert_eq!(StackSize::new(min.bytes()), Ok(min));
    assert_eq!(StackSize::new(min.bytes() + 1).expect("in range").bytes(), min.bytes() + 4096);
    assert_eq!(StackSize::new(1 << 30).expect("the largest").bytes(), 1 << 30);
}

#[test]
fn a_size_out_of_range_is_refused_with_the_value_and_the_range() {
    let min = StackSize::min().bytes();
    for bytes in [0, 1, min - 1, (1 << 30) + 1, usize::MAX] {
        let error = StackSize::new(bytes).expect_err("out of range").to_string();
        let expected =
            format!("invalid stack size {bytes} bytes: accepted are {min} to 1073741824 bytes");
        assert_eq!(error, expected);
    }
}

#[test]
fn every_stack_is_its_own_memory_between_two_guards() {
    let size = size(1);
    let mut cache = Cache::new(size).expect("a class");
    let mut stacks: Vec<_> = (0..1000)
        .map(|_| {
            let ticket = cache.reserve(size).expect("address space");
            cache.take(ticket)
        })
        .collect();
    stacks.sort_by_key(Stack::bottom);
    for pair in stacks.windows(2) {
        assert!(pair[0].end() as usize + (64 << 10) <= pair[1].bottom() as usize);
    }
    for stack in stacks {
        assert_eq!(stack.size(), size.bytes());
        assert!(stack.bottom() as usize + stack.size() <= stack.end() as usize);
        // SAFETY: inside a stack nobody uses.
        unsafe { stack.bottom().write_volatile(1) };
        // SAFETY: as above.
        unsafe { stack.end().wrapping_sub(1).write_volatile(1) };
        // SAFETY: nothing runs on it.
        unsafe { cache.give(stack) };
    }
}

#[test]
fn the_last_stack_given_is_the_first_taken() {
    let size = size(2);
    let mut cache = Cache::new(size).expect("a class");
    let take = |cache: &mut Cache| {
        let ticket = cache.reserve(size).expect("address space");
        cache.take(ticket)
    };
    let ends = |stacks: &[Stack]| stacks.iter().map(Stack::end).collect::<Vec<_>>();
    let stacks: Vec<_> = (0..5).map(|_| take(&mut cache)).collect();
    let mut first = ends(&stacks);
    for stack in stacks {
        // SAFETY: nothing runs on it.
        unsafe { cache.give(stack) };
    }
    let again: Vec<_> = (0..5).map(|_| take(&mut cache)).collect();
    first.reverse();
    assert_eq!(ends(&again), first);
    // And the same by way of the pool, magazine by magazine.
    give_all(again);
    let again: Vec<_> = (0..5).map(|_| stack(size)).collect();
    first.reverse();
    assert_eq!(ends(&again), first);
    give_all(again);
}

#[test]
fn a_ticket_that_is_dropped_is_sold_again() {
    let size = size(3);
    let class = Class::of(size).expect("a class");
    let tickets: Vec<_> = (0..100).map(|_| reserve(size).expect("address space")).collect();
    assert_eq!(of(class).slots_reserved, 100);
    let mapped = of(class).slots_mapped;
    drop(tickets);
    assert_eq!(of(class).slots_reserved, 0);
    let tickets: Vec<_> = (0..100).map(|_| reserve(size).expect("no new slot")).collect();
    assert_eq!(of(class).slots_mapped, mapped);
    drop(tickets);
}

#[test]
fn numbers_add_up_at_every_step() {
    let size = size(4);
    let class = Class::of(size).expect("a class");
    let mut cache = Cache::new(size).expect("a class");
    let tickets: Vec<_> = (0..70).map(|_| cache.reserve(size).expect("address space")).collect();
    assert_eq!((of(class).slots_reserved, of(class).slots_bound), (70, 0));
    let stacks: Vec<_> = tickets.into_iter().map(|ticket| cache.take(ticket)).collect();
    assert_eq!((of(class).slots_reserved, of(class).slots_bound), (0, 70));
    for stack in stacks {
        // SAFETY: nothing runs on it.
        unsafe { cache.give(stack) };
    }
    assert_eq!((of(class).slots_reserved, of(class).slots_bound), (0, 0));
    assert!(of(class).slots_cached > 0);
    cache.flush();
    assert_eq!(of(class).slots_cached, 0);
    drop(cache);
    assert_eq!((of(class).slots_reserved, of(class).slots_bound), (0, 0));
}

#[test]
fn a_cache_passes_other_sizes_through() {
    let mut cache = Cache::new(size(5)).expect("a class");
    let ticket = cache.reserve(size(6)).expect("address space");
    let stack = cache.take(ticket);
    assert_eq!(stack.size(), size(6).bytes());
    // SAFETY: nothing runs on it.
    unsafe { cache.give(stack) };
    let class = Class::of(size(6)).expect("a class");
    assert_eq!((of(class).slots_reserved, of(class).slots_bound), (0, 0));
}

#[test]
fn a_word_of_a_block_stays_with_its_slot() {
    let size = size(7);
    let first = stack(size);
    assert_eq!(first.block_word(), None);
    first.set_block_word(Some(42));
    let end = first.end();
    give_all([first]);
    let again = stack(size);
    assert_eq!((again.end(), again.block_word()), (end, Some(42)));
    again.set_block_word(None);
    give_all([again]);
}

#[test]
fn every_address_is_found_where_it_belongs() {
    let size = size(8);
    let stacks: Vec<_> = (0..40).map(|_| stack(size)).collect();
    for (number, stack) in stacks.iter().enumerate() {
        let owner = (number + 1) as *const ();
        stack.set_owner(owner);
        let (bottom, end) = (stack.bottom() as usize, stack.end() as usize);
        let guard = bottom - (64 << 10);
        for address in (guard..end).step_by(4096).chain([guard + 1, bottom - 1, end - 1]) {
            let info = find(address).expect("in a slot");
            let is_in_guard = address < bottom;
            let size = size.bytes();
            assert_eq!(info, SlotInfo { bottom, end, size, owner, is_in_guard });
        }
    }
    let on_this_stack = 0u8;
    for address in [0, 1, 4096, usize::MAX, &raw const on_this_stack as usize] {
        assert_eq!(find(address), None);
    }
    let mut owners = Vec::new();
    for_each_bound(|info| {
        if info.size == size.bytes() {
            owners.push(info.owner as usize);
        }
    });
    owners.sort_unstable();
    assert!(owners.into_iter().eq(1..=40));
    let end = stacks[0].end() as usize;
    give_all(stacks);
    assert!(find(end - 1).expect("in a slot").owner.is_null());
}

/// Tickets on their way from a spawner to takers: our own lock, which ThreadSanitizer understands.
struct Post {
    tickets: Lock<(Vec<Ticket>, bool)>,
}

impl Post {
    fn send(&self, ticket: Ticket) {
        loop {
            let mut post = self.tickets.lock();
            if post.0.len() < 100 {
                return post.0.push(ticket);
            }
            drop(post);
            std::thread::yield_now();
        }
    }

    /// The next ticket; `None` when there will be no more.
    fn receive(&self) -> Option<Ticket> {
        loop {
            let mut post = self.tickets.lock();
            match post.0.pop() {
                None if !post.1 => drop(post),
                last => return last,
            }
            std::thread::yield_now();
        }
    }
}

/// Takes stacks until there are no more tickets, holds up to `held_max` of them at a time.
fn take_and_give(size: StackSize, post: &Post, held_max: usize) {
    let mut cache = Cache::new(size).expect("a class");
    let mut held: Vec<Stack> = Vec::new();
    let give = |cache: &mut Cache, stack: Stack| {
        // SAFETY: inside a stack that is bound to the caller alone.
        unsafe { stack.bottom().cast::<usize>().write(0) };
        // SAFETY: nothing runs on it.
        unsafe { cache.give(stack) };
    };
    while let Some(ticket) = post.receive() {
        let stack = cache.take(ticket);
        let word = stack.bottom().cast::<usize>();
        // SAFETY: inside a stack that is bound to this test alone.
        assert_eq!(unsafe { word.replace(1) }, 0, "bound twice");
        held.push(stack);
        while held.len() > held_max {
            let stack = held.swap_remove(held.len() / 2);
            give(&mut cache, stack);
        }
    }
    held.into_iter().for_each(|stack| give(&mut cache, stack));
}

/// Tickets are redeemed by others than those who bought them, stacks given back by a third:
/// nothing is lost or bound twice.
#[test]
fn tickets_and_stacks_wander_between_threads() {
    // A static and plain threads: ThreadSanitizer does not understand an `Arc` of `std`.
    static POST: Post = Post { tickets: Lock::new(Rank(1), (Vec::new(), false)) };
    let size = size(9);
    let taker = |held_max| std::thread::spawn(move || take_and_give(size, &POST, held_max));
    let takers = [0, 10, 20].map(taker);
    let mut cache = Cache::new(size).expect("a class");
    for number in 0..20_000 {
        POST.send(cache.reserve(size).expect("address space"));
        if number % 1000 == 0 {
            scavenge(50);
        }
    }
    POST.tickets.lock().1 = true;
    drop(cache);
    takers.into_iter().for_each(|taker| taker.join().expect("no assertion failed"));
    let stats = of(Class::of(size).expect("a class"));
    assert_eq!((stats.slots_reserved, stats.slots_bound, stats.slots_cached), (0, 0, 0));
    assert!(stats.slots_mapped < 2000, "{stats:?}");
}

/// The cost of a spawn's and an exit's share of stacks, and of growth. Printed, not asserted; run by
/// `cargo test --release --lib stack:: -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn measure() {
    const ROUNDS: usize = 2001;
    let median = |mut ns: Vec<u128>| {
        ns.sort_unstable();
        ns[ns.len() / 2]
    };
    let size = StackSize::default();
    let mut cache = Cache::new(size).expect("a class");
    let cycle = |cache: &mut Cache| {
        let ticket = cache.reserve(size).expect("address space");
        let stack = cache.take(std::hint::black_box(ticket));
        stack.set_owner(&raw const *cache as *const ());
        // SAFETY: nothing runs on it.
        unsafe { cache.give(std::hint::black_box(stack)) };
    };
    let rounds = (0..ROUNDS).map(|_| {
        let start = std::time::Instant::now();
        (0..1000).for_each(|_| cycle(&mut cache));
        start.elapsed().as_nanos()
    });
    eprintln!("reserve, take and give, hot: {:.1} ns", median(rounds.collect()) as f64 / 1000.0);
    let rounds = (0..ROUNDS).map(|_| {
        let start = std::time::Instant::now();
        for _ in 0..100 {
            let stack = take_global(reserve(size).expect("address space"));
            // SAFETY: nothing runs on it.
            unsafe { give_global(std::hint::black_box(stack)) };
        }
        start.elapsed().as_nanos()
    });
    eprintln!("the same without a processor: {} ns", median(rounds.collect()) / 100);
    let mut stacks = Vec::with_capacity(10_000);
    let mut tickets = Vec::with_capacity(10_000);
    let rounds = (0..51).map(|_| {
        let start = std::time::Instant::now();
        tickets.extend((0..10_000).map(|_| cache.reserve(size).expect("address space")));
        stacks.extend(tickets.drain(..).map(|ticket| cache.take(ticket)));
        for stack in stacks.drain(..) {
            // SAFETY: nothing runs on it.
            unsafe { cache.give(stack) };
        }
        start.elapsed().as_nanos()
    });
    eprintln!("the same, 10,000 at a time: {} ns", median(rounds.collect()) / 10_000);
    let batch = 256;
    let mut tickets = Vec::with_capacity(100_000);
    let rounds = (0..300).map(|_| {
        let start = std::time::Instant::now();
        tickets.extend((0..batch).map(|_| reserve(size).expect("address space")));
        start.elapsed().as_nanos()
    });
    eprintln!("growth: {} ns a slot", median(rounds.collect()) / batch);
}
