// In:  x0 = tp, x1 = f, x2 = argument.
// Calls f(argument) with the thread pointer tp; then puts the present one back.
    .cfi_startproc
    // `bti c`: where branches are guarded, this function may be called by its address.
    hint #34
    stp x29, x30, [sp, #-32]!
    .cfi_adjust_cfa_offset 32
    .cfi_rel_offset x29, 0
    .cfi_rel_offset x30, 8
    mov x29, sp
    str x19, [sp, #16]
    .cfi_rel_offset x19, 16
    mrs x19, tpidr_el0
.if {lodger} == 0
    msr tpidr_el0, x0
.endif
    mov x0, x2
    blr x1
.if {lodger} == 0
    msr tpidr_el0, x19
.endif
    ldr x19, [sp, #16]
    .cfi_restore x19
    ldp x29, x30, [sp], #32
    .cfi_adjust_cfa_offset -32
    .cfi_restore x29
    .cfi_restore x30
    ret
    .cfi_endproc
