//! Random order: which of several operations goes first.

use crate::primitive::atomic::{AtomicU64, Ordering};

/// Where the numbers come from. One word for the process, without read-modify-write: threads that
/// read it at the same time differ by what they mix in, and what they write back is new to others.
static STATE: AtomicU64 = AtomicU64::new(0x9e37_79b9_7f4a_7c15);

/// Brings `items` into a random order: each order is as likely as any other.
pub(super) fn shuffle<T>(items: &mut [T]) {
    if items.len() < 2 {
        return;
    }
    // ORDERING: Relaxed; any value will do.
    let mut state = STATE.load(Ordering::Relaxed) ^ items.as_ptr().addr() as u64;
    for i in 1..items.len() {
        // Source: Vigna, splitmix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // The upper half of a product scales to the range without a division.
        items.swap(i, (((mixed >> 32) * (i as u64 + 1)) >> 32) as usize);
    }
    // ORDERING: Relaxed; as above.
    STATE.store(state, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::shuffle;

    #[test]
    fn each_item_comes_first_about_as_often() {
        let mut firsts = [0; 5];
        for _ in 0..50_000 {
            let mut items = [0, 1, 2, 3, 4];
            shuffle(&mut items);
            firsts[items[0]] += 1;
        }
        // 10,000 each; ten standard deviations are 900.
        assert!(firsts.iter().all(|count| (9_100..10_900).contains(count)), "{firsts:?}");
    }
}
