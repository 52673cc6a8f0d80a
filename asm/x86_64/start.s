// The first instructions of a context, and its outermost frame.
// In:  r12 = argument, r13 = entry, rbp = 0, rsp = the stack's top, 16-byte aligned.
    .cfi_startproc
    .cfi_def_cfa rsp, 0
    .cfi_undefined rip
    .cfi_undefined rbp
    // An unwinder looks a caller up by its return address less one: this byte makes the address
    // in the first frame, the next instruction, belong to this function.
    nop
    cld
    mov rdi, r12
    call r13
    ud2
    .cfi_endproc
