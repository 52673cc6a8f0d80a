//! The plain structure behind a shelf: a 4-ary heap of exact deadlines with a way back.
//!
//! The heap holds 16-byte entries *(deadline, sequence, index)*; everything else lies in a slab
//! that sifting never touches, but for one dense array, `place`, that says where in the heap the
//! entry of each slab index is. With it any timer is deleted for real in O(log n).
//!
//! Layout: the four children of a node are one cache line. Entry 0, the root, sits in the last
//! lane of line 0, and the children of entry `i` fill line `i + 1`:
//! ```text
//! line 0      [  –   –   –   e0 ]        position 3 is the root
//! line 1      [ e1  e2  e3   e4 ]        children of e0
//! line 2      [ e5  e6  e7   e8 ]        children of e1
//! ```
//! So a position `p` is lane `p % 4` of line `p / 4`, its children are line `p - 2`, its parent
//! is position `p / 4 + 2`. Lanes behind the last entry hold [`Entry::NONE`], which is greater
//! than every entry: the least of a line is found without looking at the length.
//!
//! **Invariants**
//! - *Heap*: no entry is greater than its children.
//! - *Place*: `place[index]` is the position of the one entry that carries `index`, for each
//!   taken slab index.
//! - *Fifo*: sequences rise from one insertion to the next, so entries are distinct and equal
//!   deadlines leave in the order they came.
//! - *Padding*: every lane that holds no entry holds `NONE`.

use crate::collections::prefetch::prefetch;
use crate::collections::slab::{Key, Slab};
use std::hint::select_unpredictable;

/// Entries to a line: four of 16 bytes are a cache line.
const LANES: usize = 4;
/// The position of the root.
const ROOT: usize = LANES - 1;

/// Deadline, sequence and slab index in one word, so that one comparison orders them.
///
/// | bits | |
/// |---|---|
/// | 64..128 | deadline, ns |
/// | 32..64 | sequence: Inv. Fifo |
/// | 0..32 | slab index |
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry(u128);

/// One cache line of entries.
#[derive(Clone, Debug)]
#[repr(align(64))]
struct Line([Entry; LANES]);

/// Timers in order of deadline, and among equals in order of insertion.
#[derive(Debug)]
pub(super) struct Heap<T> {
    lines: Vec<Line>,
    /// One more than the position of the last entry; `ROOT` when empty.
    end: usize,
    /// The position of each slab index's entry (Inv. Place); free indices hold what they held.
    place: Vec<u32>,
    values: Slab<T>,
    /// The sequence of the next insertion.
    sequence: u32,
}

impl Entry {
    /// Greater than every entry: no slab index is `u32::MAX`.
    const NONE: Self = Self(u128::MAX);

    #[inline(always)]
    fn new(deadline_ns: u64, sequence: u32, index: u32) -> Self {
        Self(u128::from(deadline_ns) << 64 | u128::from(sequence) << 32 | u128::from(index))
    }

    #[inline(always)]
    fn deadline_ns(self) -> u64 {
        (self.0 >> 64) as u64
    }

    #[inline(always)]
    fn index(self) -> u32 {
        self.0 as u32
    }
}

impl<T: Copy> Heap<T> {
    /// An empty heap; allocates nothing.
    pub(super) const fn new() -> Self {
        Self { lines: Vec::new(), end: ROOT, place: Vec::new(), values: Slab::new(), sequence: 0 }
    }

