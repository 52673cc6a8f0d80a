//! The life of a cache: made at a thread's first allocation, given up at its end, used again.
//!
//! 1. The word holds `&EMPTY_CACHE`. The first slow call takes a cache (one that another thread
//!    left, else a new one from memory of the kernel's), writes the word, and arms a
//!    thread-specific key. Nothing here allocates from the allocator itself.
//! 2. At the end of the thread, after its `thread_local!` destructors, the key's destructor gives
//!    the cache up and writes `&DEAD_CACHE`: destructors of other keys may still run.
//! 3. What they allocate comes from the *orphan cache*, under a lock; what they free is a remote
//!    free. Nothing has to run after them.
//!
//! No `thread_local!` with a destructor: `std` registers those in a list that it allocates, and
//! runs them in an order in which we would not be last.
//!
//! **fork**: `prepare` takes all locks in rank order, so the child finds every list whole.
//! Caches of the threads that are gone stay as they were, and are never used again. The handlers
//! and the key are there before `main` ([`AT_START`]): no fork can come between.
//!
//! **Green threads** have thread-specific values of their own, so a cache is made on the
//! machine's own thread pointer only: [`prime`] runs there before the first green thread.

use std::ffi::c_void;

use super::cache::{Cache, DEAD_CACHE};
use super::central::{self, STRIPES, Stripe};
use super::class::Class;
use super::once::OnceNumber;
use super::page_heap::{HEAP, PageHeap};
use super::scavenger;
use super::span::Owned;
use super::word;
use crate::primitive::atomic::{AtomicUsize, Ordering};
use crate::primitive::cell::UnsafeCell;
use crate::primitive::lock::{Guard, Lock, Rank};
use crate::sys::{pages, thread_end};
use std::ptr::NonNull;

/// Caches are cut from memory of the kernel's this many at a time.
const CACHES_PER_MAPPING: usize = 16;

/// All caches that nobody uses, and the memory for more.
#[derive(Debug)]
pub(crate) struct Registry {
    free: Option<&'static Cache>,
    uncut: *mut Cache,
    uncut_count: usize,
}

// SAFETY: caches of the list belong to no thread; `uncut` is memory only this value refers to.
unsafe impl Send for Registry {}

static REGISTRY: Lock<Registry> =
    Lock::new(Rank(110), Registry { free: None, uncut: std::ptr::null_mut(), uncut_count: 0 });

/// The cache of all threads that have given theirs up; made when first needed.
static ORPHANS: Lock<Orphans> = Lock::new(Rank(95), Orphans { cache: None });

/// What [`ORPHANS`] guards.
#[derive(Debug)]
pub(crate) struct Orphans {
    cache: Option<&'static Cache>,
}

// SAFETY: the cache is used under the lock only, by one thread at a time.
unsafe impl Send for Orphans {}

/// Caches in use by threads.
static LIVE_CACHES: AtomicUsize = AtomicUsize::new(0);

/// How many threads have caches: a bound is shared among them.
pub(crate) fn live_caches() -> usize {
    // ORDERING: Relaxed; a number.
    LIVE_CACHES.load(Ordering::Relaxed)
}

/// The running thread's cache, which may be one of the two constants.
#[inline(always)]
pub(crate) fn cache() -> &'static Cache {
    // SAFETY: the word is always the address of a cache (Inv. CacheForever).
    unsafe { &*(word::word() as *const Cache) }
}

impl Registry {
    fn take(&mut self) -> Option<&'static Cache> {
        if let Some(cache) = self.free {
            self.free = cache.next_free.take();
            return Some(cache);
        }
        if self.uncut_count == 0 {
            let bytes = size_of::<Cache>() * CACHES_PER_MAPPING;
            let memory = pages::map_zeroed(bytes)?;
            pages::name(memory.as_ptr() as usize, bytes, c"gthread:caches");
            self.uncut = memory.as_ptr().cast();
            self.uncut_count = CACHES_PER_MAPPING;
        }
        let cache = self.uncut;
        // SAFETY: `uncut_count` caches fit from `uncut` on.
        self.uncut = unsafe { cache.add(1) };
        self.uncut_count -= 1;
        // SAFETY: valid for a cache (a mapping is aligned to a page), and known to nobody.
        unsafe { cache.write(Cache::new()) };
        // SAFETY: just written; never unmapped (Inv. CacheForever).
        Some(unsafe { &*cache })
    }
}

