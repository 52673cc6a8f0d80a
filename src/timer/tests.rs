//! A shelf against a `BTreeMap`, over random sequences of operations.
//!
//! The seed is printed by a failing run and taken from `GTHREAD_SEED`.

use super::*;
use std::collections::BTreeMap;

/// Marsaglia's xorshift64*: enough for test inputs.
pub(super) struct Random(u64);

impl Random {
    /// Seeds from `GTHREAD_SEED` or the clock, and tells the seed (shown when the test fails).
    #[expect(clippy::print_stdout, reason = "a failing run has to tell its seed")]
    pub(super) fn from_env() -> Self {
        let seed = match std::env::var("GTHREAD_SEED") {
            Ok(text) => text.parse().expect("GTHREAD_SEED is a decimal u64"),
            Err(_) => std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .expect("the clock is past 1970")
                .as_nanos() as u64,
        };
        println!("GTHREAD_SEED={seed}");
        Self::new(seed)
    }

    pub(super) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}

/// The shelf beside what it should do.
struct Pair {
    shelf: Shelf<(usize, u64)>,
    /// (deadline, order of arming) → the handle: iterates in the order of expiry.
    model: BTreeMap<(u64, u64), Handle>,
    /// Handles that have left, with nothing to name any more.
    stale: Vec<Handle>,
    armed: u64,
    now_ns: u64,
}

impl Pair {
    fn new(now_ns: u64) -> Self {
        let model = BTreeMap::new();
        Self { shelf: Shelf::new(), model, stale: Vec::new(), armed: 0, now_ns }
    }

    fn first(&self) -> u64 {
        self.model.first_key_value().map_or(u64::MAX, |(key, _)| key.0)
    }

    fn arm(&mut self, deadline_ns: u64) {
        let earliest = deadline_ns < self.first();
        let id = self.armed;
        self.armed += 1;
        let armed = self.shelf.arm(deadline_ns, (deadline_ns as usize, id));
        assert_eq!(armed.earliest, earliest);
        let former = self.model.insert((deadline_ns, id), armed.handle);
        assert!(former.is_none());
    }

    fn cancel_live(&mut self, random: &mut Random) {
        let Some(&last) = self.model.keys().next_back() else { return };
        let at = (random.below(last.0.saturating_add(1)), random.below(self.armed));
        let key = *self.model.range(at..).next().map_or(&last, |(key, _)| key);
        let handle = self.model.remove(&key).expect("the key was just found");
        assert!(self.shelf.cancel(handle));
        assert!(!self.shelf.cancel(handle), "a second cancel");
        self.stale.push(handle);
    }

    fn cancel_stale(&mut self, random: &mut Random) {
        if !self.stale.is_empty() {
            let handle = self.stale[random.below(self.stale.len() as u64) as usize];
            assert!(!self.shelf.cancel(handle), "a stale handle cancelled something");
        }
    }

    fn expire(&mut self, limit: usize) {
        let due = self.model.range(..=(self.now_ns.min(u64::MAX - 1), u64::MAX)).take(limit);
        let due: Vec<((u64, u64), Handle)> = due.map(|(key, handle)| (*key, *handle)).collect();
        let mut fired = Vec::new();
        let count = self.shelf.expire_at_most(limit, self.now_ns, |(deadline, id)| {
            fired.push((deadline as u64, id));
        });
        assert_eq!(count, fired.len());
        assert_eq!(fired, due.iter().map(|(key, _)| *key).collect::<Vec<_>>());
        for (key, handle) in due {
            self.model.remove(&key);
            self.stale.push(handle);
        }
    }

    fn check(&self) {
        assert_eq!(self.shelf.next_deadline_ns(), self.first());
        assert_eq!(self.shelf.len(), self.model.len());
    }
}

/// A deadline of one of the kinds that have ever mattered.
fn deadline(random: &mut Random, now_ns: u64) -> u64 {
    match random.below(12) {
        0 => now_ns,
        1 => random.below(now_ns.max(1)),
        2 => u64::MAX - random.below(3),
        3 => random.next(),
        4 => 0,
        5 => now_ns.saturating_add(30_000_000_000),
        6..=7 => now_ns.saturating_add(random.below(8)),
        8 => now_ns.saturating_add(random.next() >> random.below(64)),
        _ => now_ns.saturating_add(random.below(5_000_000)),
    }
}

fn step(random: &mut Random, now_ns: u64) -> u64 {
    match random.below(16) {
        0..=7 => now_ns,
        8 => now_ns.saturating_add(random.next() >> random.below(64)),
        9 => now_ns.saturating_add(4_000_000_000),
        _ => now_ns.saturating_add(random.below(500_000)),
    }
}

