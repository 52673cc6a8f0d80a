//! Misuse of `GthreadAlloc` and what becomes of it: each case runs in a process of its own, which
//! must end with the message of the mode it was built in (default, `alloc-debug`,
//! `alloc-hardened`), and once more without its last step, when it must pass.
#![cfg(not(loom))]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::multiple_unsafe_ops_per_block,
    clippy::undocumented_unsafe_blocks,
    reason = "a test that unwraps is a test that fails, and it explains itself"
)]

mod common;

use std::alloc::{GlobalAlloc, Layout};
use std::process::Output;
use std::thread;

use common::{assert_died_of, assert_passed, errors_of, in_child, is_child};
use gthread::alloc::GthreadAlloc;

#[cfg_attr(not(feature = "test-allocator"), global_allocator)]
#[cfg_attr(feature = "test-allocator", allow(dead_code))]
static GLOBAL: GthreadAlloc = GthreadAlloc::new();

const DEBUG: bool = cfg!(feature = "alloc-debug");
const HARDENED: bool = cfg!(feature = "alloc-hardened");

/// A size whose class nothing else in the process uses, so that what its spans do is known.
const SIZE: usize = 440;
const LARGE: usize = 100_000;
const HUGE: usize = 50 << 20;

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("a valid layout")
}

fn take(size: usize) -> *mut u8 {
    // SAFETY: no test asks for size 0.
    let block = unsafe { GLOBAL.alloc(layout(size)) };
    assert!(!block.is_null());
    block
}

/// Frees: rightly, or to see what happens.
fn give(block: *mut u8, size: usize) {
    // SAFETY: live and of this layout, or the misuse under test in a process of its own.
    unsafe { GLOBAL.dealloc(block, layout(size)) };
}

/// Writes one byte: rightly, or to see what happens.
fn poke(block: *mut u8, at: usize) {
    let place = block.wrapping_add(at);
    // SAFETY: a byte of a live block, or the misuse under test in a process of its own.
    unsafe { place.write_volatile(place.read_volatile() ^ 0x5A) };
}

fn elsewhere(f: impl FnOnce(usize) + Send, block: *mut u8) {
    let address = block as usize;
    thread::scope(|scope| scope.spawn(|| f(address)).join().expect("no panic"));
}

/// Takes and gives blocks of a size until all that were free have been handed out again.
fn churn(size: usize) {
    for _ in 0..20 {
        let blocks: Vec<_> = (0..400).map(|_| take(size)).collect();
        blocks.into_iter().for_each(|block| give(block, size));
    }
}

/// A misuse, and what the process says when it is noticed. In a mode with `None` nothing is
/// promised; `Some("")` promises that the process ends, by a signal at the least.
struct Case {
    name: &'static str,
    /// Runs the case, with the misuse if `bad`.
    run: fn(bad: bool),
    default: Option<&'static str>,
    debug: &'static str,
    hardened: Option<&'static str>,
}

