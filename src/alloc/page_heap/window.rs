//! What is free in one window: a placement bitmap of granules with summaries, and two page bitmaps.
//!
//! Every run of pages starts on a granule and takes whole granules as far as placement goes; the
//! pages behind its end are not in use and are never touched, or dirty from an earlier use and
//! then the scavenger's. So placement looks at one bit per granule, one word per chunk, and
//! accounting at one bit per page.
//!
//! | bitmap | 1 means |
//! |---|---|
//! | `busy` (granules) | some page of the granule is in use |
//! | `used` (pages) | the page belongs to a run |
//! | `dirty` (pages) | the page may have memory behind it: it is not known to read as zeros |
//!
//! **Inv. Busy**: a granule is busy iff one of its pages is used. **Inv. Summary**: the summary of
//! a chunk is what [`Summary::of`] says of its word, that of a group of chunks what
//! [`Summary::join`] says of theirs, and `max` is the longest free run of the window. All are recomputed and compared by the test against a naive model.
//!
//! Source: Go's page allocator (`golang/go` `src/runtime/mpagealloc.go`: start, max, end). A run
//! never crosses a window (its headers are in between), so above the window a maximum is enough.

use super::super::geometry::{
    CHUNK_GRANULES, FIRST_GRANULE, GRANULE_PAGES, GROUP_CHUNKS, LAST_GUARDS, WINDOW_CHUNKS,
    WINDOW_GRANULES, WINDOW_PAGES,
};
use super::bits;

/// Free granules at the start of a chunk or group of chunks, in its longest free run, at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    start: u16,
    max: u16,
    end: u16,
}

/// Where a run fits, as far as summaries say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// It begins this many granules after the start of the first part.
    At(usize),
    /// It lies inside this part.
    Inside(usize),
}

impl Summary {
    /// The summary of a chunk with this word of `busy`.
    fn of(busy: u64) -> Self {
        let mut max = 0;
        let mut free = !busy;
        while free != 0 {
            free >>= free.trailing_zeros();
            let run = free.trailing_ones();
            max = max.max(run);
            free = free.checked_shr(run).unwrap_or(0);
        }
        Self {
            start: busy.trailing_zeros() as u16,
            max: max as u16,
            end: busy.leading_zeros() as u16,
        }
    }

    /// The summary of parts that follow one another, of `granules` each.
    fn join(parts: &[Self], granules: u16) -> Self {
        let (mut start, mut is_whole) = (0, true);
        let (mut max, mut end) = (0, 0);
        for part in parts {
            if is_whole {
                start += part.start;
                is_whole = part.start == granules;
            }
            max = max.max(end + part.start).max(part.max);
            end = if part.start == granules { end + granules } else { part.end };
        }
        Self { start, max: max.max(end), end }
    }

    /// The lowest place for `wanted` granules in parts that follow one another.
    fn locate(parts: &[Self], granules: usize, wanted: usize) -> Option<Place> {
        let mut before = 0;
        for (index, part) in parts.iter().enumerate() {
            if before + usize::from(part.start) >= wanted {
                return Some(Place::At(index * granules - before));
            }
            if usize::from(part.max) >= wanted {
                return Some(Place::Inside(index));
            }
            let is_whole = usize::from(part.start) == granules;
            before = if is_whole { before + granules } else { usize::from(part.end) };
        }
        None
    }
}

/// Groups of chunks in a window.
const WINDOW_GROUPS: usize = WINDOW_CHUNKS / GROUP_CHUNKS;

/// Granules in a group.
const GROUP_GRANULES: usize = GROUP_CHUNKS * CHUNK_GRANULES;

/// The maps of one window; all zero until it is opened, when nothing is free either.
#[derive(Debug)]
pub(super) struct WindowMap {
    used: [u64; WINDOW_PAGES / 64],
    dirty: [u64; WINDOW_PAGES / 64],
    busy: [u64; WINDOW_CHUNKS],
    chunks: [Summary; WINDOW_CHUNKS],
    groups: [Summary; WINDOW_GROUPS],
    /// The longest free run, in granules.
    max: u16,
    /// Pages that are dirty and not used.
    free_dirty: u16,
}

/// What taking or giving a run changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dirty {
    /// Pages of the run that are dirty.
    pub(super) pages: usize,
}

impl WindowMap {
    /// Makes everything but headers and guards free.
    pub(super) fn open(&mut self) {
        let first = FIRST_GRANULE * GRANULE_PAGES;
        bits::set(&mut self.used, 0, first);
        let guards = LAST_GUARDS * GRANULE_PAGES;
        bits::set(&mut self.used, WINDOW_PAGES - guards, guards);
        self.refresh(0, WINDOW_GRANULES);
    }

    /// The longest free run, in granules.
    #[inline]
    pub(super) fn max(&self) -> usize {
        usize::from(self.max)
    }

    /// Pages that are dirty and not used.
    pub(super) fn free_dirty(&self) -> usize {
        usize::from(self.free_dirty)
    }

