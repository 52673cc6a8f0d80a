//! What the scheduler holds: tickets, stacks, and a cache for each processor.

use super::cache::{self, assert_fetched};
use super::class::Class;
use super::pool::Warmth;
use super::size::StackSize;
use super::slab::{Slabs, TABLE, block_bytes};
use super::slot::{Slot, SlotId, nobody};
use super::{stats, trim};
use std::io;

/// The right to one stack: whoever has it can take the stack without fail.
///
/// Dropped, it gives the right back.
#[derive(Debug)]
#[must_use = "a ticket is one mapped stack held back for somebody"]
pub(crate) struct Ticket {
    class: Class,
}

impl Ticket {
    /// The ticket has been used: its unit belongs to a stack now.
    #[inline(always)]
    fn redeem(self) -> Class {
        let class = self.class;
        std::mem::forget(self);
        class
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.class.pool().refund(1);
    }
}

/// A guarded stack and the room for a block of thread-locals above it.
///
/// ```text
///  │ guard, 64 KiB │ usable bytes            │ block │
///                  ^ bottom()                        ^ end()
/// ```
///
/// Dropped, it is never used again: that is what happens to the stack of a green thread that did
/// not finish. Others go back by [`Cache::give`] or [`give_global`].
#[derive(Debug)]
#[must_use = "a stack that is not given back is lost"]
pub(crate) struct Stack {
    slot: &'static Slot,
    id: SlotId,
    class: Class,
}

impl Stack {
    /// Binds a slot that its caller holds.
    #[inline(always)]
    fn bind(id: SlotId, class: Class) -> Self {
        let (slot, _) = TABLE.slot(id);
        slot.set_owner(nobody());
        Self { slot, id, class }
    }

    /// Ends the binding.
    #[inline(always)]
    fn unbind(self) -> SlotId {
        self.slot.set_owner(std::ptr::null());
        trim::on_give(self.slot, self.id, self.class);
        self.id
    }

    /// The lowest usable address; below it lies the guard.
    #[inline(always)]
    pub(crate) fn bottom(&self) -> *mut u8 {
        (self.end().addr() - block_bytes() - self.size()) as *mut u8
    }

    /// The end of the slot, 4 KiB-aligned; the block of thread-locals is built right below it.
    #[inline(always)]
    pub(crate) fn end(&self) -> *mut u8 {
        TABLE.slot(self.id).1 as *mut u8
    }

    /// The usable bytes, without guard and block.
    #[inline(always)]
    pub(crate) fn size(&self) -> usize {
        self.class.usable()
    }

    /// The word noted for the block built in this slot. It outlives the green thread: the next one
    /// finds it and renews the block.
    #[inline(always)]
    pub(crate) fn block_word(&self) -> Option<usize> {
        self.slot.block()
    }

    /// Notes the block built in this slot; the word is not 0.
    #[inline(always)]
    pub(crate) fn set_block_word(&self, word: Option<usize>) {
        self.slot.set_block(word);
    }

    /// Says whose stack it is, for the report of an overflow and for enumeration. Everything
    /// written to the owner before is visible to whoever finds it.
    #[inline(always)]
    pub(crate) fn set_owner(&self, owner: *const ()) {
        self.slot.set_owner(owner);
    }
}

/// A processor's cache of stacks of the runtime's default size.
///
/// Owner-only: spawn and exit cost no atomic read-modify-write. Other sizes pass through to the
/// global pool.
#[derive(Debug)]
pub(crate) struct Cache {
    class: Class,
    own: cache::Cache<'static, Slabs>,
}

impl Cache {
    /// An empty cache for stacks of this size.
    ///
    /// # Errors
    /// Too many different sizes are in use.
    pub(crate) fn new(size: StackSize) -> io::Result<Self> {
        let class = Class::of(size)?;
        let own = cache::Cache::new(class.pool());
        stats::register(class, own.tally());
        Ok(Self { class, own })
    }

    /// Promises one stack. Makes slots if all are promised.
    ///
    /// # Errors
    /// No address space, or at the limit of mappings; the error says which. Nothing is lost by it:
    /// as soon as stacks are given back there are tickets again.
    #[inline(always)]
    pub(crate) fn reserve(&mut self, size: StackSize) -> io::Result<Ticket> {
        if size.bytes() != self.class.usable() {
            return reserve(size);
        }
        self.own.reserve()?;
        Ok(Ticket { class: self.class })
    }

    /// The stack a ticket promises.
    #[inline(always)]
    pub(crate) fn take(&mut self, ticket: Ticket) -> Stack {
        if ticket.class != self.class {
            return take_global(ticket);
        }
        Stack::bind(self.own.take(), ticket.redeem())
    }

    /// Takes a stack back.
    ///
    /// # Safety
    /// Nothing runs or will run on the stack, and nothing refers to what lies on it but the block
    /// behind [`Stack::block_word`].
    #[inline(always)]
    pub(crate) unsafe fn give(&mut self, stack: Stack) {
        if stack.class != self.class {
            // SAFETY: the caller's clause.
            return unsafe { give_global(stack) };
        }
        self.own.give(stack.unbind());
    }

    /// Passes everything on to the global pool, where others and the scavenger find it: for a
    /// processor that goes idle. Dropping the cache does the same.
    pub(crate) fn flush(&mut self) {
        self.own.flush();
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.own.flush();
        stats::forget(self.own.tally());
    }
}

/// [`Cache::reserve`] for a thread without a processor.
///
/// # Errors
/// As [`Cache::reserve`], and if too many different sizes are in use.
pub(crate) fn reserve(size: StackSize) -> io::Result<Ticket> {
    let class = Class::of(size)?;
    class.pool().buy(1)?;
    Ok(Ticket { class })
}

/// [`Cache::take`] for a thread without a processor.
pub(crate) fn take_global(ticket: Ticket) -> Stack {
    let mut slot = [SlotId::NONE];
    assert_fetched(ticket.class.pool().fetch(&mut slot));
    Stack::bind(slot[0], ticket.redeem())
}

/// [`Cache::give`] for a thread without a processor.
///
/// # Safety
/// As [`Cache::give`].
pub(crate) unsafe fn give_global(stack: Stack) {
    let pool = stack.class.pool();
    pool.put(&[stack.unbind()], 1, Warmth::Warm);
}
