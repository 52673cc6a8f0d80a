//! The loop of a machine, on its own stack and its own thread pointer.
//!
//! ```text
//!           ┌───────────── find ◄──────────────┐
//!           │ something          nothing        │ granted, or found on the second look
//!           ▼                       ▼           │
//!   stop searching            retire ──────► sleep
//!   switch to it                    
//!           │ it has left: post-switch action
//!           └───────────► pinned? hand the processor on, wait for the next grant
//! ```

use super::enter::Entered;
use super::shared::Shared;
use super::spare::STOP;
use crate::green::Green;
use crate::machine::Machine;
use crate::netpoll::Poller;
use crate::processor::Processor;
use crate::sys::clock::now_ns;
use std::ptr::NonNull;
use std::sync::Arc;

/// How long a machine sleeps before it gives up what its cache of the allocator holds.
const FLUSH_NS: u64 = 100_000_000;

/// Why the loop goes on, or ends.
enum Next {
    /// With a processor; whether the machine counts as searching.
    Run { searching: bool },
    /// The machine ends.
    Stop,
}

/// How a machine begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// Its first message was sent before it had a thread, or it was on the list by then.
    Granted,
    /// It looks for work itself.
    Spare,
}

/// The thread of a machine.
pub(super) fn main(shared: &Arc<Shared>, machine: &Arc<Machine>, start: Start) {
    // Without memory for it an overflow ends in the default action, unreported.
    let alternate = crate::stack::overflow::AlternateStack::new().ok();
    machine.thread_pointer.set(crate::arch::thread_pointer());
    machine.flow.of_thread();
    machine.set_tid(crate::sys::thread::id());
    machine.keep_mask();
    crate::sys::schedule::set_timer_slack_ns(1);
    if crate::alloc::is_in_use() {
        crate::alloc::prime_machine();
    }
    let lasting: &'static Machine = unlimited(machine);
    let mut next = match start {
        Start::Granted => sleep(shared, machine),
        Start::Spare => acquire(shared, machine),
    };
    while let Next::Run { searching } = next {
        next = turn(shared, machine, lasting, searching);
    }
    shared.spares.retired(machine);
    drop(alternate);
}

/// A machine lives as long as its runtime (Inv. MachineStable), and its thread ends before.
fn unlimited(machine: &Arc<Machine>) -> &'static Machine {
    // SAFETY: the result is used by this thread alone, which holds a strong count of the machine
    // and one of the runtime to its end, and by green threads on it, which have left it by then.
    unsafe { &*Arc::as_ptr(machine) }
}

/// Finds one green thread and runs it, and whoever it switches to, until they come back here.
fn turn(
    shared: &Arc<Shared>,
    machine: &Arc<Machine>,
    lasting: &'static Machine,
    mut searching: bool,
) -> Next {
    let entered = Entered::on_root(shared, lasting);
    let Some(processor) = entered.processor else { return acquire(shared, machine) };
    let Some(green) = entered.find(processor, &mut searching) else {
        return retire(shared, machine, processor, searching);
    };
    if searching && shared.idle.stop_searching() && shared.idle.is_any_idle() && shared.has_work() {
        shared.wake_one();
    }
    if !entered.can_run(green) {
        return Next::Run { searching: false };
    }
    if entered.is_elsewhere(green) {
        hand_to_pinned(lasting, processor, green);
        return acquire(shared, machine);
    }
    entered.execute(green);
    if machine.locked.get().is_some() {
        return wait_for_own(shared, machine);
    }
    Next::Run { searching: false }
}

impl Entered<'_> {
    /// Switches to a green thread; back on the root, runs the post-switch action.
    fn execute(&self, green: NonNull<Green>) {
        // SAFETY: the machine is on its own stack, and `green` was found by it.
        unsafe { self.switch_from_root(green) };
        Entered::on_root(self.shared, self.machine).run_post();
    }

    /// Whether `green` belongs to another machine; a fresh pinned one takes this machine.
    fn is_elsewhere(&self, green: NonNull<Green>) -> bool {
        // SAFETY: the machine owns the right to run it.
        let header = unsafe { green.as_ref() };
        if !header.is_pinned() {
            return false;
        }
        if header.pinned_to.get().is_null() {
            header.pin_to(std::ptr::from_ref(self.machine).cast());
            self.machine.locked.set(Some(green));
        }
        !std::ptr::eq(header.pinned_to.get().cast(), self.machine)
    }
}

/// Hands the processor to the machine a pinned green thread belongs to, which waits for it.
fn hand_to_pinned(machine: &Machine, processor: &Processor, green: NonNull<Green>) {
    // SAFETY: the machine owns the right to run it, and passes that on.
    let owner = unsafe { green.as_ref() }.pinned_to.get().cast::<Machine>();
    machine.detach();
    // SAFETY: machines live as long as their runtime (Inv. MachineStable).
    let owner = unsafe { &*owner };
    // It waits for its own in its parker, and nowhere else.
    owner.parker.send(std::ptr::from_ref(processor) as usize, || {});
}

/// Without a processor: takes an idle one if there is work, else sleeps as a spare.
fn acquire(shared: &Arc<Shared>, machine: &Arc<Machine>) -> Next {
    if shared.has_work()
        && let Some(index) = shared.idle.claim()
    {
        shared.idle.force_searching();
        shared.take_up(machine, &shared.processors[index as usize]);
        return Next::Run { searching: true };
    }
    shared.spares.push(machine);
    sleep(shared, machine)
}

