//! The bias of a processor towards its machine: entering the runtime for free.
//!
//! A machine uses its processor only while it is *in the runtime*. It says so by plain stores to a
//! word of its own; the monitor, who alone may take the processor away while the machine is in
//! user code, asks with a flag and makes the question visible by an asymmetric fence
//! (`primitive::fence`), so that the common side pays for no locked instruction.
//!
//! # Protocol
//! Machine, entering: (e1) store `in_runtime = 1`; (e2) light fence; (e3) load `tenure`. `HELD`:
//! it holds its processor. `REQUESTED`: it tries `REQUESTED -> HELD`, and holds its processor if
//! that succeeds. `TAKEN`: the processor is gone; the machine goes on *detached*.
//! Machine, leaving: (l1) store-release `in_runtime = 0`.
//! Machine, in the runtime: begins a tenure (any -> `HELD`) when it has been given a processor,
//! and ends it (-> `VACANT`) when it gives the processor up by itself.
//! Monitor: (m1) `HELD -> REQUESTED`; (m2) heavy fence; (m3) load-acquire `in_runtime`. 1: it
//! withdraws (`REQUESTED -> HELD`; failing means the machine did). 0: it tries
//! `REQUESTED -> TAKEN`; success makes the processor the monitor's.
//!
//! Neither side ever waits for the other: a preempted monitor delays nobody.
//!
//! # State table of `tenure`
//! Bits 0..2 are the state, bits 2..32 the number of the processor: a request for one processor
//! can never take another that the machine has got meanwhile.
//!
//! | state | means | leaves it |
//! |---|---|---|
//! | `HELD` | the tenure is undisturbed | monitor -> `REQUESTED`; machine -> `VACANT` |
//! | `REQUESTED` | the monitor wants the processor | machine -> `HELD` (kept) or `VACANT`; monitor -> `HELD` (withdrawn) or `TAKEN` |
//! | `TAKEN` | the processor is the monitor's | machine -> `VACANT` when it has noticed |
//! | `VACANT` | no processor | machine -> `HELD` |
//!
//! # Invariants
//! - **OneHolder**: after a successful take, the machine uses nothing of the processor before it
//!   has seen `TAKEN`. Proof: the fences of e2 and m2 are ordered. If e2 comes first, m3 reads 1
//!   (the monitor withdraws) or the 0 of a later l1. If m2 comes first, e3 reads `REQUESTED` or
//!   later, and the exchange on `tenure` decides between the two.
//! - **SeesAll**: the taker sees every write the machine made to the processor: m3 acquires the
//!   0 that l1 released, and by the argument above it is the 0 of the last stay in the runtime.
//!
//! Source: biased locking with revocation (Dice, Moir, Scherer, "Quickly Reacquirable Locks",
//! 2003), with membarrier(2) as the revoker's fence. Go pays a CAS on each entry instead.

use crate::primitive::atomic::{AtomicU32, Ordering, mutant, ord};
use crate::primitive::fence;

const HELD: u32 = 0;
const REQUESTED: u32 = 1;
const TAKEN: u32 = 2;
const VACANT: u32 = 3;
const STATE_BITS: u32 = 2;
const STATE_MASK: u32 = (1 << STATE_BITS) - 1;

/// What a machine holds after it has entered the runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Tenure {
    /// What it held before: its processor, or none.
    Kept,
    /// No longer its processor: the monitor took it. Told once.
    Lost,
}

/// The two words; one pair per machine, reused from tenure to tenure.
///
/// | field | machine | monitor |
/// |---|---|---|
/// | `in_runtime` | writes | reads |
/// | `tenure` | begins, ends, keeps | requests, withdraws, takes |
#[derive(Debug)]
pub(crate) struct Bias {
    in_runtime: AtomicU32,
    tenure: AtomicU32,
}

impl Bias {
    /// A bias for a machine that starts in the runtime, on its own stack, without a processor.
    pub(crate) fn new() -> Self {
        Self { in_runtime: AtomicU32::new(1), tenure: AtomicU32::new(VACANT) }
    }

