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
    stmxcsr [rsp + {mxcsr}]
    fnstcw [rsp + {x87_control}]
    mov r8, rsp

    // The two frames have one shape: the CFI above holds for either.
    mov [rdi + {stack_pointer}], rsp
    mov rsp, [rsi + {stack_pointer}]

    // Loading the words only where they differ leaves two compares that nothing waits for.
    mov eax, [r8 + {mxcsr}]
    cmp eax, [rsp + {mxcsr}]
    jne 30f
20:
    movzx eax, word ptr [r8 + {x87_control}]
    cmp ax, [rsp + {x87_control}]
    jne 31f
21:
    .cfi_remember_state
    add rsp, {float_bytes}
    .cfi_adjust_cfa_offset -{float_bytes}
    pop r15
    .cfi_adjust_cfa_offset -8
    .cfi_restore r15
    pop r14
    .cfi_adjust_cfa_offset -8
    .cfi_restore r14
    pop r13
    .cfi_adjust_cfa_offset -8
    .cfi_restore r13
    pop r12
    .cfi_adjust_cfa_offset -8
    .cfi_restore r12
    pop rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbx
    pop rbp
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbp
    pop r10
    .cfi_adjust_cfa_offset -8
    .cfi_register rip, r10

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
    ldmxcsr [rsp + {mxcsr}]
    jmp 20b
31:
    fldcw [rsp + {x87_control}]
    jmp 21b
    .cfi_endproc
