//! Slabs: address space by the gigabyte, made into guarded slots a few at a time.
//!
//! A slab is one mapping that costs nothing until it is touched. Its slots get their guards when
//! the pool grows, before anything in them is touched; from then on they are never unmapped, only
//! trimmed: an address once found in a slab stays in it, which is what lets a signal handler look.
//!
//! # How large
//! A process may have 65,530 mappings (`vm.max_map_count`), so slabs double until they are large:
//! 256 slots, then as many as there are already, up to 65,536. A million slots are 24 mappings.
//! Where address space is charged for (`vm.overcommit_memory` is 2) or limited (`RLIMIT_AS`) a slab
//! is at most 64 MiB or 1/32 of the limit, and wherever the kernel answers `ENOMEM` half the size
//! is tried, down to one slot.
//!
//! # Guards
//! | kind | from | a slot | mappings | a fault is |
//! |---|---|---|---|---|
//! | `MADV_GUARD_INSTALL` | Linux 6.13 | 0.3-0.6 us | none | SIGSEGV |
//! | `UFFDIO_POISON` | Linux 6.6 | 0.5-1 us | none | SIGBUS |
//! | `mprotect(PROT_NONE)` | ever | 1-1.6 us | two | SIGSEGV |
//!
//! The first two mark page-table entries and leave the mapping whole. Both survive fork and
//! `MADV_DONTNEED` of what lies beside them. A slab takes the next kind when the kernel refuses one
//! (the first with `EINVAL`: too old, or the memory is locked by `mlockall`), and when the first
//! guard of a slab turns out not to guard. With `mprotect` growth
//! ends, with an error that says so, at 7/8 of the limit: at the limit itself the next `malloc` of
//! anybody fails.
//!
//! *Verdict on `UFFDIO_POISON`* (measured on Linux 6.18): needs no privilege, with
//! `UFFD_USER_MODE_ONLY`, but container sandboxes often forbid `userfaultfd`. Markers outlive the
//! descriptor, so a range is registered only while its guards are made and nobody can touch it:
//! then the mode `MISSING`, which every architecture has, costs nothing later. Kernels before 6.11
//! log an overflow as "hardware memory corruption"; that line is the price. Taken: 6.6 to 6.12 are
//! the long-term kernels of most distributions, and 28,000 stacks are too few.
//!
//! Rejected: `process_madvise` with 512 guards a call (274 ns a slot against 250-370: the call is
//! not what costs); one guard of 4 KiB (C does not probe, and 16 pages cost next to nothing); a
//! userfaultfd kept open in mode `WP` (a descriptor for ever, which a forked child holds too, and
//! with it its parent's memory).

use super::pool::{Run, Source};
use super::slot::{Slot, SlotId};
use super::table::{GUARD_BYTES, Slab, Table};
use crate::primitive::atomic::{AtomicU32, AtomicUsize, Ordering};
use crate::sys::userfault::Poisoner;
use crate::sys::{mem, valgrind};
use std::io;
use std::ops::Range;

/// The most slabs; 64 MiB each, the smallest usual size, that is 128 GiB.
pub(super) const SLABS_MAX: usize = 2048;
/// The most slots of a slab: what the lower half of a [`SlotId`] can name.
const SLAB_SLOTS_MAX: usize = 1 << 16;
/// The slots of the first slab.
const SLAB_SLOTS_MIN: usize = 256;
/// The most address space of one slab, so that one of huge stacks does not take it all.
const SLAB_BYTES_MAX: usize = 64 << 30;
/// The same where address space is charged for.
const SLAB_BYTES_CHARGED: usize = 64 << 20;
/// How many slots get their guards at once: at least, at most.
const CARVE: (usize, usize) = (32, 256);
/// ThreadSanitizer's shadow leaves room for this much.
const TSAN_BYTES_MAX: usize = 64 << 30;

/// Every slab of the process.
pub(super) static TABLE: Table<SLABS_MAX> = Table::new();
/// What a slot keeps free below its end for the block of thread-locals.
static BLOCK_BYTES: AtomicUsize = AtomicUsize::new(8 << 10);
/// Address space reserved so far.
static RESERVED_BYTES: AtomicUsize = AtomicUsize::new(0);
/// Guards made by `mprotect` so far: each may have cost two mappings.
static PROTECTED: AtomicUsize = AtomicUsize::new(0);
/// The kind of the latest slab's guards, as a number; see [`GuardKind`].
static GUARD_KIND: AtomicU32 = AtomicU32::new(0);

