//! Models of the barrier, by loom.
//!
// MUTANT: barrier.open KILLED-BY sync::barrier_model::who_gives_up_as_it_opens_has_passed

use super::raw_barrier::{Passed, RawBarrier};
use crate::primitive::model::{Shared, check};
use crate::sched;
use loom::sync::Arc;
use loom::thread;

/// Whoever has passed sees what all wrote before they came.
#[test]
fn what_all_did_before_they_came_is_seen() {
    check(|| {
        sched::forget_model();
        let values = [Shared::new(0), Shared::new(0), Shared::new(0)];
        let shared = Arc::new((RawBarrier::empty(), values));
        let pass = |(barrier, values): &(RawBarrier, [Shared<u32>; 3]), index: usize| {
            values[index].set(7);
            let passed = barrier.wait(3, None);
            assert_eq!([0, 1, 2].map(|index: usize| values[index].get()), [7; 3]);
            usize::from(passed == Some(Passed::Leader))
        };
        let others = [1, 2].map(|index| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || pass(&shared, index))
        });
        let leaders = others
            .into_iter()
            .fold(pass(&shared, 0), |count, other| count + other.join().expect("no panic"));
        assert_eq!(leaders, 1);
    });
}

/// A waiter whose deadline passes while the leader wakes the others has passed; one that gave up
/// before comes again, and the count is right.
#[test]
fn who_gives_up_as_it_opens_has_passed() {
    check(|| {
        sched::forget_model();
        sched::expire(5);
        let barrier = Arc::new(RawBarrier::empty());
        let other = thread::spawn({
            let barrier = Arc::clone(&barrier);
            move || barrier.wait(2, Some(5)).or_else(|| barrier.wait(2, None)).is_some()
        });
        assert!(barrier.wait(2, None).is_some());
        assert!(other.join().expect("no panic"));
        assert_eq!(barrier.arrived(), 0);
    });
}
