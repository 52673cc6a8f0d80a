//! The seam where a test makes the operating system fail.
//!
//! A wrapper in `sys` asks [`check`] before it enters the kernel. Without the feature
//! `fault-injection` the answer is a constant and the call vanishes. With it a process-wide plan
//! says which calls of which kind fail, and with what: "every `mmap` from the third on fails with
//! `ENOMEM`". Calls are counted from the moment a plan is set, so that a test can walk `k` over
//! 0, 1, 2, … until nothing fails any more. The plan is global: a test that sets one runs in a
//! process of its own.

/// The kinds of calls that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(unreachable_pub, reason = "public to the fault-injection tests through a hidden re-export")]
#[non_exhaustive]
pub enum Call {
    /// `mmap` of a slab of stacks or of a signal stack.
    Mmap,
    /// `madvise(MADV_GUARD_INSTALL)`.
    GuardInstall,
    /// `userfaultfd`, for guards by `UFFDIO_POISON`.
    Poison,
    /// `mprotect` of a guard.
    Protect,
    /// `madvise(MADV_DONTNEED)`.
    DontNeed,
    /// `sigaltstack`.
    SignalStack,
    /// `sigaction`.
    SignalAction,
    /// The start of an OS thread.
    ThreadSpawn,
    /// `accept4` of a listener.
    Accept,
    /// A receive of any kind.
    Receive,
    /// A send of any kind.
    Send,
    /// Cuts a receive to one byte; what it fails with is not looked at.
    ShortReceive,
    /// Cuts a send to one byte; what it fails with is not looked at.
    ShortSend,
    /// libc's memory for a block of thread-locals.
    Block,
    /// `epoll_create1`, of a runtime's poller.
    EpollCreate,
    /// `epoll_ctl(EPOLL_CTL_ADD)`, of a descriptor at its first wait.
    EpollAdd,
    /// `epoll_pwait2`.
    EpollWait,
    /// `eventfd2`, of a poller's bell or for an OS thread that waits.
    EventFd,
}

/// Without the feature: nothing fails, and no instruction is spent on it.
#[cfg(not(feature = "fault-injection"))]
#[inline(always)]
pub(crate) fn check(_call: Call) -> std::io::Result<()> {
    Ok(())
}

#[cfg(feature = "fault-injection")]
pub(crate) use injected::check;
#[cfg(feature = "fault-injection")]
#[allow(
    unreachable_pub,
    unused_imports,
    reason = "public to the fault-injection tests through a hidden re-export"
)]
pub use injected::{calls, clear, fail};

#[cfg(feature = "fault-injection")]
mod injected {
    use super::Call;
    use crate::primitive::atomic::{AtomicU32, AtomicU64, Ordering};

    const CALLS: usize = Call::EventFd as usize + 1;

    /// What is planned for one kind of call; all words are statistics-grade (see `ORDERING`).
    struct Plan {
        /// How many calls were made since the plan was set.
        made: AtomicU64,
        /// The first call that fails, counted from 0.
        first: AtomicU64,
        /// How many calls fail from there on; 0 is "no plan".
        count: AtomicU64,
        /// What they fail with.
        errno: AtomicU32,
    }

    static PLANS: [Plan; CALLS] = [const {
        Plan {
            made: AtomicU64::new(0),
            first: AtomicU64::new(0),
            count: AtomicU64::new(0),
            errno: AtomicU32::new(0),
        }
    }; CALLS];

    /// Makes `count` calls of this kind fail with `errno`, from the `first`-th (0 is the next) on;
    /// `u64::MAX` is "all from there on".
    #[allow(unreachable_pub, dead_code, reason = "see the re-export")]
    pub fn fail(call: Call, first: u64, count: u64, errno: i32) {
        let plan = &PLANS[call as usize];
        // ORDERING: Relaxed, all five; a test sets its plan before it starts what is to fail.
        plan.count.store(0, Ordering::Relaxed);
        // ORDERING: Relaxed; as above.
        plan.made.store(0, Ordering::Relaxed);
        // ORDERING: Relaxed; as above.
        plan.first.store(first, Ordering::Relaxed);
        // ORDERING: Relaxed; as above.
        plan.errno.store(errno as u32, Ordering::Relaxed);
        // ORDERING: Relaxed; as above.
        plan.count.store(count, Ordering::Relaxed);
    }

    /// Ends every plan.
    #[allow(unreachable_pub, dead_code, reason = "see the re-export")]
    pub fn clear() {
        for plan in &PLANS {
            // ORDERING: Relaxed; a call under way may still see the plan it began with.
            plan.count.store(0, Ordering::Relaxed);
        }
    }

    /// How many calls of this kind were made since its plan was set.
    #[allow(unreachable_pub, dead_code, reason = "see the re-export")]
    pub fn calls(call: Call) -> u64 {
        // ORDERING: Relaxed; a count, read after the calls it counts.
        PLANS[call as usize].made.load(Ordering::Relaxed)
    }

    /// Counts a call and says whether it fails.
    pub(crate) fn check(call: Call) -> std::io::Result<()> {
        let plan = &PLANS[call as usize];
        // ORDERING: Relaxed; only the count has to be exact, which the RMW makes it.
        let nth = plan.made.fetch_add(1, Ordering::Relaxed);
        // ORDERING: Relaxed; see `fail`.
        let (first, count) =
            (plan.first.load(Ordering::Relaxed), plan.count.load(Ordering::Relaxed));
        if nth < first || nth - first >= count {
            return Ok(());
        }
        // ORDERING: Relaxed; see `fail`.
        Err(std::io::Error::from_raw_os_error(plan.errno.load(Ordering::Relaxed) as i32))
    }
}