/// Runs `rounds` random operations; `arm_weight` of 100 are `arm`.
fn run(random: &mut Random, rounds: u64, arm_weight: u64) {
    let start = if random.below(2) == 0 { 0 } else { random.next() >> random.below(64) };
    let mut pair = Pair::new(start);
    for round in 0..rounds {
        match random.below(100) {
            choice if choice < arm_weight => {
                let deadline_ns = deadline(random, pair.now_ns);
                pair.arm(deadline_ns);
            }
            choice if choice < arm_weight + 25 => pair.cancel_live(random),
            choice if choice < arm_weight + 30 => pair.cancel_stale(random),
            _ => {
                pair.now_ns = step(random, pair.now_ns);
                let limit =
                    if random.below(2) == 0 { usize::MAX } else { random.below(70) as usize };
                pair.expire(limit);
            }
        }
        if round % 16 == 0 {
            pair.check();
        }
    }
    pair.now_ns = u64::MAX;
    pair.expire(usize::MAX);
    assert_eq!(pair.model.len(), pair.shelf.len(), "only u64::MAX stays");
    pair.check();
}

#[test]
fn a_shelf_does_what_a_sorted_map_does() {
    let mut random = Random::from_env();
    for _ in 0..400 {
        let weight = 20 + random.below(50);
        run(&mut random, 600, weight);
    }
}

#[test]
fn a_big_shelf_does_what_a_sorted_map_does() {
    let mut random = Random::from_env();
    run(&mut random, 200_000, 69);
}

#[test]
fn equal_deadlines_leave_in_the_order_they_came() {
    let shelf = Shelf::new();
    let handles: Vec<Handle> = (0..1000).map(|n| shelf.arm(7, n).handle).collect();
    for handle in handles.iter().step_by(3) {
        assert!(shelf.cancel(*handle));
    }
    let mut fired = Vec::new();
    assert_eq!(shelf.expire(6, |n| fired.push(n)), 0, "never early");
    shelf.expire(7, |n| fired.push(n));
    assert_eq!(fired, (0..1000).filter(|n| n % 3 != 0).collect::<Vec<_>>());
}

#[test]
fn the_sink_may_use_the_shelf() {
    let shelf = Shelf::new();
    let first = shelf.arm(1, 1);
    let mut fired = Vec::new();
    shelf.expire(5, |n| {
        assert!(!shelf.cancel(first.handle), "a value on its way to the sink has expired");
        if n < 4 {
            let _ = shelf.arm(n + 1, n + 1);
        }
        fired.push(n);
    });
    shelf.expire(5, |n| fired.push(n));
    assert_eq!(fired[..2], [1, 2]);
}

#[test]
fn never_is_never_due() {
    let shelf = Shelf::new();
    let armed = shelf.arm(u64::MAX, ());
    assert!(!armed.earliest);
    assert_eq!(shelf.expire(u64::MAX, |()| panic!("fired")), 0);
    assert!(shelf.cancel(armed.handle));
}

#[test]
fn a_bounded_turn_tells_what_is_left() {
    let shelf = Shelf::new();
    for n in 0..100 {
        let _ = shelf.arm(n, n);
    }
    assert_eq!(shelf.expire_at_most(40, 1000, |_| ()), 40);
    assert_eq!((shelf.next_deadline_ns(), shelf.len()), (40, 60));
    assert_eq!(shelf.expire_at_most(0, 1000, |_| ()), 0);
}

#[test]
fn memory_is_reused_at_once() {
    assert_eq!(size_of::<Option<Handle>>(), 8);
    let mut heap = Heap::new();
    for n in 0..1_000_000u64 {
        let key = heap.insert(n + 30_000_000_000, n);
        assert_eq!(key.index(), 0);
        assert_eq!(heap.remove(key), Some(n));
    }
}

#[test]
fn threads_that_share_a_shelf_lose_nothing() {
    const ROUNDS: u64 = 20_000;
    let shelf = Shelf::new();
    let seed = Random::from_env().next();
    let churn = |n: u64| -> usize {
        let (mut random, mut left) = (Random::new(seed ^ n << 32), 0);
        let mut handles = std::collections::VecDeque::new();
        for round in 0..ROUNDS {
            let deadline_ns = round + random.below(200);
            handles.push_back(shelf.arm(deadline_ns, deadline_ns).handle);
            if random.below(3) == 0 {
                left += shelf.expire_at_most(5, round, |due| assert!(due <= round, "early"));
            }
            if random.below(2) == 0 {
                let handle = handles.pop_front().expect("one was just pushed");
                left += usize::from(shelf.cancel(handle));
            }
        }
        left
    };
    let left: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|n| scope.spawn(move || churn(n))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    let rest = shelf.expire(u64::MAX, |_| ());
    assert_eq!(left + rest, 3 * ROUNDS as usize);
    assert_eq!((shelf.len(), shelf.next_deadline_ns()), (0, u64::MAX));
}
