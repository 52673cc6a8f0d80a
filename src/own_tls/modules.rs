//! Modules whose thread-locals lie at a fixed distance from every thread pointer.
//!
//! The program and everything it is linked with are such modules; a module that is loaded later
//! is one if it (or one that is loaded with it) asks for it by initial-exec relocations, and the
//! surplus has room. Which they are is read from the loader's list of modules with thread-locals,
//! where glibc's description for debuggers says the place is. Asking `__tls_get_addr` instead
//! would settle a module that is still undecided: it could never become static afterwards.
//!
//! The list is read without its lock, by way of the kernel, so that a record that was just freed
//! is a stale answer and not a fault. Stale answers are kept out by whoever asks: `loader` takes
//! only modules whose load has ended.

use super::block::Memory;
use super::layout::{ORIENTATION, Orientation};
use super::symbols::{Slots, Symbols};
use crate::{arch, sys};

/// Which module, over all loads of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// The loader's number, which is used again after an unload.
    module_id: usize,
    /// The generation of the loader's list in which it was loaded.
    generation: usize,
}

/// The thread-locals of one module, at the same place in every block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StaticModule {
    /// Which module it is.
    pub(super) identity: Identity,
    /// Distance from the thread pointer.
    pub(super) offset: isize,
    /// The initial values, the zeroes behind them included.
    pub(super) initial: Box<[u8]>,
}

impl StaticModule {
    /// Bytes of the module's thread-locals.
    pub(super) fn bytes(&self) -> usize {
        self.initial.len()
    }

    /// Gives the module's thread-locals in a block their initial values.
    ///
    /// # Safety
    /// Their place lies in the block, and nobody uses it.
    pub(super) unsafe fn initialise(&self, tp: usize) {
        let place = Memory(tp).at::<u8>(self.offset);
        // SAFETY: the caller's clause.
        unsafe { core::ptr::copy_nonoverlapping(self.initial.as_ptr(), place, self.bytes()) };
    }
}

/// All modules with thread-locals: the static ones, and whether there are others.
#[derive(Debug, Default)]
pub(super) struct Modules {
    /// At a fixed distance from the thread pointer.
    pub(super) fixed: Vec<StaticModule>,
    /// Modules whose thread-locals are allocated when first used.
    pub(super) dynamic: usize,
}

impl Modules {
    /// Looks at everything that is loaded.
    pub(super) fn loaded(symbols: &Symbols) -> Self {
        let mut modules = Self::default();
        let slots = symbols.slots.as_ref().map(read_slots);
        sys::dl::for_each_module(&mut |module| {
            let Some(tls) = module.tls else { return };
            let (generation, offset) = match &slots {
                Some(slots) => match slots.get(tls.module_id) {
                    Some(slot) => (slot.generation, slot.offset),
                    None => (0, None),
                },
                // A static program: its one module has an instance in every block.
                None => (0, Some(tls.instance.wrapping_sub(arch::thread_pointer()) as isize)),
            };
            let Some(offset) = offset else {
                modules.dynamic += 1;
                return;
            };
            let image = core::ptr::with_exposed_provenance::<u8>(tls.image);
            // SAFETY: the module cannot be unloaded meanwhile, and so many bytes of initial values
            // are mapped.
            let image = unsafe { core::slice::from_raw_parts(image, tls.image_bytes) };
            let mut initial = vec![0; tls.bytes];
            initial[..image.len()].copy_from_slice(image);
            modules.fixed.push(StaticModule {
                identity: Identity { module_id: tls.module_id, generation },
                offset,
                initial: initial.into(),
            });
        });
        modules
    }
}

/// What the loader's list says of a module.
#[derive(Clone, Copy, Debug)]
struct Slot {
    generation: usize,
    /// The distance from the thread pointer, if it is fixed.
    offset: Option<isize>,
}

/// Reads the loader's list; the index is the module's number.
fn read_slots(slots: &Slots) -> Vec<Slot> {
    let word = |address: usize| {
        let mut word = [0];
        sys::heap::peek(address, &mut word).then_some(word[0])
    };
    let mut list = Vec::new();
    let mut chunk = word(slots.head).unwrap_or(0);
    while chunk != 0 {
        let len = word(chunk + slots.len).unwrap_or(0);
        for index in 0..len {
            let slot = chunk + slots.first + index * slots.slot_bytes;
            let record = word(slot + slots.record).filter(|record| *record != 0);
            list.push(Slot {
                generation: word(slot + slots.generation).unwrap_or(0),
                offset: record.and_then(|record| fixed_offset(word(record + slots.tls_offset)?)),
            });
        }
        chunk = word(chunk + slots.next).unwrap_or(0);
    }
    list
}

/// The distance from the thread pointer that a record's field means, if it is fixed.
fn fixed_offset(field: usize) -> Option<isize> {
    let offset = field as isize;
    match ORIENTATION {
        // 0 means none yet, -1 never.
        Orientation::LocalsBelow => (offset > 0).then_some(-offset),
        // -1 means none yet, -2 never.
        Orientation::LocalsAbove => (offset >= 0).then_some(offset),
    }
}