/// Makes a cache for the running thread, if it has none; `None` if it has given its cache up or
/// there is no memory.
#[cold]
pub(crate) fn start() -> Option<&'static Cache> {
    let present = cache();
    if present.is_live() {
        return Some(present);
    }
    if present.is_dead() {
        return None;
    }
    let fresh = REGISTRY.lock().take()?;
    word::set_word(fresh.address());
    // ORDERING: Relaxed; a number.
    LIVE_CACHES.fetch_add(1, Ordering::Relaxed);
    if let Some(key) = key() {
        // If it fails, the cache is lost at the end of the thread, and nothing else.
        thread_end::set(key, std::ptr::from_ref(fresh).cast());
    }
    Some(fresh)
}

/// Makes the running machine's cache before it runs green threads.
pub(crate) fn prime() {
    start();
}

/// Has what is done once done by the loader, while nobody else can be in the allocator or fork.
// SAFETY: the loader calls what it finds in this section, with arguments that may be ignored; the
// priority puts it before the program's own, which may allocate and start threads.
#[used]
#[unsafe(link_section = ".init_array.00101")]
static AT_START: extern "C" fn() = {
    extern "C" fn at_start() {
        key();
    }
    at_start
};

/// The key whose destructor is [`end`]: made once, together with all else that is done once.
fn key() -> Option<thread_end::Key> {
    static KEY: OnceNumber = OnceNumber::new();
    KEY.get(|| {
        #[cfg(feature = "alloc-hardened")]
        super::hardened::start();
        scavenger::limit_from_environment();
        thread_end::at_fork(fork_prepare, fork_done, fork_done);
        thread_end::key(end)
    })
}

/// The key's destructor: the thread ends.
unsafe extern "C" fn end(_cache: *mut c_void) {
    let present = cache();
    if !present.is_live() {
        return;
    }
    word::set_word(std::ptr::from_ref(&DEAD_CACHE) as usize);
    present.give_up_all();
    // ORDERING: Relaxed; a number.
    LIVE_CACHES.fetch_sub(1, Ordering::Relaxed);
    let mut registry = REGISTRY.lock();
    present.next_free.set(registry.free);
    registry.free = Some(present);
}

/// A block for a thread that has given its cache up.
#[cold]
pub(crate) fn pop_orphan(class: Class) -> Option<(Owned, NonNull<u8>)> {
    let mut orphans = ORPHANS.lock();
    if orphans.cache.is_none() {
        orphans.cache = REGISTRY.lock().take();
    }
    let cache = orphans.cache?;
    cache.pop(class).or_else(|| cache.pop_slow(class))
}

/// Gives up everything the running thread's cache holds.
pub(crate) fn flush() {
    let present = cache();
    if present.is_live() {
        present.give_up_all();
    }
}

/// Gives up everything the running thread's cache and the orphan cache hold.
pub(crate) fn collect() {
    flush();
    if let Some(cache) = ORPHANS.lock().cache {
        cache.give_up_all();
    }
}

/// The locks held across a fork, given back in the order of the fields.
struct Held {
    _heap: Guard<'static, PageHeap>,
    _scavenger: Guard<'static, scavenger::State>,
    _registry: Guard<'static, Registry>,
    _central: [Guard<'static, Stripe>; STRIPES],
    _orphans: Guard<'static, Orphans>,
}

/// Where [`fork_prepare`] leaves the guards for [`fork_done`].
struct Place(UnsafeCell<Option<Held>>);

// SAFETY: only the thread that forks touches it, between `prepare` and `parent` or `child`; the
// locks in it keep other forking threads out.
unsafe impl Sync for Place {}

static HELD: Place = Place(UnsafeCell::new(None));

unsafe extern "C" fn fork_prepare() {
    let orphans = ORPHANS.lock();
    let central = central::lock_all();
    let registry = REGISTRY.lock();
    let scavenger = scavenger::lock();
    let heap = HEAP.lock();
    let held = Held {
        _heap: heap,
        _scavenger: scavenger,
        _registry: registry,
        _central: central,
        _orphans: orphans,
    };
    HELD.0.with_mut(|place| {
        // SAFETY: all locks are held, so no other thread is between its own prepare and done.
        unsafe { *place = Some(held) };
    });
}

unsafe extern "C" fn fork_done() {
    let held = HELD.0.with_mut(|place| {
        // SAFETY: as in `fork_prepare`, whose locks are still held.
        unsafe { &mut *place }.take()
    });
    drop(held);
}
