// In:  rdi = tp, rsi = f, rdx = argument.
// Calls f(argument) with the thread pointer tp; then puts the present one back.
    .cfi_startproc
    push rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbp, 0
    mov rbp, rsp
    .cfi_def_cfa_register rbp
    push rbx
    .cfi_offset rbx, -24
    push r12
    .cfi_offset r12, -32
    mov rbx, rsi
    mov r12, rdx
    cmp dword ptr [rip + {mode}], {instruction}
    jne 30f

    rdfsbase rax
    wrfsbase rdi
    mov rdi, r12
    mov r12, rax
    call rbx
    wrfsbase r12
20:
    .cfi_remember_state
    pop r12
    .cfi_restore r12
    pop rbx
    .cfi_restore rbx
    pop rbp
    .cfi_restore rbp
    .cfi_def_cfa rsp, 8
    ret

    .cfi_restore_state
30:
    cmp dword ptr [rip + {mode}], {syscall}
    jne 40f
    mov rsi, rdi
    mov edi, {ARCH_SET_FS}
    mov eax, {SYS_ARCH_PRCTL}
    // The word at fs:0 is the thread pointer itself (the ABI's variant II of thread-locals).
    mov r8, fs:[0]
    syscall
    test eax, eax
    jnz 31f
    mov rdi, r12
    mov r12, r8
    call rbx
    mov edi, {ARCH_SET_FS}
    mov rsi, r12
    mov eax, {SYS_ARCH_PRCTL}
    syscall
    test eax, eax
    jz 20b
31:
    ud2

    // The thread pointer stays the machine's.
40:
    mov rdi, r12
    call rbx
    jmp 20b
    .cfi_endproc
