// The first instructions of a context, and its outermost frame.
// In:  x19 = argument, x20 = entry, x29 = 0, sp = the stack's top, 16-byte aligned.
    .cfi_startproc
    .cfi_undefined x30
    .cfi_undefined x29
    // An unwinder looks a caller up by its return address less one: this instruction makes the
    // address in the first frame, the next one, belong to this function.
    nop
    // `bti j`: where branches are guarded, the first switch may come here.
    hint #36
    mov x0, x19
    blr x20
    brk #1
    .cfi_endproc
