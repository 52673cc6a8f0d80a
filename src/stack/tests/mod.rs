//! Tests of this module from inside.
//!
//! Where a test counts slots it uses a stack size of its own, and so a pool of its own. Where it
//! dies, limits the process, reads its resident memory or makes the kernel fail, it is a *case*:
//! the test runs this binary again with the name of the case in the environment.

#![allow(clippy::print_stderr, reason = "what a case says is part of the test's output")]

mod crash;
mod faults;
mod memory;
mod pool;

use super::*;
use std::process::{Command, Output};

const CASE: &str = "GTHREAD_STACK_TEST_CASE";

/// A size nobody else uses: 64 KiB and `pages` pages.
fn size(pages: usize) -> StackSize {
    StackSize::new((64 << 10) + pages * 4096).expect("in range")
}

/// Binds one stack without a cache.
fn stack(size: StackSize) -> Stack {
    take_global(reserve(size).expect("address space"))
}

/// Gives stacks back that nothing ever ran on.
fn give_all(stacks: impl IntoIterator<Item = Stack>) {
    for stack in stacks {
        // SAFETY: no test runs anything on a stack it gives back.
        unsafe { give_global(stack) };
    }
}

/// Runs a case in a process of its own.
fn run(case: &str) -> Output {
    let mut command = Command::new(std::env::current_exe().expect("this test binary"));
    command.args(["--exact", "stack::tests::case", "--nocapture"]).env(CASE, case);
    command.output().expect("the binary runs")
}

/// Runs a case that must succeed.
fn pass(case: &str) {
    let output = run(case);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{case}: {:?}\n{stderr}", output.status);
    if !stderr.is_empty() {
        eprintln!("{case}: {stderr}");
    }
}

/// The entry of a case; without one it does nothing.
#[test]
fn case() {
    let Ok(case) = std::env::var(CASE) else { return };
    crate::sys::testing::no_core_file();
    let ran = crash::run_case(&case) || memory::run_case(&case) || faults::run_case(&case);
    assert!(ran, "no case is called {case}");
}
