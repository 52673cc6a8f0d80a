//! Units of the heap and where a header lies; see README.md, "Units".

/// What is counted, trimmed and given back to the kernel.
pub(crate) const PAGE: usize = 8 << 10;

/// What is placed: each run of pages starts on a granule, which has one header.
pub(crate) const GRANULE: usize = 32 << 10;

/// Pages in a granule.
pub(crate) const GRANULE_PAGES: usize = GRANULE / PAGE;

/// The most granules in a span of small blocks.
pub(crate) const GRANULE_MAX: usize = 8;

/// Granules in a chunk: one word of the placement bitmap.
pub(crate) const CHUNK_GRANULES: usize = 64;

/// Chunks in a window.
pub(crate) const WINDOW_CHUNKS: usize = (64 << 20) / (CHUNK_GRANULES * GRANULE);

/// Chunks in a group: the level of summaries above theirs.
pub(crate) const GROUP_CHUNKS: usize = 8;

/// A window: aligned to its size, headers of its granules first.
pub(crate) const WINDOW: usize = WINDOW_CHUNKS * CHUNK_GRANULES * GRANULE;

/// Granules in a window.
pub(crate) const WINDOW_GRANULES: usize = WINDOW / GRANULE;

/// Pages in a window.
pub(crate) const WINDOW_PAGES: usize = WINDOW / PAGE;

/// Bytes of a header: two cache lines.
pub(crate) const HEADER: usize = 128;

/// Granules at the start of a window that hold headers, and the guard behind them.
pub(crate) const FIRST_GRANULE: usize = WINDOW_GRANULES * HEADER / GRANULE + 1;

/// Granules at the end of a window that are guards: the headers of the next window follow.
pub(crate) const LAST_GUARDS: usize = 1;

/// The most granules in one run of a window.
pub(crate) const RUN_GRANULES_MAX: usize = WINDOW_GRANULES - FIRST_GRANULE - LAST_GUARDS;

/// The largest block in the page heap; what is larger is a mapping of its own.
pub(crate) const LARGE_MAX: usize = 32 << 20;

/// The largest alignment: half a window, so that a block never begins where a window does.
pub(crate) const ALIGN_MAX: usize = WINDOW / 2;

const _: () = {
    assert!(LARGE_MAX <= RUN_GRANULES_MAX * GRANULE);
    assert!(WINDOW_GRANULES * HEADER + GRANULE == FIRST_GRANULE * GRANULE);
};

/// The address of the header of the granule that holds `address`.
#[inline(always)]
pub(crate) const fn header_address(address: usize) -> usize {
    // ((address mod WINDOW) / GRANULE) * HEADER, as one shift and one mask.
    const SHIFT: u32 = GRANULE.ilog2() - HEADER.ilog2();
    (address & !(WINDOW - 1)) + ((address >> SHIFT) & ((WINDOW_GRANULES - 1) * HEADER))
}

/// The start of the granule that the header at `header` is for.
#[inline(always)]
pub(crate) const fn granule_address(header: usize) -> usize {
    (header & !(WINDOW - 1)) + (header & (WINDOW - 1)) / HEADER * GRANULE
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn header_and_granule_are_inverse_for_every_granule_of_a_window() {
        let window = 5 * WINDOW;
        for granule in 0..WINDOW_GRANULES {
            let start = window + granule * GRANULE;
            assert_eq!(header_address(start), window + granule * HEADER);
            assert_eq!(header_address(start + GRANULE - 1), window + granule * HEADER);
            assert_eq!(granule_address(header_address(start)), start);
        }
    }
}
