//! Ranges of bits in an array of words.

/// Calls `f` with each word index and the mask of the bits of `[start, start + len)` in it.
#[inline(always)]
fn for_each(start: usize, len: usize, mut f: impl FnMut(usize, u64)) {
    let (mut at, end) = (start, start + len);
    while at < end {
        let low = at % 64;
        let n = (64 - low).min(end - at);
        let mask = (u64::MAX >> (64 - n)) << low;
        f(at / 64, mask);
        at += n;
    }
}

/// Sets the bits of a range.
pub(super) fn set(words: &mut [u64], start: usize, len: usize) {
    for_each(start, len, |word, mask| words[word] |= mask);
}

/// Clears the bits of a range.
pub(super) fn clear(words: &mut [u64], start: usize, len: usize) {
    for_each(start, len, |word, mask| words[word] &= !mask);
}

/// How many bits of a range are set.
pub(super) fn count(words: &[u64], start: usize, len: usize) -> usize {
    let mut sum = 0;
    for_each(start, len, |word, mask| sum += (words[word] & mask).count_ones() as usize);
    sum
}

/// Whether any bit of a range is set.
pub(super) fn any(words: &[u64], start: usize, len: usize) -> bool {
    let mut found = 0;
    for_each(start, len, |word, mask| found |= words[word] & mask);
    found != 0
}

/// Whether one bit is set.
pub(super) fn get(words: &[u64], at: usize) -> bool {
    words[at / 64] >> (at % 64) & 1 == 1
}

/// The lowest position of `n` ones in a row in `word`, which has them; `n` in `1..=64`.
pub(super) fn find_run(mut word: u64, n: usize) -> usize {
    // After each step a one at `i` says that `have` ones begin at `i`.
    let mut have = 1;
    while have < n {
        let step = have.min(n - have);
        word &= word >> step;
        have += step;
    }
    word.trailing_zeros() as usize
}
