//! x86-64: the frame of a switch, the naked functions over `asm/x86_64/`, and what the processor
//! and the kernel allow.
//!
//! The thread pointer is the base of FS. The word it points to holds its own address (variant II
//! of the ABI for thread-locals), which makes reading it a load.

use super::{Entry, MODE, ThreadPointerMode, Unsupported};
use core::arch::{asm, naked_asm};
use core::mem::offset_of;

/// What a switch leaves on the stack it leaves, from the saved stack pointer upwards.
#[cfg(not(feature = "corosensei"))]
#[derive(Debug)]
#[repr(C)]
pub(super) struct Frame {
    /// Control and status of the vector unit.
    mxcsr: u32,
    /// Control word of the x87 unit.
    x87_control: u16,
    /// Fills the word.
    reserved: u16,
    r15: usize,
    r14: usize,
    r13: usize,
    r12: usize,
    rbx: usize,
    rbp: usize,
    /// Where the context goes on.
    return_address: usize,
}

/// MXCSR of a new process: all exceptions masked, round to nearest.
#[cfg(not(feature = "corosensei"))]
const MXCSR: u32 = 0x1f80;
/// The x87 control word of a new process: the same, with extended precision.
#[cfg(not(feature = "corosensei"))]
const X87_CONTROL: u16 = 0x037f;
/// The length of the `nop` that `start` begins with.
#[cfg(not(feature = "corosensei"))]
const START_SKIP: usize = 1;

// The assembly pushes in the order of the fields, and skips the first word.
#[cfg(not(feature = "corosensei"))]
const _: () = {
    assert!(offset_of!(Frame, r15) == 8);
    assert!(offset_of!(Frame, r14) == 16);
    assert!(offset_of!(Frame, r13) == 24);
    assert!(offset_of!(Frame, r12) == 32);
    assert!(offset_of!(Frame, rbx) == 40);
    assert!(offset_of!(Frame, rbp) == 48);
    assert!(offset_of!(Frame, return_address) == 56);
    assert!(size_of::<Frame>() == 64);
};

#[cfg(not(feature = "corosensei"))]
impl Frame {
    /// The frame of a context that has not run: it resumes in `start`.
    pub(super) fn first(entry: Entry, argument: *mut ()) -> Self {
        Self {
            mxcsr: MXCSR,
            x87_control: X87_CONTROL,
            reserved: 0,
            r15: 0,
            r14: 0,
            r13: entry as usize,
            r12: argument as usize,
            rbx: 0,
            rbp: 0,
            return_address: start as *const () as usize + START_SKIP,
        }
    }
}

const AT_HWCAP2: core::ffi::c_ulong = 26;
const HWCAP2_FSGSBASE: core::ffi::c_ulong = 1 << 1;
#[expect(non_upper_case_globals, reason = "the kernel's name")]
const SYS_arch_prctl: usize = 158;
const ARCH_SET_FS: usize = 0x1002;
const ARCH_SHSTK_STATUS: usize = 0x5005;

unsafe extern "C" {
    safe fn getauxval(kind: core::ffi::c_ulong) -> core::ffi::c_ulong;
}

/// Suspends the caller into `save`, makes `to_tp` the thread pointer and resumes `to`.
///
/// # Safety
/// As `direct::switch`.
#[cfg(not(feature = "corosensei"))]
#[unsafe(naked)]
pub(super) unsafe extern "C" fn switch(
    save: *const super::Context,
    to: *const super::Context,
    to_tp: usize,
) {
    naked_asm!(
        include_str!("../../asm/x86_64/switch.s"),
        stack_pointer = const super::Context::STACK_POINTER,
        float_bytes = const offset_of!(Frame, r15),
        mxcsr = const offset_of!(Frame, mxcsr),
        x87_control = const offset_of!(Frame, x87_control),
        mode = sym MODE,
        instruction = const ThreadPointerMode::Instruction as u32,
        syscall = const ThreadPointerMode::Syscall as u32,
        SYS_arch_prctl = const SYS_arch_prctl,
        ARCH_SET_FS = const ARCH_SET_FS,
    )
}

/// Where a new context begins; not a function to call.
#[cfg(not(feature = "corosensei"))]
#[unsafe(naked)]
unsafe extern "C" fn start() -> ! {
    naked_asm!(include_str!("../../asm/x86_64/start.s"))
}

/// Calls `f(argument)` on the present stack with the thread pointer `tp`, and puts the old back.
///
/// # Safety
/// - `super::choose` has returned `Ok`.
/// - `tp` is the thread pointer of a block of thread-locals on which no other thread runs until
///   `f` returns; the first word of the block holds `tp`.
/// - `f` may be called with `argument`, does not unwind, and returns with the thread pointer it
///   was called with.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn call_on(
    tp: usize,
    f: unsafe extern "C" fn(*mut ()),
    argument: *mut (),
) {
    naked_asm!(
        include_str!("../../asm/x86_64/call_on.s"),
        mode = sym MODE,
        instruction = const ThreadPointerMode::Instruction as u32,
        syscall = const ThreadPointerMode::Syscall as u32,
        SYS_arch_prctl = const SYS_arch_prctl,
        ARCH_SET_FS = const ARCH_SET_FS,
    )
}

/// The thread pointer in force.
#[inline(always)]
pub(crate) fn thread_pointer() -> usize {
    let thread_pointer;
    // SAFETY: the word at FS:0 is the thread pointer in every block of thread-locals; the load
    // changes nothing. It is not `pure`: the answer differs after a switch.
    unsafe {
        asm!("mov {}, fs:[0]", out(reg) thread_pointer, options(nostack, preserves_flags, readonly));
    }
    thread_pointer
}

/// Whether the kernel lets programs write the base of FS by an instruction.
pub(super) fn has_instruction() -> bool {
    getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE != 0
}

/// Whether contexts can be switched in this process.
///
/// # Errors
/// With a shadow stack in force, which a switch of stacks would have to switch too.
pub(super) fn check() -> Result<(), Unsupported> {
    let mut features: u64 = 0;
    let result: isize;
    // SAFETY: the kernel writes one u64 to `features`, or fails with EINVAL where it knows no
    // shadow stacks.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") SYS_arch_prctl => result,
            in("rdi") ARCH_SHSTK_STATUS,
            in("rsi") &raw mut features,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    if result == 0 && features & 1 != 0 {
        return Err(Unsupported("arch: a CET shadow stack is in force, and contexts have none"));
    }
    Ok(())
}
