//! The scavenger: gives dirty free pages back to the kernel, at no more than 1 % of a processor.
//!
//! 1. Each tick notes the peak of pages in use since the last tick; the peaks of the last
//!    [`PEAKS`] ticks are remembered.
//! 2. *Goal*: resident pages may be 110 % of the highest remembered peak, and 95 % of the memory
//!    limit if there is one; what is in use now is part of that, the rest may stay free and dirty.
//! 3. Above the goal, pages go back from the high end of the heap, [`STEP_PAGES`] at a time, until
//!    the goal is met or the budget is spent.
//! 4. *Budget*: each nanosecond of clock time earns a hundredth of a nanosecond of work, up to
//!    [`BURST_NS`]; work is measured in processor time (elapsed time would charge a
//!    preemption to the budget).
//!
//! Who ticks: the runtime's monitor by [`tick`]; without it the slow paths of the allocator, every
//! [`SLOW_CALLS_PER_LOOK`] of them, look whether a tick is due; and, if asked for, a thread of its
//! own ([`start_background`]), which is what gives memory back in a program that has gone quiet.
//!
//! Rejected: a fixed delay per span (mimalloc's purge: needs somebody to allocate for it to run);
//! `MADV_FREE` (see `page_heap`); scavenging chunk by chunk in order of age (Go left that too: the
//! high end first leaves the low end dense, which is where address-ordered fit allocates).
//!
//! Source: Go `runtime/mgcscavenge.go` (the 1 % and the 10 %).

use super::geometry::PAGE;
use super::page_heap::{self, HEAP};
use crate::primitive::abort::rt_warn;
use crate::primitive::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use crate::primitive::lock::{Guard, Lock, Rank};
use crate::sys::{clock, environment, thread_end};

/// Ticks whose peaks are remembered.
const PEAKS: usize = 5;

/// Nanoseconds from tick to tick.
pub(crate) const TICK_NS: u64 = 125_000_000;

/// The same for a thread of our own when the last tick has left nothing to do.
const QUIET_NS: u64 = 500_000_000;

/// Pages that go back in one call to the kernel: 4 MiB.
const STEP_PAGES: usize = 512;

/// The most work that can be saved up: a gigabyte goes back in one tick after a quiet while.
const BURST_NS: u64 = 50_000_000;

/// Slow calls of a cache between two looks at the clock.
pub(crate) const SLOW_CALLS_PER_LOOK: u32 = 1024;

/// What the ticks remember.
#[derive(Debug)]
pub(crate) struct State {
    peaks: [usize; PEAKS],
    next_peak: usize,
    last_tick_ns: u64,
    credit_ns: u64,
}

impl State {
    /// Remembers the peak of the time since the last tick, which was `ticks` ticks ago; returns
    /// the highest one of the last [`PEAKS`].
    fn remember(&mut self, peak: usize, ticks: u64) -> usize {
        for _ in 1..ticks.min(PEAKS as u64) {
            self.push(0);
        }
        self.push(peak);
        self.peaks.into_iter().max().unwrap_or(0)
    }

    fn push(&mut self, peak: usize) {
        self.peaks[self.next_peak % PEAKS] = peak;
        self.next_peak += 1;
    }
}

static STATE: Lock<State> = Lock::new(
    Rank(115),
    State { peaks: [0; PEAKS], next_peak: 0, last_tick_ns: 0, credit_ns: BURST_NS },
);

/// When the next tick is due, for the slow paths.
static NEXT_TICK_NS: AtomicU64 = AtomicU64::new(0);

/// The memory limit in bytes; `usize::MAX`: none.
static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Work done, in nanoseconds.
static WORKED_NS: AtomicU64 = AtomicU64::new(0);

/// Sets the limit on the heap's memory in bytes: above 95 % of it nothing is kept in reserve.
pub(crate) fn set_limit(bytes: usize) {
    // ORDERING: Relaxed; a number.
    LIMIT.store(bytes, Ordering::Relaxed);
}

/// Nanoseconds the scavenger has worked.
pub(crate) fn worked_ns() -> u64 {
    // ORDERING: Relaxed; a counter.
    WORKED_NS.load(Ordering::Relaxed)
}

/// Free dirty pages that may stay, for a peak and a present use.
fn goal_pages(peak: usize, used: usize, limit_bytes: usize) -> usize {
    let resident = peak + peak / 10;
    let limited = (limit_bytes / 20).saturating_mul(19) / PAGE;
    resident.min(limited).saturating_sub(used)
}

/// Takes the limit from the environment: `GTHREAD_MEMLIMIT`, bytes with an optional `K`, `M` or
/// `G` behind. What cannot be read is told on standard error, and is no limit: at a program's
/// first allocation nobody can be given an error.
pub(crate) fn limit_from_environment() {
    let Some(text) = environment::get(c"GTHREAD_MEMLIMIT") else { return };
    match parse_bytes(text) {
        Some(bytes) => set_limit(bytes),
        None => rt_warn!(
            "GTHREAD_MEMLIMIT={}: not a number of bytes from 0 to {} with an optional K, M or G \
             behind it; there is no limit",
            text.escape_ascii(),
            usize::MAX
        ),
    }
}

fn parse_bytes(text: &[u8]) -> Option<usize> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = text[..digits].iter().try_fold(0usize, |sum, digit| {
        sum.checked_mul(10)?.checked_add(usize::from(digit - b'0'))
    })?;
    let shift = match &text[digits..] {
        b"" | b"B" => 0,
        b"K" | b"KiB" => 10,
        b"M" | b"MiB" => 20,
        b"G" | b"GiB" => 30,
        _ => return None,
    };
    if digits == 0 { None } else { number.checked_mul(1 << shift) }
}