const CASES: &[Case] = &[
    Case {
        name: "a block is freed twice in a row",
        run: |bad| {
            let _other = take(SIZE);
            let block = take(SIZE);
            give(block, SIZE);
            if bad {
                give(block, SIZE);
            }
        },
        default: None,
        debug: "alloc: double free of",
        hardened: Some("alloc: double free of"),
    },
    Case {
        name: "a block is freed twice with another free in between",
        run: |bad| {
            let (_other, a, b) = (take(SIZE), take(SIZE), take(SIZE));
            give(a, SIZE);
            give(b, SIZE);
            if bad {
                give(a, SIZE);
            }
        },
        default: None,
        debug: "alloc: double free of",
        hardened: Some("alloc: double free of"),
    },
    Case {
        name: "the only block of a span is freed twice",
        run: |bad| {
            let block = take(SIZE);
            give(block, SIZE);
            if bad {
                give(block, SIZE);
            }
        },
        default: Some("alloc: double free"),
        debug: "alloc: double free of",
        hardened: Some("alloc: double free of"),
    },
    Case {
        name: "a block is freed here and then by another thread",
        run: |bad| {
            let _other = take(SIZE);
            let block = take(SIZE);
            give(block, SIZE);
            if bad {
                elsewhere(|address| give(address as *mut u8, SIZE), block);
            }
        },
        default: None,
        debug: "alloc: double free of",
        hardened: Some("alloc: double free of"),
    },
    Case {
        name: "a block is freed twice by another thread",
        run: |bad| {
            let _other = take(SIZE);
            let free = |address| {
                give(address as *mut u8, SIZE);
                if bad {
                    give(address as *mut u8, SIZE);
                }
            };
            elsewhere(free, take(SIZE));
        },
        default: None,
        debug: "alloc: double free of",
        hardened: Some("alloc: double free of"),
    },
    Case {
        name: "a large block is freed twice",
        run: |bad| {
            let block = take(LARGE);
            give(block, LARGE);
            if bad {
                give(block, LARGE);
            }
        },
        default: Some("alloc: invalid free of"),
        debug: "alloc: invalid free of",
        hardened: Some("alloc: invalid free of"),
    },
    Case {
        name: "a huge block is freed twice",
        run: |bad| {
            let block = take(HUGE);
            give(block, HUGE);
            if bad {
                give(block, HUGE);
            }
        },
        default: Some(""),
        debug: "not an address of this allocator",
        hardened: Some(""),
    },
    Case {
        name: "another thread frees the inside of a block",
        run: |bad| {
            let block = take(SIZE);
            if bad {
                elsewhere(|address| give((address + 8) as *mut u8, SIZE), block);
            }
            give(block, SIZE);
        },
        default: Some("not the start of a block"),
        debug: "not the start of a block",
        hardened: Some("not the start of a block"),
    },
    Case {
        name: "the inside of a block is freed",
        run: |bad| {
            let block = take(SIZE);
            give(block.wrapping_add(if bad { 16 } else { 0 }), SIZE);
        },
        default: None,
        debug: "not the start of a block",
        hardened: None,
    },
    Case {
        name: "the inside of a large block is freed",
        run: |bad| {
            let block = take(LARGE);
            give(block.wrapping_add(if bad { 4096 } else { 0 }), LARGE);
        },
        default: Some("not the start of a block"),
        debug: "not the start of a block",
        hardened: Some("not the start of a block"),
    },
    Case {
        name: "the inside of a huge block is freed",
        run: |bad| {
            let block = take(HUGE);
            give(block.wrapping_add(if bad { 4096 } else { 0 }), HUGE);
        },
        default: Some("not the start of a block"),
        debug: "not the start of a block",
        hardened: Some("not the start of a block"),
    },
    Case {
        name: "a variable on the stack is freed",
        run: |bad| {
            let mut variable = [0u8; SIZE];
            let block = take(SIZE);
            give(if bad { variable.as_mut_ptr() } else { block }, SIZE);
        },
        default: Some(""),
        debug: "not an address of this allocator",
        hardened: Some(""),
    },
    Case {
        name: "a block is freed with another size",
        run: |bad| {
            let block = take(SIZE);
            give(block, if bad { SIZE - 8 } else { SIZE });
        },
        default: None,
        debug: "was allocated with size 440 and alignment 8, and is freed with 432 and 8",
        hardened: None,
    },
    Case {
        name: "a byte behind a block is written to",
        run: |bad| {
            let block = take(SIZE);
            poke(block, if bad { SIZE } else { SIZE - 1 });
            give(block, SIZE);
        },
        default: None,
        debug: "alloc: overrun: byte 440 of",
        hardened: None,
    },
    Case {
        name: "everything behind a block is written to",
        run: |bad| {
            let block = take(SIZE);
            (SIZE - 40..SIZE + if bad { 40 } else { 0 }).for_each(|at| poke(block, at));
            give(block, SIZE);
        },
        default: None,
        debug: "alloc: overrun: the record behind",
        hardened: None,
    },
    Case {
        name: "a byte behind a large block is written to",
        run: |bad| {
            let block = take(LARGE);
            poke(block, if bad { LARGE } else { LARGE - 1 });
            give(block, LARGE);
        },
        default: None,
        debug: "alloc: overrun: byte 100000 of",
        hardened: None,
    },
    Case {
        name: "a block is written to after its free",
        run: |bad| {
            let _other = take(SIZE);
            let block = take(SIZE);
            give(block, SIZE);
            if bad {
                poke(block, 100);
            }
            churn(SIZE);
        },
        default: None,
        debug: "alloc: write after free: byte 100 of",
        hardened: None,
    },
    Case {
        name: "the mark of a block is written to after its free",
        run: |bad| {
            let _other = take(SIZE);
            let block = take(SIZE);
            give(block, SIZE);
            if bad {
                poke(block, 8);
            }
            churn(SIZE);
        },
        default: None,
        debug: "alloc: write after free",
        hardened: Some("alloc: write after free: the free block"),
    },
    Case {
        name: "the link of a block is written to after its free",
        run: |bad| {
            let _other = take(SIZE);
            let (a, b) = (take(SIZE), take(SIZE));
            give(a, SIZE);
            give(b, SIZE);
            // The debug build looks behind the words of the free list only: poke there too.
            if bad {
                poke(b, 0);
                poke(b, 16);
            }
            churn(SIZE);
        },
        default: None,
        debug: "",
        hardened: Some(""),
    },
    Case {
        name: "a block is reallocated after its free",
        run: |bad| {
            let _other = take(SIZE);
            let block = take(SIZE);
            if bad {
                give(block, SIZE);
            }
            // SAFETY: live and of this layout, or the misuse under test.
            let moved = unsafe { GLOBAL.realloc(block, layout(SIZE), 4 * SIZE) };
            give(moved, 4 * SIZE);
        },
        default: None,
        debug: "alloc: double free of",
        hardened: Some("alloc: double free of"),
    },
];

