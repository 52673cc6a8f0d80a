//! Leaving a stack, arriving on another, and what is done in between.
//!
//! 1. The one who leaves notes in its machine what is to be done afterwards ([`Post`]).
//! 2. It picks the next green thread and switches to it directly, or to its machine's own stack.
//! 3. Whoever comes next runs the post-switch action first: only now are the registers saved, and
//!    only now may the one who left be committed as parked, queued, or its stack be given away.
//!
//! The lent words travel with the switch, and `machine_tp` is written into the block of whoever
//! comes next, by address arithmetic: no thread-local is touched (the Rule of `primitive::tls`).

use super::enter::{Entered, enter};
use super::shared::Shared;
use crate::arch;
use crate::arch::announce::Flow;
use crate::green::join::Finished;
use crate::green::wait::{Claim, Outcome};
use crate::green::{Green, Phase, Token};
use crate::machine::{Machine, Post};
use crate::own_tls;
use crate::primitive::abort::rt_abort;
use crate::primitive::lock::ranks;
use crate::primitive::tls;
use crate::processor::Processor;
use crate::processor::run_queue::Line;
use crate::stack;
use std::io;
use std::ptr::NonNull;
use std::time::Duration;

/// How long a machine rests that has found no memory to start a green thread with.
const OUT_OF_MEMORY_PAUSE: Duration = Duration::from_millis(1);