    /// The lowest granule, a multiple of `align`, at which `granules` are free.
    pub(super) fn find(&self, granules: usize, align: usize) -> Option<usize> {
        if granules > self.max() {
            return None;
        }
        if align > 1 {
            return self.find_aligned(granules, align);
        }
        let group = match Summary::locate(&self.groups, GROUP_GRANULES, granules)? {
            Place::At(granule) => return Some(granule),
            Place::Inside(group) => group,
        };
        let first = group * GROUP_CHUNKS;
        let chunks = &self.chunks[first..first + GROUP_CHUNKS];
        match Summary::locate(chunks, CHUNK_GRANULES, granules)? {
            Place::At(granule) => Some(group * GROUP_GRANULES + granule),
            Place::Inside(chunk) => {
                let index = first + chunk;
                let inside = bits::find_run(!self.busy[index], granules);
                Some(index * CHUNK_GRANULES + inside)
            }
        }
    }

    /// [`WindowMap::find`] by trial at each aligned place: for the rare block aligned to more
    /// than a granule.
    #[cold]
    fn find_aligned(&self, granules: usize, align: usize) -> Option<usize> {
        let last = WINDOW_GRANULES.checked_sub(granules)?;
        (0..=last).step_by(align).find(|&at| !bits::any(&self.busy, at, granules))
    }

    /// Takes `pages` pages from `granule` on, all of them free.
    pub(super) fn take(&mut self, granule: usize, pages: usize) -> Dirty {
        let first = granule * GRANULE_PAGES;
        debug_assert!(!bits::any(&self.used, first, pages));
        let dirty = bits::count(&self.dirty, first, pages);
        bits::set(&mut self.used, first, pages);
        self.free_dirty -= dirty as u16;
        self.refresh(granule, pages.div_ceil(GRANULE_PAGES));
        Dirty { pages: dirty }
    }

    /// Gives `pages` pages from page `first` on back; the first `touched` of them may have been
    /// written to.
    pub(super) fn give(&mut self, first: usize, pages: usize, touched: usize) -> Dirty {
        debug_assert!(bits::count(&self.used, first, pages) == pages);
        bits::clear(&mut self.used, first, pages);
        bits::set(&mut self.dirty, first, touched.min(pages));
        let dirty = bits::count(&self.dirty, first, pages);
        self.free_dirty += dirty as u16;
        let granule = first / GRANULE_PAGES;
        self.refresh(granule, (first + pages).div_ceil(GRANULE_PAGES) - granule);
        Dirty { pages: dirty }
    }

    /// Takes the pages `[first, first + pages)` behind the end of a run, if all are free.
    pub(super) fn extend(&mut self, first: usize, pages: usize) -> Option<Dirty> {
        if first + pages > WINDOW_PAGES || bits::any(&self.used, first, pages) {
            return None;
        }
        let dirty = bits::count(&self.dirty, first, pages);
        bits::set(&mut self.used, first, pages);
        self.free_dirty -= dirty as u16;
        let granule = first / GRANULE_PAGES;
        self.refresh(granule, (first + pages).div_ceil(GRANULE_PAGES) - granule);
        Some(Dirty { pages: dirty })
    }

    /// Takes the highest run of at most `most` dirty free pages, for the scavenger: the pages are
    /// used until it gives them back clean. Returns the first page and their number.
    pub(super) fn take_dirty(&mut self, most: usize) -> Option<(usize, usize)> {
        let is_loose =
            |map: &Self, page: usize| bits::get(&map.dirty, page) && !bits::get(&map.used, page);
        let word = (0..self.dirty.len()).rev().find(|&i| self.dirty[i] & !self.used[i] != 0)?;
        let loose = self.dirty[word] & !self.used[word];
        let last = word * 64 + 63 - loose.leading_zeros() as usize;
        let mut first = last;
        while first > 0 && last - first + 1 < most && is_loose(self, first - 1) {
            first -= 1;
        }
        let pages = last - first + 1;
        bits::set(&mut self.used, first, pages);
        bits::clear(&mut self.dirty, first, pages);
        self.free_dirty -= pages as u16;
        let granule = first / GRANULE_PAGES;
        self.refresh(granule, last / GRANULE_PAGES - granule + 1);
        Some((first, pages))
    }

    /// Recomputes `busy` for these granules and the summaries above them.
    fn refresh(&mut self, granule: usize, granules: usize) {
        // A granule has a few bits of the page bitmap, all in one word.
        const PER_WORD: usize = 64 / GRANULE_PAGES;
        const MASK: u64 = (1 << GRANULE_PAGES) - 1;
        for at in granule..granule + granules {
            let pages = self.used[at / PER_WORD] >> (at % PER_WORD * GRANULE_PAGES) & MASK;
            let bit = 1 << (at % CHUNK_GRANULES);
            let word = &mut self.busy[at / CHUNK_GRANULES];
            *word = if pages == 0 { *word & !bit } else { *word | bit };
        }
        let last = granule + granules - 1;
        for chunk in granule / CHUNK_GRANULES..=last / CHUNK_GRANULES {
            self.chunks[chunk] = Summary::of(self.busy[chunk]);
        }
        for group in granule / GROUP_GRANULES..=last / GROUP_GRANULES {
            let chunks = &self.chunks[group * GROUP_CHUNKS..][..GROUP_CHUNKS];
            self.groups[group] = Summary::join(chunks, CHUNK_GRANULES as u16);
        }
        self.max = Summary::join(&self.groups, GROUP_GRANULES as u16).max;
    }
}

#[cfg(test)]
mod tests;
