//! The header itself; the table of its fields is in the module above.

use super::join::JoinWord;
use super::permit::Permit;
use super::reason::Reason;
use super::stage::Stage;
use super::wait::{Claim, Outcome, Sequence, WaitWord};
use crate::arch::Context;
use crate::arch::announce::Flow;
use crate::primitive::atomic::{AtomicU8, AtomicU64, Ordering};
use crate::primitive::futex;
use crate::primitive::tls;
use crate::stack::{Stack, StackSize, Ticket};
use std::cell::{Cell, UnsafeCell};
#[cfg(not(any(feature = "corosensei", gthread_tsan, gthread_asan)))]
use std::mem::offset_of;
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::Arc;

/// What kind of thread a header stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A green thread.
    Green,
    /// An OS thread that waits for something, or that runs as a green thread's stand-in.
    Thread,
}

/// Where a green thread is in its life: what the dump shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// The header is free.
    Free = 0,
    /// Spawned, and has never run.
    Fresh = 1,
    /// Queued, and has run before.
    Runnable = 2,
    /// On a machine.
    Running = 3,
    /// Waiting; [`Green::reason`] says for what.
    Waiting = 4,
    /// Running its thread-local destructors.
    Exiting = 5,
}

/// Properties given at spawn.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flags {
    /// It has a machine of its own.
    pub(crate) pinned: bool,
}

/// The functions that know the closure's and the result's types.
#[derive(Debug)]
pub(crate) struct Vtable {
    /// Takes the closure off the stage, runs it, puts its result there; never unwinds.
    pub(crate) run: unsafe fn(&Green),
    /// Drops a result that nobody will take.
    pub(crate) drop_result: unsafe fn(&Green),
    /// Drops a closure that will never run.
    pub(crate) drop_closure: unsafe fn(&Green),
}

/// The header of a green thread, or of an OS thread that waits.
///
/// In the order in which the lines of the cache are wanted: a switch, a park and a wake touch the
/// first; spawn, exit and join the second, and of the stage as much as is on it; the rest is for
/// names, pins, deadlines, and for joiners that come early. See `sched/README.md`, Cache lines.
#[repr(C, align(64))]
#[derive(Debug)]
pub(crate) struct Green {
    pub(crate) context: UnsafeCell<Context>,
    pub(crate) flow: Flow,
    pub(crate) thread_pointer: Cell<usize>,
    /// The `machine::Machine` that carries it, untyped: machines are built on green threads.
    pub(crate) machine: Cell<*const ()>,
    /// The `sched` state of its runtime, untyped; null for an OS thread.
    pub(crate) runtime: Cell<*const ()>,
    pub(crate) link: Cell<Option<NonNull<Green>>>,
    pub(crate) wait: WaitWord,
    since_ns: AtomicU64,
    pub(crate) pins: Cell<u32>,
    pub(crate) kind: Cell<Kind>,
    pub(crate) bound: Cell<bool>,
    phase: AtomicU8,
    reason: AtomicU8,

    pub(crate) join: JoinWord,
    pub(crate) permit: Permit,
    pub(crate) vtable: Cell<Option<&'static Vtable>>,
    pub(crate) id: Cell<u64>,
    pub(crate) location: Cell<Option<&'static Location<'static>>>,
    pub(crate) stack: UnsafeCell<Option<Stack>>,
    pub(crate) stack_size: Cell<StackSize>,
    pub(crate) ticket: UnsafeCell<Option<Ticket>>,
    /// Whether something behind the stage is not as in a free header.
    is_marked: Cell<bool>,

    pub(crate) stage: Stage,

    pub(crate) joiner: Cell<Option<Token>>,
    name: UnsafeCell<Option<Arc<str>>>,
    /// The machine of its own, if it is pinned; null otherwise.
    pub(crate) pinned_to: Cell<*const ()>,
    /// The deadline of the innermost `time::timeout` around it, in nanoseconds of the monotonic
    /// clock; `u64::MAX` if there is none.
    deadline_ns: Cell<u64>,
    /// Whether one of the pins is for the sake of a signal mask of its own.
    pub(crate) has_own_mask: Cell<bool>,
}

