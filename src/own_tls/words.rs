//! Lent words: thread-locals that belong to the machine and travel to whoever runs on it.
//!
//! glibc's allocator keeps two words per thread: its cache of free chunks and its arena. A cache
//! per green thread would cost some 650 bytes each and would leak when a block is used again, so
//! the words stay the machine's: whoever changes the thread pointer moves them ([`lend`]).
//! Everything else of this kind (the crate's own allocator) registers its word here, so that each
//! change of the thread pointer moves all of them.
//!
//! The two words have no names. They are found by behaviour, on two fresh OS threads that have to
//! agree: the cache is the one word of libc's thread-locals whose target holds two chunks that
//! were just freed; the arena is the one word that points a little below the bin in which a large
//! freed chunk was put. Where that is ambiguous (tunables, another allocator) they are not lent,
//! and [`Found::Absent`] says what a block must keep instead.

use super::Unsupported;
use super::symbols::Symbols;
use crate::primitive::atomic::{AtomicUsize, Ordering};
use crate::{arch, sys};
use core::ops::Range;

/// How often the words are looked for. With many threads in the process a fresh one shares its
/// arena, and whoever allocates there meanwhile hides the bin.
const ATTEMPTS: usize = 16;

/// How many words can be lent.
const WORDS_MAX: usize = 4;

/// Offsets of the lent words from the thread pointer; those from `COUNT` on mean nothing.
static OFFSETS: [AtomicUsize; WORDS_MAX] = [const { AtomicUsize::new(0) }; WORDS_MAX];
/// How many words are lent.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Moves the lent words from one block to another.
///
/// Called right before each change of the thread pointer, by whoever makes it: from the block
/// that is left to the one that is entered.
///
/// # Safety
/// - `from_tp` and `to_tp` are thread pointers of blocks.
/// - The caller runs on one of them, and nobody runs on the other.
#[inline(always)]
pub(crate) unsafe fn lend(from_tp: usize, to_tp: usize) {
    // ORDERING: Relaxed; constant since `support`, which the caller has synchronised with.
    let count = COUNT.load(Ordering::Relaxed);
    for offset in OFFSETS.iter().take(count) {
        // ORDERING: Relaxed; as `COUNT`.
        let offset = offset.load(Ordering::Relaxed);
        let from = from_tp.wrapping_add(offset) as *const usize;
        let to = to_tp.wrapping_add(offset) as *mut usize;
        // SAFETY: the first clause makes both valid, the second makes them unshared.
        let word = unsafe { from.read() };
        // SAFETY: as above.
        unsafe { to.write(word) };
    }
}

/// Asks for the cache lines of a block that [`lend`] will write: of the first two words, because
/// glibc's two are neighbours. No loop, because each switch calls it.
#[inline(always)]
pub(crate) fn prefetch(thread_pointer: usize) {
    for offset in [&OFFSETS[0], &OFFSETS[1]] {
        // ORDERING: Relaxed; as in `lend`. Where nothing is registered it is the pointer's own line.
        arch::prefetch(thread_pointer.wrapping_add(offset.load(Ordering::Relaxed)));
    }
}

/// Registers a thread-local word at `offset` from the thread pointer as lent.
///
/// For words of the crate itself, before the first block is built; `false` when there is no room.
pub(crate) fn register(offset: isize) -> bool {
    // ORDERING: Relaxed; registrations happen one after another, before `support` returns.
    let count = COUNT.load(Ordering::Relaxed);
    let Some(place) = OFFSETS.get(count) else { return false };
    // ORDERING: Relaxed; published to other threads by the end of `support`.
    place.store(offset as usize, Ordering::Relaxed);
    // ORDERING: Relaxed; as above.
    COUNT.store(count + 1, Ordering::Relaxed);
    true
}

/// The offsets of all lent words.
pub(super) fn offsets() -> Vec<isize> {
    // ORDERING: Relaxed; see `register`.
    let count = COUNT.load(Ordering::Relaxed);
    // ORDERING: Relaxed; see `register`.
    OFFSETS.iter().take(count).map(|offset| offset.load(Ordering::Relaxed) as isize).collect()
}

/// What became of the search for the allocator's two words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Offsets of the cache and of the arena from the thread pointer.
    Words(isize, isize),
    /// Unknown: a block keeps this range, libc's thread-locals, from one green thread to the
    /// next, so that what the allocator hung there is used again and does not leak. `errno` and
    /// the locale start afresh even so.
    Absent(Range<isize>),
}

