//! A thread's attempt at a lock that was held: what it has gone through, and for how long.

/// A waiter that has lost the race for this long is to be handed the lock.
#[cfg(not(loom))]
const STARVED_NS: u64 = 500_000;

/// See the module. A lock that is never contended makes none, and reads no clock.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    /// It was woken, and owes the lock's word its `WOKEN` bit.
    pub(super) woken: bool,
    /// When it first lost a race after having been woken.
    #[cfg(not(loom))]
    since_ns: Option<u64>,
}

impl Attempt {
    /// Notes a lost race: whether the next unlock is to hand the lock over.
    #[cfg(not(loom))]
    pub(super) fn has_starved(&mut self) -> bool {
        let now_ns = crate::sys::clock::now_ns();
        now_ns.saturating_sub(*self.since_ns.get_or_insert(now_ns)) >= STARVED_NS
    }

    /// In models one lost race is enough.
    #[cfg(loom)]
    pub(super) fn has_starved(&mut self) -> bool {
        let _ = self;
        true
    }
}