/// How the guards of a slab are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GuardKind {
    /// `MADV_GUARD_INSTALL`: no mapping is split.
    Marker,
    /// `UFFDIO_POISON`: no mapping is split; a fault is SIGBUS.
    Poison,
    /// `mprotect(PROT_NONE)`: two mappings a slot.
    Protection,
}

/// Says how many bytes below its end a slot keeps for the block of thread-locals.
///
/// # Panics
/// If there are slots already, made for another size.
pub(crate) fn set_block_bytes(bytes: usize) {
    // ORDERING: Relaxed, both; set before the first spawn, which starts after this returns.
    let before = BLOCK_BYTES.swap(bytes.next_multiple_of(mem::page_bytes()), Ordering::Relaxed);
    let unchanged = before == bytes.next_multiple_of(mem::page_bytes());
    assert!(unchanged || TABLE.len() == 0, "the size of a block is set before the first stack");
}

/// What a slot keeps free below its end.
pub(super) fn block_bytes() -> usize {
    // ORDERING: Relaxed; constant once there are slots.
    BLOCK_BYTES.load(Ordering::Relaxed)
}

/// How the guards of the latest slab were made; `None` before the first.
pub(super) fn guard_kind() -> Option<GuardKind> {
    // ORDERING: Relaxed; a statistic.
    match GUARD_KIND.load(Ordering::Relaxed) {
        0 => None,
        1 => Some(GuardKind::Marker),
        2 => Some(GuardKind::Poison),
        _ => Some(GuardKind::Protection),
    }
}

/// How many guards were made by `mprotect`.
pub(super) fn protected() -> usize {
    // ORDERING: Relaxed; a statistic.
    PROTECTED.load(Ordering::Relaxed)
}

/// The slots of one size.
#[derive(Debug)]
pub(super) struct Slabs {
    /// The usable bytes of a stack; 0 while the class is unclaimed.
    pub(super) usable: AtomicUsize,
}

/// What the growth of one size has to remember.
#[derive(Debug)]
pub(super) struct Growth {
    /// The slab slots are being made in.
    open: Option<OpenSlab>,
    /// All slots of this size, those of the open slab that have no guard yet included.
    slots: usize,
}

impl Growth {
    /// Nothing yet.
    pub(super) const fn new() -> Self {
        Self { open: None, slots: 0 }
    }
}

/// A slab whose slots do not all have their guards yet.
#[derive(Clone, Copy, Debug)]
struct OpenSlab {
    index: usize,
    slots: usize,
    carved: usize,
    kind: GuardKind,
}

impl Slabs {
    /// An unclaimed size.
    pub(super) const fn new() -> Self {
        Self { usable: AtomicUsize::new(0) }
    }

    /// The usable bytes of a stack.
    #[inline(always)]
    pub(super) fn usable(&self) -> usize {
        // ORDERING: Relaxed; constant once the class is claimed.
        self.usable.load(Ordering::Relaxed)
    }

    /// Maps a new slab.
    fn open(&self, growth: &mut Growth) -> io::Result<OpenSlab> {
        let usable = self.usable();
        let stride = GUARD_BYTES + usable + block_bytes();
        let wanted = slab_slots(growth.slots, stride, slab_bytes_max());
        let (mapping, bytes, slots) = reserve_some(stride, wanted)?;
        let Some(index) = TABLE.claim() else {
            // SAFETY: mapped just now, told to nobody.
            let _ = unsafe { mem::release(mapping, bytes) };
            return Err(failure(usable, &format_args!("there are {SLABS_MAX} slabs already")));
        };
        // SAFETY: the whole mapping, ours. Without huge pages in the kernel there is no need.
        let _ = unsafe { mem::nohugepage(mapping, bytes) };
        // SAFETY: the whole mapping, ours.
        unsafe { mem::name(mapping, bytes, c"gthread stacks") };
        let start = mapping as usize + table_bytes(slots);
        let slab =
            Slab { start, end: start + slots * stride, stride, usable, slots: mapping.cast() };
        // SAFETY: claimed above; the mapping begins with zero-filled memory for `slots` records,
        // which all-zero are valid, and is never unmapped (Inv. TypeStable).
        unsafe { TABLE.publish(index, slab) };
        growth.slots += slots;
        let kind = GuardKind::Marker;
        let open = OpenSlab { index, slots, carved: 0, kind };
        growth.open = Some(open);
        Ok(open)
    }

