//! Being in the runtime: the token that every use of a processor asks for.
//!
//! A green thread enters the runtime at the start of each operation and leaves it at the end;
//! between the two the monitor cannot take the processor away. No user code runs inside, and the
//! token never lives across a switch: [`Entered::switch_away`] consumes it and gives back one for
//! the machine the green thread finds itself on.

use super::idle::Holding;
use super::shared::Shared;
use crate::green::{Green, Kind, Phase, Token};
use crate::machine::Machine;
use crate::machine::bias::Tenure;
use crate::own_tls;
use crate::primitive::tls;
use crate::processor::Processor;
use crate::processor::run_queue::{Line, Runnable};
use crate::sys::clock::now_ns;
use crate::timer::Handle;
use std::ptr::NonNull;

/// The token; see the module. `!Send` by its references.
#[derive(Debug)]
pub(crate) struct Entered<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) machine: &'static Machine,
    /// `None`: detached, the machine has lost its processor.
    pub(crate) processor: Option<&'static Processor>,
    _not_send: std::marker::PhantomData<*const ()>,
}

/// The running green thread, if the caller is one that machines carry.
#[inline(always)]
pub(crate) fn current_green() -> Option<&'static Green> {
    let green = tls::current().cast::<Green>();
    // SAFETY: `current` is null or the header of the running thread, which is type-stable.
    let green = unsafe { green.as_ref() }?;
    (green.kind.get() == Kind::Green).then_some(green)
}

/// The lowest usable byte of the running green thread's stack, and its size.
pub(crate) fn current_stack() -> Option<(*mut u8, usize)> {
    let green = current_green()?;
    // SAFETY: the stack is the carrier's, which runs this.
    let stack = unsafe { &*green.stack.get() };
    // Up to the block, which leaves a little more than was asked for.
    stack.as_ref().map(|stack| {
        let top = own_tls::block_at(stack.end()).stack_top();
        (stack.bottom(), top.addr() - stack.bottom().addr())
    })
}

/// Enters the runtime on the running green thread.
#[inline(always)]
pub(crate) fn enter(green: &Green) -> Entered<'_> {
    // SAFETY: `green` is the running green thread: only it calls this.
    let machine = unsafe { Machine::of(green) };
    // SAFETY: it runs, so it has not finished.
    let shared = unsafe { Shared::of(green) };
    if machine.bias.enter() == Tenure::Lost {
        lose(machine);
    }
    let processor = machine.processor().or_else(|| reattach(shared, machine));
    Entered { shared, machine, processor, _not_send: std::marker::PhantomData }
}

/// Detached: takes an idle processor, if there is one; then nobody needs this one's place.
#[cold]
fn reattach(shared: &Shared, machine: &Machine) -> Option<&'static Processor> {
    if machine.locked.get().is_some() || !shared.idle.is_any_idle() {
        return None;
    }
    let index = shared.idle.claim()?;
    shared.take_up(machine, &shared.processors[index as usize]);
    machine.processor()
}

/// The machine has noticed that its processor is gone.
#[cold]
fn lose(machine: &Machine) {
    machine.dispossess();
    machine.bursts.set(0);
    machine.burst_start_ns.set(now_ns());
}

impl<'a> Entered<'a> {
    /// The token of a machine that is on its own stack: it is always in the runtime.
    pub(crate) fn on_root(shared: &'a Shared, machine: &'static Machine) -> Self {
        let processor = machine.processor();
        Self { shared, machine, processor, _not_send: std::marker::PhantomData }
    }

    /// Leaves the runtime for user code.
    #[inline(always)]
    pub(crate) fn leave(self) {
        self.machine.bias.leave();
    }

    /// The token once more, for the time of a call that is not inlined and not made each turn: the
    /// caller's own has no address then, and stays in registers. In memory it was written in halves
    /// and read back as a whole, which the processor cannot forward.
    #[inline(always)]
    pub(super) fn for_call(&self) -> Self {
        Self { _not_send: std::marker::PhantomData, ..*self }
    }

    /// Makes a green thread runnable whose wait the caller has claimed: it goes first.
    #[inline(always)]
    pub(crate) fn ready(&self, green: NonNull<Green>) {
        // SAFETY: the caller owns the right to run it.
        unsafe { green.as_ref() }.set_phase(Phase::Runnable);
        let Some((processor, holding)) = self.held() else {
            return self.shared.inject(Line::Ready, green);
        };
        let displaced = processor.queue.set_next(Runnable(green), processor.clock_ns());
        if let Some(displaced) = displaced {
            self.queue_ready(processor, holding, displaced);
        }
    }

    /// Queues a runnable green thread behind the others.
    #[inline]
    pub(crate) fn ready_behind(&self, green: NonNull<Green>) {
        // SAFETY: the caller owns the right to run it.
        unsafe { green.as_ref() }.set_phase(Phase::Runnable);
        self.submit(Line::Ready, green);
    }

