//! Mappings, guards, resident memory.

use super::*;
use std::io::Write as _;

/// The cases of this file.
pub(super) fn run_case(case: &str) -> bool {
    match case {
        "million" => million(),
        "trim" => trimming(),
        "deep" => deep(),
        "limited" => limited(),
        _ => return false,
    }
    true
}

#[test]
fn a_million_guarded_stacks_take_less_than_a_hundred_mappings() {
    pass("million");
}

#[test]
fn trimming_gives_memory_back() {
    pass("trim");
}

#[test]
fn a_deep_stack_gives_its_memory_back_before_long() {
    pass("deep");
}

#[test]
fn a_limit_of_address_space_ends_growth_but_not_the_pool() {
    pass("limited");
}

pub(super) fn mappings() -> usize {
    std::fs::read_to_string("/proc/self/maps").expect("proc is there").lines().count()
}

fn field(path: &str, name: &str) -> usize {
    let text = std::fs::read_to_string(path).expect("proc is there");
    let line = text.lines().find(|line| line.starts_with(name)).expect("the field is there");
    line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
}

/// Resident pages, in KiB.
fn resident() -> usize {
    field("/proc/self/status", "RssAnon:")
}

/// Whether an access to this address fails, asked of the kernel.
pub(super) fn is_guarded(address: usize) -> bool {
    let (_reader, mut writer) = std::io::pipe().expect("a pipe");
    // SAFETY: the slice is only handed to write(2), which checks the address itself.
    let byte = unsafe { std::slice::from_raw_parts(address as *const u8, 1) };
    writer.write(byte).is_err()
}

fn million() {
    let is_roomy = field("/proc/meminfo", "MemAvailable:") > 3 << 20;
    let wanted = if is_roomy { 1_000_000 } else { 100_000 };
    if !is_roomy {
        eprintln!("less than 3 GiB of memory: {wanted} stacks instead of a million");
    }
    let before = mappings();
    let start = std::time::Instant::now();
    let mut tickets = Vec::with_capacity(wanted);
    for _ in 0..wanted {
        tickets.push(reserve(StackSize::default()).expect("address space"));
    }
    let ns = start.elapsed().as_nanos() as usize / wanted;
    let added = mappings() - before;
    eprintln!(
        "{wanted} stacks of 256 KiB: {added} mappings, {ns} ns each, {} KiB resident, {} KiB of page tables",
        resident(),
        field("/proc/self/status", "VmPTE:")
    );
    assert_eq!(stats().slots_reserved, wanted);
    if stats().guard == Some(GuardKind::Marker) {
        assert!(added < 100, "{added} mappings");
    }
    let stacks: Vec<_> = tickets.into_iter().map(take_global).collect();
    for stack in stacks.iter().step_by(wanted / 1000) {
        let bottom = stack.bottom() as usize;
        assert!(is_guarded(bottom - 1) && is_guarded(bottom - (64 << 10)));
        assert!(!is_guarded(bottom) && !is_guarded(stack.end() as usize - 1));
        assert!(is_guarded(stack.end() as usize), "the next guard");
    }
    assert_eq!(stats().slots_bound, wanted);
    give_all(stacks);
}

/// Makes every page of a stack resident.
fn touch(stack: &Stack) {
    for offset in (0..stack.size()).step_by(4096) {
        // SAFETY: inside a stack nobody uses.
        unsafe { stack.bottom().wrapping_add(offset).write_volatile(1) };
    }
}

fn trimming() {
    let size = size(1);
    let stacks: Vec<_> = (0..200).map(|_| stack(size)).collect();
    let before = resident();
    stacks.iter().for_each(touch);
    for stack in &stacks[..100] {
        // SAFETY: inside a slot nobody uses.
        unsafe { stack.end().wrapping_sub(8).cast::<usize>().write(0xb10c) };
        stack.set_block_word(Some(stack.end() as usize));
    }
    let touched = resident() - before;
    assert!(touched >= 200 * size.bytes() / 1024, "{touched} KiB");
    give_all(stacks);
    assert_eq!(scavenge(1000), 200);
    assert_eq!(stats().slots_trimmed, 0, "on its first visit the scavenger only looks");
    assert_eq!(scavenge(50), 150);
    assert!(resident() < before + touched - 50 * size.bytes() / 1024 + 1024);
    assert_eq!(scavenge(1000), 0);
    let rest = resident().saturating_sub(before);
    assert!(rest < 100 * 4 + 1024, "{rest} KiB, more than the blocks");
    assert_eq!(stats().slots_trimmed, 200);
    // A block survives the scavenger, and goes when the runtime ends.
    let kept = stack(size);
    if let Some(end) = kept.block_word() {
        // SAFETY: the word is the end of a slot nobody uses.
        assert_eq!(unsafe { ((end - 8) as *const usize).read() }, 0xb10c);
    }
    give_all([kept]);
    trim_all(Some(|word| {
        // SAFETY: the word is the end of a slot nobody uses; its block is still there.
        assert_eq!(unsafe { ((word - 8) as *const usize).read() }, 0xb10c);
    }));
    let stacks: Vec<_> = (0..200).map(|_| stack(size)).collect();
    assert!(stacks.iter().all(|stack| stack.block_word().is_none()));
    assert!(resident().saturating_sub(before) < 1024);
    assert!(is_guarded(stacks[7].bottom() as usize - 1), "a guard outlives trimming");
    give_all(stacks);
}

fn deep() {
    let size = size(200);
    let first = stack(size);
    let before = resident();
    touch(&first);
    give_all([first]);
    give_all([stack(size)]);
    assert!(resident() > before + 700, "nothing is trimmed twice in an age");
    age();
    give_all([stack(size)]);
    assert!(resident() < before + 200, "only the top 64 KiB stay");
}

fn limited() {
    crate::sys::testing::limit_address_space(3 << 30);
    let size = StackSize::new(16 << 20).expect("in range");
    let mut stacks = Vec::new();
    let error = loop {
        match reserve(size) {
            Ok(ticket) => stacks.push(take_global(ticket)),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), std::io::ErrorKind::OutOfMemory);
    assert!(error.to_string().contains("stack of 16777216 bytes: mapping 1"), "{error}");
    assert!(stacks.len() > 100, "{} stacks of 16 MiB in 3 GiB", stacks.len());
    give_all(stacks.pop());
    stacks.push(stack(size));
    // Smaller ones may still fit, and a cache works with what is left.
    let mut cache = Cache::new(size).expect("a class");
    assert!(cache.reserve(size).is_err());
    give_all(stacks.pop());
    for _ in 0..100 {
        let ticket = cache.reserve(size).expect("one was given back");
        assert!(reserve(size).is_err());
        let stack = cache.take(ticket);
        // SAFETY: nothing runs on it.
        unsafe { cache.give(stack) };
    }
    give_all(stacks);
}