    /// Begins a tenure of processor `index`; in the runtime.
    pub(crate) fn begin_tenure(&self, index: u32) {
        // ORDERING: Relaxed; the machine is in the runtime, so this comes after e2, and whoever
        // requests what is stored here has m2 after it: the fences do the rest (OneHolder).
        self.tenure.store(index << STATE_BITS | HELD, Ordering::Relaxed);
    }

    /// Ends a tenure; in the runtime, so the monitor cannot take the processor meanwhile.
    pub(crate) fn end_tenure(&self) {
        // ORDERING: Relaxed; a take of this tenure can no longer succeed (OneHolder), and the
        // processor goes its way by `Idle::retire` or the parker, which publish it.
        self.tenure.swap(VACANT, Ordering::Relaxed);
    }

    /// Enters the runtime: e1, e2, e3.
    #[inline(always)]
    pub(crate) fn enter(&self) -> Tenure {
        // ORDERING: Relaxed; the fence below orders it before the load (pairs with `take`).
        self.in_runtime.store(1, Ordering::Relaxed);
        if !mutant!("bias.enter.fence") {
            fence::light();
        }
        // ORDERING: Relaxed; ordered by the fence above; `enter_slow` acquires where it matters.
        let tenure = self.tenure.load(Ordering::Relaxed);
        if tenure & STATE_MASK == HELD { Tenure::Kept } else { self.enter_slow(tenure) }
    }

    #[cold]
    #[inline(never)]
    fn enter_slow(&self, seen: u32) -> Tenure {
        if seen == VACANT {
            return Tenure::Kept;
        }
        let held = seen & !STATE_MASK | HELD;
        let requested = seen & !STATE_MASK | REQUESTED;
        // ORDERING: Acquire; pairs with the exchange in `take`: after TAKEN, what the monitor wrote
        // before it is seen. The exchange itself decides between the two.
        let acquire = ord!("bias.enter.slow", Acquire);
        // ORDERING: `acquire` as said above, either way.
        match self.tenure.compare_exchange(requested, held, acquire, acquire) {
            Ok(_) => Tenure::Kept,
            Err(now) if now == held => Tenure::Kept,
            Err(_) => {
                // ORDERING: Relaxed; the tenure is over: requests for it fail on any state but HELD.
                self.tenure.store(VACANT, Ordering::Relaxed);
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

    /// Monitor: asks for processor `index` (m1); `false`: the machine does not hold it. The caller
    /// then issues one heavy fence for all requests of this round and calls [`Bias::take`] on each.
    #[must_use]
    pub(crate) fn request(&self, index: u32) -> bool {
        let held = index << STATE_BITS | HELD;
        let requested = index << STATE_BITS | REQUESTED;
        // ORDERING: Relaxed; the heavy fence that the caller issues orders it before `take`.
        let relaxed = Ordering::Relaxed;
        // ORDERING: as above; on failure there is nothing to take.
        self.tenure.compare_exchange(held, requested, relaxed, relaxed).is_ok()
    }

    /// Monitor: after the heavy fence, takes the processor if the machine is in user code (m3).
    #[must_use]
    pub(crate) fn take(&self, index: u32) -> bool {
        let requested = index << STATE_BITS | REQUESTED;
        // ORDERING: Acquire; pairs with the Release in `leave`; publishes the processor's state.
        let outside = self.in_runtime.load(ord!("bias.take.load", Acquire)) == 0;
        let state = if outside || mutant!("bias.take.check") { TAKEN } else { HELD };
        let next = index << STATE_BITS | state;
        // ORDERING: Release; pairs with the Acquire in `enter_slow`. The exchange itself decides
        // between the two; the load above acquires.
        let release = ord!("bias.take.exchange", Release);
        // ORDERING: `release` as said above; Relaxed on failure: nothing was taken.
        let exchanged = self.tenure.compare_exchange(requested, next, release, Ordering::Relaxed);
        exchanged.is_ok() && state == TAKEN
    }

    /// Whether the machine is in the runtime; for the dump, which only looks.
    pub(crate) fn is_in_runtime(&self) -> bool {
        // ORDERING: Relaxed; a statistic.
        self.in_runtime.load(Ordering::Relaxed) == 1
    }
}
