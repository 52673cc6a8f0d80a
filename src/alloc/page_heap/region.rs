//! A reservation of address space: up to 1,024 windows, opened one after the other.
//!
//! Address-ordered first fit: the lowest window with a long enough free run, and in it the lowest
//! place. That keeps the high end of the heap free, which is where the scavenger begins.

use std::ptr::NonNull;

use super::super::geometry::{
    FIRST_GRANULE, GRANULE, HEADER, LAST_GUARDS, WINDOW, WINDOW_GRANULES,
};
use super::window::WindowMap;
use crate::sys::pages;

/// Windows in the largest reservation: 64 GiB.
const WINDOWS_MAX: usize = 1024;

/// Windows in the first reservation: 1 GiB. Each further one is four times as large, so that a
/// small program leaves room under a limit of address space, and a large one has few regions.
const WINDOWS_FIRST: usize = 16;

/// Windows in a group: the highest level of the summaries.
const GROUP: usize = 32;

/// One reservation and its maps.
#[derive(Debug)]
pub(super) struct Region {
    base: usize,
    windows: usize,
    opened: usize,
    /// One map per window, in memory of their own behind nobody's blocks.
    maps: NonNull<WindowMap>,
    /// The longest free run in each group of windows, in granules.
    groups: [u16; WINDOWS_MAX / GROUP],
}

// SAFETY: `maps` is memory that only this value refers to; the rest is numbers.
unsafe impl Send for Region {}

impl Region {
    /// Makes the reservation after `before` others: as much of what is due as the system gives,
    /// halved until it does; `None` if not even one window.
    pub(super) fn reserve(before: usize) -> Option<Self> {
        let mut windows = (WINDOWS_FIRST << (2 * before).min(16)).min(WINDOWS_MAX);
        loop {
            if let Some(base) = pages::reserve(windows * WINDOW, WINDOW) {
                return Self::with_maps(base.as_ptr() as usize, windows);
            }
            windows /= 2;
            if windows == 0 {
                return None;
            }
        }
    }

    fn with_maps(base: usize, windows: usize) -> Option<Self> {
        let bytes = windows * size_of::<WindowMap>();
        let Some(maps) = pages::map_zeroed(bytes) else {
            // SAFETY: the reservation made by the caller, unknown to anybody else.
            unsafe { pages::unmap(base, windows * WINDOW) };
            return None;
        };
        pages::name(maps.as_ptr() as usize, bytes, c"gthread:page-maps");
        // SAFETY: the reservation made by the caller.
        unsafe { pages::no_huge_pages(base, windows * WINDOW) };
        Some(Self { base, windows, opened: 0, maps: maps.cast(), groups: [0; WINDOWS_MAX / GROUP] })
    }

    /// Unmaps it: for a heap of a test.
    #[cfg(all(test, not(gthread_lean)))]
    pub(super) fn end(self) {
        // SAFETY: the reservation of this value, which ends; the test uses none of its runs.
        unsafe { pages::unmap(self.base, self.windows * WINDOW) };
        let maps = self.maps.as_ptr() as usize;
        // SAFETY: as above, its maps.
        unsafe { pages::unmap(maps, self.windows * size_of::<WindowMap>()) };
    }

    /// The map of an opened window.
    fn map(&mut self, window: usize) -> &mut WindowMap {
        debug_assert!(window < self.windows);
        // SAFETY: `maps` has `windows` maps, and zeroed memory is a valid one.
        let map = unsafe { self.maps.add(window) };
        let mut map = map;
        // SAFETY: `self` is borrowed exclusively and is the only owner of the maps.
        unsafe { map.as_mut() }
    }

    fn shared_map(&self, window: usize) -> &WindowMap {
        debug_assert!(window < self.windows);
        // SAFETY: `maps` has `windows` maps, and zeroed memory is a valid one.
        let map = unsafe { self.maps.add(window) };
        // SAFETY: `self` is borrowed, so nobody writes to the maps.
        unsafe { map.as_ref() }
    }

    /// Whether `address` lies in an opened window.
    pub(super) fn contains(&self, address: usize) -> bool {
        address.wrapping_sub(self.base) < self.opened * WINDOW
    }

    /// The opened windows, as addresses.
    pub(super) fn windows(&self) -> impl Iterator<Item = usize> + use<> {
        let base = self.base;
        (0..self.opened).map(move |window| base + window * WINDOW)
    }

    /// Runs `f` on the map of the window of `address` and keeps the summaries above it.
    pub(super) fn update<R>(&mut self, address: usize, f: impl FnOnce(&mut WindowMap) -> R) -> R {
        let window = (address - self.base) / WINDOW;
        let map = self.map(window);
        let before = map.max();
        let result = f(map);
        let after = map.max();
        if before != after {
            self.refresh_group(window / GROUP, before, after);
        }
        result
    }

    fn refresh_group(&mut self, group: usize, before: usize, after: usize) {
        let known = usize::from(self.groups[group]);
        if after >= known {
            self.groups[group] = after as u16;
        } else if before == known {
            let first = group * GROUP;
            let last = (first + GROUP).min(self.opened);
            let longest = (first..last).map(|window| self.shared_map(window).max()).max();
            self.groups[group] = longest.unwrap_or(0) as u16;
        }
    }

    /// The address of the lowest free run of `granules` aligned to `align` granules.
    pub(super) fn find(&self, granules: usize, align: usize) -> Option<usize> {
        for group in 0..self.opened.div_ceil(GROUP) {
            if usize::from(self.groups[group]) < granules {
                continue;
            }
            for window in group * GROUP..(group * GROUP + GROUP).min(self.opened) {
                if let Some(granule) = self.shared_map(window).find(granules, align) {
                    return Some(self.base + window * WINDOW + granule * GRANULE);
                }
            }
        }
        None
    }

    /// Opens one more window; `false` if there is none left or no memory for it.
    pub(super) fn open_window(&mut self) -> bool {
        if self.opened == self.windows {
            return false;
        }
        let window = self.opened;
        let base = self.base + window * WINDOW;
        #[cfg(feature = "alloc-debug")]
        if !super::super::debug::window_opened(base) {
            return false;
        }
        // Headers, then a guard granule, then data, then guards: the guards stay without access.
        let headers = WINDOW_GRANULES * HEADER;
        // SAFETY: part of the reservation, not yet used by anybody.
        if !unsafe { pages::open(base, headers) } {
            return false;
        }
        let first = FIRST_GRANULE * GRANULE;
        let bytes = WINDOW - first - LAST_GUARDS * GRANULE;
        // SAFETY: part of the reservation, not yet used by anybody.
        if !unsafe { pages::open(base + first, bytes) } {
            return false;
        }
        pages::name(base, headers, c"gthread:span-headers");
        pages::name(base + first, bytes, c"gthread:heap");
        self.opened += 1;
        self.update(base, WindowMap::open);
        true
    }

    /// The highest window with dirty free pages, as an address.
    pub(super) fn highest_dirty(&self) -> Option<usize> {
        let window = (0..self.opened).rev().find(|&w| self.shared_map(w).free_dirty() > 0)?;
        Some(self.base + window * WINDOW)
    }
}
