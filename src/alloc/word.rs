//! The allocator's thread-local word: the address of the machine's cache.
//!
//! It is a *lent word*: a green thread has thread-locals of its own, so whoever switches copies
//! this word from the block of thread-locals that is left to the one that is entered
//! ([`offset`] says where in a block it lies). Between two switches it is constant.
//!
//! Defined and read in assembly, initial-exec: two instructions, no call. `thread_local!` in a
//! library compiles to a call of `__tls_get_addr` before link-time relaxation, which would spill
//! registers on every allocation. The initial value is the address of a static cache that is
//! always empty, so the fast path has no "is there a cache" branch. The one upward reference of
//! this module, to that static, is data only.
//!
//! NOTE: initial-exec needs room in the static TLS block; a library opened by `dlopen` takes
//! 8 bytes of the loader's surplus. The symbol carries the version, so that two versions of the
//! crate link together.
//!
//! Elsewhere (other architectures, sanitizers, which instrument what they can see) it is a
//! `thread_local!` without a destructor.

cfg_if::cfg_if! {
    if #[cfg(all(
        any(target_arch = "x86_64", target_arch = "aarch64"),
        target_os = "linux",
        not(any(gthread_tsan, gthread_asan)),
    ))] {
        macro_rules! symbol {
            ($before:literal, $after:literal) => {
                concat!(
                    $before, "__gthread_cache_word_",
                    env!("CARGO_PKG_VERSION_MAJOR"), "_",
                    env!("CARGO_PKG_VERSION_MINOR"), "_",
                    env!("CARGO_PKG_VERSION_PATCH"), $after
                )
            };
        }

        std::arch::global_asm!(
            ".pushsection .tdata,\"awT\",%progbits",
            ".balign 8",
            symbol!(".globl ", ""),
            symbol!(".hidden ", ""),
            symbol!(".type ", ", %object"),
            symbol!(".size ", ", 8"),
            symbol!("", ":"),
            ".8byte {empty}",
            ".popsection",
            empty = sym crate::alloc::EMPTY_CACHE,
        );

        /// The word of the running thread.
        #[inline(always)]
        pub(crate) fn word() -> usize {
            let word: usize;
            #[cfg(target_arch = "x86_64")]
            // SAFETY: reads a word of the running thread's own TLS block, which exists for the
            // life of the thread. `pure` holds between switches, and every switch is an
            // `asm!` block that clobbers memory, across which the compiler may not merge reads.
            unsafe {
                std::arch::asm!(
                    symbol!("mov {0}, qword ptr [rip + ", "@GOTTPOFF]"),
                    "mov {0}, qword ptr fs:[{0}]",
                    out(reg) word,
                    options(pure, readonly, nostack, preserves_flags),
                );
            }
            #[cfg(target_arch = "aarch64")]
            // SAFETY: as above.
            unsafe {
                std::arch::asm!(
                    symbol!("adrp {0}, :gottprel:", ""),
                    symbol!("ldr {0}, [{0}, :gottprel_lo12:", "]"),
                    "mrs {1}, tpidr_el0",
                    "ldr {0}, [{1}, {0}]",
                    out(reg) word,
                    out(reg) _,
                    options(pure, readonly, nostack, preserves_flags),
                );
            }
            word
        }

        /// The distance from a thread pointer to its word: constant in a process.
        pub(crate) fn offset() -> isize {
            let offset: isize;
            #[cfg(target_arch = "x86_64")]
            // SAFETY: reads a constant of the loader's from the GOT.
            unsafe {
                std::arch::asm!(
                    symbol!("mov {0}, qword ptr [rip + ", "@GOTTPOFF]"),
                    out(reg) offset,
                    options(pure, readonly, nostack, preserves_flags),
                );
            }
            #[cfg(target_arch = "aarch64")]
            // SAFETY: as above.
            unsafe {
                std::arch::asm!(
                    symbol!("adrp {0}, :gottprel:", ""),
                    symbol!("ldr {0}, [{0}, :gottprel_lo12:", "]"),
                    out(reg) offset,
                    options(pure, readonly, nostack, preserves_flags),
                );
            }
            offset
        }

        /// Writes the word of the running thread.
        pub(crate) fn set_word(word: usize) {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: writes a word of the running thread's own TLS block.
            unsafe {
                std::arch::asm!(
                    "mov qword ptr fs:[{0}], {1}",
                    in(reg) offset(),
                    in(reg) word,
                    options(nostack, preserves_flags),
                );
            }
            #[cfg(target_arch = "aarch64")]
            // SAFETY: as above.
            unsafe {
                std::arch::asm!(
                    "mrs {2}, tpidr_el0",
                    "str {1}, [{2}, {0}]",
                    in(reg) offset(),
                    in(reg) word,
                    out(reg) _,
                    options(nostack, preserves_flags),
                );
            }
        }
    } else {
        use std::cell::Cell;

        thread_local! {
            static WORD: Cell<*const ()> =
                const { Cell::new((&raw const crate::alloc::EMPTY_CACHE).cast()) };
        }

        /// The word of the running thread.
        #[inline(never)]
        pub(crate) fn word() -> usize {
            WORD.with(Cell::get) as usize
        }

        /// The distance from a thread pointer to its word: under a sanitizer the thread pointer
        /// is never changed, so nobody asks.
        pub(crate) fn offset() -> isize {
            0
        }

        /// Writes the word of the running thread.
        #[inline(never)]
        pub(crate) fn set_word(word: usize) {
            WORD.with(|cell| cell.set(word as *const ()));
        }
    }
}
