//! x86-64: the thread pointer, the floating-point control words, and what processor and kernel
//! allow.
//!
//! The thread pointer is the base of FS. The word it points to holds its own address (variant II
//! of the ABI for thread-locals), which makes reading it a load.

use super::{MODE, ThreadPointerMode, Unsupported};
use core::arch::{asm, naked_asm};
use core::ffi::c_ulong;

/// The floating-point words that belong to a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct FloatControl {
    /// Control and sticky flags of the vector unit (MXCSR).
    pub(super) mxcsr: u32,
    /// Control word of the x87 unit.
    pub(super) x87_control: u16,
    /// Fills the word.
    reserved: u16,
}

impl FloatControl {
    /// The words of a new process: exceptions masked, round to nearest, x87 in extended precision.
    pub(super) const INITIAL: Self = Self { mxcsr: 0x1f80, x87_control: 0x037f, reserved: 0 };

    /// The words in force.
    #[cfg(any(test, feature = "corosensei"))]
    pub(super) fn read() -> Self {
        let mut words = Self { mxcsr: 0, x87_control: 0, reserved: 0 };
        // SAFETY: two stores, each to a field of its size.
        unsafe {
            asm!(
                "stmxcsr [{mxcsr}]",
                "fnstcw [{x87_control}]",
                mxcsr = in(reg) &raw mut words.mxcsr,
                x87_control = in(reg) &raw mut words.x87_control,
                options(nostack, preserves_flags),
            );
        }
        words
    }

    /// Makes the words those in force.
    ///
    /// # Safety
    /// - The words were [`read`](Self::read), or are [`INITIAL`](Self::INITIAL).
    /// - The code that runs on allows for them: Rust's own expects the initial control bits.
    #[cfg(any(test, feature = "corosensei"))]
    pub(super) unsafe fn load(&self) {
        // SAFETY: words the processor gave have no reserved bits set, so the loads cannot fault.
        unsafe {
            asm!(
                "ldmxcsr [{mxcsr}]",
                "fldcw [{x87_control}]",
                mxcsr = in(reg) &raw const self.mxcsr,
                x87_control = in(reg) &raw const self.x87_control,
                options(nostack, preserves_flags),
            );
        }
    }
}

const AT_HWCAP2: c_ulong = 26;
const HWCAP2_FSGSBASE: c_ulong = 1 << 1;
pub(super) const SYS_ARCH_PRCTL: usize = 158;
pub(super) const ARCH_SET_FS: usize = 0x1002;
const ARCH_SHSTK_STATUS: usize = 0x5005;
const ARCH_SHSTK_SHSTK: u64 = 1 << 0;

unsafe extern "C" {
    /// glibc's, and every other libc's, look-up in the auxiliary vector.
    safe fn getauxval(kind: c_ulong) -> c_ulong;
}

/// The thread pointer in force.
#[inline(always)]
pub(crate) fn thread_pointer() -> usize {
    let thread_pointer;
    // SAFETY: the word at FS:0 is the thread pointer in every block of thread-locals; the load
    // changes nothing. It is not `pure`: after a switch the answer may be another.
    unsafe {
        asm!("mov {}, fs:[0]", out(reg) thread_pointer, options(nostack, preserves_flags, readonly));
    }
    thread_pointer
}

/// Asks for the line of the cache that an address lies in. Any address will do: it is a hint.
#[inline(always)]
pub(crate) fn prefetch(address: usize) {
    // SAFETY: a hint neither faults nor changes anything.
    unsafe {
        asm!("prefetcht0 [{}]", in(reg) address, options(nomem, nostack, preserves_flags));
    }
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
        SYS_ARCH_PRCTL = const SYS_ARCH_PRCTL,
        ARCH_SET_FS = const ARCH_SET_FS,
    )
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
            inlateout("rax") SYS_ARCH_PRCTL => result,
            in("rdi") ARCH_SHSTK_STATUS,
            in("rsi") &raw mut features,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    if result == 0 && features & ARCH_SHSTK_SHSTK != 0 {
        return Err(Unsupported("arch: a CET shadow stack is in force, and contexts have none"));
    }
    Ok(())
}
