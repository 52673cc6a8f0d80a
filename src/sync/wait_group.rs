//! `WaitGroup`: a count of members, and a queue of those who wait for it to be 0.

use super::deadline;
use super::raw_wait_group::RawWaitGroup;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Lets threads wait for the end of each other's work: names and semantics of
/// `crossbeam_utils::sync::WaitGroup`.
///
/// Each clone is a member. [`wait`](WaitGroup::wait) drops its own and blocks the running thread,
/// green or not, until all others are dropped. It can be used by several at a time; they wait for
/// the others and for each other's call.
///
/// # Examples
/// ```
/// let group = gthread::sync::WaitGroup::new();
/// for n in 0..4 {
///     let member = group.clone();
///     gthread::spawn(move || {
///         let _ = n * n;
///         drop(member);
///     });
/// }
/// group.wait();
/// ```
pub struct WaitGroup(Arc<RawWaitGroup>);

impl WaitGroup {
    /// A group with one member.
    pub fn new() -> Self {
        Self(Arc::new(RawWaitGroup::one()))
    }

    /// Drops this member, and waits until there is none.
    pub fn wait(self) {
        let inner = Arc::clone(&self.0);
        drop(self);
        while !inner.wait(None) {}
    }

    /// As [`wait`](WaitGroup::wait), for at most `timeout`; inside a
    /// [`time::timeout`](crate::time::timeout) until the earlier of the two.
    ///
    /// # Errors
    /// The member, when the timeout passed first.
    pub fn wait_timeout(self, timeout: Duration) -> Result<(), Self> {
        self.wait_by(deadline::after(timeout))
    }

    /// As [`wait_timeout`](WaitGroup::wait_timeout), until `deadline`.
    ///
    /// # Errors
    /// The member, when the deadline passed first.
    pub fn wait_until(self, deadline: Instant) -> Result<(), Self> {
        self.wait_by(deadline::at(deadline))
    }

    fn wait_by(self, deadline_ns: u64) -> Result<(), Self> {
        let inner = Arc::clone(&self.0);
        drop(self);
        // At the deadline it counts again, unless the last other one has gone meanwhile.
        if inner.wait(Some(deadline_ns)) || !inner.join_unless_over() {
            return Ok(());
        }
        Err(Self(inner))
    }
}

impl Clone for WaitGroup {
    fn clone(&self) -> Self {
        self.0.join();
        Self(Arc::clone(&self.0))
    }
}

impl Drop for WaitGroup {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Default for WaitGroup {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for WaitGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitGroup").field("members", &self.0.members()).finish()
    }
}