impl<'a> Entered<'a> {
    /// Leaves the running green thread's stack, and comes back when it is run again.
    ///
    /// # Switches
    /// The token given back is that of the machine the green thread is on now.
    #[inline]
    pub(crate) fn switch_away(self, green: &'a Green, post: Post) -> Entered<'a> {
        ranks::assert_none_held();
        let machine = self.machine;
        machine.post.set(post);
        let next = match self.processor {
            Some(processor) if arch::DIRECT && machine.locked.get().is_none() => {
                self.next_local(processor)
            }
            _ => None,
        };
        match next.and_then(|next| self.warm(next)) {
            // SAFETY: `next` was popped, so this machine alone may run it; `green` is running
            // here and its post-switch action is noted.
            Some(next) => unsafe { self.switch_to_green(green, next) },
            // SAFETY: the root was left when `green`, or one before it, was switched to.
            None => unsafe { switch_to_root(machine, green) },
        }
        arrive(green)
    }

    /// Filters out what the root should bind: a first run on a slot without a block. Building one
    /// calls libc, whose frames would cost the stack that is being left a page more, for as long
    /// as its green thread is parked.
    #[inline(always)]
    fn warm(&self, next: NonNull<Green>) -> Option<NonNull<Green>> {
        // SAFETY: it was popped, so this machine owns the right to run it.
        let green = unsafe { next.as_ref() };
        if green.is_bound() || take_stack(self.processor, green).block_word().is_some() {
            return Some(next);
        }
        self.machine.pending.set(Some(next));
        None
    }

    /// Switches from the green thread `from` to the green thread `to`.
    ///
    /// # Safety
    /// - `from` runs here, with its post-switch action noted; the caller owns the right to run `to`.
    #[inline(always)]
    unsafe fn switch_to_green(&self, from: &Green, to: NonNull<Green>) {
        // SAFETY: the caller owns the right to run it, so it lives.
        let to = unsafe { to.as_ref() };
        self.prepare(to);
        let from_tp = from.thread_pointer.get();
        let to_tp = to.thread_pointer.get();
        // SAFETY: `from` is this stack, `to` is suspended and ours to run; both blocks are built.
        unsafe { self.carry(from_tp, to) };
        announce(self.machine, from, &to.flow);
        // SAFETY: as above; `prepare` and `carry` have set everything `to` needs.
        unsafe { arch::switch(from.context.get(), to.context.get(), to_tp) };
    }

    /// From the machine's own stack: runs a green thread until its machine has nothing direct to
    /// switch to, or it needs the root.
    ///
    /// # Safety
    /// - The caller is on the machine's own stack and owns the right to run `to`.
    pub(super) unsafe fn switch_from_root(&self, to: NonNull<Green>) {
        // SAFETY: the caller owns the right to run it, so it lives.
        let to = unsafe { to.as_ref() };
        self.prepare(to);
        let root_tp = self.machine.thread_pointer.get();
        let to_tp = to.thread_pointer.get();
        // SAFETY: the root runs here, `to` is suspended and ours to run.
        unsafe { self.carry(root_tp, to) };
        self.machine.flow.leave_for(&to.flow);
        // SAFETY: as above.
        unsafe { arch::switch(&raw const self.machine.root, to.context.get(), to_tp) };
        self.machine.flow.arrive();
        #[cfg(any(gthread_tsan, gthread_asan))]
        tls::set_current(std::ptr::null());
    }

    /// On the root: sees to it that `green` can be switched to. `false`: it has never run, there is
    /// no memory for its thread-locals, and it was queued again behind all others.
    ///
    /// Spawn cannot foresee it: which slot a ticket becomes is decided here, and most have a block.
    /// Nor can the closure be dropped unrun, for `spawn` has said that it will run. So it waits: for
    /// memory, or for a slot that another leaves with its block (`tests/faults.rs`).
    pub(super) fn can_run(&self, green: NonNull<Green>) -> bool {
        // SAFETY: the machine owns the right to run it.
        let header = unsafe { green.as_ref() };
        if header.is_bound() {
            return true;
        }
        take_stack(self.processor, header);
        let Err(error) = bind(self.shared, header) else { return true };
        super::report::no_block(&error);
        // Without a new ticket it keeps the slot it has, and waits for memory alone.
        if let Ok(ticket) = stack::reserve(header.stack_size.get()) {
            // SAFETY: the stack is the carrier's.
            let cold = unsafe { (*header.stack.get()).take() };
            // SAFETY: nothing has run on it and nothing refers to it.
            cold.into_iter().for_each(|stack| unsafe { stack::give_global(stack) });
            // SAFETY: the ticket is the carrier's.
            unsafe { *header.ticket.get() = Some(ticket) };
        }
        self.shared.inject(Line::Fresh, green);
        std::thread::sleep(OUT_OF_MEMORY_PAUSE);
        false
    }

    /// Binds a block to a green thread that has never run and has a stack.
    #[inline(always)]
    fn prepare(&self, green: &Green) {
        // What comes from the root was bound there; what is switched to directly has a block.
        if !green.is_bound() && bind(self.shared, green).is_err() {
            rt_abort!("sched: a block that had to be built was not built at the root");
        }
        green.set_phase(Phase::Running);
        if let Some(processor) = self.processor {
            processor.counters.switches.bump();
        }
    }

    /// Makes this machine the carrier of `to`: the words that travel with a switch.
    ///
    /// # Safety
    /// - `from_tp` is the running thread pointer; `to` is suspended and the caller's to run.
    #[inline(always)]
    unsafe fn carry(&self, from_tp: usize, to: &Green) {
        let machine = self.machine;
        to.machine.set(std::ptr::from_ref(machine).cast());
        machine.set_current(to);
        let to_tp = to.thread_pointer.get();
        // SAFETY: both blocks are built, `from_tp` is running and `to_tp` is not.
        unsafe { own_tls::lend(from_tp, to_tp) };
        if !cfg!(any(gthread_tsan, gthread_asan)) {
            let machine_tp = machine.thread_pointer.get();
            // SAFETY: as above, and the offset is this process's.
            unsafe { tls::write_machine_tp(to_tp, self.shared.tls_offset, machine_tp) };
        }
    }
}

/// Switches from a green thread to its machine's own stack.
///
/// # Safety
/// - `green` runs on `machine`, with its post-switch action noted.
#[inline]
unsafe fn switch_to_root(machine: &Machine, green: &Green) {
    let root_tp = machine.thread_pointer.get();
    // SAFETY: `green` runs here; the root's block is the OS thread's own.
    unsafe { own_tls::lend(green.thread_pointer.get(), root_tp) };
    machine.set_current(std::ptr::null());
    announce(machine, green, &machine.flow);
    // SAFETY: the root context was saved by the switch that brought a green thread here.
    unsafe { arch::switch(green.context.get(), &raw const machine.root, root_tp) };
}

/// Tells a sanitizer that `green` leaves its stack for the flow `to`: for good, if it has ended.
#[inline(always)]
fn announce(machine: &Machine, green: &Green, to: &Flow) {
    match machine.post.get() {
        Post::Exit(_) => green.flow.leave_for_good(to),
        _ => green.flow.leave_for(to),
    }
}

/// The first thing a green thread does on a machine: the post-switch action of whoever was here.
#[inline(always)]
fn arrive(green: &Green) -> Entered<'_> {
    green.flow.arrive();
    #[cfg(any(gthread_tsan, gthread_asan))]
    tls::set_current(std::ptr::from_ref(green).cast());
    // SAFETY: `green` runs here.
    let machine = unsafe { Machine::of(green) };
    // SAFETY: it runs, so it has not finished.
    let shared = unsafe { Shared::of(green) };
    let entered = Entered::on_root(shared, machine);
    entered.run_post();
    entered
}