/// Whether the child is to misuse.
fn bad_here() -> bool {
    std::env::var("GTHREAD_ALLOC_BAD").is_ok_and(|bad| bad == "1")
}

const TEST: &str = "misuse_ends_the_process_with_a_message_and_use_does_not";

fn run_case(index: usize, bad: bool) -> Output {
    let variables = [
        ("GTHREAD_ALLOC_CASE", &*index.to_string()),
        ("GTHREAD_ALLOC_BAD", if bad { "1" } else { "0" }),
    ];
    in_child(TEST, &variables)
}

#[test]
fn misuse_ends_the_process_with_a_message_and_use_does_not() {
    if is_child(TEST) {
        let index: usize = std::env::var("GTHREAD_ALLOC_CASE").unwrap().parse().unwrap();
        // A thread of its own: nothing else has taken blocks from its cache.
        thread::spawn(move || (CASES[index].run)(bad_here())).join().expect("no panic");
        return;
    }
    for (index, case) in CASES.iter().enumerate() {
        println!("{}", case.name);
        assert_passed(&run_case(index, false));
        let expected = match (DEBUG, HARDENED) {
            (true, _) => Some(case.debug),
            (_, true) => case.hardened,
            _ => case.default,
        };
        let Some(message) = expected else { continue };
        let output = run_case(index, true);
        let errors = errors_of(&output);
        assert!(!output.status.success(), "`{}` went unnoticed", case.name);
        assert!(errors.contains(message), "`{}`: {}, {errors}", case.name, output.status);
        if !message.is_empty() {
            assert_died_of(&output, libc::SIGABRT);
        }
    }
}

/// The control of the cases in which the default build promises nothing: it is the features that
/// notice, nothing else in the way.
#[test]
fn what_only_the_features_notice_goes_unnoticed_without_them() {
    if DEBUG || HARDENED || is_child(TEST) {
        return;
    }
    for name in ["a byte behind a block is written to", "a block is freed with another size"] {
        let index = CASES.iter().position(|case| case.name == name).expect("a case");
        assert_passed(&run_case(index, true));
    }
}

/// Start, end and access of each mapping inside `[from, to)`, in order.
fn mappings(from: usize, to: usize) -> Vec<(usize, usize, String)> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let parse = |line: &str| {
        let mut words = line.split_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let start = usize::from_str_radix(start, 16).ok()?;
        let end = usize::from_str_radix(end, 16).ok()?;
        Some((start.max(from), end.min(to), words.next()?.to_owned()))
    };
    maps.lines().filter_map(parse).filter(|(start, end, _)| start < end).collect()
}

