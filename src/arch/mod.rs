//! A context switch: the stack pointer and the thread pointer change together.
//!
//! A [`Context`] is a suspended flow of control on a stack of its own. [`switch`] suspends the
//! running one and resumes another, and makes the thread pointer the caller names current, so
//! that ELF thread-locals belong to the context and not to the OS thread below it.
//!
//! Two backends keep one contract. `direct` is the assembly in `asm/`: any context switches to
//! any other ([`DIRECT`]). `corosensei` (a feature) is the portable one: a green thread switches
//! only to the root context of its machine, and the machine to a green thread.
//!
//! The contract:
//! 1. `Context::EMPTY` is a context nobody has suspended: the place a root context is saved in.
//! 2. `prepare` makes a context that will call `entry(argument)` on the given stack, with the
//!    floating-point control words the ABI names for a new process. The entry never returns.
//! 3. `switch(save, to, to_tp)` suspends the caller into `save` and resumes `to`; it returns when
//!    somebody resumes `save`. Callee-saved registers, MXCSR and the x87 control word (FPCR on
//!    aarch64) belong to the context. The direction flag is clear on both sides, as the ABI says.
//! 4. A suspended context may be resumed on another OS thread.
//!
//! **Rule** (Inv. OneThreadPointer): no function touches thread-locals both before and after it
//! changes the thread pointer itself, because compilers keep addresses of thread-locals over
//! calls. A call of [`switch`] keeps it: it returns with the thread pointer it was called with.
//! [`call_on`] keeps it: what runs on the other thread pointer is behind an opaque call.

cfg_if::cfg_if! {
    if #[cfg(target_arch = "x86_64")] {
        mod x86_64;
        use x86_64 as cpu;
    } else if #[cfg(target_arch = "aarch64")] {
        mod aarch64;
        use aarch64 as cpu;
    } else {
        compile_error!("gthread runs on x86-64 and aarch64");
    }
}
cfg_if::cfg_if! {
    if #[cfg(feature = "corosensei")] {
        mod corosensei;
        use self::corosensei as backend;
    } else {
        mod direct;
        use direct as backend;
    }
}
#[cfg(test)]
mod tests;

pub(crate) mod announce;

pub(crate) use backend::{Context, DIRECT, prepare, switch};
pub(crate) use cpu::{call_on, prefetch, thread_pointer};

use crate::primitive::atomic::{AtomicU32, Ordering};

/// The first function of a context; it never returns.
pub(crate) type Entry = unsafe extern "C" fn(*mut ()) -> !;

/// How a switch changes the thread pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum ThreadPointerMode {
    /// By an instruction: FSGSBASE on x86-64, a write to `tpidr_el0` on aarch64.
    Instruction = 0,
    /// By a system call, where the processor, the kernel or an emulator has no such instruction.
    Syscall = 1,
    /// Never: under a sanitizer, whose own state is in thread-locals, green threads lodge in
    /// those of their machine.
    Lodger = 2,
}

/// Why contexts cannot be switched in this process; the text is one sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unsupported(&'static str);

impl std::fmt::Display for Unsupported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Unsupported {}

/// The [`ThreadPointerMode`] in force; assembly reads it at each switch.
///
/// | who | access |
/// |---|---|
/// | `choose` | writes, before the first context is prepared |
/// | the assembly | plain loads |
static MODE: AtomicU32 = AtomicU32::new(ThreadPointerMode::Instruction as u32);

/// Decides, once at start, how the thread pointer is changed.
///
/// # Errors
/// Where contexts cannot be switched at all, with the reason.
pub(crate) fn choose() -> Result<ThreadPointerMode, Unsupported> {
    cpu::check()?;
    let mode = if cfg!(any(gthread_tsan, gthread_asan)) {
        ThreadPointerMode::Lodger
    } else if cpu::has_instruction() {
        ThreadPointerMode::Instruction
    } else {
        ThreadPointerMode::Syscall
    };
    // ORDERING: Relaxed; pairs with the loads in the assembly; whoever switches got its context
    // by a synchronised path from `prepare`, which the caller of `choose` calls after this.
    MODE.store(mode as u32, Ordering::Relaxed);
    Ok(mode)
}