/// Gives the processor up, looks at everything once more, and sleeps: r1 to r3 of `idle`.
fn retire(
    shared: &Arc<Shared>,
    machine: &Arc<Machine>,
    processor: &Processor,
    searching: bool,
) -> Next {
    processor.counters.retires.bump();
    machine.detach();
    shared.spares.push(machine);
    shared.idle.retire(processor.index, searching);
    if shared.has_work()
        && let Some(index) = shared.idle.claim()
    {
        shared.idle.force_searching();
        let processor = &shared.processors[index as usize];
        if !shared.spares.withdraw(machine) {
            // A grant is on its way: one of the two processors is one too many.
            shared.idle.retire(processor.index, true);
            return received(shared, machine, machine.parker.receive(None));
        }
        shared.take_up(machine, processor);
        return Next::Run { searching: true };
    }
    sleep(shared, machine)
}

/// Sleeps on the list of spare machines until it gets a message, or its deadline comes.
fn sleep(shared: &Arc<Shared>, machine: &Arc<Machine>) -> Next {
    // Whether another machine has got a processor from here: it comes to sleep after this one, and
    // covers then.
    let mut has_heir = false;
    // Once for the whole sleep: who wakes early in the poller comes back for the rest.
    let mut flush_ns = crate::alloc::is_in_use().then(|| now_ns() + FLUSH_NS);
    loop {
        if shared.is_stopping() {
            return Next::Stop;
        }
        // With all processors in use there is nothing to wake for: whoever makes one idle sees to
        // the deadlines (README, Timekeeper). Covering a past one here would spin.
        // Events wait for the holders as well, or for the monitor.
        let is_any_idle = shared.idle.is_any_idle();
        let cover = match is_any_idle && !has_heir {
            true => shared.timekeeper.cover(|| shared.next_deadline_ns()),
            false => None,
        };
        let turn = shared.poller.get().filter(|_| is_any_idle).and_then(Poller::try_sleep);
        let polls = turn.is_some();
        let message = match turn {
            Some(turn) => {
                let until = cover.into_iter().chain(flush_ns).min();
                let message = shared.sleep_in_poller(machine, turn, until);
                // Back here, it does not hold the turn: others may poll meanwhile.
                if message.is_none() && flush_if_due(flush_ns) {
                    flush_ns = None;
                }
                message
            }
            None => {
                let keep = shared.processors.len() + 2;
                let limit = cover.or_else(|| shared.spares.idle_limit_ns(keep, now_ns()));
                receive_or_flush(machine, limit)
            }
        };
        shared.timekeeper.uncover(cover);
        if message.is_some() || !shared.spares.withdraw(machine) {
            let message = message.or_else(|| machine.parker.receive(None));
            return received(shared, machine, message);
        }
        // The deadline came, and this machine is on no list.
        if shared.has_work()
            && let Some(index) = shared.idle.claim()
        {
            shared.idle.force_searching();
            let processor = &shared.processors[index as usize];
            has_heir = shared.pass_on(processor);
            if !has_heir {
                shared.take_up(machine, processor);
                return Next::Run { searching: true };
            }
        } else if cover.is_none() && !polls && shared.spares.ties.may_end() {
            return Next::Stop;
        } else {
            has_heir = false;
        }
        shared.spares.push(machine);
    }
}

/// Gives up what the cache of the allocator holds if it is time; whether it was.
fn flush_if_due(flush_ns: Option<u64>) -> bool {
    let is_due = flush_ns.is_some_and(|flush_ns| now_ns() >= flush_ns);
    if is_due {
        crate::alloc::flush_machine();
    }
    is_due
}

/// Receives a message; a machine that has had none for a while gives up what its cache of the
/// allocator holds, once, and sleeps on.
fn receive_or_flush(machine: &Machine, limit_ns: Option<u64>) -> Option<usize> {
    let flush_ns = now_ns() + FLUSH_NS;
    if crate::alloc::is_in_use() && limit_ns.is_none_or(|limit_ns| limit_ns > flush_ns) {
        let message = machine.parker.receive(Some(flush_ns));
        if message.is_some() {
            return message;
        }
        crate::alloc::flush_machine();
    }
    machine.parker.receive(limit_ns)
}

/// What a message says.
fn received(shared: &Arc<Shared>, machine: &Arc<Machine>, message: Option<usize>) -> Next {
    match message {
        Some(STOP) | None => Next::Stop,
        Some(address) => {
            // SAFETY: only `grant` and `hand_to_pinned` send anything but STOP: the address of a
            // processor of this runtime, whose holder the receiver becomes.
            let processor = unsafe { &*(address as *const Processor) };
            shared.take_up(machine, processor);
            Next::Run { searching: true }
        }
    }
}

/// The machine belongs to a pinned green thread that has left it: the processor goes on to
/// others, and the machine waits until somebody brings one with the right to run its own.
fn wait_for_own(shared: &Arc<Shared>, machine: &Arc<Machine>) -> Next {
    if let Some(processor) = machine.processor() {
        machine.detach();
        shared.release(processor);
    }
    let message = machine.parker.receive(None);
    let next = received(shared, machine, message);
    if let Next::Run { .. } = next {
        machine.pending.set(machine.locked.get());
        return Next::Run { searching: false };
    }
    next
}
