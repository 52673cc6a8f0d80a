//! Who is idle, who searches, and when a push must wake somebody.
//!
//! The protocol and its proof are in `README.md` of this directory, section "Idle"; this file is
//! its state and its transitions, and knows nothing of queues, machines or stacks.
//!
//! Submitting: (s1) push; (s2) full fence; (s3) [`Idle::should_wake`].
//! Retiring: (r1) [`Idle::retire`] = announce, full fence; (r2) look at every source again;
//! (r3) found something: [`Idle::claim`] a processor and search.
//! Stopping a search with work in hand: (t1) [`Idle::stop_searching`] = decrement, full fence;
//! (t2) the last one looks at every source and wakes the next.

use crate::primitive::atomic::{AtomicU32, AtomicU64, Ordering, mutant, ord};
use crate::primitive::fence;
use std::marker::PhantomData;

/// Says that the caller holds a processor of the runtime, and is in the runtime, where nobody takes
/// it away: what the shortcut of [`Idle::should_wake`] stands on. `!Send`; from `Entered::held`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holding<'a>(PhantomData<(&'a (), *const ())>);

impl Holding<'_> {
    /// For whoever knows: `Entered`, which has the processor, and models.
    pub(super) fn witness() -> Self {
        Self(PhantomData)
    }
}

/// The idle processors and the searching machines of one runtime.
///
/// | field | written | read |
/// |---|---|---|
/// | `idle` | by whoever sets or clears a bit of `mask`; at least the number of set bits | anyone |
/// | `searching` | by a machine about itself, or by a waker for the machine it wakes | anyone |
/// | `mask` | set by the machine that gives its processor up, cleared by whoever claims it | anyone |
#[derive(Debug)]
pub(crate) struct Idle {
    idle: AtomicU32,
    searching: AtomicU32,
    mask: Box<[AtomicU64]>,
    processors: u32,
}

