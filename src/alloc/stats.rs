//! What the heap holds: counted when asked for, by walking the headers.
//!
//! The fast paths count nothing but the blocks of a span, so the walk is the price of a question
//! instead of a tax on every call: 128 bytes read for each granule of the windows opened so far.
//! Figures of spans in use by other threads are of a moment ago, not of one moment.

use super::class::{COUNT, Class};
use super::geometry::{FIRST_GRANULE, GRANULE, LAST_GUARDS, PAGE, WINDOW_GRANULES};
use super::kind::Kind;
use super::page_heap::HEAP;
use super::span::Span;
use super::{large, scavenger, thread};
use crate::sys::pages;

/// One size class in [`Stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassStats {
    /// Bytes of a block.
    pub block_bytes: usize,
    /// Blocks in use.
    pub live_blocks: usize,
    /// Blocks the spans have room for.
    pub capacity_blocks: usize,
    /// Spans.
    pub spans: usize,
}

/// What the heap holds; made by [`stats`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Bytes of blocks in use: their classes' sizes, whole pages for large ones.
    pub live_bytes: usize,
    /// Bytes of pages that belong to spans and large blocks.
    pub committed_bytes: usize,
    /// Bytes of free pages that still have memory behind them.
    pub retained_bytes: usize,
    /// Bytes given back to the kernel since the start, in all.
    pub scavenged_bytes: u64,
    /// Nanoseconds the scavenger has worked since the start.
    pub scavenger_ns: u64,
    /// Blocks above 32 KiB in the page heap, and their bytes in whole pages.
    pub large: (usize, usize),
    /// Blocks above 32 MiB with mappings of their own, and the mappings' bytes.
    pub huge: (usize, usize),
    /// Resident bytes of the process, everything included.
    pub resident_bytes: usize,
    /// Caches in use: as many as OS threads that have allocated, whatever the number of green
    /// threads.
    pub caches: usize,
    /// The classes, the smallest first.
    pub classes: [ClassStats; COUNT],
}

/// Counts what the heap holds.
///
/// O(heap): reads 128 bytes for each 32 KiB of address space used so far. Takes the lock of the
/// page heap for a moment. Allocates nothing.
pub fn stats() -> Stats {
    let (counters, huge) = (HEAP.lock().counters(), large::huge_counters());
    let mut stats = Stats {
        live_bytes: huge.1,
        committed_bytes: counters.used_pages * PAGE,
        retained_bytes: counters.free_dirty_pages * PAGE,
        scavenged_bytes: counters.scavenged_pages * PAGE as u64,
        scavenger_ns: scavenger::worked_ns(),
        large: (0, 0),
        huge,
        resident_bytes: pages::resident_bytes(),
        caches: thread::live_caches(),
        classes: std::array::from_fn(|index| ClassStats {
            block_bytes: Class::from_index(index).block_bytes(),
            ..ClassStats::default()
        }),
    };
    let mut index = 0;
    // One window at a time: the lock is not held while headers are read.
    while let Some(window) = nth_window(index) {
        count_window(&mut stats, window);
        index += 1;
    }
    stats
}

fn nth_window(index: usize) -> Option<usize> {
    HEAP.lock().windows().nth(index)
}

fn count_window(stats: &mut Stats, window: usize) {
    for granule in FIRST_GRANULE..WINDOW_GRANULES - LAST_GUARDS {
        // SAFETY: a granule of an opened window.
        let span = unsafe { Span::of(window + granule * GRANULE) };
        match span.kind() {
            Kind::Small(class) => {
                let row = &mut stats.classes[class.index()];
                row.spans += 1;
                row.capacity_blocks += class.span_blocks();
                // Its owner may be anywhere in a step.
                let live = (span.used() as usize).min(class.span_blocks());
                row.live_blocks += live;
                stats.live_bytes += live * class.block_bytes();
            }
            Kind::Large(pages) => {
                stats.large.0 += 1;
                stats.large.1 += pages * PAGE;
                stats.live_bytes += pages * PAGE;
            }
            Kind::Free | Kind::Interior(_) | Kind::Huge => {}
        }
    }
}

impl std::fmt::Display for Stats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mib = |bytes: usize| bytes as f64 / (1 << 20) as f64;
        writeln!(
            f,
            "live {:.1} MiB, committed {:.1}, retained {:.1}, resident {:.1}, scavenged {:.1} in \
             {:.1} ms",
            mib(self.live_bytes),
            mib(self.committed_bytes),
            mib(self.retained_bytes),
            mib(self.resident_bytes),
            mib(self.scavenged_bytes as usize),
            self.scavenger_ns as f64 / 1e6,
        )?;
        writeln!(f, "{:>8} {:>10} {:>7} {:>9} {:>5}", "block", "live", "spans", "MiB", "used")?;
        for class in self.classes.iter().filter(|class| class.spans > 0) {
            let used = 100 * class.live_blocks / class.capacity_blocks;
            writeln!(
                f,
                "{:>8} {:>10} {:>7} {:>9.2} {used:>4}%",
                class.block_bytes,
                class.live_blocks,
                class.spans,
                mib(class.live_blocks * class.block_bytes),
            )?;
        }
        let (blocks, bytes) = (self.large.0 + self.huge.0, self.large.1 + self.huge.1);
        writeln!(f, "{:>8} {blocks:>10} {:>7} {:>9.2}", "larger", "", mib(bytes))
    }
}