/// After a run was taken: with `resident_pages` above 95 % of the limit, free pages go back now.
#[inline]
pub(crate) fn keep_limit(resident_pages: usize) {
    // ORDERING: Relaxed; a number.
    let limit = LIMIT.load(Ordering::Relaxed);
    if resident_pages > (limit / 20).saturating_mul(19) / PAGE {
        page_heap::scavenge(STEP_PAGES);
    }
}

/// Takes the lock: before a fork.
pub(crate) fn lock() -> Guard<'static, State> {
    STATE.lock()
}

/// From a slow path: ticks if one is due and nobody else does.
#[cold]
pub(crate) fn look() {
    // ORDERING: Relaxed; a hint, the lock decides.
    if clock::now_ns() >= NEXT_TICK_NS.load(Ordering::Relaxed) {
        tick();
    }
}

/// Works if there is anything to do; returns the nanoseconds after which there is more to do,
/// `u64::MAX` if there is nothing until somebody frees. For the monitor of a runtime, or a thread
/// of its own.
pub(crate) fn tick() -> u64 {
    let Some(mut state) = STATE.try_lock() else { return TICK_NS };
    let now = clock::now_ns();
    let since = now.saturating_sub(state.last_tick_ns);
    if since < TICK_NS {
        return TICK_NS - since;
    }
    state.last_tick_ns = now;
    state.credit_ns = (state.credit_ns + since / 100).min(BURST_NS);
    // ORDERING: Relaxed; a hint for `look`.
    NEXT_TICK_NS.store(now + TICK_NS, Ordering::Relaxed);
    let peak = HEAP.lock().restart_peak();
    let peak = state.remember(peak, since / TICK_NS);
    // ORDERING: Relaxed; a number.
    let limit = LIMIT.load(Ordering::Relaxed);
    let mut begun = thread_end::time_used_ns();
    while state.credit_ns > 0 {
        let counters = HEAP.lock().counters();
        let goal = goal_pages(peak, counters.used_pages, limit);
        let over = counters.free_dirty_pages.saturating_sub(goal);
        if over == 0 || page_heap::scavenge(over.min(STEP_PAGES)) == 0 {
            break;
        }
        let ended = thread_end::time_used_ns();
        state.credit_ns = state.credit_ns.saturating_sub(ended - begun);
        // ORDERING: Relaxed; a counter.
        WORKED_NS.fetch_add(ended - begun, Ordering::Relaxed);
        begun = ended;
    }
    drop(state);
    let left = HEAP.lock().counters();
    let is_left = left.free_dirty_pages > goal_pages(left.used_pages, left.used_pages, limit);
    if is_left { TICK_NS } else { u64::MAX }
}

/// Gives every free page back at once; returns their number.
pub(crate) fn release_all() -> usize {
    let mut pages = 0;
    loop {
        let step = page_heap::scavenge(STEP_PAGES);
        if step == 0 {
            return pages;
        }
        pages += step;
    }
}

/// Starts a thread that ticks, once per process; `false` if the system gives no thread.
pub(crate) fn start_background() -> bool {
    static STARTED: AtomicBool = AtomicBool::new(false);
    // ORDERING: Relaxed; only the question "was I first" is asked.
    if STARTED.swap(true, Ordering::Relaxed) {
        return true;
    }
    let ticker = || {
        loop {
            std::thread::sleep(std::time::Duration::from_nanos(tick().min(QUIET_NS)));
        }
    };
    let builder = std::thread::Builder::new().name("gthread-scavenge".into()).stack_size(64 << 10);
    let started = builder.spawn(ticker).is_ok();
    if !started {
        // ORDERING: Relaxed; as above.
        STARTED.store(false, Ordering::Relaxed);
    }
    started
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_with_a_unit() {
        assert_eq!(parse_bytes(b"4096"), Some(4096));
        assert_eq!(parse_bytes(b"3K"), Some(3 << 10));
        assert_eq!(parse_bytes(b"512MiB"), Some(512 << 20));
        assert_eq!(parse_bytes(b"2G"), Some(2 << 30));
        for text in ["", "G", "12T", "-1", "99999999999999999999", "99999999999G"] {
            assert_eq!(parse_bytes(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn peaks_are_forgotten_by_time_and_not_by_ticks() {
        let mut state = State { peaks: [0; PEAKS], next_peak: 0, last_tick_ns: 0, credit_ns: 0 };
        assert_eq!(state.remember(900, 1), 900);
        assert_eq!(state.remember(100, 1), 900);
        assert_eq!(state.remember(50, 3), 900, "the first was four ticks ago");
        assert_eq!(state.remember(40, 1), 100, "the second is as old");
        assert_eq!(state.remember(30, 1000), 30);
    }

    #[test]
    fn a_tenth_above_the_peak_stays_and_a_limit_takes_it() {
        assert_eq!(goal_pages(1000, 1000, usize::MAX), 100);
        assert_eq!(goal_pages(1000, 100, usize::MAX), 1000);
        assert_eq!(goal_pages(0, 0, usize::MAX), 0);
        assert_eq!(goal_pages(1000, 100, 200 * PAGE), 90);
        assert_eq!(goal_pages(1000, 300, 200 * PAGE), 0);
    }
}