#[cfg(not(any(feature = "corosensei", gthread_tsan, gthread_asan)))]
const _: () = {
    assert!(offset_of!(Green, join) == 64, "what a switch touches is one line");
    assert!(offset_of!(Green, stage) == 128, "what a life touches is two, and the stage");
};

// SAFETY: the fields that several threads reach at a time are atomics; the cells are reached by
// one thread at a time, as the Fields table of the module says for each.
unsafe impl Sync for Green {}

/// The right to try to end one episode of one thread; harmless when late.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    pub(crate) green: NonNull<Green>,
    pub(crate) sequence: Sequence,
}

// SAFETY: a token only claims the wait word, an atomic in type-stable memory.
unsafe impl Send for Token {}
// SAFETY: as above; a shared token can be copied and no more.
unsafe impl Sync for Token {}

impl Token {
    /// Tries to end the episode; on [`Claim::Resume`] the caller makes the green thread
    /// runnable, on [`Claim::Wake`] it wakes the OS thread ([`Token::wake_thread`]).
    #[inline(always)]
    pub(crate) fn claim(self, outcome: Outcome) -> Claim {
        // SAFETY: TypeStable: the header is one for ever, and its wait word is an atomic.
        unsafe { self.green.as_ref() }.wait.claim(self.sequence, outcome)
    }

    /// Whether both name the same wait of the same thread.
    pub(crate) fn is_same_wait(self, other: Self) -> bool {
        (self.green, self.sequence) == (other.green, other.sequence)
    }

    /// Wakes the OS thread whose episode was claimed, wherever it is by now.
    pub(crate) fn wake_thread(self) {
        // SAFETY: TypeStable; only the address of the word is used.
        futex::wake(unsafe { self.green.as_ref() }.wait.futex().0, 1);
    }
}

impl Green {
    /// A free header.
    pub(super) fn free() -> Self {
        Self {
            context: UnsafeCell::new(Context::EMPTY),
            flow: Flow::none(),
            thread_pointer: Cell::new(0),
            machine: Cell::new(std::ptr::null()),
            runtime: Cell::new(std::ptr::null()),
            link: Cell::new(None),
            wait: WaitWord::new(),
            since_ns: AtomicU64::new(0),
            pins: Cell::new(0),
            kind: Cell::new(Kind::Green),
            bound: Cell::new(false),
            phase: AtomicU8::new(Phase::Free as u8),
            reason: AtomicU8::new(0),
            join: JoinWord::new(),
            permit: Permit::new(),
            vtable: Cell::new(None),
            id: Cell::new(0),
            location: Cell::new(None),
            stack: UnsafeCell::new(None),
            stack_size: Cell::new(StackSize::default()),
            ticket: UnsafeCell::new(None),
            is_marked: Cell::new(false),
            stage: Stage::new(),
            joiner: Cell::new(None),
            name: UnsafeCell::new(None),
            pinned_to: Cell::new(std::ptr::null()),
            deadline_ns: Cell::new(u64::MAX),
            has_own_mask: Cell::new(false),
        }
    }

    /// Tells the dump where the green thread is.
    #[inline(always)]
    pub(crate) fn set_phase(&self, phase: Phase) {
        // ORDERING: Relaxed; a statistic for `phase()`.
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Tells the dump what the green thread waits for, and since when (coarsely).
    #[inline(always)]
    pub(crate) fn set_waiting(&self, reason: Reason, since_ns: u64) {
        // ORDERING: Relaxed; a statistic for `reason()`.
        self.reason.store(reason as u8, Ordering::Relaxed);
        // ORDERING: Relaxed; a statistic for `since_ns()`.
        self.since_ns.store(since_ns, Ordering::Relaxed);
        self.set_phase(Phase::Waiting);
    }

    /// Where the green thread was when last looked at.
    pub(crate) fn phase(&self) -> Phase {
        // ORDERING: Relaxed; a statistic from `set_phase`.
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Free,
            1 => Phase::Fresh,
            2 => Phase::Runnable,
            3 => Phase::Running,
            4 => Phase::Waiting,
            _ => Phase::Exiting,
        }
    }

