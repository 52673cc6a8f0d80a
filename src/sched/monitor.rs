//! The monitor: a thread without a processor that looks after those who hold one.
//!
//! At each tick it looks at every processor in use. One whose turn has not ended since the last
//! tick, while other work waits and no processor is idle to do it, is a *suspect*: its machine is
//! either blocked in the kernel (then the processor is taken at once) or computes (then after a
//! slice). Taking is the protocol of `machine::bias`, one heavy fence for all suspects of a tick.
//!
//! It starts the machines, because a thread inherits from the one that starts it what nobody else
//! may get: the signal mask, the CPUs, the priority, the namespaces of a pinned green thread or of
//! an OS thread that spawns (Go's template thread, for all of them).
//!
//! It also wakes a machine for what nobody was woken for: a next slot that has grown old, a timer
//! of a processor whose holder computes, a wake that failed for want of threads.
//!
//! While everything is idle it sleeps without a deadline; the first machine that gets a
//! processor, by whatever way, pokes it, and so does whoever fails to start one.
//!
//! | period | when |
//! |---|---|
//! | [`HOT_NS`] | right after a blocked machine was found: the next green thread may block too |
//! | doubling to [`BUSY_NS`] | processors are in use |
//! | doubling to [`QUIET_NS`] | all processors were idle at the last tick |
//! | none | nothing has run for [`DEEP_TICKS`] such ticks, and no machine failed to start |
//!
//! Source: Go's sysmon, with the CPU's word for it (`/proc/.../syscall`) instead of a time limit.

use super::shared::Shared;
use super::suspect::Suspects;
use crate::green::Phase;
use crate::green::wait::{Claim, Outcome};
use crate::machine::{Machine, Slice};
use crate::primitive::atomic::{AtomicU32, Ordering};
use crate::primitive::fence;
use crate::processor::Processor;
use crate::processor::run_queue::Line;
use crate::sys::clock::now_ns;
use crate::sys::futex;
use std::sync::Arc;

/// The period after a blocked machine was found.
const HOT_NS: u64 = 20_000;
/// For how many ticks after that the period stays hot.
const HOT_TICKS: u32 = 16;
/// The longest period while processors are in use.
const BUSY_NS: u64 = 1_000_000;
/// The longest period while all processors are idle.
const QUIET_NS: u64 = 10_000_000;
/// How many quiet ticks in a row end in deep sleep.
const DEEP_TICKS: u32 = 4;
/// How long a turn may last, blocked in the kernel, before its processor is taken.
const BLOCKED_NS: u64 = 200_000;
/// The same in the hot period.
const BLOCKED_HOT_NS: u64 = 15_000;
/// How long a turn may compute while others wait.
const SLICE_NS: u64 = 10_000_000;
/// The same while many wait.
const SLICE_LONG_QUEUE_NS: u64 = 2_000_000;
/// How long memory lies unused before it is given back, and how often its age is looked at.
const AGE_NS: u64 = 1_000_000_000;
/// How often, while processors are in use, the allocator is asked what there is to give back.
const SCAVENGE_NS: u64 = 250_000_000;
/// How many stacks are trimmed at a visit.
const SCAVENGE_BATCH: usize = 1 << 16;
/// How many waiting green threads are many.
const LONG_QUEUE: usize = 8;
/// The kernel slice of a machine that holds a processor (Linux 6.12 and later; a hint).
pub(crate) const SHORT_SLICE_NS: u64 = 300_000;
/// The kernel slice of a machine that has lost its processor by computing.
const LONG_SLICE_NS: u64 = 20_000_000;

const AWAKE: u32 = 0;
const DEEP: u32 = 1;
const NEWS: u32 = 2;

/// Whether the monitor sleeps deeply, and the word it sleeps on.
///
/// | value | means | leaves it |
/// |---|---|---|
/// | 0 | awake, or asleep with a deadline | monitor -> 1; a wake -> 2 |
/// | 1 | sleeps without a deadline | a wake -> 2; monitor -> 0 |
/// | 2 | there is news: must not sleep | monitor -> 0, before it looks |
#[derive(Debug)]
pub(crate) struct Watch {
    asleep: AtomicU32,
    /// Processors taken from blocked machines, and from computing ones.
    pub(crate) taken_blocked: crate::processor::counters::Counter,
    pub(crate) taken_computing: crate::processor::counters::Counter,
}

