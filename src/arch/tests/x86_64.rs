//! Registers of x86-64, and what only x86-64 has: two ways to change the thread pointer.

use super::*;
use core::arch::{asm, naked_asm};

/// Calls `f(argument)` with `seed + n` in each callee-saved register; 0 when all of them hold the
/// same after it.
///
/// # Safety
/// `f` may be called with `argument`, and does not unwind.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn survive(
    seed: u64,
    f: unsafe extern "C" fn(*mut ()),
    argument: *mut (),
) -> u64 {
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "push rdi",
        "lea rbx, [rdi + 1]",
        "lea rbp, [rdi + 2]",
        "lea r12, [rdi + 3]",
        "lea r13, [rdi + 4]",
        "lea r14, [rdi + 5]",
        "lea r15, [rdi + 6]",
        "mov rdi, rdx",
        "call rsi",
        "pop rdi",
        "lea rax, [rdi + 1]",
        "xor rax, rbx",
        "lea rcx, [rdi + 2]",
        "xor rcx, rbp",
        "or rax, rcx",
        "lea rcx, [rdi + 3]",
        "xor rcx, r12",
        "or rax, rcx",
        "lea rcx, [rdi + 4]",
        "xor rcx, r13",
        "or rax, rcx",
        "lea rcx, [rdi + 5]",
        "xor rcx, r14",
        "or rax, rcx",
        "lea rcx, [rdi + 6]",
        "xor rcx, r15",
        "or rax, rcx",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
    )
}

/// Words that differ from the initial ones, in control bits only: rounding and flushing to zero.
pub(super) fn altered(variant: u32) -> FloatControl {
    let mut words = FloatControl::INITIAL;
    words.mxcsr |= if variant == 0 { 0x8000 } else { 0x6000 };
    words.x87_control ^= if variant == 0 { 0x0c00 } else { 0x0300 };
    words
}

/// Whether string instructions run downwards.
fn direction_flag() -> bool {
    let flags: u64;
    // SAFETY: pushes the flags and pops them again.
    unsafe { asm!("pushfq", "pop {}", out(reg) flags) };
    flags & 1 << 10 != 0
}

#[test]
fn direction_flag_is_clear() {
    let pair = Pair::new(STACK_BYTES, |pair| {
        assert!(!direction_flag());
        pair.yield_now();
        assert!(!direction_flag());
    });
    assert!(pair.resume());
    assert!(!direction_flag());
    assert!(!pair.resume());
}

#[test]
#[cfg(not(any(gthread_tsan, gthread_asan)))]
fn system_call_changes_the_thread_pointer() {
    let pair = Pair::new(STACK_BYTES, |pair| (0..10).for_each(|_| pair.yield_now()));
    // ORDERING: Relaxed; this thread reads it. The tests beside us may run in either mode, and
    // may put the other one back: then less is checked here.
    MODE.store(ThreadPointerMode::Syscall as u32, Ordering::Relaxed);
    assert_call_on_changes_the_thread_pointer(ThreadPointerMode::Syscall);
    while pair.resume() {}
    choose().expect("contexts can be switched here");
}
