//! aarch64: the thread pointer, the floating-point control word, and what the kernel allows.
//!
//! The thread pointer is `tpidr_el0`, which every program may read and write.

use super::Unsupported;
use core::arch::{asm, naked_asm};

/// The floating-point word that belongs to a context. FPSR, the sticky flags, does not: the ABI
/// lets any call change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct FloatControl {
    /// Rounding, flushing to zero, traps (FPCR).
    pub(super) fpcr: u64,
}

impl FloatControl {
    /// The word of a new process: no traps, round to nearest.
    pub(super) const INITIAL: Self = Self { fpcr: 0 };

    /// The word in force.
    #[cfg(any(test, feature = "corosensei"))]
    pub(super) fn read() -> Self {
        let fpcr;
        // SAFETY: reads a register.
        unsafe { asm!("mrs {}, fpcr", out(reg) fpcr, options(nomem, nostack, preserves_flags)) };
        Self { fpcr }
    }

    /// Makes the word the one in force.
    ///
    /// # Safety
    /// - The word was [`read`](Self::read), or is [`INITIAL`](Self::INITIAL).
    /// - The code that runs on allows for it: Rust's own expects the initial word.
    #[cfg(any(test, feature = "corosensei"))]
    pub(super) unsafe fn load(&self) {
        // SAFETY: a word the processor gave; code after this allows for it.
        unsafe { asm!("msr fpcr, {}", in(reg) self.fpcr, options(nostack, preserves_flags)) };
    }
}

/// Whether the thread pointer stays the machine's in this build (`ThreadPointerMode::Lodger`); an
/// `.if` in the assembly, because here there is nothing to choose at run time.
pub(super) const LODGER: u32 = cfg!(any(gthread_tsan, gthread_asan)) as u32;

const SYS_PRCTL: usize = 167;
const PR_GET_SHADOW_STACK_STATUS: usize = 74;
const PR_SHADOW_STACK_ENABLE: u64 = 1 << 0;

/// The thread pointer in force.
#[inline(always)]
pub(crate) fn thread_pointer() -> usize {
    let thread_pointer;
    // SAFETY: reads a register. It is not `pure`: after a switch the answer may be another, and
    // it counts as a read of memory so that it stays behind what was called before it.
    unsafe {
        asm!(
            "mrs {}, tpidr_el0",
            out(reg) thread_pointer,
            options(nostack, preserves_flags, readonly)
        );
    }
    thread_pointer
}

/// Asks for the line of the cache that an address lies in. Any address will do: it is a hint.
#[inline(always)]
pub(crate) fn prefetch(address: usize) {
    // SAFETY: a hint neither faults nor changes anything.
    unsafe {
        asm!("prfm pldl1keep, [{}]", in(reg) address, options(nomem, nostack, preserves_flags));
    }
}

/// Calls `f(argument)` on the present stack with the thread pointer `tp`, and puts the old back.
///
/// # Safety
/// - `super::choose` has returned `Ok`.
/// - `tp` is the thread pointer of a block of thread-locals on which no other thread runs until
///   `f` returns.
/// - `f` may be called with `argument`, does not unwind, and returns with the thread pointer it
///   was called with.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn call_on(
    tp: usize,
    f: unsafe extern "C" fn(*mut ()),
    argument: *mut (),
) {
    naked_asm!(include_str!("../../asm/aarch64/call_on.s"), lodger = const LODGER)
}

/// Whether programs may write the thread pointer by an instruction.
pub(super) fn has_instruction() -> bool {
    true
}

/// Whether contexts can be switched in this process.
///
/// # Errors
/// With a guarded control stack in force, which a switch of stacks would have to switch too.
pub(super) fn check() -> Result<(), Unsupported> {
    let mut status: u64 = 0;
    let result: isize;
    // SAFETY: the kernel writes one u64 to `status`, or fails with EINVAL where it knows no
    // guarded control stacks; the arguments it does not use are 0.
    unsafe {
        asm!(
            "svc #0",
            in("x8") SYS_PRCTL,
            inlateout("x0") PR_GET_SHADOW_STACK_STATUS => result,
            in("x1") &raw mut status,
            in("x2") 0,
            in("x3") 0,
            in("x4") 0,
            options(nostack),
        );
    }
    if result == 0 && status & PR_SHADOW_STACK_ENABLE != 0 {
        return Err(Unsupported(
            "arch: a guarded control stack is in force, and contexts have none",
        ));
    }
    Ok(())
}