impl Watch {
    /// Awake.
    pub(crate) fn new() -> Self {
        Self {
            asleep: AtomicU32::new(AWAKE),
            taken_blocked: Default::default(),
            taken_computing: Default::default(),
        }
    }

    /// A machine has got a processor: the monitor must not sleep deeply.
    #[inline]
    pub(crate) fn poke(&self) {
        fence::full();
        // ORDERING: Relaxed; the fence above pairs with the one in `deep_sleep`.
        if self.asleep.load(Ordering::Relaxed) == DEEP {
            self.wake();
        }
    }

    /// Wakes the monitor from whatever sleep.
    #[cold]
    pub(crate) fn wake(&self) {
        // The caller's news first, then the word: pairs with the fence in `take_news`.
        fence::full();
        // ORDERING: Relaxed; the fence above orders it after the caller's news.
        self.asleep.store(NEWS, Ordering::Relaxed);
        futex::wake(&self.asleep, 1);
    }

    /// Before a look at everything: what was told until now is seen by it, what is told later
    /// keeps the monitor from sleeping.
    fn take_news(&self) {
        // ORDERING: Relaxed; the fence below orders it before the look.
        self.asleep.store(AWAKE, Ordering::Relaxed);
        fence::full();
    }

    /// Sleeps until a poke or the deadline, unless `is_quiet` no longer holds.
    fn deep_sleep(&self, is_quiet: impl Fn() -> bool, deadline_ns: Option<u64>) {
        // ORDERING: Relaxed; the fence below orders it before the second look.
        let deep = self.asleep.compare_exchange(AWAKE, DEEP, Ordering::Relaxed, Ordering::Relaxed);
        fence::full();
        if deep.is_ok() && is_quiet() {
            futex::wait(&self.asleep, DEEP, deadline_ns);
        }
    }
}

/// What the monitor remembers of a processor.
#[derive(Clone, Copy, Debug)]
struct Seen {
    tick: u32,
    holder: *const Machine,
    since_ns: u64,
}

/// What a tick has found.
#[derive(Clone, Copy, Debug, Default)]
struct Findings {
    busy: bool,
    moved: bool,
    suspects: bool,
    blocked: bool,
}

/// The monitor of one runtime.
#[derive(Debug)]
struct Monitor<'a> {
    shared: &'a Shared,
    seen: Vec<Seen>,
    suspects: Suspects,
    period_ns: u64,
    /// For how many more ticks the period stays hot.
    hot_ticks: u32,
    quiet_ticks: u32,
    /// How many deep sleeps in a row have found everything quiet.
    deep_rounds: u32,
    /// When stacks were last aged.
    aged_ns: u64,
    /// When the allocator has something to give back next.
    scavenge_ns: u64,
    /// In deep sleep: when the next round is due.
    deep_round_ns: u64,
}

/// The thread of the monitor; ends when the runtime stops.
pub(crate) fn main(shared: &Arc<Shared>) {
    crate::sys::schedule::set_timer_slack_ns(1);
    crate::sys::schedule::set_slice(0, Some(SHORT_SLICE_NS));
    let never = Seen { tick: 0, holder: std::ptr::null(), since_ns: 0 };
    let mut monitor = Monitor {
        shared,
        seen: vec![never; shared.processors.len()],
        suspects: Suspects::new(2 * shared.processors.len()),
        period_ns: HOT_NS,
        hot_ticks: 0,
        quiet_ticks: 0,
        deep_rounds: 0,
        aged_ns: now_ns(),
        scavenge_ns: 0,
        deep_round_ns: 0,
    };
    loop {
        shared.monitor.take_news();
        if shared.is_stopping() {
            return;
        }
        let findings = monitor.tick();
        monitor.rest(findings);
    }
}

