//! The whole page heap against a bitmap with one byte per page of every window: placement is
//! address-ordered first fit, runs never overlap, counters and summaries agree with counting.
//!
//! The heap is the test's own: its windows are opened and never unmapped.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::geometry::{FIRST_GRANULE, GRANULE_PAGES, LAST_GUARDS, WINDOW_GRANULES};
use super::*;

/// What the test does next.
#[derive(Clone, Debug)]
enum Step {
    /// Takes a run: pages, and the logarithm of the alignment in granules.
    Take(usize, u32),
    /// Gives the run with this number (modulo) back, of which so many percent were touched.
    Give(usize, usize),
    /// Makes the run with this number longer.
    Extend(usize, usize),
    /// Gives the tail of the run with this number back.
    Shrink(usize, usize),
    /// The scavenger takes up to so many pages and brings them back clean.
    Scavenge(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let pages = prop_oneof![8 => 1..40_usize, 2 => 40..600_usize, 1 => 600..4096_usize];
    let align = prop_oneof![6 => Just(0_u32), 1 => 1..8_u32];
    prop_oneof![
        6 => (pages, align).prop_map(|(pages, align)| Step::Take(pages, align)),
        4 => (any::<usize>(), 0..=100_usize).prop_map(|(run, part)| Step::Give(run, part)),
        1 => (any::<usize>(), 1..64_usize).prop_map(|(run, more)| Step::Extend(run, more)),
        1 => (any::<usize>(), 1..64_usize).prop_map(|(run, less)| Step::Shrink(run, less)),
        1 => (1..512_usize).prop_map(Step::Scavenge),
    ]
}

/// One byte for each page of a window.
struct Pages {
    used: Vec<bool>,
    dirty: Vec<bool>,
}

/// The naive heap.
#[derive(Default)]
struct Naive {
    windows: BTreeMap<usize, Pages>,
    /// The windows in the order in which they are searched: regions, and addresses in a region.
    order: Vec<usize>,
    /// Address and pages of each run.
    runs: Vec<(usize, usize)>,
}

impl Naive {
    /// Notes the windows that the heap has opened.
    fn open(&mut self, heap: &PageHeap) {
        self.order = heap.windows().collect();
        for &window in &self.order {
            self.windows.entry(window).or_insert_with(|| {
                let mut used = vec![false; WINDOW_PAGES];
                used[..FIRST_GRANULE * GRANULE_PAGES].fill(true);
                used[WINDOW_PAGES - LAST_GUARDS * GRANULE_PAGES..].fill(true);
                Pages { used, dirty: vec![false; WINDOW_PAGES] }
            });
        }
    }

    fn at(&mut self, address: usize) -> (&mut Pages, usize) {
        let pages = self.windows.get_mut(&(address & !(WINDOW - 1))).expect("an opened window");
        (pages, address % WINDOW / PAGE)
    }

    fn is_free(&mut self, address: usize, pages: usize) -> bool {
        let (window, first) = self.at(address);
        window.used.get(first..first + pages).is_some_and(|part| !part.contains(&true))
    }

    /// The lowest place for a run in the windows noted so far.
    fn find(&self, pages: usize, align: usize) -> Option<usize> {
        let granules = pages.div_ceil(GRANULE_PAGES);
        self.order.iter().find_map(|window| {
            let map = &self.windows[window];
            (0..=WINDOW_GRANULES - granules).step_by(align).find_map(|granule| {
                let part = &map.used[granule * GRANULE_PAGES..][..granules * GRANULE_PAGES];
                (!part.contains(&true)).then_some(window + granule * GRANULE)
            })
        })
    }

    fn take(&mut self, address: usize, pages: usize) -> usize {
        assert!(self.is_free(address, pages), "{address:#x} is taken");
        let (window, first) = self.at(address);
        window.used[first..first + pages].fill(true);
        window.dirty[first..first + pages].iter().filter(|dirty| **dirty).count()
    }

    fn give(&mut self, address: usize, pages: usize, touched: usize) {
        let (window, first) = self.at(address);
        window.used[first..first + pages].fill(false);
        window.dirty[first..first + touched].fill(true);
    }

    fn check(&self, heap: &PageHeap) {
        let counters = heap.counters();
        let used: usize = self.runs.iter().map(|(_, pages)| pages).sum();
        let loose = |map: &Pages| {
            map.used.iter().zip(&map.dirty).filter(|(used, dirty)| !**used && **dirty).count()
        };
        assert_eq!(counters.used_pages, used);
        assert_eq!(counters.free_dirty_pages, self.windows.values().map(loose).sum::<usize>());
        assert_eq!(counters.windows, self.windows.len());
    }
}

fn run_step(heap: &mut PageHeap, naive: &mut Naive, step: &Step) {
    let count = naive.runs.len().max(1);
    match *step {
        Step::Take(pages, align) => {
            let align = 1 << align;
            let place = naive.find(pages, align);
            let run = heap.take(pages, align).expect("there is memory");
            naive.open(heap);
            assert!(run.address.is_multiple_of(align * GRANULE));
            if let Some(place) = place {
                assert_eq!(run.address, place, "the lowest place");
            }
            let dirty = naive.take(run.address, pages);
            assert_eq!(run.zero, dirty == 0);
            naive.runs.push((run.address, pages));
        }
        Step::Give(run, part) if run % count < naive.runs.len() => {
            let (address, pages) = naive.runs.swap_remove(run % count);
            let touched = pages * part / 100;
            heap.give(address, pages, touched);
            naive.give(address, pages, touched);
        }
        Step::Extend(run, more) if run % count < naive.runs.len() => {
            let (address, pages) = naive.runs[run % count];
            let free = naive.is_free(address + pages * PAGE, more);
            let extended = heap.extend(address, pages, more);
            assert_eq!(extended.is_some(), free);
            if let Some(zero) = extended {
                assert_eq!(zero, naive.take(address + pages * PAGE, more) == 0);
                naive.runs[run % count].1 += more;
            }
        }
        Step::Shrink(run, less) if run % count < naive.runs.len() => {
            let (address, pages) = naive.runs[run % count];
            let less = less.min(pages - 1);
            if less > 0 {
                let tail = address + (pages - less) * PAGE;
                heap.give(tail, less, less);
                naive.give(tail, less, less);
                naive.runs[run % count].1 -= less;
            }
        }
        Step::Scavenge(most) => {
            let Some((address, pages)) = heap.take_dirty(most) else {
                assert_eq!(heap.counters().free_dirty_pages, 0);
                return;
            };
            assert!(pages <= most);
            assert_eq!(naive.take(address, pages), pages, "all of them are dirty");
            heap.give(address, pages, 0);
            let (window, first) = naive.at(address);
            window.dirty[first..first + pages].fill(false);
            naive.give(address, pages, 0);
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn any_trace_agrees_with_a_naive_heap(steps in prop::collection::vec(step(), 1..400)) {
        let (mut heap, mut naive) = (Box::new(PageHeap::new()), Naive::default());
        for step in &steps {
            run_step(&mut heap, &mut naive, step);
            naive.check(&heap);
        }
        heap.end();
    }
}
