// In:  rdi = save: *const Context, rsi = to: *const Context, rdx = to_tp,
//      rcx = where the caller goes on: it comes by a jump, not by a call.
// Out: nothing; every caller-saved register is lost.
// ../README.md draws the frame and says why there is neither call nor return.
    .cfi_startproc
    .cfi_def_cfa rsp, 0
    .cfi_register rip, rcx
    push rcx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rip, 0
    push rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbp, 0
    push rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbx, 0
    push r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r12, 0
    push r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r13, 0
    push r14
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r14, 0
    push r15
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r15, 0
    sub rsp, {float_bytes}
    .cfi_adjust_cfa_offset {float_bytes}
    mov r8, rsp
    stmxcsr [r8 + {mxcsr}]
    fnstcw [r8 + {x87_control}]

    // The frame to resume is read by a register of its own: the stack pointer moves last.
    mov [rdi + {stack_pointer}], r8
    mov r9, [rsi + {stack_pointer}]

    // Loading the words only where they differ leaves two compares that nothing waits for.
    mov eax, [r8 + {mxcsr}]
    cmp eax, [r9 + {mxcsr}]
    jne 30f
20:
    movzx eax, word ptr [r8 + {x87_control}]
    cmp ax, [r9 + {x87_control}]
    jne 31f
21:
    mov r10, [r9 + {return_address}]
    mov rbp, [r9 + {rbp}]
    mov rbx, [r9 + {rbx}]
    mov r12, [r9 + {r12}]
    mov r13, [r9 + {r13}]
    mov r14, [r9 + {r14}]
    mov r15, [r9 + {r15}]

    // Until here an unwinder sees the context that is left, from here the one that is resumed.
    .cfi_remember_state
    lea rsp, [r9 + {frame_bytes}]
    .cfi_def_cfa rsp, 0
    .cfi_register rip, r10
    .cfi_restore rbp
    .cfi_restore rbx
    .cfi_restore r12
    .cfi_restore r13
    .cfi_restore r14
    .cfi_restore r15
    cmp dword ptr [rip + {mode}], {instruction}
    jne 32f
    wrfsbase rdx
22:
    jmp r10

    // The thread pointer by arch_prctl(ARCH_SET_FS, rdx), or not at all.
32:
    cmp dword ptr [rip + {mode}], {syscall}
    jne 22b
    mov edi, {ARCH_SET_FS}
    mov rsi, rdx
    mov eax, {SYS_ARCH_PRCTL}
    syscall
    test eax, eax
    jz 22b
    // The kernel refuses an address that is not a user's: the clause on `to_tp` was broken.
    ud2

    // A context with floating-point control of its own.
    .cfi_restore_state
30:
    ldmxcsr [r9 + {mxcsr}]
    jmp 20b
31:
    fldcw [r9 + {x87_control}]
    jmp 21b
    .cfi_endproc
