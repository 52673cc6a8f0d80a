//! The page heap: runs of pages for spans and large blocks, and the way back to the kernel.
//!
//! One lock around everything; spans come and go a thousand times less often than blocks. The
//! levels, from the bottom: page bitmaps and granule bitmap of a window ([`window`]), a summary
//! (start, max, end) per chunk, the longest run per window and per group of windows
//! ([`region`]). A look-up for a place reads a handful of words however large the heap is.
//!
//! **Inv. Zero**: a page that is not dirty reads as zeros: it was never written to since it was
//! mapped or given back by the scavenger.
//!
//! Rejected: a treap or best fit (Go left it in 1.14 for address-ordered first fit: less
//! contention and the high end stays free); `MADV_FREE` (resident memory does not fall until
//! there is pressure, which users read as a leak, and a page may read as zeros or not).

mod bits;
mod region;
mod window;

use super::geometry::{GRANULE, PAGE, RUN_GRANULES_MAX, WINDOW, WINDOW_PAGES};
use super::scavenger;
use crate::primitive::lock::{Lock, Rank};
use crate::sys::pages;
use region::Region;

/// A run of pages, just taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// Where it begins: a granule.
    pub(crate) address: usize,
    /// Whether all of it is known to read as zeros.
    pub(crate) zero: bool,
}

/// Pages in bytes, as statistics want them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Pages of runs.
    pub(crate) used_pages: usize,
    /// Pages of no run that may have memory behind them.
    pub(crate) free_dirty_pages: usize,
    /// The largest `used_pages` since the scavenger last asked.
    pub(crate) peak_used_pages: usize,
    /// Pages given back to the kernel, in all.
    pub(crate) scavenged_pages: u64,
    /// Windows opened.
    pub(crate) windows: usize,
}

/// Reservations: four reach 85 GiB, and each further one is 64 GiB where the system lets it.
const REGIONS_MAX: usize = 64;

/// Everything under the lock.
#[derive(Debug)]
pub(crate) struct PageHeap {
    regions: [Option<Region>; REGIONS_MAX],
    counters: Counters,
}

/// The page heap of the process.
pub(crate) static HEAP: Lock<PageHeap> = Lock::new(RANK, PageHeap::new());

/// Above the locks of central: an empty span goes back while its class is locked.
const RANK: Rank = Rank(120);

impl PageHeap {
    const fn new() -> Self {
        const NONE: Option<Region> = None;
        let counters = Counters {
            used_pages: 0,
            free_dirty_pages: 0,
            peak_used_pages: 0,
            scavenged_pages: 0,
            windows: 0,
        };
        Self { regions: [NONE; REGIONS_MAX], counters }
    }

    /// Takes a run of `pages` whose address is a multiple of `align` granules (a power of two).
    pub(crate) fn take(&mut self, pages: usize, align: usize) -> Option<Run> {
        let granules = (pages * PAGE).div_ceil(GRANULE);
        if granules > RUN_GRANULES_MAX {
            return None;
        }
        let address = match self.find(granules, align) {
            Some(address) => address,
            None => self.grow(granules, align)?,
        };
        let region = self.region_of(address)?;
        let dirty = region.update(address, |map| map.take(address % WINDOW / GRANULE, pages));
        self.count_taken(pages, dirty.pages);
        Some(Run { address, zero: dirty.pages == 0 })
    }

    /// Gives the pages `[address, address + pages)` back, of which the first `touched` may have
    /// been written to: a run, or the tail of one.
    pub(crate) fn give(&mut self, address: usize, pages: usize, touched: usize) {
        let Some(region) = self.region_of(address) else { return };
        let dirty = region.update(address, |map| map.give(address % WINDOW / PAGE, pages, touched));
        self.counters.used_pages -= pages;
        self.counters.free_dirty_pages += dirty.pages;
    }