    /// Gives guards to the next slots of the open slab; at least one, or an error.
    fn carve(&self, open: &mut OpenSlab, guarded: usize) -> io::Result<Run> {
        let slab = TABLE.slab(open.index).expect("an open slab is published");
        let first = open.carved;
        if first == 0 {
            // The guard above the last slot, so that every slot lies between two.
            let last = open.slots..open.slots + 1;
            self.guard(open, &slab, last.clone())?;
            if open.kind == GuardKind::Marker && is_readable(slab.start + last.start * slab.stride)
            {
                // Emulators and sandboxes take advice without following it.
                open.kind = GuardKind::Poison;
                self.guard(open, &slab, last)?;
            }
        }
        let wanted = (guarded / 8).clamp(CARVE.0, CARVE.1).min(open.slots - first);
        let len = self.guard(open, &slab, first..first + wanted)?;
        open.carved += len;
        if valgrind::is_running() {
            for index in first..open.carved {
                let bottom = slab.bottom(index);
                valgrind::register_stack(bottom, bottom + slab.stride - GUARD_BYTES);
            }
        }
        TABLE.set_carved(open.index, open.carved);
        // ORDERING: Relaxed; a statistic.
        GUARD_KIND.store(open.kind as u32 + 1, Ordering::Relaxed);
        Ok(Run { first: SlotId::new(open.index, first), len })
    }

    /// Makes guards in the way of this slab or, where the kernel does not know it, in the next
    /// best way from here on. Returns how many stand, at least one.
    fn guard(&self, open: &mut OpenSlab, slab: &Slab, places: Range<usize>) -> io::Result<usize> {
        loop {
            let starts = places.clone().map(|index| slab.start + index * slab.stride);
            let made = match open.kind {
                GuardKind::Marker => make_each(starts, |start| {
                    // SAFETY: whole pages of a slab, of a slot that has not been handed out.
                    unsafe { mem::guard_install(start, GUARD_BYTES) }
                }),
                GuardKind::Poison => poison_each(starts),
                GuardKind::Protection => return protect_each(starts, self.usable()),
            };
            match made {
                Ok(made) => return Ok(made),
                Err(error) => match open.kind {
                    GuardKind::Marker if error.kind() == io::ErrorKind::InvalidInput => {
                        open.kind = GuardKind::Poison;
                    }
                    GuardKind::Poison => open.kind = GuardKind::Protection,
                    _ => return Err(failure(self.usable(), &error)),
                },
            }
        }
    }
}

impl Source for Slabs {
    type Growth = Growth;

    fn slot(&self, id: SlotId) -> &Slot {
        TABLE.slot(id).0
    }

    fn grow(&self, growth: &mut Growth) -> io::Result<Run> {
        let mut open = match growth.open {
            Some(open) if open.carved < open.slots => open,
            _ => self.open(growth)?,
        };
        let guarded = growth.slots - (open.slots - open.carved);
        let run = self.carve(&mut open, guarded);
        growth.open = Some(open);
        run
    }
}

/// Whether the page at `address` can be read, although it was given a guard.
#[cold]
fn is_readable(address: usize) -> bool {
    crate::sys::heap::peek(address, &mut [0])
}

/// The bytes of the table of a slab's slots, in whole pages.
fn table_bytes(slots: usize) -> usize {
    (slots * size_of::<Slot>()).next_multiple_of(mem::page_bytes())
}

