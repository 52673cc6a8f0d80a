//! Models of the shelf, by loom.
//!
//! Run by `RUSTFLAGS="--cfg loom" cargo test --release --lib timer::`. Each model states one
//! property; `GTHREAD_MUTANT=<site>` weakens one site, and the model named here has to fail:
//!
// MUTANT: collections.slab.generation KILLED-BY timer::model::each_timer_leaves_exactly_once
// MUTANT: timer.shelf.publish_arm KILLED-BY sched::timekeeper_model::a_sleeper_never_oversleeps
// MUTANT: timer.shelf.publish_cancel KILLED-BY timer::model::the_hint_is_exact_when_all_is_quiet
// MUTANT: timer.shelf.publish_expire KILLED-BY timer::model::the_hint_is_exact_when_all_is_quiet

use super::*;
use crate::primitive::model::check;
use loom::sync::Arc;
use loom::thread;

/// Two armers, one of whom takes its timer back, and a thief that expires.
#[test]
fn each_timer_leaves_exactly_once() {
    check(|| {
        let shelf = Arc::new(Shelf::new());
        let canceller = {
            let shelf = Arc::clone(&shelf);
            thread::spawn(move || {
                let first = shelf.arm(1, 0).handle;
                let cancelled = shelf.cancel(first);
                // The slot is free by now, so this one may be its next tenant.
                let _ = shelf.arm(1, 1);
                assert!(!shelf.cancel(first), "a stale handle cancelled the next tenant");
                cancelled
            })
        };
        let thief = {
            let shelf = Arc::clone(&shelf);
            thread::spawn(move || {
                let mut fired = [0; 3];
                shelf.expire(2, |n: usize| fired[n] += 1);
                fired
            })
        };
        let _ = shelf.arm(2, 2);
        let mut left = [0; 3];
        shelf.expire(1, |n| left[n] += 1);
        left[0] += usize::from(canceller.join().expect("no panic"));
        let fired = thief.join().expect("no panic");
        shelf.expire(2, |n| left[n] += 1);
        let total: Vec<usize> = left.iter().zip(fired).map(|(a, b)| a + b).collect();
        assert_eq!(total, [1, 1, 1]);
    });
}

/// The hint, written by three threads, ends as what the heap says.
#[test]
fn the_hint_is_exact_when_all_is_quiet() {
    check(|| {
        let shelf = Arc::new(Shelf::new());
        let due = shelf.arm(1, 0).handle;
        let late = shelf.arm(9, 0).handle;
        let expirer = {
            let shelf = Arc::clone(&shelf);
            thread::spawn(move || shelf.expire(3, |_| ()))
        };
        let armer = {
            let shelf = Arc::clone(&shelf);
            thread::spawn(move || shelf.arm(5, 0).handle)
        };
        let cancelled = shelf.cancel(due);
        let expired = expirer.join().expect("no panic");
        assert_eq!(expired, usize::from(!cancelled));
        let middle = armer.join().expect("no panic");
        assert_eq!(shelf.next_deadline_ns(), 5);
        assert!(shelf.cancel(middle));
        assert_eq!(shelf.next_deadline_ns(), 9);
        assert!(shelf.cancel(late));
        assert_eq!(shelf.next_deadline_ns(), u64::MAX);
    });
}
