//! The allocator: page-granular, size-classed, owned by the machine.
//!
//! [`GthreadAlloc`] is a `GlobalAlloc` for any program, with or without green threads.
//! [`OnMachine`] makes any other allocator keep its heaps by machine.
//!
//! `README.md` in this directory tells the whole story: units, spans, the remote word with its
//! state table and proof, caches, fork. This subtree needs nothing of the scheduler.
//!
//! | module | what |
//! |---|---|
//! | `class` | sizes to classes, constant tables |
//! | `geometry` | pages, granules, windows, where a header lies |
//! | `page_heap` | runs of pages, bitmaps with summaries, the scavenger's hand |
//! | `span`, `kind`, `counts`, `remote` | the header of a span, its free lists; frees by others |
//! | `central`, `lists` | abandoned spans with free blocks |
//! | `cache`, `thread`, `once` | the machine's cache; its life, fork |
//! | `debug`, `hardened` | the features `alloc-debug` and `alloc-hardened`; `block` is their seam |
//! | `large`, `global`, `branch` | blocks above 32 KiB; the four operations, two of their branches |
//! | `scavenger`, `stats` | memory goes back; what the heap holds |

#[cfg(not(loom))]
mod block;
mod class;
#[cfg(all(not(loom), feature = "alloc-debug"))]
mod debug;
mod geometry;
#[cfg(all(not(loom), feature = "alloc-hardened"))]
mod hardened;
mod lists;
mod once;
mod remote;

cfg_if::cfg_if! {
    if #[cfg(not(loom))] {
        mod branch;
        mod cache;
        mod central;
        mod counts;
        mod global;
        mod kind;
        mod large;
        mod on_machine;
        mod page_heap;
        mod scavenger;
        mod span;
        mod stats;
        mod thread;
        mod word;

        pub(crate) use cache::EMPTY_CACHE;
        pub use global::GthreadAlloc;
        pub use on_machine::OnMachine;
        pub use stats::{ClassStats, Stats, stats};
    }
}

/// For the crate's own tests; see the feature in `Cargo.toml`.
#[cfg(all(not(loom), feature = "test-allocator"))]
#[global_allocator]
static GLOBAL: GthreadAlloc = GthreadAlloc::new();

/// How much of what is free [`collect`] gives back.
#[cfg(not(loom))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collect {
    /// What the calling thread's cache holds, to the heap.
    Cache,
    /// That, and every free page of the heap, to the kernel.
    Everything,
}

/// Gives free memory back at once; returns the bytes given to the kernel.
///
/// The caches of other threads are theirs: they give back what they hold when they end, or call
/// this themselves. O(spans of the cache), and for [`Collect::Everything`] about 6 us of the
/// kernel's time for each 64 KiB.
#[cfg(not(loom))]
pub fn collect(what: Collect) -> usize {
    thread::collect();
    match what {
        Collect::Cache => 0,
        Collect::Everything => scavenger::release_all() * geometry::PAGE,
    }
}

/// Sets a limit on the heap's resident memory in bytes, as `GTHREAD_MEMLIMIT` does at the start.
///
/// Above 95 % of it free pages go back to the kernel as soon as more are taken. It is no hard
/// limit: what is in use stays in use. `usize::MAX` means none.
#[cfg(not(loom))]
pub fn set_memory_limit(bytes: usize) {
    scavenger::set_limit(bytes);
}

/// Starts a thread that gives free memory back, at no more than 1 % of a processor; `false` if
/// the system gives no thread.
///
/// With a running `gthread` runtime its monitor does it and this is not needed. Without either,
/// memory goes back only while somebody allocates.
#[cfg(not(loom))]
pub fn start_scavenger() -> bool {
    scavenger::start_background()
}

/// Bytes of the block that a size and alignment get: a size class, or whole pages.
#[cfg(not(loom))]
pub fn size_class(layout: std::alloc::Layout) -> usize {
    #[cfg(feature = "alloc-debug")]
    let layout = debug::padded(layout).unwrap_or(layout);
    class::Class::of(layout.size(), layout.align())
        .map_or_else(|| layout.size().next_multiple_of(geometry::PAGE), class::Class::block_bytes)
}

/// Lets the scavenger work if it is time; returns the nanoseconds after which there is more to
/// do, `u64::MAX` if there is nothing until somebody frees, or if the running thread has never
/// allocated here. For the monitor of the runtime, on a machine's own thread pointer.
#[cfg(not(loom))]
#[doc(hidden)]
pub fn scavenge_tick() -> u64 {
    if is_in_use() { scavenger::tick() } else { u64::MAX }
}

/// The distance in bytes from a thread pointer to the word that holds the machine's cache: one of
/// the words that a switch between green threads lends (copies to the block that is entered).
#[cfg(not(loom))]
#[doc(hidden)]
pub fn cache_word_offset() -> isize {
    word::offset()
}

/// Whether the running thread has allocated here: then this is most likely the global allocator.
#[cfg(not(loom))]
pub(crate) fn is_in_use() -> bool {
    word::word() != (&raw const EMPTY_CACHE).addr()
}

/// Makes the running OS thread's cache. A machine calls it on its own thread pointer before it
/// runs its first green thread; everybody else need not.
#[cfg(not(loom))]
#[doc(hidden)]
pub fn prime_machine() {
    thread::prime();
}

/// Gives up all that the running machine's cache holds, before the machine parks for long.
#[cfg(not(loom))]
#[doc(hidden)]
pub fn flush_machine() {
    thread::flush();
}

/// Lets `count` more requests of the allocator to the kernel succeed, and no more: `u64::MAX` for
/// all. For tests.
#[cfg(all(not(loom), feature = "fault-injection"))]
#[doc(hidden)]
pub fn fail_memory_after(count: u64) {
    crate::sys::pages::fault::fail_after(count);
}