    /// What it waits for, if it does.
    pub(crate) fn reason(&self) -> Reason {
        // ORDERING: Relaxed; a statistic from `set_waiting`.
        Reason::from_byte(self.reason.load(Ordering::Relaxed))
    }

    /// Since when it waits, on the monotonic clock in nanoseconds; 0 when not known.
    pub(crate) fn since_ns(&self) -> u64 {
        // ORDERING: Relaxed; a statistic from `set_waiting`.
        self.since_ns.load(Ordering::Relaxed)
    }

    /// Its number. The caller holds a reference, so the number is constant.
    pub(crate) fn number(&self) -> u64 {
        self.id.get()
    }

    /// Whether a stack and a block are bound to it; asked by its carrier.
    #[inline(always)]
    pub(crate) fn is_bound(&self) -> bool {
        self.bound.get()
    }

    /// Whether it has, or will have, a machine of its own; asked by its carrier.
    #[inline(always)]
    pub(crate) fn is_pinned(&self) -> bool {
        self.pins.get() != 0
    }

    /// Gives it a name.
    ///
    /// # Safety
    /// - The header is the caller's alone.
    pub(crate) unsafe fn set_name(&self, name: Option<Arc<str>>) {
        self.is_marked.set(true);
        // SAFETY: the caller's clause.
        unsafe { *self.name.get() = name };
    }

    /// The machine of its own from now on; the carrier's.
    pub(crate) fn pin_to(&self, machine: *const ()) {
        self.is_marked.set(true);
        self.pinned_to.set(machine);
    }

    /// The deadline of the innermost `time::timeout` around it; its own thread's.
    pub(crate) fn deadline_ns(&self) -> u64 {
        self.deadline_ns.get()
    }

    /// Changes that deadline; its own thread's.
    pub(crate) fn set_deadline_ns(&self, deadline_ns: u64) {
        self.is_marked.set(true);
        self.deadline_ns.set(deadline_ns);
    }

    /// Its name. The caller holds a reference (`join.retain`), so the name is constant.
    pub(crate) fn name(&self) -> Option<&str> {
        // SAFETY: written before the header was shared and constant until it is freed, which the
        // caller's reference prevents.
        unsafe { &*self.name.get() }.as_deref()
    }

    /// A token for the open episode `sequence` of this header.
    #[inline(always)]
    pub(crate) fn token(&self, sequence: Sequence) -> Token {
        Token { green: NonNull::from(self), sequence }
    }

    /// Empties a header nobody refers to any more.
    ///
    /// `joiner` stays: it is read only after its word says that it was written.
    #[inline(always)]
    pub(crate) fn clear(&self) {
        self.vtable.set(None);
        self.location.set(None);
        self.runtime.set(std::ptr::null());
        self.pins.set(0);
        self.permit.reset();
        self.set_phase(Phase::Free);
        if self.is_marked.replace(false) {
            self.clear_marked();
        }
    }

    /// Empties what few green threads use.
    #[cold]
    #[inline(never)]
    fn clear_marked(&self) {
        // SAFETY: the last reference is gone, the caller has the header for itself.
        unsafe { *self.name.get() = None };
        self.pinned_to.set(std::ptr::null());
        self.has_own_mask.set(false);
        self.deadline_ns.set(u64::MAX);
    }
}

/// The header of the running thread, if it has one: a green thread always has.
#[inline(always)]
pub(crate) fn current() -> Option<&'static Green> {
    let green = tls::current().cast::<Green>();
    // SAFETY: `current` is null or the header of the running thread, which is type-stable.
    unsafe { green.as_ref() }
}
