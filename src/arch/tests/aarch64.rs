//! Registers of aarch64.

use super::*;
use core::arch::naked_asm;

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
        ".macro each_pair operation",
        "\\operation x19, x20, 1",
        "\\operation x21, x22, 3",
        "\\operation x23, x24, 5",
        "\\operation x25, x26, 7",
        "\\operation x27, x28, 9",
        ".endm",
        ".macro each_float operation",
        ".irp n, 8, 9, 10, 11, 12, 13, 14, 15",
        "\\operation d\\n, (\\n*16)",
        ".endr",
        ".endm",
        ".macro store_pair a, b, n",
        "stp \\a, \\b, [sp, #16 + 8 * (\\n - 1)]",
        ".endm",
        ".macro load_pair a, b, n",
        "ldp \\a, \\b, [sp, #16 + 8 * (\\n - 1)]",
        ".endm",
        ".macro store_float d, n",
        "str \\d, [sp, #96 + (\\n / 16 - 8) * 8]",
        ".endm",
        ".macro load_float d, n",
        "ldr \\d, [sp, #96 + (\\n / 16 - 8) * 8]",
        ".endm",
        ".macro fill_pair a, b, n",
        "add \\a, x9, #\\n",
        "add \\b, x9, #\\n + 1",
        ".endm",
        ".macro fill_float d, n",
        "add x10, x9, #\\n",
        "fmov \\d, x10",
        ".endm",
        ".macro check_pair a, b, n",
        "add x10, x9, #\\n",
        "eor x10, x10, \\a",
        "orr x0, x0, x10",
        "add x10, x9, #\\n + 1",
        "eor x10, x10, \\b",
        "orr x0, x0, x10",
        ".endm",
        ".macro check_float d, n",
        "fmov x11, \\d",
        "add x10, x9, #\\n",
        "eor x10, x10, x11",
        "orr x0, x0, x10",
        ".endm",
        "stp x29, x30, [sp, #-176]!",
        "each_pair store_pair",
        "each_float store_float",
        "str x0, [sp, #160]",
        "mov x9, x0",
        "each_pair fill_pair",
        "each_float fill_float",
        "mov x0, x2",
        "blr x1",
        "ldr x9, [sp, #160]",
        "mov x0, #0",
        "each_pair check_pair",
        "each_float check_float",
        "each_pair load_pair",
        "each_float load_float",
        "ldp x29, x30, [sp], #176",
        "ret",
        ".purgem each_pair",
        ".purgem each_float",
        ".purgem store_pair",
        ".purgem load_pair",
        ".purgem store_float",
        ".purgem load_float",
        ".purgem fill_pair",
        ".purgem fill_float",
        ".purgem check_pair",
        ".purgem check_float",
    )
}

/// Words that differ from the initial one: rounding, flushing to zero.
pub(super) fn altered(variant: u32) -> FloatControl {
    FloatControl { fpcr: if variant == 0 { 1 << 24 } else { 1 << 22 } }
}
