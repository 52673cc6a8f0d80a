//! The state of a processor; the table of its fields is in the module above.

use super::counters::Counters;
use super::run_queue::{RunQueue, Thief};
use crate::green::{Green, Token, arena};
use crate::primitive::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use crate::stack;
use crate::timer::Shelf;
use std::cell::{Cell, UnsafeCell};

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

impl Processor {
    /// Processor number `index`.
    ///
    /// # Errors
    /// Too many different stack sizes are in use in this process.
    pub(crate) fn new(index: u32, stack_size: stack::StackSize) -> std::io::Result<Self> {
        let queue = RunQueue::new();
        let thief = queue.thief();
        Ok(Self {
            queue,
            tick: AtomicU32::new(0),
            clock_ns: AtomicU64::new(0),
            headers: arena::Cache::new(),
            stacks: UnsafeCell::new(stack::Cache::new(stack_size)?),
            ids: Cell::new((0, 0)),
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

    /// Notes a reading of the clock.
    #[inline(always)]
    pub(crate) fn set_clock_ns(&self, now_ns: u64) {
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
