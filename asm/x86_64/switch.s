// In:  rdi = save: *const Context, rsi = to: *const Context, rdx = to_tp.
// Out: nothing; every caller-saved register is lost.
// See ../README.md for the frame.
    .cfi_startproc
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
    mov eax, [rsp + {mxcsr}]
    movzx ecx, word ptr [rsp + {x87_control}]

    // The two frames have one shape, so the CFI above holds for either.
    mov [rdi + {stack_pointer}], rsp
    mov rsp, [rsi + {stack_pointer}]
    cmp dword ptr [rip + {mode}], {instruction}
    jne 30f
    wrfsbase rdx
20:
    cmp eax, [rsp + {mxcsr}]
    jne 40f
21:
    cmp cx, [rsp + {x87_control}]
    jne 50f
22:
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
    // Not `ret`: the return stack of the processor predicts the context that was left.
    pop rcx
    .cfi_adjust_cfa_offset -8
    .cfi_register rip, rcx
    jmp rcx

    // The thread pointer by arch_prctl(ARCH_SET_FS, rdx), or not at all.
    .cfi_restore_state
30:
    cmp dword ptr [rip + {mode}], {syscall}
    jne 20b
    mov r8d, eax
    mov r9d, ecx
    mov edi, {ARCH_SET_FS}
    mov rsi, rdx
    mov eax, {SYS_arch_prctl}
    syscall
    test eax, eax
    jnz 31f
    mov eax, r8d
    mov ecx, r9d
    jmp 20b
31:
    ud2
    // A context with a floating-point environment of its own.
40:
    ldmxcsr [rsp + {mxcsr}]
    jmp 21b
50:
    fldcw [rsp + {x87_control}]
    jmp 22b
    .cfi_endproc