    /// Queues a green thread whose deadline has come: before the others.
    #[inline]
    pub(crate) fn ready_urgently(&self, green: NonNull<Green>) {
        // SAFETY: the caller owns the right to run it.
        unsafe { green.as_ref() }.set_phase(Phase::Runnable);
        self.submit(Line::Urgent, green);
    }

    /// Queues a green thread of the given kind.
    #[inline(always)]
    pub(crate) fn submit(&self, line: Line, green: NonNull<Green>) {
        match self.held() {
            Some((processor, holding)) if line == Line::Ready => {
                self.queue_ready(processor, holding, Runnable(green));
            }
            Some((processor, holding)) => {
                self.queue_shown(processor, holding, line, Runnable(green));
            }
            None => self.shared.inject(line, green),
        }
    }

    /// The processor this token holds, and the word for it that others ask for.
    #[inline(always)]
    pub(super) fn held(&self) -> Option<(&'static Processor, Holding<'_>)> {
        self.processor.map(|processor| (processor, Holding::witness()))
    }

    /// Queues one that has run before: in the backlog while every processor is in use, so that
    /// nobody looks for work. Only what thieves see is a submission (README, Backlog).
    #[inline(always)]
    fn queue_ready(&self, processor: &Processor, holding: Holding<'_>, green: Runnable<Green>) {
        let idle = &self.shared.idle;
        if idle.is_any_idle() {
            processor.queue.spill(|kept| self.shared.injectors.push(Line::Ready, kept));
            self.queue_shown(processor, holding, Line::Ready, green);
        } else if processor.queue.push_ready(green) && idle.should_wake(holding) {
            self.shared.wake_one();
        }
    }

    /// Queues where thieves see it.
    #[inline(always)]
    fn queue_shown(
        &self,
        processor: &Processor,
        holding: Holding<'_>,
        line: Line,
        green: Runnable<Green>,
    ) {
        self.place(processor, line, green);
        if self.shared.idle.should_wake(holding) {
            self.shared.wake_one();
        }
    }

    /// Queues a green thread of the given kind; the caller sees to waking.
    #[inline(always)]
    pub(super) fn place(&self, processor: &Processor, line: Line, green: Runnable<Green>) {
        // Behind means behind all: while others wait in the injector, that is where the line is.
        // The newest of the fresh goes first anyway.
        let queued = if line == Line::Fresh || self.shared.injectors.is_line_empty(line) {
            processor.queue.push(line, green)
        } else {
            Err(green)
        };
        if let Err(green) = queued {
            self.shared.injectors.push(line, green);
        }
    }

    /// Arms a timer that claims `token` at `deadline_ns`.
    pub(crate) fn arm(&self, deadline_ns: u64, token: Token) -> Alarm<'a> {
        let (shelf, index) = match self.processor {
            // SAFETY: a processor of `shared` lives as long.
            Some(processor) => (&self.shared.processors[processor.index as usize].timers, true),
            None => (&self.shared.timers, false),
        };
        let armed = shelf.arm(deadline_ns, token);
        // With nothing else to run this machine retires next, and covers the deadline itself.
        let covers = index && self.processor.is_some_and(|processor| processor.queue.is_empty());
        if armed.earliest
            && !covers
            // NOTE: in this order: `must_wake` is the fence between the hint and the look at who
            // is idle, which pairs with the one in `Idle::retire`.
            && self.shared.timekeeper.must_wake(deadline_ns)
            && self.shared.idle.is_any_idle()
        {
            self.shared.wake_one();
        }
        Alarm { shelf, handle: armed.handle }
    }

    /// Frees a header whose last reference is gone.
    pub(crate) fn free_header(&self, green: NonNull<Green>) {
        // SAFETY: the last reference is gone: the header is the caller's alone.
        unsafe { green.as_ref() }.clear();
        match self.processor {
            Some(processor) => processor.headers.give(green),
            None => crate::green::arena::give(green),
        }
    }
}

/// Frees a header whose last reference is gone, from user code.
pub(crate) fn free_header(green: NonNull<Green>) {
    match current_green() {
        Some(me) => {
            let entered = enter(me);
            entered.free_header(green);
            entered.leave();
        }
        None => {
            // SAFETY: the last reference is gone: the header is the caller's alone.
            unsafe { green.as_ref() }.clear();
            crate::green::arena::give(green);
        }
    }
}

/// An armed timer.
#[derive(Debug)]
pub(crate) struct Alarm<'a> {
    shelf: &'a crate::timer::Shelf<Token>,
    handle: Handle,
}

impl Alarm<'_> {
    /// Cancels it; harmless when it has fired.
    pub(crate) fn cancel(self) {
        self.shelf.cancel(self.handle);
    }
}
