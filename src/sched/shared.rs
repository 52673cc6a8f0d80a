//! What the machines of one runtime share.
//!
//! # Fields
//! | field | who, when |
//! |---|---|
//! | `processors` | constant; each by its own table |
//! | `idle`, `timekeeper`, `spares`, `stand_ins`, `monitor` | by their own protocols |
//! | `injectors`, `timers`, `external` | anyone |
//! | `taken` | written by the monitor; read by anyone |
//! | `poller` | made once, by whoever registers the first descriptor; then anyone |
//! | `closing`, `stopping`, `starved` | set once by whoever shuts down; `starved` by whoever fails to start a machine |
//! | `drained` | whoever waits for the last green thread, and whoever ends it |

use super::idle::Idle;
use super::io::LazyPoller;
use super::monitor::Taken;
use super::spare::Spares;
use super::stand_in::StandIns;
use super::timekeeper::Timekeeper;
use super::watch::Watch;
use crate::green::wait::{Claim, Outcome};
use crate::green::{Green, Token};
use crate::primitive::atomic::{AtomicBool, Ordering};
use crate::primitive::fence;
use crate::primitive::lock::{Lock, Rank};
use crate::processor::Processor;
use crate::processor::counters::{Counter, Counters};
use crate::processor::injectors::Injectors;
use crate::processor::run_queue::{Line, Runnable};
use crate::stack::StackSize;
use crate::sys::clock::now_ns;
use crate::timer::Shelf;
use std::ptr::NonNull;
use std::sync::Arc;

/// How green threads are carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carriage {
    /// By machines, with switches.
    Machines,
    /// Each by an OS thread of its own.
    OsThreads,
}

/// The state of one runtime; see the module.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) processors: Box<[Processor]>,
    pub(crate) idle: Idle,
    pub(crate) injectors: Injectors<Green>,
    pub(crate) timers: Shelf<Token>,
    pub(crate) timekeeper: Timekeeper,
    pub(crate) poller: LazyPoller,
    pub(crate) spares: Spares,
    pub(crate) stand_ins: StandIns,
    pub(crate) monitor: Watch,
    pub(crate) taken: Taken,
    pub(crate) external: Counters,
    pub(crate) stack_size: StackSize,
    pub(crate) carriage: Carriage,
    /// From a thread pointer to the words of `primitive::tls`.
    pub(crate) tls_offset: isize,
    closing: AtomicBool,
    /// Whether the handle of the runtime is gone while green threads live: the last ends it.
    abandoned: AtomicBool,
    stopping: AtomicBool,
    pub(crate) starved: AtomicBool,
    drained: Lock<Vec<Token>>,
}

impl Shared {
    /// The state of a runtime with no machine yet and all its processors idle.
    ///
    /// # Errors
    /// Too many different stack sizes are in use in this process.
    pub(crate) fn new(
        processors: u32,
        stack_size: StackSize,
        carriage: Carriage,
        tls_offset: isize,
    ) -> std::io::Result<Arc<Self>> {
        let shared = Self {
            processors: (0..processors)
                .map(|index| Processor::new(index, processors == 1, stack_size))
                .collect::<std::io::Result<_>>()?,
            idle: Idle::new(processors),
            injectors: Injectors::new(),
            timers: Shelf::new(),
            timekeeper: Timekeeper::new(),
            poller: LazyPoller::new(),
            spares: Spares::new(),
            stand_ins: StandIns::new(),
            monitor: Watch::new(),
            taken: Taken::default(),
            external: Counters::default(),
            stack_size,
            carriage,
            tls_offset,
            closing: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            starved: AtomicBool::new(false),
            drained: Lock::new(Rank(12), Vec::new()),
        };
        for index in 0..processors {
            shared.idle.retire(index, false);
        }
        Ok(Arc::new(shared))
    }