impl Entered<'_> {
    /// Runs the post-switch action of the one who was here before.
    #[inline(always)]
    pub(super) fn run_post(&self) {
        match self.machine.post.replace(Post::Nothing) {
            Post::Nothing => {}
            Post::Park(green) => {
                // SAFETY: it has left its stack and nobody else owns it before the commit.
                if !unsafe { green.as_ref() }.wait.commit() {
                    self.ready(green);
                }
            }
            Post::Requeue(green) => self.ready_behind(green),
            Post::Exit(green) => self.for_call().finish(green),
        }
    }

    /// Gives up what a green thread had that has ended, and tells its joiner.
    #[inline]
    fn finish(&self, ended: NonNull<Green>) {
        // SAFETY: it has left its stack for good, and its header is held by its own reference.
        let green = unsafe { ended.as_ref() };
        // SAFETY: the stack is the carrier's, which is this machine.
        let stack = unsafe { (*green.stack.get()).take() };
        green.flow.end();
        green.thread_pointer.set(0);
        green.bound.set(false);
        match (stack, self.processor) {
            (Some(stack), Some(processor)) => {
                // SAFETY: this machine holds the processor, and `give` does not switch.
                let stacks = unsafe { processor.stacks() };
                // SAFETY: the green thread has left its stack for good, and what refers to it
                // (the context) is prepared anew before it is used.
                unsafe { stacks.give(stack) };
            }
            // SAFETY: as above.
            (Some(stack), None) => unsafe { stack::give_global(stack) },
            (None, _) => {}
        }
        match self.processor {
            Some(processor) => processor.counters.finished.bump(),
            None => self.shared.external.finished.add_shared(1),
        }
        if self.machine.locked.get() == Some(ended) {
            self.machine.locked.set(None);
            self.machine.restore_mask();
            self.shared.spares.ties.untie();
        }
        match green.join.finish() {
            Finished::Done => {}
            Finished::Free => self.free_header(ended),
            Finished::WakeJoiner => {
                let token = green.joiner.get();
                if green.join.release() {
                    self.free_header(ended);
                }
                if let Some(token) = token {
                    self.wake(token);
                }
            }
        }
        self.shared.note_end();
    }

    /// As `sched::wake`, in the runtime.
    fn wake(&self, token: Token) {
        match token.claim(Outcome::Woken) {
            Claim::Resume => self.ready_any(token.green),
            Claim::Wake => token.wake_thread(),
            Claim::Early | Claim::Lost => {}
        }
    }

    /// Makes a green thread of any runtime runnable whose wait the caller has claimed.
    fn ready_any(&self, green: NonNull<Green>) {
        // SAFETY: TypeStable, and its wait is claimed, so it has not finished.
        let header = unsafe { green.as_ref() };
        if header.runtime.get() == std::ptr::from_ref(self.shared).cast() {
            self.ready(green);
        } else {
            super::ready_elsewhere(green);
        }
    }
}

