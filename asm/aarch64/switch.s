// In:  x0 = save: *const Context, x1 = to: *const Context, x2 = to_tp,
//      x30 = where the caller goes on: it comes by a branch without link.
// Out: nothing; every caller-saved register is lost.
// ../README.md draws the frame and says why there is neither call nor return.
    .cfi_startproc
    sub sp, sp, #{frame_bytes}
    .cfi_adjust_cfa_offset {frame_bytes}
    stp x29, x30, [sp, #{x29}]
    .cfi_rel_offset x29, {x29}
    .cfi_rel_offset x30, {x29} + 8
    stp x19, x20, [sp, #{x19}]
    .cfi_rel_offset x19, {x19}
    .cfi_rel_offset x20, {x19} + 8
    stp x21, x22, [sp, #{x21}]
    .cfi_rel_offset x21, {x21}
    .cfi_rel_offset x22, {x21} + 8
    stp x23, x24, [sp, #{x23}]
    .cfi_rel_offset x23, {x23}
    .cfi_rel_offset x24, {x23} + 8
    stp x25, x26, [sp, #{x25}]
    .cfi_rel_offset x25, {x25}
    .cfi_rel_offset x26, {x25} + 8
    stp x27, x28, [sp, #{x27}]
    .cfi_rel_offset x27, {x27}
    .cfi_rel_offset x28, {x27} + 8
    mrs x10, fpcr
    str x10, [sp, #{float}]

    // The frame to resume is read by a register of its own: the stack pointer moves last.
    mov x9, sp
    str x9, [x0, #{stack_pointer}]
    ldr x9, [x1, #{stack_pointer}]

    // Writing FPCR drains the pipeline; it is written only where it differs.
    ldr x11, [x9, #{float}]
    cmp x10, x11
    b.ne 30f
20:
    ldp x29, x30, [x9, #{x29}]
    ldp x19, x20, [x9, #{x19}]
    ldp x21, x22, [x9, #{x21}]
    ldp x23, x24, [x9, #{x23}]
    ldp x25, x26, [x9, #{x25}]
    ldp x27, x28, [x9, #{x27}]

    // Until here an unwinder sees the context that is left, from here the one that is resumed.
    .cfi_remember_state
    add sp, x9, #{frame_bytes}
    .cfi_def_cfa sp, 0
    .cfi_restore x29
    .cfi_restore x30
    .cfi_restore x19
    .cfi_restore x20
    .cfi_restore x21
    .cfi_restore x22
    .cfi_restore x23
    .cfi_restore x24
    .cfi_restore x25
    .cfi_restore x26
    .cfi_restore x27
    .cfi_restore x28
.if {lodger} == 0
    msr tpidr_el0, x2
.endif
    br x30

    // A context with a floating-point control of its own.
    .cfi_restore_state
30:
    msr fpcr, x11
    b 20b
    .cfi_endproc
