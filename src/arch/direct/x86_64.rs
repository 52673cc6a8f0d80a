//! x86-64: the frame of a switch and the naked functions over `asm/x86_64/`.

use super::Context;
use crate::arch::x86_64::{ARCH_SET_FS, FloatControl, SYS_ARCH_PRCTL};
use crate::arch::{Entry, MODE, ThreadPointerMode};
use core::arch::{asm, naked_asm};
use core::mem::offset_of;

/// What a switch leaves on the stack it leaves, from the saved stack pointer upwards.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Frame {
    float: FloatControl,
    r15: usize,
    r14: usize,
    r13: usize,
    r12: usize,
    rbx: usize,
    rbp: usize,
    /// Where the context goes on.
    return_address: usize,
}

/// The length of the `nop` that `start` begins with.
const START_SKIP: usize = 1;

// The assembly pushes the registers in this order, and then makes room for the first word.
const _: () = {
    assert!(size_of::<FloatControl>() == 8);
    assert!(offset_of!(Frame, r15) == 8);
    assert!(offset_of!(Frame, r14) == 16);
    assert!(offset_of!(Frame, r13) == 24);
    assert!(offset_of!(Frame, r12) == 32);
    assert!(offset_of!(Frame, rbx) == 40);
    assert!(offset_of!(Frame, rbp) == 48);
    assert!(offset_of!(Frame, return_address) == 56);
    assert!(size_of::<Frame>() == 64);
};

impl Frame {
    /// The frame of a context that has not run: it resumes in `start`.
    pub(super) fn first(entry: Entry, argument: *mut ()) -> Self {
        Self {
            float: FloatControl::INITIAL,
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

/// Suspends the caller into `save`, makes `to_tp` the thread pointer and resumes `to`.
///
/// A jump to [`switch_frames`], inlined: `asm/README.md` says why it is not a call.
///
/// # Safety
/// As [`super::switch`].
#[inline(always)]
pub(super) unsafe fn switch(save: *const Context, to: *const Context, to_tp: usize) {
    // SAFETY: the caller upholds the clauses of a switch. `switch_frames` comes back to the label
    // with the callee-saved registers and the stack pointer as they are here; all others are
    // declared lost, and memory may have changed.
    unsafe {
        asm!(
            "lea rcx, [rip + 2f]",
            "jmp {switch_frames}",
            "2:",
            switch_frames = sym switch_frames,
            in("rdi") save,
            in("rsi") to,
            in("rdx") to_tp,
            clobber_abi("C"),
        );
    }
}

/// The body of [`switch`]; not a function to call.
#[unsafe(naked)]
unsafe extern "C" fn switch_frames() {
    naked_asm!(
        include_str!("../../../asm/x86_64/switch.s"),
        stack_pointer = const Context::STACK_POINTER,
        frame_bytes = const size_of::<Frame>(),
        float_bytes = const size_of::<FloatControl>(),
        mxcsr = const offset_of!(Frame, float) + offset_of!(FloatControl, mxcsr),
        x87_control = const offset_of!(Frame, float) + offset_of!(FloatControl, x87_control),
        r15 = const offset_of!(Frame, r15),
        r14 = const offset_of!(Frame, r14),
        r13 = const offset_of!(Frame, r13),
        r12 = const offset_of!(Frame, r12),
        rbx = const offset_of!(Frame, rbx),
        rbp = const offset_of!(Frame, rbp),
        return_address = const offset_of!(Frame, return_address),
        mode = sym MODE,
        instruction = const ThreadPointerMode::Instruction as u32,
        syscall = const ThreadPointerMode::Syscall as u32,
        SYS_ARCH_PRCTL = const SYS_ARCH_PRCTL,
        ARCH_SET_FS = const ARCH_SET_FS,
    )
}

/// Where a new context begins; not a function to call.
#[unsafe(naked)]
unsafe extern "C" fn start() -> ! {
    naked_asm!(include_str!("../../../asm/x86_64/start.s"))
}
