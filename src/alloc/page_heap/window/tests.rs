//! Random runs against one byte per page, and every summary recomputed.

use super::*;

/// xorshift64*: the seed is printed and taken from `GTHREAD_SEED`.
struct Random(u64);

impl Random {
    fn from_environment() -> Self {
        let seed = std::env::var("GTHREAD_SEED").ok().and_then(|text| text.parse().ok());
        let seed = seed.unwrap_or(0x9E37_79B9_7F4A_7C15);
        println!("GTHREAD_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % n
    }
}

/// One byte per page, everything by linear search.
struct Naive {
    used: Vec<bool>,
    dirty: Vec<bool>,
}

impl Naive {
    fn new() -> Self {
        let mut used = vec![false; WINDOW_PAGES];
        used[..FIRST_GRANULE * GRANULE_PAGES].fill(true);
        used[WINDOW_PAGES - LAST_GUARDS * GRANULE_PAGES..].fill(true);
        Self { used, dirty: vec![false; WINDOW_PAGES] }
    }

    fn find(&self, granules: usize, align: usize) -> Option<usize> {
        (0..WINDOW_GRANULES).step_by(align).find(|&granule| {
            let first = granule * GRANULE_PAGES;
            let end = first + granules * GRANULE_PAGES;
            end <= WINDOW_PAGES && self.used[first..end].iter().all(|used| !used)
        })
    }

    fn longest(&self) -> usize {
        let busy = |granule: usize| {
            self.used[granule * GRANULE_PAGES..][..GRANULE_PAGES].iter().any(|&used| used)
        };
        let (mut longest, mut run) = (0, 0);
        for granule in 0..WINDOW_GRANULES {
            run = if busy(granule) { 0 } else { run + 1 };
            longest = longest.max(run);
        }
        longest
    }

    fn count_dirty(&self, first: usize, pages: usize) -> usize {
        self.dirty[first..first + pages].iter().filter(|&&dirty| dirty).count()
    }
}

fn check(map: &WindowMap, naive: &Naive) {
    for page in 0..WINDOW_PAGES {
        assert_eq!(bits::get(&map.used, page), naive.used[page], "used, page {page}");
        assert_eq!(bits::get(&map.dirty, page), naive.dirty[page], "dirty, page {page}");
    }
    for (index, &busy) in map.busy.iter().enumerate() {
        assert_eq!(map.chunks[index], Summary::of(busy));
    }
    for (index, &group) in map.groups.iter().enumerate() {
        let first = index * GROUP_GRANULES;
        let is_busy = |granule: &usize| bits::get(&map.busy, *granule);
        let start = (first..first + GROUP_GRANULES).position(|granule| is_busy(&granule));
        let end = (first..first + GROUP_GRANULES).rev().position(|granule| is_busy(&granule));
        assert_eq!(usize::from(group.start), start.unwrap_or(GROUP_GRANULES));
        assert_eq!(usize::from(group.end), end.unwrap_or(GROUP_GRANULES));
    }
    let loose = (0..WINDOW_PAGES).filter(|&page| naive.dirty[page] && !naive.used[page]).count();
    assert_eq!(map.free_dirty(), loose);
    assert_eq!(map.max(), naive.longest());
}

fn closed() -> Box<WindowMap> {
    Box::new(WindowMap {
        used: [0; WINDOW_PAGES / 64],
        dirty: [0; WINDOW_PAGES / 64],
        busy: [0; WINDOW_CHUNKS],
        chunks: [Summary::default(); WINDOW_CHUNKS],
        groups: [Summary::default(); WINDOW_GROUPS],
        max: 0,
        free_dirty: 0,
    })
}

#[test]
fn nothing_is_found_in_a_window_that_is_not_open() {
    let map = closed();
    assert_eq!(map.find(1, 1), None);
}

#[test]
fn summary_of_random_words_is_what_counting_says() {
    let mut random = Random::from_environment();
    for _ in 0..10_000 {
        let word = (0..random.below(4)).fold(u64::MAX, |word, _| {
            let n = random.below(64);
            word & !(u64::MAX >> random.below(64) << n)
        });
        let runs = (0..64).map(|at| (word >> at).trailing_zeros().min(64 - at)).max();
        assert_eq!(u32::from(Summary::of(word).max), runs.unwrap_or(0), "{word:#x}");
    }
}

#[test]
fn random_runs_agree_with_a_naive_bitmap() {
    let mut random = Random::from_environment();
    let mut map = closed();
    let mut naive = Naive::new();
    map.open();
    check(&map, &naive);
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for round in 0..6000 {
        match random.below(8) {
            0..=3 => {
                let most = if random.below(10) == 0 { 3000 } else { 40 };
                let pages = 1 + random.below(most);
                let granules = pages.div_ceil(GRANULE_PAGES);
                let align = 1 << (random.below(8).saturating_sub(4));
                let found = map.find(granules, align);
                assert_eq!(found, naive.find(granules, align), "{granules} align {align}");
                let Some(granule) = found else { continue };
                let first = granule * GRANULE_PAGES;
                let dirty = map.take(granule, pages);
                assert_eq!(dirty.pages, naive.count_dirty(first, pages));
                naive.used[first..first + pages].fill(true);
                runs.push((first, pages));
            }
            4..=5 if !runs.is_empty() => {
                let (first, pages) = runs.swap_remove(random.below(runs.len()));
                let touched = random.below(pages + 1);
                map.give(first, pages, touched);
                naive.used[first..first + pages].fill(false);
                naive.dirty[first..first + touched].fill(true);
            }
            6 if !runs.is_empty() => {
                let index = random.below(runs.len());
                let (first, pages) = runs[index];
                let more = 1 + random.below(20);
                let end = first + pages;
                let free =
                    naive.used.get(end..end + more).is_some_and(|part| !part.contains(&true));
                assert_eq!(map.extend(end, more).is_some(), free);
                if free {
                    naive.used[end..end + more].fill(true);
                    runs[index].1 += more;
                }
            }
            _ => {
                let Some((first, pages)) = map.take_dirty(1 + random.below(64)) else { continue };
                let above = first + pages..WINDOW_PAGES;
                assert!(above.into_iter().all(|page| naive.used[page] || !naive.dirty[page]));
                assert_eq!(naive.count_dirty(first, pages), pages);
                naive.dirty[first..first + pages].fill(false);
                map.give(first, pages, 0);
            }
        }
        if round % 50 == 0 {
            check(&map, &naive);
        }
    }
    check(&map, &naive);
}
