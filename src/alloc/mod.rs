//! The allocator: page-granular, size-classed, owned by the machine.
//!
//! [`GthreadAlloc`] is a `GlobalAlloc` for any program, with or without green threads.
//!
//! `README.md` in this directory tells the whole story: units, spans, the remote word with its
//! state table and proof, caches, fork. This subtree needs nothing of the scheduler.
//!
//! | module | what |
//! |---|---|
//! | `class` | sizes to classes, constant tables |
//! | `geometry` | pages, granules, windows, where a header lies |
//! | `page_heap` | runs of pages, bitmaps with summaries, the scavenger's hand |
//! | `span`, `remote` | the header of a span, its free lists; frees by others |
//! | `central` | abandoned spans with free blocks |
//! | `cache`, `thread` | the machine's cache; its life, fork |
//! | `large`, `global` | blocks above 32 KiB; the four operations |

#[cfg(not(loom))]
mod cache;
#[cfg(not(loom))]
mod central;
mod class;
mod geometry;
#[cfg(not(loom))]
mod global;
#[cfg(not(loom))]
mod large;
#[cfg(not(loom))]
mod page_heap;
mod remote;
#[cfg(not(loom))]
mod span;
#[cfg(not(loom))]
mod thread;

#[cfg(not(loom))]
pub(crate) use cache::EMPTY_CACHE;
#[cfg(not(loom))]
pub use global::GthreadAlloc;

/// The distance in bytes from a thread pointer to the word that holds the machine's cache: one of
/// the words that a switch between green threads lends (copies to the block that is entered).
#[cfg(not(loom))]
#[doc(hidden)]
pub fn cache_word_offset() -> isize {
    crate::primitive::tls_alloc::offset()
}

/// Makes the running OS thread's cache. A machine calls it on its own thread pointer before it
/// runs its first green thread; everybody else need not.
#[cfg(not(loom))]
#[doc(hidden)]
pub fn prime_machine() {
    thread::prime();
}
