//! The state of a processor; the table of its fields is in the module above.

use super::backlog::Link;
use super::counters::Counters;
use super::run_queue::{OLDEST_INTERVAL_NS, RunQueue, Thief};
use crate::green::{Green, Token, arena};
use crate::primitive::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use crate::stack;
use crate::timer::Shelf;
use std::cell::{Cell, UnsafeCell};
use std::ptr::NonNull;

/// How many numbers of green threads a processor draws at once.
const ID_BATCH: u64 = 64;

/// The next number of a green thread; numbers start at 1 and never repeat.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// A processor; see the module.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Processor {
    pub(crate) queue: RunQueue<Green>,
    tick: AtomicU32,
    clock_ns: AtomicU64,
    pub(crate) headers: arena::Cache,
    stacks: UnsafeCell<stack::Cache>,
    ids: Cell<(u64, u64)>,
    /// When the oldest fresh green thread last went first; see [`Processor::is_oldest_due`].
    oldest_ns: Cell<u64>,
    oldest_due: Cell<bool>,
    pub(crate) counters: Counters,
    pub(crate) timers: Shelf<Token>,
    pub(crate) thief: Thief<Green>,
    /// The `Machine` that holds it, untyped: machines are built on processors.
    holder: AtomicPtr<()>,
    pub(crate) index: u32,
}

// SAFETY: the fields that are not atomics, locks or the thieves' end are reached by the holder
// alone, as the Fields table of the module says.
unsafe impl Sync for Processor {}
// SAFETY: as above; holding moves between threads with the orderings of the protocols named there.
unsafe impl Send for Processor {}

impl Link for Green {
    #[inline(always)]
    fn link(&self) -> Option<NonNull<Self>> {
        self.link.get()
    }

    #[inline(always)]
    fn set_link(&self, behind: Option<NonNull<Self>>) {
        self.link.set(behind);
    }
}

impl Processor {
    /// Processor number `index`; `alone`: the only one of its runtime.
    ///
    /// # Errors
    /// Too many different stack sizes are in use in this process.
    pub(crate) fn new(
        index: u32,
        alone: bool,
        stack_size: stack::StackSize,
    ) -> std::io::Result<Self> {
        let queue = RunQueue::new(alone);
        let thief = queue.thief();
        Ok(Self {
            queue,
            tick: AtomicU32::new(0),
            clock_ns: AtomicU64::new(0),
            headers: arena::Cache::new(),
            stacks: UnsafeCell::new(stack::Cache::new(stack_size)?),
            ids: Cell::new((0, 0)),
            oldest_ns: Cell::new(0),
            oldest_due: Cell::new(false),
            counters: Counters::default(),
            timers: Shelf::new(),
            thief,
            holder: AtomicPtr::new(std::ptr::null_mut()),
            index,
        })
    }

    /// Counts one turn; the number of turns so far.
    #[inline(always)]
    pub(crate) fn next_tick(&self) -> u32 {
        // ORDERING: Relaxed; the only writer reads its own value.
        let tick = self.tick.load(Ordering::Relaxed).wrapping_add(1);
        // ORDERING: Relaxed; the monitor only compares it with an earlier reading.
        self.tick.store(tick, Ordering::Relaxed);
        tick
    }

    /// The number of turns so far, for the monitor.
    pub(crate) fn tick(&self) -> u32 {
        // ORDERING: Relaxed; a statistic.
        self.tick.load(Ordering::Relaxed)
    }

    /// The clock as last read by the holder, in nanoseconds: at most a few turns old.
    #[inline(always)]
    pub(crate) fn clock_ns(&self) -> u64 {
        // ORDERING: Relaxed; a coarse clock.
        self.clock_ns.load(Ordering::Relaxed)
    }

    /// Whether it is time for the oldest fresh green thread to go first; only the holder asks.
    #[inline(always)]
    pub(crate) fn is_oldest_due(&self) -> bool {
        self.oldest_due.get()
    }

    /// The oldest fresh green thread goes first now.
    pub(crate) fn serve_oldest(&self) {
        self.oldest_due.set(false);
        self.oldest_ns.set(self.clock_ns());
    }

    /// Notes a reading of the clock.
    #[inline(always)]
    pub(crate) fn set_clock_ns(&self, now_ns: u64) {
        if now_ns >= self.oldest_ns.get() + OLDEST_INTERVAL_NS {
            self.oldest_due.set(true);
        }
        // ORDERING: Relaxed; a coarse clock.
        self.clock_ns.store(now_ns, Ordering::Relaxed);
    }

    /// The stacks kept by this processor.
    ///
    /// # Safety
    /// - The caller holds the processor, and lets go of the reference before it switches or calls
    ///   this again.
    #[expect(clippy::mut_from_ref, reason = "the holder is alone with the cache (OneHolder)")]
    #[inline(always)]
    pub(crate) unsafe fn stacks(&self) -> &mut stack::Cache {
        // SAFETY: the caller is alone with the cache (OneHolder) and lends it once at a time.
        unsafe { &mut *self.stacks.get() }
    }

    /// A number for a new green thread; only the holder draws.
    #[inline(always)]
    pub(crate) fn next_id(&self) -> u64 {
        let (mut next, mut end) = self.ids.get();
        if next == end {
            // ORDERING: Relaxed; only uniqueness is asked for.
            next = NEXT_ID.fetch_add(ID_BATCH, Ordering::Relaxed);
            end = next + ID_BATCH;
        }
        self.ids.set((next + 1, end));
        next
    }

    /// A number for a new green thread, for those who hold no processor.
    pub(crate) fn next_id_global() -> u64 {
        // ORDERING: Relaxed; only uniqueness is asked for.
        NEXT_ID.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes the machine that holds it.
    pub(crate) fn set_holder<M>(&self, machine: *const M) {
        // ORDERING: Release; pairs with the Acquire in `holder`; publishes the machine.
        self.holder.store(machine.cast_mut().cast(), Ordering::Release);
    }

    /// The machine that held it when last looked at, or null.
    pub(crate) fn holder<M>(&self) -> *const M {
        // ORDERING: Acquire; pairs with the Release in `set_holder`.
        self.holder.load(Ordering::Acquire).cast_const().cast()
    }
}
