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
//! of a processor whose holder computes, a wake that failed for want of threads. A timer that is
//! overdue it fires itself: the machine that was granted its processor may wait for a CPU behind
//! many others, and any other processor can run who sleeps there.
//!
//! While everything is idle it sleeps without a deadline; the first machine that gets a
//! processor, by whatever way, pokes it, and so does whoever fails to start one.
//!
//! | period | when |
//! |---|---|
//! | none: it yields to others | for [`SPIN_NS`] after a blocked machine was found: the next green thread may block too |
//! | [`HOT_NS`] | for [`HOT_TICKS`] ticks after that |
//! | until a suspect may be taken, or may have blocked meanwhile | there are suspects |
//! | doubling to [`BUSY_NS`] | processors are in use |
//! | doubling to [`QUIET_NS`] | all processors were idle at the last tick |
//! | none | nothing has run for [`DEEP_TICKS`] such ticks, and no machine failed to start; at once where the last such sleep was longer than [`NAP_NS`] |
//!
//! With N threads that compute the kernel gives the monitor an N-th of a CPU like anybody else, and
//! once it has used that up it runs late. So among many it is a role that several threads take
//! turns in (`cast`), and it looks rarely: a suspect that computes is looked at
//! when its turn has lasted twice as long as at the last look, and at the end of its slice.
//!
//! Source: Go's sysmon, with the CPU's word for it (`/proc/.../syscall`) instead of a time limit.

use super::shared::Shared;
use super::suspect::Suspects;
use crate::green::wait::{Claim, Outcome};
use crate::green::{Phase, Token};
use crate::machine::{Machine, Slice};
use crate::primitive::atomic::Ordering;
use crate::primitive::fence;
use crate::processor::Processor;
use crate::processor::counters::Counter;
use crate::processor::run_queue::Line;
use crate::sys::clock::now_ns;
use crate::timer::Shelf;
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
const DEEP_TICKS: u32 = 2;
/// How long a deep sleep lasts that was worth it: after one that was cut short the next waits for
/// [`DEEP_TICKS`], so that a program that sleeps for a millisecond at a time need not poke.
const NAP_NS: u64 = 100_000_000;
/// For how long after a blocked machine was found the monitor does not sleep at all. On a machine
/// of one CPU its yield returns when the next green thread blocks; on others it costs a CPU for
/// that long, once per blocked machine.
const SPIN_NS: u64 = 100_000;
/// How long a turn may last, blocked in the kernel, before its processor is taken.
const BLOCKED_NS: u64 = 200_000;
/// The same in the hot period.
const BLOCKED_HOT_NS: u64 = 10_000;
/// How long a turn may compute while others wait.
const SLICE_NS: u64 = 10_000_000;
/// The same while somebody's deadline has passed.
const SLICE_URGENT_NS: u64 = 500_000;
/// The same while many wait.
const SLICE_LONG_QUEUE_NS: u64 = 2_000_000;
/// The same while a processor is idle, and what waits is where its next machine cannot see it.
const SLICE_HIDING_NS: u64 = 1_000_000;
/// How long after its deadline a timer is fired by the monitor.
const OVERDUE_NS: u64 = 200_000;
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

/// How many processors were taken from their machines.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// From blocked ones.
    pub(crate) blocked: Counter,
    /// From computing ones.
    pub(crate) computing: Counter,
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
    /// When the first of the suspects is to be looked at again, if there are any.
    suspect_ns: Option<u64>,
    blocked: bool,
}

/// What waits for a processor, as far as can be seen.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// How many green threads.
    count: usize,
    /// Whether somebody's deadline has passed.
    urgent: bool,
}

/// A look at everything, as far as its player is concerned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// How late it was.
    pub(super) late_ns: u64,
    /// How long it took.
    pub(super) took_ns: u64,
}

/// The monitor of one runtime: a role that one thread at a time plays (`cast`).
#[derive(Debug)]
pub(super) struct Monitor {
    shared: Arc<Shared>,
    seen: Vec<Seen>,
    suspects: Suspects,
    /// What the last look has found, until the rest after it.
    findings: Option<Findings>,
    /// Until when it means to sleep.
    until_ns: u64,
    period_ns: u64,
    /// For how many more ticks the period stays hot.
    hot_ticks: u32,
    /// Until when the monitor does not sleep.
    spin_until_ns: u64,
    quiet_ticks: u32,
    /// How many quiet ticks it takes until the next deep sleep.
    deep_ticks: u32,
    /// How many deep sleeps in a row have found everything quiet.
    deep_rounds: u32,
    /// How many green threads had ended when the present rounds of deep sleep began, and when the
    /// last ones that came to their end did: only what ends leaves stacks in the caches.
    ends: u64,
    tidied_ends: u64,
    /// When stacks were last aged.
    aged_ns: u64,
    /// When the allocator has something to give back next.
    scavenge_ns: u64,
    /// In deep sleep: when the next round is due.
    deep_round_ns: u64,
}