impl Monitor<'_> {
    /// Looks at everything once.
    fn tick(&mut self) -> Findings {
        let now_ns = now_ns();
        let mut findings = Findings::default();
        let mut wanted = Vec::new();
        for index in 0..self.shared.processors.len() {
            if let Some(blocked) = self.look(index, now_ns, &mut findings) {
                wanted.push((index, blocked));
            }
        }
        if !wanted.is_empty() {
            findings.blocked = self.take(&wanted);
        }
        if findings.busy {
            self.shared.ask_poller_for_all(now_ns);
        }
        self.wake_for_leftovers(now_ns);
        if now_ns - self.aged_ns >= AGE_NS {
            self.aged_ns = now_ns;
            crate::stack::age();
        }
        self.scavenge(now_ns);
        self.shared.fill_orders();
        findings
    }

    /// Looks at one processor; whether it should be taken, and whether its machine is blocked.
    fn look(&mut self, index: usize, now_ns: u64, findings: &mut Findings) -> Option<bool> {
        let processor = &self.shared.processors[index];
        let seen = self.seen[index];
        let tick = processor.tick();
        findings.moved |= tick != seen.tick;
        if self.shared.idle.is_idle(index as u32) {
            self.seen[index] = Seen { tick, holder: std::ptr::null(), since_ns: now_ns };
            return None;
        }
        findings.busy = true;
        processor.thief.tell_time(now_ns);
        let holder: *const Machine = processor.holder();
        if tick != seen.tick || holder != seen.holder || holder.is_null() {
            self.seen[index] = Seen { tick, holder, since_ns: now_ns };
            return None;
        }
        let waiting = self.waiting(processor, now_ns);
        if waiting == 0 || self.shared.idle.is_any_idle() {
            return None;
        }
        findings.suspects = true;
        self.fire(processor, now_ns);
        let age_ns = now_ns - seen.since_ns;
        // SAFETY: machines live as long as their runtime (Inv. MachineStable).
        let machine = unsafe { &*holder };
        let blocked_ns = if self.period_ns <= HOT_NS { BLOCKED_HOT_NS } else { BLOCKED_NS };
        if age_ns >= blocked_ns && self.suspects.is_blocked(machine.tid()) {
            return Some(true);
        }
        let slice_ns = if waiting >= LONG_QUEUE { SLICE_LONG_QUEUE_NS } else { SLICE_NS };
        (age_ns >= slice_ns).then_some(false)
    }

    /// Fires the due timers of a processor whose holder has been in one turn since the last tick:
    /// others take those whom they wake before this turn ends.
    fn fire(&self, processor: &Processor, now_ns: u64) {
        processor.timers.expire(now_ns, |token| {
            self.shared.external.timers.add_shared(1);
            if token.claim(Outcome::Deadline) == Claim::Resume {
                // SAFETY: claimed, so it has not finished, and it is ours to queue.
                unsafe { token.green.as_ref() }.set_phase(Phase::Runnable);
                self.shared.inject(Line::Urgent, token.green);
            }
        });
    }

    /// How many green threads wait for this processor, as far as can be seen.
    fn waiting(&self, processor: &Processor, now_ns: u64) -> usize {
        let due = processor.timers.next_deadline_ns().min(self.shared.timers.next_deadline_ns());
        processor.thief.queued()
            + usize::from(processor.thief.has_next())
            + self.shared.injectors.len()
            + usize::from(due <= now_ns)
    }

    /// Takes processors from their machines and hands them on; whether one was blocked.
    fn take(&mut self, wanted: &[(usize, bool)]) -> bool {
        let shared = self.shared;
        let mut requested = Vec::with_capacity(wanted.len());
        for &(index, blocked) in wanted {
            // SAFETY: machines live as long as their runtime (Inv. MachineStable).
            let machine = unsafe { &*self.seen[index].holder };
            if machine.bias.request(index as u32) {
                requested.push((index, blocked, machine));
            }
        }
        fence::heavy();
        let mut any_blocked = false;
        for (index, blocked, machine) in requested {
            if !machine.bias.take(index as u32) {
                continue;
            }
            any_blocked |= blocked;
            if blocked {
                shared.monitor.taken_blocked.bump();
            } else {
                shared.monitor.taken_computing.bump();
                machine.swap_slice(Slice::Long);
                if machine.tid() != 0 {
                    crate::sys::schedule::set_slice(machine.tid(), Some(LONG_SLICE_NS));
                }
            }
            shared.idle.force_searching();
            shared.grant(&shared.processors[index]);
            self.seen[index].holder = std::ptr::null();
        }
        any_blocked
    }

    /// Wakes a machine for work that no waker was responsible for.
    fn wake_for_leftovers(&self, now_ns: u64) {
        let shared = self.shared;
        // ORDERING: Relaxed; looked at again at each tick.
        let starved = shared.starved.swap(false, Ordering::Relaxed);
        if !shared.idle.is_any_idle() {
            return;
        }
        let old_next = || {
            let mut processors = shared.processors.iter();
            processors.any(|processor| processor.thief.has_old_next(now_ns))
        };
        if starved || shared.has_work() || old_next() {
            shared.wake_one();
        }
    }

    /// Lets the allocator give memory back, if it is due.
    fn scavenge(&mut self, now_ns: u64) {
        if now_ns >= self.scavenge_ns {
            self.scavenge_ns = now_ns.saturating_add(crate::alloc::scavenge_tick());
        }
    }

    /// Sleeps until a poke. While there is memory to give back, looks every second whether it is
    /// still quiet, and gives some back; the allocator's as often as it asks for.
    fn rest_deeply(&mut self) {
        let shared = self.shared;
        let now_ns = now_ns();
        if now_ns >= self.deep_round_ns {
            let is_left = match self.deep_rounds {
                0 => true,
                1 => shared.flush_idle(),
                _ => crate::stack::scavenge(SCAVENGE_BATCH) > 0,
            };
            self.deep_rounds += 1;
            self.deep_round_ns = if is_left { now_ns + AGE_NS } else { u64::MAX };
        }
        self.suspects.forget();
        self.period_ns = BUSY_NS;
        let is_quiet =
            || shared.idle.is_all_idle() && !shared.is_starved() && !shared.is_stopping();
        let deadline_ns = self.deep_round_ns.min(self.scavenge_ns);
        shared.monitor.deep_sleep(is_quiet, (deadline_ns != u64::MAX).then_some(deadline_ns));
    }

    /// Chooses the next period and sleeps.
    fn rest(&mut self, findings: Findings) {
        let shared = self.shared;
        let quiet = !findings.busy && !findings.moved && !shared.is_starved();
        self.quiet_ticks = if quiet { self.quiet_ticks + 1 } else { 0 };
        self.hot_ticks = match findings.blocked {
            true => HOT_TICKS,
            false => self.hot_ticks.saturating_sub(1),
        };
        self.period_ns = if self.hot_ticks > 0 {
            HOT_NS
        } else if findings.busy {
            (2 * self.period_ns).min(if findings.suspects { BLOCKED_NS } else { BUSY_NS })
        } else {
            (2 * self.period_ns).min(QUIET_NS)
        };
        if !quiet {
            self.deep_rounds = 0;
            self.deep_round_ns = 0;
            // What was nothing to give back may be something by now.
            self.scavenge_ns = self.scavenge_ns.min(now_ns() + SCAVENGE_NS);
        } else if self.quiet_ticks >= DEEP_TICKS {
            return self.rest_deeply();
        }
        // A deadline that has passed was seen to by this tick, as far as it can be: with all
        // processors in use it waits for a slice to end.
        let now_ns = now_ns();
        let deadline_ns = match shared.next_deadline_ns() {
            passed if passed <= now_ns => u64::MAX,
            coming => coming,
        };
        let until = (now_ns + self.period_ns).min(deadline_ns);
        futex::wait(&self.shared.monitor.asleep, AWAKE, Some(until));
    }
}