    /// The runtime of a green thread that has not finished.
    ///
    /// # Safety
    /// - `green` is a green thread, and has not finished while the result is used.
    #[inline(always)]
    pub(crate) unsafe fn of(green: &Green) -> &'static Shared {
        // SAFETY: a runtime outlives its unfinished green threads (Inv. RuntimeOutlives).
        unsafe { &*green.runtime.get().cast::<Shared>() }
    }

    /// Whether the last attempt to start a machine failed; the monitor tries again at each tick.
    pub(super) fn is_starved(&self) -> bool {
        // ORDERING: Relaxed; the fence in `deep_sleep` pairs with the one in `poke`.
        self.starved.load(Ordering::Relaxed)
    }

    /// Queues a runnable green thread where everybody finds it, and wakes a machine if need be.
    pub(crate) fn inject(&self, line: Line, green: NonNull<Green>) {
        self.injectors.push(line, Runnable(green));
        if self.idle.should_wake_external() {
            self.wake_one();
        }
    }

    /// Whether any source holds something a machine could run now.
    ///
    /// Next slots do not count: their processor's holder runs them (Inv. OwnerRunsNext).
    pub(crate) fn has_work(&self) -> bool {
        !self.injectors.is_empty()
            || self.processors.iter().any(|processor| processor.thief.queued() != 0)
            || self.has_due_timer()
    }

    /// Whether a timer of any shelf is due.
    pub(crate) fn has_due_timer(&self) -> bool {
        let earliest = self.next_deadline_ns();
        earliest != u64::MAX && earliest <= now_ns()
    }

    /// The earliest deadline of all shelves, `u64::MAX` if there is none.
    pub(crate) fn next_deadline_ns(&self) -> u64 {
        let processors =
            self.processors.iter().map(|processor| processor.timers.next_deadline_ns());
        processors.fold(self.timers.next_deadline_ns(), u64::min)
    }

    /// Refuses new green threads from now on.
    pub(crate) fn close(&self) {
        // ORDERING: Relaxed; the fence below orders it before the caller's look at `live`.
        self.closing.store(true, Ordering::Relaxed);
        // Pairs with the light fence in `note_end`: an end that this caller's look at `live` misses
        // sees `closing`, and tells whoever waits.
        fence::heavy();
    }

    /// Whether new green threads are refused.
    #[inline(always)]
    pub(crate) fn is_closing(&self) -> bool {
        // ORDERING: Acquire; pairs with nothing that needs more: a spawn that races with the
        // shutdown is decided by `spawn_external`'s recheck or by its spawner being alive.
        self.closing.load(Ordering::Acquire)
    }

    /// Tells the machines to stop as soon as they find nothing.
    pub(crate) fn set_stopping(&self) {
        // ORDERING: Release; pairs with the Acquire in `is_stopping`.
        self.stopping.store(true, Ordering::Release);
    }

    /// Whether the machines are to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        // ORDERING: Acquire; pairs with the Release in `set_stopping`.
        self.stopping.load(Ordering::Acquire)
    }

    /// How many green threads have been spawned and have not finished.
    ///
    /// Ends are summed before spawns: whoever's end is seen, its spawns are seen too (the
    /// counters release and acquire), so 0 means that at that moment there was none.
    pub(crate) fn live(&self) -> u64 {
        let finished = self.finished();
        let spawned = self.sum(|counters| &counters.spawned);
        spawned.saturating_sub(finished)
    }

    /// How many green threads have finished.
    pub(super) fn finished(&self) -> u64 {
        self.sum(|counters| &counters.finished)
    }

    /// One counter, of those without a processor and of all processors.
    fn sum(&self, counter: impl Fn(&Counters) -> &Counter) -> u64 {
        let processors = self.processors.iter().map(|processor| counter(&processor.counters).get());
        counter(&self.external).get() + processors.sum::<u64>()
    }

    /// A green thread has ended, and the caller has counted it.
    #[inline(always)]
    pub(super) fn note_end(&self) {
        // The count, then the look at `closing`: pairs with the heavy fence in `close`.
        fence::light();
        if self.is_closing() {
            self.note_end_while_closing();
        }
    }

    /// A green thread has ended while the runtime closes: wakes those who wait for the last.
    #[cold]
    pub(super) fn note_end_while_closing(&self) {
        fence::full();
        if self.live() != 0 {
            return;
        }
        let waiting = std::mem::take(&mut *self.drained.lock());
        for token in waiting {
            match token.claim(Outcome::Woken) {
                Claim::Resume => super::ready_elsewhere(token.green),
                Claim::Wake => token.wake_thread(),
                Claim::Early | Claim::Lost => {}
            }
        }
        // ORDERING: Relaxed; the fence above pairs with the one in `abandon`.
        if self.abandoned.load(Ordering::Relaxed) {
            self.dismiss();
        }
    }

    /// The handle of the runtime is gone; `true`: no green thread is left, the caller ends it.
    pub(crate) fn abandon(&self) -> bool {
        if self.live() == 0 {
            return true;
        }
        // ORDERING: Relaxed; the fence below orders it before the second look.
        self.abandoned.store(true, Ordering::Relaxed);
        fence::full();
        // The last one may have ended without seeing the word, or have dismissed the machines, which
        // may be done twice.
        self.live() == 0
    }

    /// Tells the monitor and all machines to end, without waiting for them.
    pub(crate) fn dismiss(&self) {
        self.set_stopping();
        self.monitor.wake();
        self.stop_sleeping();
    }

    /// Leaves a token to be woken when the last green thread ends; `false`: there is none left.
    pub(crate) fn announce_drain(&self, token: Token) -> bool {
        self.drained.lock().push(token);
        fence::full();
        self.live() != 0
    }

    /// Takes a token back whose wait is over.
    pub(crate) fn retract_drain(&self, token: Token) {
        self.drained
            .lock()
            .retain(|other| other.green != token.green || other.sequence != token.sequence);
    }
}
