//! Client requests to valgrind: telling it what is a stack.
//!
//! Valgrind guesses a change of stacks from a large jump of the stack pointer; stacks that lie
//! closer than its threshold are taken for one, and every frame for an error. A request is an
//! instruction sequence that does nothing on a processor and is recognised by valgrind.
//! Source: `valgrind/include/valgrind.h` (3.19), `VALGRIND_DO_CLIENT_REQUEST`.

/// `VG_USERREQ__RUNNING_ON_VALGRIND`.
const RUNNING_ON_VALGRIND: usize = 0x1001;
/// `VG_USERREQ__STACK_REGISTER`.
const STACK_REGISTER: usize = 0x1501;

/// Whether the process runs under valgrind.
pub(crate) fn is_running() -> bool {
    request([RUNNING_ON_VALGRIND, 0, 0, 0, 0, 0]) != 0
}

/// Says that `[start, end)` is a stack. There is no need for `STACK_DEREGISTER` (0x1502): what is
/// registered here is never unmapped.
pub(crate) fn register_stack(start: usize, end: usize) {
    request([STACK_REGISTER, start, end, 0, 0, 0]);
}

/// Makes a request; the answer is 0 off valgrind.
fn request(arguments: [usize; 6]) -> usize {
    cfg_if::cfg_if! {
        if #[cfg(target_arch = "x86_64")] {
            let mut answer = 0usize;
            // SAFETY: rdi is rotated by 3 + 13 + 61 + 51 = 128 bits, that is not at all, and rbx
            // exchanged with itself: nothing changes but the flags. Under valgrind it reads
            // `arguments`, which lives across the block, and writes rdx.
            unsafe {
                std::arch::asm!(
                    "rol rdi, 3", "rol rdi, 13", "rol rdi, 61", "rol rdi, 51",
                    "xchg rbx, rbx",
                    in("rax") arguments.as_ptr(), inout("rdx") answer, out("rdi") _,
                    options(nostack),
                );
            }
            answer
        } else if #[cfg(target_arch = "aarch64")] {
            let mut answer = 0usize;
            // SAFETY: x12 is rotated by 3 + 13 + 51 + 61 = 128 bits, that is not at all, and x10
            // or-ed with itself. Under valgrind it reads `arguments`, which lives across the
            // block, and writes x3.
            unsafe {
                std::arch::asm!(
                    "ror x12, x12, #3", "ror x12, x12, #13",
                    "ror x12, x12, #51", "ror x12, x12, #61",
                    "orr x10, x10, x10",
                    in("x4") arguments.as_ptr(), inout("x3") answer, out("x12") _,
                    options(nostack),
                );
            }
            answer
        } else {
            let _ = arguments;
            0
        }
    }
}