    /// How many timers there are.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.end - ROOT
    }

    /// How many bytes the heap holds on to: what its largest population has needed.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let places = self.place.capacity() * size_of::<u32>();
        self.lines.capacity() * size_of::<Line>() + places + self.values.bytes()
    }

    /// The earliest deadline, `u64::MAX` if there is none.
    #[inline(always)]
    pub(super) fn first_deadline_ns(&self) -> u64 {
        self.lines.first().map_or(u64::MAX, |line| line.0[ROOT].deadline_ns())
    }

    /// Adds a timer: O(log n) at worst, and O(1) for one that is later than most.
    #[inline]
    pub(super) fn insert(&mut self, deadline_ns: u64, value: T) -> Key {
        let sequence = self.next_sequence();
        let key = self.values.insert(value);
        let entry = Entry::new(deadline_ns, sequence, key.index());
        let hole = self.end;
        if hole / LANES >= self.lines.len() {
            self.lines.push(Line([Entry::NONE; LANES]));
        }
        self.end += 1;
        if key.index() as usize >= self.place.len() {
            self.place.push(0);
        }
        self.sift_up(hole, entry);
        key
    }

    /// Deletes a timer; `None` if it has left already. O(log n), and O(1) for most late ones.
    #[inline]
    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        if !self.values.contains(key) {
            return None;
        }
        let position = self.place[key.index() as usize] as usize;
        let last = self.take_last();
        if position < self.end {
            self.refill(position, last);
        }
        Some(self.values.remove_at(key.index()))
    }

    /// Removes the earliest timer if it is due at `now_ns`.
    #[inline]
    pub(super) fn pop_due(&mut self, now_ns: u64) -> Option<T> {
        let first = self.lines.first()?.0[ROOT];
        // `NONE` in the root of an emptied heap is due at no time that is ever asked for.
        if first.deadline_ns() > now_ns || first == Entry::NONE {
            return None;
        }
        self.values.prefetch(first.index());
        let last = self.take_last();
        if self.end > ROOT {
            self.refill(ROOT, last);
        }
        Some(self.values.remove_at(first.index()))
    }

    /// Takes the last entry out, leaving padding.
    #[inline(always)]
    fn take_last(&mut self) -> Entry {
        self.end -= 1;
        let lane = &mut self.lines[self.end / LANES].0[self.end % LANES];
        std::mem::replace(lane, Entry::NONE)
    }

    /// Puts `entry` into the heap in place of the entry at `position`, which has left.
    ///
    /// `entry` may be less than the parent of `position`: then it goes up past it.
    #[inline]
    fn refill(&mut self, position: usize, entry: Entry) {
        let hole = self.sift_hole_down(position);
        self.sift_up(hole, entry);
    }

    /// Moves a hole down to a leaf, always past the least child, and says where it ended.
    ///
    /// Going all the way without comparing with the entry that will fill it, and sifting that up
    /// from there, costs less than stopping early: the filler was a leaf and mostly stays one
    /// (Wegener 1993, bottom-up heapsort).
    #[inline(always)]
    fn sift_hole_down(&mut self, mut hole: usize) -> usize {
        while let Some(line) = self.lines.get(hole - (ROOT - 1)) {
            self.prefetch_below(hole);
            let (lane, least) = line.least();
            if least == Entry::NONE {
                break;
            }
            self.put(hole, least);
            hole = (hole - (ROOT - 1)) * LANES + lane;
        }
        hole
    }

    /// Fetches the lines of all grandchildren of `position`: four in a row, one of which comes
    /// next. A heap that is larger than the cache is as fast as its chain of misses is short.
    #[inline(always)]
    fn prefetch_below(&self, position: usize) {
        let children = (position - (ROOT - 1)) * LANES;
        let first = self.lines.as_ptr().wrapping_add(children - (ROOT - 1));
        for lane in 0..LANES {
            prefetch(first.wrapping_add(lane));
        }
    }

    /// Fills the hole with `entry`, after moving down whatever above it is greater.
    #[inline(always)]
    fn sift_up(&mut self, mut hole: usize, entry: Entry) {
        while hole > ROOT {
            let above = self.at(parent(hole));
            if above < entry {
                break;
            }
            self.put(hole, above);
            hole = parent(hole);
        }
        self.put(hole, entry);
    }

    #[inline(always)]
    fn at(&self, position: usize) -> Entry {
        self.lines[position / LANES].0[position % LANES]
    }

    /// Writes an entry and its way back (Inv. Place).
    #[inline(always)]
    fn put(&mut self, position: usize, entry: Entry) {
        self.lines[position / LANES].0[position % LANES] = entry;
        self.place[entry.index() as usize] = position as u32;
    }

    #[inline(always)]
    fn next_sequence(&mut self) -> u32 {
        if self.sequence == u32::MAX {
            self.renumber();
        }
        self.sequence += 1;
        self.sequence - 1
    }

    /// Gives the live entries the sequences 0, 1, 2 … in their order: once in 2³² insertions.
    #[cold]
    fn renumber(&mut self) {
        let mut entries: Vec<Entry> = (ROOT..self.end).map(|p| self.at(p)).collect();
        entries.sort_unstable();
        // A sorted array is a heap.
        for (sequence, entry) in entries.iter().enumerate() {
            let renumbered = Entry::new(entry.deadline_ns(), sequence as u32, entry.index());
            self.put(ROOT + sequence, renumbered);
        }
        self.sequence = entries.len() as u32;
    }
}

impl Line {
    /// The least entry and its lane, without a branch: which child is the least is a coin toss.
    #[inline(always)]
    fn least(&self) -> (usize, Entry) {
        let entries = &self.0;
        let left = usize::from(entries[1] < entries[0]);
        let right = 2 + usize::from(entries[3] < entries[2]);
        let lane = select_unpredictable(entries[right] < entries[left], right, left);
        (lane, entries[lane])
    }
}

/// The position above `position`, which is not the root.
#[inline(always)]
fn parent(position: usize) -> usize {
    position / LANES + (ROOT - 1)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn order_survives_renumbering() {
        let mut heap = Heap::new();
        for n in 0..100 {
            heap.insert(5 + n / 50, n);
        }
        let gone = heap.insert(5, 1000);
        heap.remove(gone);
        heap.sequence = u32::MAX;
        heap.insert(5, 495);
        assert_eq!(heap.sequence, 101);
        let left: Vec<u64> = std::iter::from_fn(|| heap.pop_due(10)).collect();
        let expected: Vec<u64> = (0..50).chain([495]).chain(50..100).collect();
        assert_eq!(left, expected);
    }

    #[test]
    fn a_child_is_found_from_its_parent_and_back() {
        for position in ROOT..1000 {
            for lane in 0..LANES {
                assert_eq!(parent((position - (ROOT - 1)) * LANES + lane), position);
            }
        }
    }
}