    /// Takes the `more` pages behind the run `[address, address + pages)`, if they are free.
    /// Returns whether they read as zeros.
    pub(crate) fn extend(&mut self, address: usize, pages: usize, more: usize) -> Option<bool> {
        let first = address % WINDOW / PAGE + pages;
        if first + more > WINDOW_PAGES {
            return None;
        }
        let region = self.region_of(address)?;
        let dirty = region.update(address, |map| map.extend(first, more))?;
        self.count_taken(more, dirty.pages);
        Some(dirty.pages == 0)
    }

    /// Takes dirty free pages for the scavenger, `most` at most: address and number.
    fn take_dirty(&mut self, most: usize) -> Option<(usize, usize)> {
        let region = self.regions.iter_mut().flatten().rev();
        let (region, window) = region
            .filter_map(|region| region.highest_dirty().map(|window| (region, window)))
            .next()?;
        let (first, pages) = region.update(window, |map| map.take_dirty(most))?;
        self.counters.free_dirty_pages -= pages;
        self.counters.used_pages += pages;
        Some((window + first * PAGE, pages))
    }

    /// The counters.
    pub(crate) fn counters(&self) -> Counters {
        self.counters
    }

    /// Begins a new period for `peak_used_pages`; returns the peak of the last.
    pub(crate) fn restart_peak(&mut self) -> usize {
        std::mem::replace(&mut self.counters.peak_used_pages, self.counters.used_pages)
    }

    /// The addresses of all windows, as they are now.
    pub(crate) fn windows(&self) -> impl Iterator<Item = usize> {
        self.regions.iter().flatten().flat_map(Region::windows)
    }

    /// Unmaps everything: for a heap of a test.
    #[cfg(all(test, not(gthread_lean)))]
    fn end(&mut self) {
        self.regions.iter_mut().filter_map(Option::take).for_each(Region::end);
    }

    fn count_taken(&mut self, pages: usize, dirty: usize) {
        let counters = &mut self.counters;
        counters.used_pages += pages;
        counters.free_dirty_pages -= dirty;
        counters.peak_used_pages = counters.peak_used_pages.max(counters.used_pages);
    }

    fn find(&self, granules: usize, align: usize) -> Option<usize> {
        self.regions.iter().flatten().find_map(|region| region.find(granules, align))
    }

    fn region_of(&mut self, address: usize) -> Option<&mut Region> {
        self.regions.iter_mut().flatten().find(|region| region.contains(address))
    }

    /// Opens windows until the run fits; reserves another region when all are full.
    #[cold]
    fn grow(&mut self, granules: usize, align: usize) -> Option<usize> {
        for (index, slot) in self.regions.iter_mut().enumerate() {
            if slot.is_none() {
                *slot = Some(Region::reserve(index)?);
            }
            let region = slot.as_mut()?;
            while region.open_window() {
                self.counters.windows += 1;
                if let Some(address) = region.find(granules, align) {
                    return Some(address);
                }
            }
        }
        None
    }
}

/// Takes a run as [`PageHeap::take`] does, and keeps to the memory limit.
pub(crate) fn take(pages: usize, align: usize) -> Option<Run> {
    let mut heap = HEAP.lock();
    let run = heap.take(pages, align);
    let resident = heap.counters.used_pages + heap.counters.free_dirty_pages;
    let free = heap.counters.free_dirty_pages;
    drop(heap);
    if free > 0 {
        scavenger::keep_limit(resident);
    }
    run
}

/// Gives at most `most` dirty free pages back to the kernel; returns how many, 0 if there are
/// none. The lock is not held during the call to the kernel: the pages count as used.
pub(crate) fn scavenge(most: usize) -> usize {
    let Some((address, pages)) = HEAP.lock().take_dirty(most) else { return 0 };
    // SAFETY: the pages are opened memory of the heap and belong to no run: `take_dirty` made
    // them ours for now.
    let clean = unsafe { pages::discard(address, pages * PAGE) };
    let mut heap = HEAP.lock();
    heap.give(address, pages, if clean { 0 } else { pages });
    if !clean {
        return 0;
    }
    heap.counters.scavenged_pages += pages as u64;
    pages
}

#[cfg(all(test, not(gthread_lean)))]
mod tests;
