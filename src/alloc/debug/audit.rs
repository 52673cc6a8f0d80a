//! Which addresses are the allocator's, and two bits for each block.
//!
//! A table of words, one for each window of the address space: 16 MiB of zeros (32 with 48 bits
//! of addresses) of which the kernel gives a page or two. A window of the page heap has behind
//! its word a table of [`Audit`]s, one for each granule, mapped when it is opened and never
//! unmapped; a span uses those of its granules one after the other.

use super::super::geometry::{GRANULE, WINDOW, WINDOW_GRANULES};
use crate::primitive::abort::rt_abort;
use crate::primitive::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::sys::pages;

/// Bits of an address in user space.
const ADDRESS_BITS: u32 = if cfg!(target_arch = "x86_64") { 47 } else { 48 };

/// Windows in the address space.
const WINDOWS_MAX: usize = 1 << (ADDRESS_BITS - WINDOW.ilog2());

/// A window that is the first of a mapping of its own.
const HUGE: usize = 1;

/// For each window 0, [`HUGE`], or where its audits are.
static WINDOWS: [AtomicUsize; WINDOWS_MAX] = [const { AtomicUsize::new(0) }; WINDOWS_MAX];

/// Blocks of the smallest class in a granule, in words of 64 bits.
const WORDS: usize = GRANULE / 8 / 64;

/// Two bits for each block of a span.
#[derive(Debug)]
struct Audit {
    live: [AtomicU64; WORDS],
    poisoned: [AtomicU64; WORDS],
}

fn window(address: usize) -> usize {
    // ORDERING: Relaxed; who has a block got it after its window was noted.
    WINDOWS.get(address / WINDOW).map_or(0, |word| word.load(Ordering::Relaxed))
}

fn note(address: usize, word: usize) {
    if let Some(place) = WINDOWS.get(address / WINDOW) {
        // ORDERING: Relaxed; published by handing out a block of it.
        place.store(word, Ordering::Relaxed);
    }
}

/// Whether the address lies in an opened window of the page heap.
pub(super) fn is_window(address: usize) -> bool {
    window(address) > HUGE
}

/// Whether the address lies in the first window of a huge block.
pub(super) fn is_huge(address: usize) -> bool {
    window(address) == HUGE
}

/// A window of the page heap is opened; `false`: there is no memory for its audits.
pub(crate) fn window_opened(base: usize) -> bool {
    if window(base) != 0 {
        // An earlier attempt to open it failed after this.
        return true;
    }
    let bytes = WINDOW_GRANULES * size_of::<Audit>();
    let Some(audits) = pages::map_zeroed(bytes) else { return false };
    pages::name(audits.as_ptr() as usize, bytes, c"gthread:audits");
    note(base, audits.as_ptr() as usize);
    true
}

/// A huge block was made.
pub(crate) fn huge_opened(base: usize) {
    note(base, HUGE);
}

/// A huge block ends; aborts if another free has ended it.
pub(crate) fn huge_closed(base: usize) {
    let place = &WINDOWS[base / WINDOW];
    // ORDERING: Relaxed; only the question "was it I" is asked.
    if place.swap(0, Ordering::Relaxed) != HUGE {
        rt_abort!("alloc: double free of the block in the mapping at {base:#x}");
    }
}

fn audit(span: usize) -> &'static Audit {
    let audits = window(span) as *const Audit;
    // SAFETY: the table of an opened window (the callers') has an audit for each granule.
    let audit = unsafe { audits.add(span % WINDOW / GRANULE) };
    // SAFETY: as above; zeroed memory is a valid one, and it is never unmapped.
    unsafe { &*audit }
}

/// A span of so many granules was made at this address: no block of it is out or poisoned.
pub(crate) fn span_created(span: usize, granules: usize) {
    (0..granules).for_each(|granule| renew(span, audit(span + granule * GRANULE)));
}

fn renew(span: usize, audit: &Audit) {
    for word in &audit.live {
        // ORDERING: Relaxed; only the creator knows the span.
        if word.load(Ordering::Relaxed) != 0 {
            rt_abort!("alloc: the run at {span:#x} was given back while blocks of it were live");
        }
    }
    for word in &audit.poisoned {
        // ORDERING: Relaxed; as above.
        word.store(0, Ordering::Relaxed);
    }
}

/// The bits of one block.
#[derive(Debug)]
pub(super) struct Bits {
    audit: &'static Audit,
    word: usize,
    mask: u64,
}

impl Bits {
    /// Those of block number `index` of the run at `span`, in an opened window.
    pub(super) fn of(span: usize, index: usize) -> Self {
        let granule = index / (WORDS * 64);
        let audit = audit(span + granule * GRANULE);
        Self { audit, word: index / 64 % WORDS, mask: 1 << (index % 64) }
    }

    /// Whether the block is out.
    pub(super) fn is_live(&self) -> bool {
        // ORDERING: Relaxed; the holder of a block set the bit or got the block from who did.
        self.audit.live[self.word].load(Ordering::Relaxed) & self.mask != 0
    }

    /// Notes that the block is out; `false` if it was already.
    #[must_use]
    pub(super) fn set_live(&self) -> bool {
        // ORDERING: Relaxed; only the question "was it I" is asked.
        self.audit.live[self.word].fetch_or(self.mask, Ordering::Relaxed) & self.mask == 0
    }

    /// Notes that the block comes back; `false` if it was not out.
    #[must_use]
    pub(super) fn clear_live(&self) -> bool {
        // ORDERING: Relaxed; only the question "was it I" is asked.
        self.audit.live[self.word].fetch_and(!self.mask, Ordering::Relaxed) & self.mask != 0
    }

    /// Notes that the block is full of poison.
    pub(super) fn set_poisoned(&self) {
        // ORDERING: Relaxed; the block and its bits go on together, through the free lists.
        self.audit.poisoned[self.word].fetch_or(self.mask, Ordering::Relaxed);
    }

    /// Whether the block was full of poison, which it is no longer.
    pub(super) fn take_poisoned(&self) -> bool {
        // ORDERING: Relaxed; as above.
        self.audit.poisoned[self.word].fetch_and(!self.mask, Ordering::Relaxed) & self.mask != 0
    }
}