/// Makes one guard after the other until one fails. Returns how many stand; an error if none does.
fn make_each(
    starts: impl Iterator<Item = usize>,
    mut make: impl FnMut(*mut u8) -> io::Result<()>,
) -> io::Result<usize> {
    let mut made = 0;
    for start in starts {
        match make(start as *mut u8) {
            Ok(()) => made += 1,
            Err(error) if made == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(made)
}

/// [`make_each`] by `UFFDIO_POISON`.
fn poison_each(starts: impl Iterator<Item = usize> + Clone) -> io::Result<usize> {
    let (Some(low), Some(high)) = (starts.clone().next(), starts.clone().last()) else {
        return Ok(0);
    };
    // SAFETY: from the first of these guards to the last lie slots that have not been handed out,
    // and the record of a slot lies elsewhere.
    let poisoner = unsafe { Poisoner::new(low as *mut u8, high + GUARD_BYTES - low) }?;
    // SAFETY: whole pages of that range, never touched.
    make_each(starts, |start| unsafe { poisoner.poison(start, GUARD_BYTES) })
}

/// [`make_each`] by `mprotect`, as far as the limit of mappings allows.
fn protect_each(starts: impl Iterator<Item = usize>, usable: usize) -> io::Result<usize> {
    let limit = mem::map_count_max();
    let made = make_each(starts, |start| {
        if protected() >= (limit - limit / 8) / 2 {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        // SAFETY: whole pages of a slab, of a slot that has not been handed out.
        unsafe { mem::protect_none(start, GUARD_BYTES) }?;
        // ORDERING: Relaxed; a count that bounds, a few more or less do not matter.
        PROTECTED.fetch_add(1, Ordering::Relaxed);
        Ok(())
    });
    made.map_err(|_| mapping_limit(usable, limit))
}

/// How many slots the next slab should have.
fn slab_slots(slots: usize, stride: usize, bytes_max: usize) -> usize {
    let fitting = (bytes_max / stride).max(1);
    slots.clamp(SLAB_SLOTS_MIN, SLAB_SLOTS_MAX).min(fitting)
}

/// The most address space a slab should take here.
fn slab_bytes_max() -> usize {
    let charged = if mem::overcommits_never() { SLAB_BYTES_CHARGED } else { SLAB_BYTES_MAX };
    mem::address_space_max().map_or(charged, |limit| charged.min(limit / 32))
}

/// Maps a slab of `wanted` slots, or of half as many, and so on down to one.
fn reserve_some(stride: usize, wanted: usize) -> io::Result<(*mut u8, usize, usize)> {
    let mut slots = wanted;
    loop {
        let bytes = table_bytes(slots) + slots * stride + GUARD_BYTES;
        match reserve_within_limits(bytes) {
            Ok(mapping) => return Ok((mapping, bytes, slots)),
            Err(error) if slots == 1 => {
                let usable = stride - GUARD_BYTES - block_bytes();
                return Err(failure(usable, &format_args!("mapping {bytes} bytes: {error}")));
            }
            Err(_) => slots /= 2,
        }
    }
}

/// Maps a slab, unless a tool's shadow memory would not follow.
fn reserve_within_limits(bytes: usize) -> io::Result<*mut u8> {
    // ORDERING: Relaxed; a sum that bounds, two growths at once may both pass.
    let reserved = RESERVED_BYTES.load(Ordering::Relaxed);
    if cfg!(gthread_tsan) && reserved + bytes > TSAN_BYTES_MAX {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    let mapping = mem::reserve(bytes)?;
    // ORDERING: Relaxed; as above.
    RESERVED_BYTES.fetch_add(bytes, Ordering::Relaxed);
    Ok(mapping)
}

/// The error of a stack that could not be made.
#[cold]
fn failure(usable: usize, reason: &dyn std::fmt::Display) -> io::Error {
    let message = format!("no memory for a green thread's stack of {usable} bytes: {reason}");
    io::Error::new(io::ErrorKind::OutOfMemory, message)
}

/// The error at the limit of mappings, which only guards made by `mprotect` come near.
#[cold]
fn mapping_limit(usable: usize, limit: usize) -> io::Error {
    failure(
        usable,
        &format_args!(
            "its guard needs two mappings of the {limit} that vm.max_map_count allows, of which {} \
             guards have taken their share; raise it, or use Linux 6.13 or newer, where guards \
             need none",
            protected()
        ),
    )
}
