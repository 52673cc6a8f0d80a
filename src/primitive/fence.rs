//! Fences: the symmetric one, and the asymmetric pair that makes the common side free.
//!
//! A store-load handshake (Dekker) needs a full fence on both sides. Where one side runs millions
//! of times a second and the other a few times, [`light`] on the first is only a compiler fence
//! and [`heavy`] on the second is `membarrier(PRIVATE_EXPEDITED)`, which makes every running
//! thread of the process execute a full fence. Where the kernel refuses membarrier (seccomp,
//! gVisor) and under loom both are `fence(SeqCst)`. [`choose`] decides once, before the first
//! machine starts; from then on the mode is constant.
//!
//! Source: Dice, Huang, Yang, "Asymmetric Dekker Synchronization" (2001); membarrier(2).

use super::atomic::Ordering;

/// A sequentially consistent fence.
#[inline(always)]
pub(crate) fn full() {
    cfg_if::cfg_if! {
        if #[cfg(all(target_arch = "x86_64", not(loom), not(gthread_tsan)))] {
            // SAFETY: a locked no-op on the word at the stack pointer, which is always mapped and
            // writable; it changes no value. `asm!` without `nomem` is a compiler fence too.
            // NOTE: LLVM emits `mfence`, which costs 2-3 times as much and orders only
            // non-temporal stores beyond what a locked instruction does.
            unsafe { std::arch::asm!("lock or dword ptr [rsp], 0", options(nostack)) };
        } else {
            // ORDERING: SeqCst; pairs with every other `full()` and with `heavy()`.
            super::atomic::fence(Ordering::SeqCst);
        }
    }
}

/// Whether membarrier carries the asymmetric pair; constant after [`choose`].
#[cfg(not(loom))]
static ASYMMETRIC: super::atomic::AtomicBool = super::atomic::AtomicBool::new(false);

/// Registers the process for membarrier and chooses the mode; idempotent.
///
/// Returns whether the light side is free.
#[cfg(not(loom))]
pub(crate) fn choose() -> bool {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let registered = crate::sys::membarrier::register();
        // ORDERING: Relaxed; published to machines by the spawn of their threads.
        ASYMMETRIC.store(registered, Ordering::Relaxed);
    });
    // ORDERING: Relaxed; constant after the Once above.
    ASYMMETRIC.load(Ordering::Relaxed)
}

/// The cheap side of an asymmetric handshake: keeps the compiler from reordering.
#[inline(always)]
pub(crate) fn light() {
    #[cfg(loom)]
    full();
    #[cfg(not(loom))]
    {
        // ORDERING: Relaxed; the mode is constant once a machine runs (see `choose`).
        if ASYMMETRIC.load(Ordering::Relaxed) {
            std::sync::atomic::compiler_fence(Ordering::SeqCst);
        } else {
            full();
        }
    }
}

/// The dear side: after it, every thread of the process has executed a full fence.
///
/// Costs 8-20 us while other threads run, 0.2 us when none does.
#[cold]
pub(crate) fn heavy() {
    #[cfg(loom)]
    if !super::atomic::mutant!("fence.heavy") {
        full();
    }
    #[cfg(not(loom))]
    {
        full();
        // ORDERING: Relaxed; the mode is constant once a machine runs (see `choose`).
        if ASYMMETRIC.load(Ordering::Relaxed) {
            crate::sys::membarrier::expedited();
        }
    }
}