/// Redeems the ticket of a green thread for a stack, if that has not been done.
#[inline(always)]
fn take_stack<'a>(processor: Option<&Processor>, green: &'a Green) -> &'a stack::Stack {
    // SAFETY: the stack is the carrier's.
    let place = unsafe { &mut *green.stack.get() };
    place.get_or_insert_with(|| {
        // SAFETY: the ticket is the carrier's.
        let ticket = unsafe { (*green.ticket.get()).take() };
        let Some(ticket) = ticket else {
            rt_abort!("sched: a green thread without a stack ticket")
        };
        match processor {
            // SAFETY: the caller holds the processor, and `take` does not switch.
            Some(processor) => unsafe { processor.stacks() }.take(ticket),
            None => stack::take_global(ticket),
        }
    })
}

/// Binds a green thread to the stack it has: a block of thread-locals, a first frame.
///
/// # Errors
/// There is no memory for a block; never if the stack has one.
#[inline(never)]
fn bind(shared: &Shared, green: &Green) -> io::Result<()> {
    // SAFETY: the stack is the carrier's.
    let Some(stack) = (unsafe { (*green.stack.get()).as_ref() }) else {
        rt_abort!("sched: a green thread without a stack")
    };
    let block = match stack.block_word() {
        Some(_) => {
            let block = own_tls::block_at(stack.end());
            // SAFETY: the block was built in this slot, and its last green thread has ended.
            unsafe { own_tls::renew(block) };
            block
        }
        None => {
            // SAFETY: a fresh slot is zeroed, and keeps `block_bytes` free below its end.
            let block = unsafe { own_tls::build(stack.end()) }?;
            stack.set_block_word(std::num::NonZero::new(block.thread_pointer()).map(|tp| tp.get()));
            block
        }
    };
    let header = std::ptr::from_ref(green);
    stack.set_owner(header.cast());
    let thread_pointer = block.thread_pointer();
    if !cfg!(any(gthread_tsan, gthread_asan)) {
        // SAFETY: the block is built and nobody runs on it.
        unsafe { tls::write(thread_pointer, shared.tls_offset, header.cast(), 0) };
    }
    // SAFETY: the stack from its bottom to the block is the green thread's alone, and `entry`
    // takes its header.
    let context = unsafe {
        arch::prepare(stack.bottom(), block.stack_top(), entry, header.cast_mut().cast())
    };
    // SAFETY: the context is the carrier's, and the old one was left for the last time.
    unsafe { *green.context.get() = context };
    green.flow.begin(stack.bottom(), block.stack_top());
    green.thread_pointer.set(thread_pointer);
    green.bound.set(true);
    Ok(())
}

/// The first frame of Rust on a green thread's stack.
///
/// # Safety
/// - `argument` is the header of the green thread that has just been switched to.
unsafe extern "C" fn entry(argument: *mut ()) -> ! {
    // SAFETY: the caller's clause; the header is type-stable.
    let green = unsafe { &*argument.cast::<Green>() };
    arrive(green).leave();
    if let Some(vtable) = green.vtable.get() {
        // SAFETY: the stage holds the closure that goes with this vtable, and is ours now.
        unsafe { (vtable.run)(green) };
    }
    green.set_phase(Phase::Exiting);
    // SAFETY: this is the green thread that ends, on its own block, for the only time.
    unsafe { own_tls::run_destructors() };
    if green.runtime.get().is_null() {
        super::fork::end_of_child();
    }
    let entered = enter(green);
    let _ = entered.switch_away(green, Post::Exit(NonNull::from(green)));
    rt_abort!("sched: a green thread was resumed after its end")
}
