//! The state of a machine; the table of its fields is in the module above.

use super::bias::Bias;
use super::parker::Parker;
use crate::arch::Context;
use crate::arch::announce::Flow;
use crate::green::Green;
use crate::primitive::atomic::{AtomicPtr, AtomicU8, AtomicU32, Ordering};
use crate::processor::Processor;
use crate::sys::signal::Mask;
use std::cell::Cell;
use std::ptr::NonNull;

/// What is left to do after a switch, by whoever comes next: the stack that was left may only now
/// be touched by others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Post {
    /// Nothing.
    Nothing,
    /// It waits: commit its wait word.
    Park(NonNull<Green>),
    /// It yielded: queue it again.
    Requeue(NonNull<Green>),
    /// It has ended: give its stack up and tell its joiner.
    Exit(NonNull<Green>),
}

/// The kernel time slice a machine's thread has been given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Slice {
    /// The kernel's default.
    Default = 0,
    /// Short: it holds a processor, and should be scheduled soon when woken.
    Short = 1,
    /// Long: it carries a green thread that has lost its processor by computing.
    Long = 2,
}

/// A machine; see the module.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Machine {
    pub(crate) bias: Bias,
    pub(crate) root: Context,
    pub(crate) flow: Flow,
    pub(crate) thread_pointer: Cell<usize>,
    processor: Cell<*const Processor>,
    pub(crate) post: Cell<Post>,
    /// A green thread that was taken from a queue and has to be run from the root.
    pub(crate) pending: Cell<Option<NonNull<Green>>>,
    /// The pinned green thread this machine belongs to.
    pub(crate) locked: Cell<Option<NonNull<Green>>>,
    /// The signal mask its thread began with.
    mask: Cell<Option<Mask>>,
    /// Detached: how many short bursts in a row the green thread has shown.
    pub(crate) bursts: Cell<u32>,
    /// Detached: when the present burst began.
    pub(crate) burst_start_ns: Cell<u64>,
    pub(crate) parker: Parker,
    pub(crate) index: u32,
    seed: Cell<u32>,
    current: AtomicPtr<Green>,
    tid: AtomicU32,
    slice: AtomicU8,
}

// SAFETY: `current`, `tid`, `slice`, `bias` and `parker` are atomics; the rest is reached by the
// machine's own OS thread alone, as the Fields table of the module says.
unsafe impl Sync for Machine {}
// SAFETY: a machine is made by one thread and handed to its own before that runs.
unsafe impl Send for Machine {}

impl Machine {
    /// A machine that has no thread yet.
    pub(crate) fn new(index: u32) -> Self {
        Self {
            bias: Bias::new(),
            root: Context::EMPTY,
            flow: Flow::none(),
            thread_pointer: Cell::new(0),
            processor: Cell::new(std::ptr::null()),
            post: Cell::new(Post::Nothing),
            pending: Cell::new(None),
            locked: Cell::new(None),
            mask: Cell::new(None),
            bursts: Cell::new(0),
            burst_start_ns: Cell::new(0),
            parker: Parker::new(),
            index,
            seed: Cell::new(0x9E37_79B9 ^ (index + 1).wrapping_mul(0x85EB_CA6B)),
            current: AtomicPtr::new(std::ptr::null_mut()),
            tid: AtomicU32::new(0),
            slice: AtomicU8::new(Slice::Default as u8),
        }
    }

    /// The machine that carries a running green thread.
    ///
    /// # Safety
    /// - `green` is running, and the caller runs on it, or on the machine that carries it.
    #[inline(always)]
    pub(crate) unsafe fn of(green: &Green) -> &'static Machine {
        // SAFETY: a running green thread is carried by the machine it names, which outlives the
        // runtime's green threads (Inv. MachineStable).
        unsafe { &*green.machine.get().cast::<Machine>() }
    }

    /// The processor it holds; `None`: it is detached, or looks for one.
    #[inline(always)]
    pub(crate) fn processor(&self) -> Option<&'static Processor> {
        // SAFETY: processors live as long as the runtime, which outlives its machines.
        unsafe { self.processor.get().as_ref() }
    }

    /// Takes possession of a processor that was claimed or granted.
    #[inline]
    pub(crate) fn attach(&self, processor: &Processor) {
        self.processor.set(processor);
        processor.set_holder(self);
        self.bias.begin_tenure(processor.index);
    }

    /// Gives possession up, before the processor is granted on or made idle.
    #[inline]
    pub(crate) fn detach(&self) {
        self.processor.set(std::ptr::null());
        self.bias.end_tenure();
    }

    /// Notes that the monitor took the processor.
    pub(crate) fn dispossess(&self) {
        self.processor.set(std::ptr::null());
    }

    /// A number from the machine's own generator (xorshift), for the order of victims.
    pub(crate) fn random(&self) -> u32 {
        let mut seed = self.seed.get();
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        self.seed.set(seed);
        seed
    }

    /// Notes the signal mask of its thread, at the start of that.
    pub(crate) fn keep_mask(&self) {
        self.mask.set(Some(Mask::current()));
    }

    /// Whether its thread has another signal mask than it began with.
    pub(crate) fn has_other_mask(&self) -> bool {
        self.mask.get().is_some_and(|mask| mask != Mask::current())
    }

    /// It no longer belongs to a pinned green thread: the next one does not get that one's mask.
    pub(crate) fn restore_mask(&self) {
        if let Some(mask) = self.mask.get() {
            mask.set();
        }
    }

    /// Notes which green thread it carries.
    #[inline(always)]
    pub(crate) fn set_current(&self, green: *const Green) {
        // ORDERING: Relaxed; a statistic for the monitor and the dump.
        self.current.store(green.cast_mut(), Ordering::Relaxed);
    }

    /// The green thread it carried when last looked at.
    pub(crate) fn current(&self) -> *const Green {
        // ORDERING: Relaxed; a statistic.
        self.current.load(Ordering::Relaxed)
    }

    /// Notes the kernel's number of its thread; 0: it has none.
    pub(crate) fn set_tid(&self, tid: u32) {
        // ORDERING: Relaxed; the monitor tolerates an old number.
        self.tid.store(tid, Ordering::Relaxed);
    }

    /// The kernel's number of its thread; 0: it has none.
    pub(crate) fn tid(&self) -> u32 {
        // ORDERING: Relaxed; the monitor tolerates an old number.
        self.tid.load(Ordering::Relaxed)
    }

    /// Notes a new kernel slice; the one before.
    pub(crate) fn swap_slice(&self, slice: Slice) -> u8 {
        // ORDERING: Relaxed; a hint to the kernel, whose order does not matter.
        self.slice.swap(slice as u8, Ordering::Relaxed)
    }

    /// Whether the kernel slice is `slice`.
    #[inline(always)]
    pub(crate) fn has_slice(&self, slice: Slice) -> bool {
        // ORDERING: Relaxed; as in `swap_slice`.
        self.slice.load(Ordering::Relaxed) == slice as u8
    }
}