#[test]
fn headers_lie_between_guard_pages() {
    const NAME: &str = "headers_lie_between_guard_pages";
    const WINDOW: usize = 64 << 20;
    // A window has headers, a guard, the heap, a guard. Only the first byte of a guard faults:
    // the others are the control.
    let cases = [(0, false), (1, true), (2, false), (3, true)];
    if is_child(NAME) {
        let part: usize = std::env::var("GTHREAD_ALLOC_CASE").unwrap().parse().unwrap();
        let window = take(SIZE) as usize & !(WINDOW - 1);
        let parts = mappings(window, window + WINDOW);
        let access: Vec<_> = parts.iter().map(|(_, _, access)| &access[..3]).collect();
        assert_eq!(access, ["rw-", "---", "rw-", "---"]);
        println!("parts are there");
        let place = parts[part].0 as *mut u8;
        // SAFETY: a byte of the heap, rewritten as it is, or the fault under test.
        unsafe { place.write_volatile(place.read_volatile()) };
        return;
    }
    for (part, guarded) in cases {
        let output = in_child(NAME, &[("GTHREAD_ALLOC_CASE", &*part.to_string())]);
        assert!(String::from_utf8_lossy(&output.stdout).contains("parts are there"));
        if guarded {
            assert_died_of(&output, libc::SIGSEGV);
        } else {
            assert_passed(&output);
        }
    }
}

/// The distances between the first blocks of a class that nobody has used yet.
fn first_blocks(count: usize) -> Vec<usize> {
    let blocks: Vec<_> = (0..count).map(|_| take(SIZE)).collect();
    let lowest = blocks.iter().map(|block| *block as usize).min().expect("some");
    let offsets = blocks.iter().map(|block| *block as usize - lowest).collect();
    blocks.into_iter().for_each(|block| give(block, SIZE));
    offsets
}

#[test]
fn hardened_blocks_come_in_a_random_order_and_others_in_that_of_addresses() {
    let order = || thread::spawn(|| first_blocks(32)).join().expect("no panic");
    let orders: Vec<_> = (0..8).map(|_| order()).collect();
    if HARDENED {
        assert!(orders.iter().all(|order| !order.is_sorted()), "{orders:?}");
        assert!(orders.iter().any(|order| order != &orders[0]), "{orders:?}");
    } else {
        assert!(orders[0].is_sorted(), "{orders:?}");
    }
}

#[test]
fn a_hardened_block_waits_a_turn_before_it_is_handed_out_again() {
    /// How many blocks are handed out until a freed one comes again, in a class of its own.
    fn distance() -> usize {
        // Cuts of eight blocks in each build; half of the second is left.
        let kept: Vec<_> = (0..12).map(|_| take(SIZE)).collect();
        let block = take(SIZE);
        give(block, SIZE);
        let mut taken = Vec::new();
        while taken.last() != Some(&block) {
            taken.push(take(SIZE));
            assert!(taken.len() < 1000, "it never comes");
        }
        let distance = taken.len();
        kept.into_iter().chain(taken).for_each(|block| give(block, SIZE));
        distance
    }
    let distance = thread::spawn(distance).join().expect("no panic");
    if HARDENED {
        assert!(distance > 8, "it came back as number {distance}");
    } else {
        assert!(distance <= 8, "the control: it came back as number {distance}");
    }
}

/// Two threads free the same block at the same time: one of them is told, never neither.
#[test]
fn of_two_frees_at_once_exactly_one_is_reported() {
    const NAME: &str = "of_two_frees_at_once_exactly_one_is_reported";
    if !DEBUG {
        return;
    }
    if is_child(NAME) {
        let _other = take(SIZE);
        let address = take(SIZE) as usize;
        let barrier = std::sync::Barrier::new(2);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    barrier.wait();
                    give(address as *mut u8, SIZE);
                });
            }
        });
        return;
    }
    for _ in 0..20 {
        let output = in_child(NAME, &[]);
        assert_died_of(&output, libc::SIGABRT);
        assert!(errors_of(&output).contains("alloc: double free of"), "{}", errors_of(&output));
    }
}