impl Idle {
    /// All `processors` are in use and nobody searches.
    pub(crate) fn new(processors: u32) -> Self {
        let mask = (0..processors.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Self { idle: AtomicU32::new(0), searching: AtomicU32::new(0), mask, processors }
    }

    /// s2 and s3: after a push, whether the submitter, who holds a processor of this runtime, must
    /// wake a machine.
    #[inline(always)]
    pub(crate) fn should_wake(&self, _holding: Holding<'_>) -> bool {
        if self.processors == 1 && !self.is_any_idle() {
            // The caller holds the only processor, so there is none to wake a machine with, and
            // whoever gives it up, now or after it was taken from the caller, looks at every
            // source afterwards (README, Idle, "One processor").
            return false;
        }
        self.should_wake_external()
    }

    /// As [`Idle::should_wake`], for submitters that may hold no processor.
    #[inline(always)]
    pub(crate) fn should_wake_external(&self) -> bool {
        if !mutant!("idle.submit.fence") {
            fence::full();
        }
        // ORDERING: Relaxed; the fence above pairs with the one in `retire` (README, Idle).
        self.idle.load(Ordering::Relaxed) != 0
            // ORDERING: Relaxed; the fence above pairs with the one in `stop_searching`.
            && self.searching.load(Ordering::Relaxed) == 0
    }

    /// Makes the caller the one waker of this moment: counts one searching machine, which the
    /// caller must then provide (or take back by [`Idle::stop_searching`]).
    #[must_use]
    pub(crate) fn start_waking(&self) -> bool {
        // ORDERING: AcqRel; orders wakers among each other.
        self.searching.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Claims some idle processor: the caller holds it from now on.
    #[must_use]
    pub(crate) fn claim(&self) -> Option<u32> {
        for (word_index, word) in self.mask.iter().enumerate() {
            // ORDERING: Relaxed; a guess that the RMW below checks.
            let mut seen = word.load(Ordering::Relaxed);
            while seen != 0 {
                let bit = seen.trailing_zeros();
                // ORDERING: AcqRel; Acquire pairs with the Release in `retire`: publishes the
                // processor's state to the claimer.
                let before = word.fetch_and(!(1 << bit), ord!("idle.claim", AcqRel));
                if before & (1 << bit) != 0 {
                    // ORDERING: Relaxed; a count that is never below the set bits.
                    self.idle.fetch_sub(1, Ordering::Relaxed);
                    return Some(word_index as u32 * 64 + bit);
                }
                seen = before;
            }
        }
        None
    }

    /// r1: gives processor `index` up; `searching`: the caller was a searching machine. Returns
    /// after the full fence: the caller now looks at every source once more.
    pub(crate) fn retire(&self, index: u32, searching: bool) {
        // ORDERING: Relaxed; the fence below orders it before the caller's second look.
        self.idle.fetch_add(1, Ordering::Relaxed);
        // ORDERING: Release; pairs with the Acquire in `claim`; publishes the processor's state.
        self.mask[index as usize / 64].fetch_or(1 << (index % 64), ord!("idle.retire", Release));
        if searching {
            // ORDERING: Relaxed; the fence below orders it before the caller's second look.
            self.searching.fetch_sub(1, Ordering::Relaxed);
        }
        if !mutant!("idle.retire.fence") {
            fence::full();
        }
    }

    /// Joins the search, if fewer than half of the busy processors search already.
    #[must_use]
    pub(crate) fn start_searching(&self) -> bool {
        // ORDERING: Relaxed; a bound, not a protocol.
        let busy = self.processors.saturating_sub(self.idle.load(Ordering::Relaxed));
        // ORDERING: Relaxed; a bound, not a protocol.
        if 2 * self.searching.load(Ordering::Relaxed) >= busy.max(1) {
            return false;
        }
        // ORDERING: Relaxed; `stop_searching` and `retire` fence after they take it back.
        self.searching.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Counts the caller as searching whatever the bound says: after a claim in r3.
    pub(crate) fn force_searching(&self) {
        // ORDERING: Relaxed; `stop_searching` and `retire` fence after they take it back.
        self.searching.fetch_add(1, Ordering::Relaxed);
    }

    /// t1: the caller stops searching. `true`: it was the last, and must look at every source
    /// and wake the next machine if it finds anything while a processor is idle.
    #[must_use]
    pub(crate) fn stop_searching(&self) -> bool {
        // ORDERING: Relaxed; the fence below orders it before the caller's look at the sources.
        let last = self.searching.fetch_sub(1, Ordering::Relaxed) == 1;
        if !mutant!("idle.stop.fence") {
            fence::full();
        }
        last
    }

    /// Whether any processor is idle.
    #[inline(always)]
    pub(crate) fn is_any_idle(&self) -> bool {
        // ORDERING: Relaxed; a hint; protocols fence before they ask.
        self.idle.load(Ordering::Relaxed) != 0
    }

    /// Whether [`Idle::claim`] would find a processor: what a waker that found none asks before it
    /// tries again.
    ///
    /// NOTE: asking [`Idle::is_any_idle`] there would spin while a machine that retires is
    /// preempted between its count and its bit. That machine looks at every source afterwards.
    pub(crate) fn is_any_claimable(&self) -> bool {
        // ORDERING: Relaxed; ordered by the fence in `stop_searching`, which pairs with `retire`.
        self.mask.iter().any(|word| word.load(Ordering::Relaxed) != 0)
    }

    /// Whether all processors are idle.
    pub(crate) fn is_all_idle(&self) -> bool {
        // ORDERING: Relaxed; a hint; protocols fence before they ask.
        self.idle.load(Ordering::Relaxed) >= self.processors
    }

    /// Whether at most one processor is in use; a hint.
    pub(crate) fn is_all_but_one_idle(&self) -> bool {
        // ORDERING: Relaxed; a hint.
        self.idle.load(Ordering::Relaxed) + 1 >= self.processors
    }

    /// Whether processor `index` is idle; for the monitor and the dump, which only look.
    pub(crate) fn is_idle(&self, index: u32) -> bool {
        // ORDERING: Relaxed; a statistic.
        self.mask[index as usize / 64].load(Ordering::Relaxed) & 1 << (index % 64) != 0
    }

    /// How many machines search; for the dump, which only looks.
    pub(crate) fn searching(&self) -> u32 {
        // ORDERING: Relaxed; a statistic.
        self.searching.load(Ordering::Relaxed)
    }
}
