//! The bias of a processor towards its machine: entering the runtime for free.
//!
//! A machine uses its processor only while it is *in the runtime*. It says so by plain stores to a
//! word of its own; the monitor, who alone may take the processor away while the machine is in
//! user code, asks with a flag and makes the question visible by an asymmetric fence
//! (`primitive::fence`), so that the common side pays for no locked instruction.
//!
//! # Protocol
//! Machine, entering: (e1) store `in_runtime = 1`; (e2) light fence; (e3) load `revoke`. `NONE`:
//! it holds its processor. `REQUESTED`: it tries `REQUESTED -> NONE`, and holds its processor if
//! that succeeds. `TAKEN`: the processor is gone; the machine goes on *detached*.
//! Machine, leaving: (l1) store-release `in_runtime = 0`.
//! Monitor: (m1) `NONE -> REQUESTED`; (m2) heavy fence; (m3) load-acquire `in_runtime`. 1: it
//! withdraws (`REQUESTED -> NONE`; failing means the machine did). 0: it tries
//! `REQUESTED -> TAKEN`; success makes the processor the monitor's.
//!
//! Neither side ever waits for the other: a preempted monitor delays nobody.
//!
//! # State table of `revoke`
//! | value | means | leaves it |
//! |---|---|---|
//! | `NONE` | the tenure is undisturbed | monitor -> `REQUESTED` |
//! | `REQUESTED` | the monitor wants the processor | machine -> `NONE` (kept), monitor -> `NONE` (withdrawn) or `TAKEN` |
//! | `TAKEN` | the processor is the monitor's | machine -> `NONE` when it has noticed |
//!
//! # Invariants
//! - **OneHolder**: after a successful take, the machine uses nothing of the processor before it
//!   has seen `TAKEN`. Proof: the fences of e2 and m2 are ordered. If e2 comes first, m3 reads 1
//!   (the monitor withdraws) or the 0 of a later l1. If m2 comes first, e3 reads `REQUESTED` or
//!   later, and the exchange on `revoke` decides between the two.
//! - **SeesAll**: the taker sees every write the machine made to the processor: m3 acquires the
//!   0 that l1 released, and by the argument above it is the 0 of the last stay in the runtime.
//!
//! Source: biased locking with revocation (Dice, Moir, Scherer, "Quickly Reacquirable Locks",
//! 2003), with membarrier(2) as the revoker's fence. Go pays a CAS on each entry instead.

use crate::primitive::atomic::{AtomicU32, Ordering, mutant, ord};
use crate::primitive::fence;

const NONE: u32 = 0;
const REQUESTED: u32 = 1;
const TAKEN: u32 = 2;

/// What a machine holds after it has entered the runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Tenure {
    /// Its processor, as before.
    Kept,
    /// No longer its processor: the monitor took it. Told once.
    Lost,
}

/// The two words; one pair per machine, reused from tenure to tenure.
///
/// | field | machine | monitor |
/// |---|---|---|
/// | `in_runtime` | writes | reads |
/// | `revoke` | exchanges `REQUESTED`, writes `TAKEN -> NONE` | exchanges |
#[derive(Debug)]
pub(crate) struct Bias {
    in_runtime: AtomicU32,
    revoke: AtomicU32,
}

impl Bias {
    /// A bias for a machine that starts in the runtime, on its own stack.
    pub(crate) fn new() -> Self {
        Self { in_runtime: AtomicU32::new(1), revoke: AtomicU32::new(NONE) }
    }

    /// Enters the runtime: e1, e2, e3.
    #[inline(always)]
    pub(crate) fn enter(&self) -> Tenure {
        // ORDERING: Relaxed; the fence below orders it before the load (pairs with `take`).
        self.in_runtime.store(1, Ordering::Relaxed);
        if !mutant!("bias.enter.fence") {
            fence::light();
        }
        // ORDERING: Acquire; pairs with the exchange in `take`: after TAKEN, what the monitor
        // wrote before it is seen.
        if self.revoke.load(Ordering::Acquire) == NONE { Tenure::Kept } else { self.enter_slow() }
    }

    #[cold]
    #[inline(never)]
    fn enter_slow(&self) -> Tenure {
        let kept =
            // ORDERING: AcqRel; decides against the exchange in `take`, which it pairs with.
            self.revoke.compare_exchange(REQUESTED, NONE, Ordering::AcqRel, Ordering::Acquire);
        match kept {
            Ok(_) | Err(NONE) => Tenure::Kept,
            Err(_) => {
                // ORDERING: Relaxed; the tenure is over and the monitor no longer looks here.
                self.revoke.store(NONE, Ordering::Relaxed);
                Tenure::Lost
            }
        }
    }

    /// Leaves the runtime for user code: l1.
    #[inline(always)]
    pub(crate) fn leave(&self) {
        // ORDERING: Release; pairs with the Acquire in `take`; publishes the processor's state.
        self.in_runtime.store(0, ord!("bias.leave", Release));
    }

    /// Monitor: asks for the processor (m1). The caller then issues one heavy fence for all
    /// requests of this round and calls [`Bias::take`] on each.
    pub(crate) fn request(&self) {
        // ORDERING: Relaxed; the heavy fence that the caller issues orders it before `take`.
        let _ = self.revoke.compare_exchange(
            NONE,
            REQUESTED,
            Ordering::Relaxed,
            // ORDERING: Relaxed; a failure means TAKEN is not yet noticed; `take` then fails too.
            Ordering::Relaxed,
        );
    }

    /// Monitor: after the heavy fence, takes the processor if the machine is in user code (m3).
    #[must_use]
    pub(crate) fn take(&self) -> bool {
        // ORDERING: Acquire; pairs with the Release in `leave`; publishes the processor's state.
        let outside = self.in_runtime.load(ord!("bias.take.load", Acquire)) == 0;
        let next = if outside || mutant!("bias.take.check") { TAKEN } else { NONE };
        let exchanged =
            // ORDERING: AcqRel; decides against the exchange in `enter_slow`, which it pairs with.
            self.revoke.compare_exchange(REQUESTED, next, Ordering::AcqRel, Ordering::Relaxed);
        exchanged.is_ok() && next == TAKEN
    }

    /// Whether the machine is in the runtime; for the dump, which only looks.
    pub(crate) fn is_in_runtime(&self) -> bool {
        // ORDERING: Relaxed; a statistic.
        self.in_runtime.load(Ordering::Relaxed) == 1
    }
}
