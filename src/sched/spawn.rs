//! A new green thread: a header, a closure on its stage, a ticket for a stack.

use super::enter::{Entered, current_green, enter};
use super::shared::{Carriage, Shared};
use crate::green::join::Finished;
use crate::green::stage::Stage;
use crate::green::{Flags, Green, Kind, Phase, Vtable, arena};
use crate::primitive::fence;
use crate::processor::Processor;
use crate::processor::run_queue::Line;
use crate::stack::{self, StackSize};
use std::io;
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::Arc;

/// What the spawner says about a green thread.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) stack_size: StackSize,
    pub(crate) flags: Flags,
    pub(crate) location: &'static Location<'static>,
    pub(crate) vtable: &'static Vtable,
}

impl Shared {
    /// Spawns a green thread on this runtime; `put` moves its closure onto the stage.
    ///
    /// The header comes back with two references: the green thread's, and the caller's.
    ///
    /// # Errors
    /// Of the kind `Other` when the runtime is shut down, `OutOfMemory` or the kernel's error when
    /// no stack or header can be had, or no machine for one that is pinned; `put` has not been called
    /// then.
    #[inline]
    pub(crate) fn spawn(
        &self,
        order: Order,
        put: impl FnOnce(&Stage),
    ) -> io::Result<NonNull<Green>> {
        // NOTE: no further layer around what follows: `put` holds the closure, which a build without
        // optimisation copies onto the stack once for each.
        let is_tied = order.flags.pinned && self.carriage == Carriage::Machines;
        if is_tied {
            self.tie_fresh()?;
        }
        let spawned = match current_green() {
            Some(me) if me.runtime.get() == std::ptr::from_ref(self).cast() => {
                self.spawn_inside(me, order, put)
            }
            _ => self.spawn_outside(order, put),
        };
        if is_tied && spawned.is_err() {
            self.spares.ties.untie();
        }
        spawned
    }

    /// For one that is pinned from its first run: counts its tie.
    ///
    /// # Switches
    #[cold]
    fn tie_fresh(&self) -> io::Result<()> {
        if super::fork::in_child() {
            return Err(stayed_behind());
        }
        if self.is_closing() {
            return Err(refused());
        }
        self.tie()
    }

    /// From a green thread of this runtime.
    #[inline]
    fn spawn_inside(
        &self,
        me: &Green,
        order: Order,
        put: impl FnOnce(&Stage),
    ) -> io::Result<NonNull<Green>> {
        if self.is_closing() {
            return Err(refused());
        }
        let entered = enter(me);
        let header = entered.new_header(&order);
        let Ok(header) = header else {
            entered.leave();
            return header;
        };
        // The closure is moved outside the runtime: a large one is boxed, and the allocator is
        // user code.
        entered.leave();
        // SAFETY: a new header is ours alone until it is submitted.
        let green = unsafe { header.as_ref() };
        self.furnish(green, order);
        put(&green.stage);
        let entered = enter(me);
        match entered.processor {
            Some(processor) => processor.counters.spawned.bump(),
            None => self.external.spawned.add_shared(1),
        }
        entered.submit(Line::Fresh, header);
        entered.leave();
        Ok(header)
    }

    /// From an OS thread, or from a green thread of another runtime.
    #[cold]
    fn spawn_outside(&self, order: Order, put: impl FnOnce(&Stage)) -> io::Result<NonNull<Green>> {
        if super::fork::in_child() {
            return Err(stayed_behind());
        }
        let header = arena::take().ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        // SAFETY: taken from the arena, so it is ours alone.
        let green = unsafe { header.as_ref() };
        if self.carriage == Carriage::Machines {
            match stack::reserve(order.stack_size) {
                // SAFETY: the header is ours alone.
                Ok(ticket) => unsafe { *green.ticket.get() = Some(ticket) },
                Err(error) => {
                    arena::give(header);
                    return Err(error);
                }
            }
        }
        green.id.set(Processor::next_id_global());
        // Counted before `closing` is looked at, so that a shutdown either sees the count or is
        // seen (the two fences of `close` and here).
        self.external.spawned.add_shared(1);
        fence::full();
        if self.is_closing() {
            self.external.finished.add_shared(1);
            // SAFETY: the header is ours alone; dropping the ticket gives the stack up.
            drop(unsafe { (*green.ticket.get()).take() });
            arena::give(header);
            self.note_end_while_closing();
            return Err(refused());
        }
        self.furnish(green, order);
        put(&green.stage);
        if self.carriage == Carriage::Machines {
            self.inject(Line::Fresh, header);
        }
        Ok(header)
    }

    /// Fills the fields that are constant until the header is freed.
    #[inline(always)]
    fn furnish(&self, green: &Green, order: Order) {
        green.kind.set(match self.carriage {
            Carriage::Machines => Kind::Green,
            Carriage::OsThreads => Kind::Thread,
        });
        green.runtime.set(std::ptr::from_ref(self).cast());
        green.vtable.set(Some(order.vtable));
        green.location.set(Some(order.location));
        green.stack_size.set(order.stack_size);
        green.pins.set(u32::from(order.flags.pinned));
        if let Some(name) = order.name {
            // SAFETY: the header is not shared yet.
            unsafe { green.set_name(Some(name)) };
        }
        green.set_phase(Phase::Fresh);
        green.join.reset(2);
    }
}

impl Entered<'_> {
    /// A header with a ticket for a stack.
    #[inline(always)]
    fn new_header(&self, order: &Order) -> io::Result<NonNull<Green>> {
        let out_of_memory = || io::Error::from(io::ErrorKind::OutOfMemory);
        let header = match self.processor {
            Some(processor) => processor.headers.take(),
            None => arena::take(),
        };
        let header = header.ok_or_else(out_of_memory)?;
        let ticket = match self.processor {
            // SAFETY: the caller holds the processor, and `reserve` does not switch.
            Some(processor) => unsafe { processor.stacks() }.reserve(order.stack_size),
            None => stack::reserve(order.stack_size),
        };
        // SAFETY: a free header is its taker's alone.
        let green = unsafe { header.as_ref() };
        match ticket {
            // SAFETY: the header is ours alone.
            Ok(ticket) => unsafe { *green.ticket.get() = Some(ticket) },
            Err(error) => {
                self.free_header(header);
                return Err(error);
            }
        }
        green.id.set(match self.processor {
            Some(processor) => processor.next_id(),
            None => Processor::next_id_global(),
        });
        Ok(header)
    }
}

/// What a spawner is told in the child of a fork.
fn stayed_behind() -> io::Error {
    io::Error::other("the runtime stayed behind in the parent of this process")
}

/// What a spawner is told after the runtime was shut down.
fn refused() -> io::Error {
    io::Error::other("the runtime is shut down and takes no new green threads")
}

/// Undoes a spawn whose OS thread could not be started: drops the closure and the thread's own
/// reference.
pub(crate) fn cancel_unstarted(shared: &Shared, header: NonNull<Green>) {
    // SAFETY: the caller has a reference of its own.
    let green = unsafe { header.as_ref() };
    // First, because the closure's destructor is user code and may panic.
    shared.external.finished.add_shared(1);
    shared.note_end();
    if let Some(vtable) = green.vtable.get() {
        // SAFETY: the closure lies on the stage, and no thread will run it.
        unsafe { (vtable.drop_closure)(green) };
    }
    if green.join.finish() == Finished::Free {
        super::free_header(header);
    }
}