/// Looks for the words on two fresh threads.
///
/// # Errors
/// When a thread cannot be started.
pub(super) fn find(symbols: &Symbols) -> Result<Found, Unsupported> {
    // Only addresses travel to the threads.
    let libc_malloc = symbols.libc_malloc.or(symbols.malloc).unwrap_or(0);
    let look = move || {
        let range = libc_locals(libc_malloc)?;
        Some((range.clone(), probe(range)))
    };
    let mut locals = 0..0;
    for _ in 0..ATTEMPTS {
        let first = super::on_fresh_thread(look)?;
        let second = super::on_fresh_thread(look)?;
        match (first, second) {
            (Some((_, Some(first))), Some((_, Some(second)))) if first == second => {
                return Ok(Found::Words(first.0, first.1));
            }
            // Another allocator is in force, and glibc's keeps nothing; or glibc has no
            // thread-locals.
            _ if symbols.malloc != symbols.libc_malloc => return Ok(Found::Absent(0..0)),
            (None, _) => return Ok(Found::Absent(0..0)),
            (Some((range, _)), _) => locals = range,
        }
    }
    // libc's thread-locals are the program's own there.
    if cfg!(target_feature = "crt-static") {
        return Err(Unsupported::new(
            "the allocator's words are not found in a static program (fix F6)",
        ));
    }
    Ok(Found::Absent(locals))
}

/// libc's thread-locals in the running block, from the thread pointer.
fn libc_locals(libc_malloc: usize) -> Option<Range<isize>> {
    let mut tls = None;
    sys::dl::for_each_module(&mut |module| {
        if module.contains(libc_malloc) {
            tls = module.tls;
        }
    });
    let tls = tls.filter(|tls| tls.instance != 0)?;
    let start = tls.instance.wrapping_sub(arch::thread_pointer()) as isize;
    Some(start..start + tls.bytes as isize)
}

/// The two words of the running thread, if exactly one word fits each description.
fn probe(range: Range<isize>) -> Option<(isize, isize)> {
    /// How far into the cache its lists of small chunks reach.
    const CACHE_WORDS: usize = 0x280 / 8;
    /// How far the bins lie behind the start of their arena, at most.
    const BINS: usize = 2400;
    let mut words = vec![0; range.len() / 8];
    let mut cache = vec![0; CACHE_WORDS];
    // From the two calls of `free` on nothing is allocated, which would empty the cache again.
    let (mut caches, mut arenas) =
        (Vec::with_capacity(words.len()), Vec::with_capacity(words.len()));
    let bins = bin_links();
    let small = [40, 88].map(sys::heap::malloc);
    // SAFETY: just allocated; only their addresses are used from here on.
    small.iter().for_each(|chunk| unsafe { sys::heap::free(*chunk) });
    let start = arch::thread_pointer().wrapping_add_signed(range.start);
    if !sys::heap::peek(start, &mut words) {
        return None;
    }
    for (index, &word) in words.iter().enumerate() {
        let offset = range.start + (index * 8) as isize;
        if word == 0 || word % 8 != 0 {
            continue;
        }
        let holds_bin = bins.iter().any(|bin| *bin >= word && bin - word < BINS);
        if sys::heap::peek(word, &mut cache) && small.iter().all(|chunk| cache.contains(chunk)) {
            caches.push(offset);
        } else if holds_bin {
            arenas.push(offset);
        }
    }
    match (&caches[..], &arenas[..]) {
        (&[cache], &[arena]) => Some((cache, arena)),
        _ => None,
    }
}

/// Where the arena of the running thread keeps chunks that were just freed: the links of such
/// chunks, too large for the cache and between chunks in use, that lead to none of them. They
/// form a ring with their bin; what was in it before was sorted into other bins when the last of
/// them was allocated.
fn bin_links() -> Vec<usize> {
    /// From a chunk's header, to which links lead, to its memory.
    const HEADER_BYTES: usize = 16;
    let chunks = [9000; 8].map(sys::heap::malloc);
    // Every second one, so that no two freed ones are neighbours.
    let freed = || chunks.iter().step_by(2).copied();
    // SAFETY: just allocated; only their addresses are used from here on.
    freed().for_each(|chunk| unsafe { sys::heap::free(chunk) });
    let mut links = Vec::with_capacity(chunks.len());
    for chunk in freed() {
        let mut pair = [0; 2];
        sys::heap::peek(chunk, &mut pair);
        links.extend(pair);
    }
    // SAFETY: as above.
    chunks.iter().skip(1).step_by(2).for_each(|chunk| unsafe { sys::heap::free(*chunk) });
    links.retain(|link| *link != 0 && freed().all(|chunk| chunk - HEADER_BYTES != *link));
    links
}