// SAFETY: `seen` holds addresses of machines, which live as long as their runtime (Inv.
// MachineStable) and may be looked at from any thread; all else is Send.
unsafe impl Send for Monitor {}

impl Waiting {
    /// How long a turn may compute while this waits; `hides`: while a processor is idle.
    fn slice_ns(self, hides: bool) -> u64 {
        match self.count {
            _ if self.urgent => SLICE_URGENT_NS,
            _ if hides => SLICE_HIDING_NS,
            LONG_QUEUE.. => SLICE_LONG_QUEUE_NS,
            _ => SLICE_NS,
        }
    }
}

impl Monitor {
    /// A monitor that has seen nothing yet.
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        let never = Seen { tick: 0, holder: std::ptr::null(), since_ns: 0 };
        Self {
            seen: vec![never; shared.processors.len()],
            suspects: Suspects::new(2 * shared.processors.len()),
            shared: shared.clone(),
            findings: None,
            until_ns: u64::MAX,
            period_ns: HOT_NS,
            hot_ticks: 0,
            spin_until_ns: 0,
            quiet_ticks: 0,
            deep_ticks: DEEP_TICKS,
            deep_rounds: 0,
            ends: 0,
            tidied_ends: 0,
            aged_ns: now_ns(),
            scavenge_ns: 0,
            deep_round_ns: 0,
        }
    }

    /// Rests after the last look, and looks at everything; `None`: the runtime stops.
    pub(super) fn round(&mut self) -> Option<Look> {
        if let Some(findings) = self.findings.take() {
            self.rest(findings);
        }
        self.shared.monitor.take_news();
        if self.shared.is_stopping() {
            return None;
        }
        let start_ns = now_ns();
        let late_ns = start_ns.saturating_sub(std::mem::replace(&mut self.until_ns, u64::MAX));
        self.findings = Some(self.tick(start_ns));
        Some(Look { late_ns, took_ns: now_ns() - start_ns })
    }

    /// Whether many machines are at work, and share the CPUs with the monitor.
    pub(super) fn is_crowded(&self) -> bool {
        self.shared.spares.is_crowded()
    }

    /// Looks at everything once.
    fn tick(&mut self, now_ns: u64) -> Findings {
        let mut findings = Findings::default();
        self.fire_overdue(now_ns);
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
        self.shared.fill_wishes();
        findings
    }

    /// Makes those runnable, for any processor, whose deadline has passed for some time.
    fn fire_overdue(&self, now_ns: u64) {
        let shared = &self.shared;
        let shelves = shared.processors.iter().map(|processor| &processor.timers);
        for shelf in shelves.chain([&shared.timers]) {
            if shelf.next_deadline_ns().saturating_add(OVERDUE_NS) <= now_ns {
                self.fire(shelf, now_ns);
            }
        }
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
        // An idle processor's next machine finds the rest, but not the backlog (README, Backlog).
        let is_idle = self.shared.idle.is_any_idle();
        if waiting.count == 0 || (is_idle && processor.thief.kept() == 0) {
            return None;
        }
        // Others take those whom this wakes before the turn ends.
        if processor.timers.next_deadline_ns() <= now_ns {
            self.fire(&processor.timers, now_ns);
        }
        let age_ns = now_ns - seen.since_ns;
        // SAFETY: machines live as long as their runtime (Inv. MachineStable).
        let machine = unsafe { &*holder };
        let blocked_ns = if self.hot_ticks > 0 { BLOCKED_HOT_NS } else { BLOCKED_NS };
        if age_ns >= blocked_ns && self.suspects.is_blocked(machine.tid()) {
            return Some(true);
        }
        let slice_ns = waiting.slice_ns(is_idle);
        if age_ns >= slice_ns {
            return Some(false);
        }
        let next_ns = seen.since_ns + (2 * age_ns).clamp(blocked_ns, slice_ns);
        findings.suspect_ns = Some(findings.suspect_ns.map_or(next_ns, |ns| ns.min(next_ns)));
        None
    }

    /// Fires what is due on a shelf, for any processor.
    fn fire(&self, shelf: &Shelf<Token>, now_ns: u64) {
        shelf.expire(now_ns, |token| {
            self.shared.external.timers.add_shared(1);
            if token.claim(Outcome::Deadline) == Claim::Resume {
                // SAFETY: claimed, so it has not finished, and it is ours to queue.
                unsafe { token.green.as_ref() }.set_phase(Phase::Runnable);
                self.shared.inject(Line::Urgent, token.green);
            }
        });
    }

    /// What waits for this processor.
    fn waiting(&self, processor: &Processor, now_ns: u64) -> Waiting {
        let due_ns = processor.timers.next_deadline_ns().min(self.shared.timers.next_deadline_ns());
        let count = processor.thief.queued()
            + processor.thief.kept()
            + usize::from(processor.thief.has_next())
            + self.shared.injectors.len()
            + usize::from(due_ns <= now_ns);
        let urgent = due_ns <= now_ns
            || processor.thief.has_urgent()
            || !self.shared.injectors.is_line_empty(Line::Urgent);
        Waiting { count, urgent }
    }

    /// Takes processors from their machines and hands them on; whether one was blocked.
    fn take(&mut self, wanted: &[(usize, bool)]) -> bool {
        let shared = self.shared.clone();
        let mut requested = Vec::with_capacity(wanted.len());
        for &(index, blocked) in wanted {
            // SAFETY: machines live as long as their runtime (Inv. MachineStable).
            let machine = unsafe { &*self.seen[index].holder };
            if machine.bias.request(index as u32) {
                requested.push((index, blocked, machine));
            }
        }
        if requested.is_empty() {
            return false;
        }
        fence::heavy();
        let mut any_blocked = false;
        for (index, blocked, machine) in requested {
            if !machine.bias.take(index as u32) {
                continue;
            }
            any_blocked |= blocked;
            if blocked {
                shared.taken.blocked.bump();
            } else {
                shared.taken.computing.bump();
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
        let shared = &self.shared;
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
        let shared = self.shared.clone();
        let start_ns = now_ns();
        if start_ns >= self.deep_round_ns {
            self.deep_round_ns = if self.tidy() { start_ns + AGE_NS } else { u64::MAX };
        }
        self.suspects.forget();
        self.period_ns = BUSY_NS;
        let is_quiet =
            || shared.idle.is_all_idle() && !shared.is_starved() && !shared.is_stopping();
        let deadline_ns = self.deep_round_ns.min(self.scavenge_ns);
        shared.monitor.deep_sleep(is_quiet, (deadline_ns != u64::MAX).then_some(deadline_ns));
        let slept_ns = now_ns() - start_ns;
        self.deep_ticks = if slept_ns < NAP_NS { DEEP_TICKS } else { 0 };
    }

    /// One round of giving stacks back, in deep sleep; whether another one may find more.
    fn tidy(&mut self) -> bool {
        self.deep_rounds += 1;
        let is_left = match self.deep_rounds {
            1 => {
                self.ends = self.shared.finished();
                return self.ends != self.tidied_ends || crate::stack::untrimmed() > 0;
            }
            2 => self.shared.flush_idle(),
            _ => crate::stack::scavenge(SCAVENGE_BATCH) > 0,
        };
        if !is_left {
            self.tidied_ends = self.ends;
        }
        is_left
    }

    /// Chooses the next period and sleeps.
    fn rest(&mut self, findings: Findings) {
        let shared = self.shared.clone();
        let ran = findings.busy || findings.moved;
        let quiet =
            !findings.busy && !shared.is_starved() && (!findings.moved || self.deep_ticks == 0);
        self.quiet_ticks = if quiet { self.quiet_ticks + 1 } else { 0 };
        let now_ns = now_ns();
        if findings.blocked {
            self.hot_ticks = HOT_TICKS;
            self.spin_until_ns = now_ns + SPIN_NS;
        }
        if now_ns < self.spin_until_ns {
            return std::thread::yield_now();
        }
        self.hot_ticks = self.hot_ticks.saturating_sub(1);
        self.period_ns = if self.hot_ticks > 0 {
            HOT_NS
        } else {
            (2 * self.period_ns).min(if findings.busy { BUSY_NS } else { QUIET_NS })
        };
        if ran {
            self.deep_rounds = 0;
            self.deep_round_ns = 0;
            // What was nothing to give back may be something by now.
            self.scavenge_ns = self.scavenge_ns.min(now_ns + SCAVENGE_NS);
        }
        if quiet && self.quiet_ticks >= self.deep_ticks {
            return self.rest_deeply();
        }
        // A deadline that has passed was seen to by this tick, as far as it can be: with all
        // processors in use it waits for a slice to end.
        // While a processor is idle a machine sleeps until the earliest (Covered), and this is for
        // when it gets no CPU.
        let late_ns = if shared.idle.is_any_idle() { OVERDUE_NS } else { 0 };
        let deadline_ns = match shared.next_deadline_ns().saturating_add(late_ns) {
            passed if passed <= now_ns => u64::MAX,
            coming => coming,
        };
        let look_ns = match findings.suspect_ns {
            Some(suspect_ns) if self.hot_ticks == 0 => suspect_ns,
            _ => now_ns + self.period_ns,
        };
        self.until_ns = look_ns.min(deadline_ns);
        shared.monitor.sleep(Some(self.until_ns));
    }
}
