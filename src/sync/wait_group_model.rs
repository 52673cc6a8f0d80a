//! Models of the wait group, by loom.
//!
// MUTANT: wait_group.leave KILLED-BY sync::wait_group_model::what_the_members_did_is_seen
// MUTANT: wait_group.is_over KILLED-BY sync::wait_group_model::what_the_members_did_is_seen
// MUTANT: wait_group.validate KILLED-BY sync::wait_group_model::what_the_members_did_is_seen
// MUTANT: wait_group.join KILLED-BY sync::wait_group_model::one_that_gives_up_counts_again_or_is_done
// MUTANT: wait_group.revive KILLED-BY sync::wait_group_model::one_that_gives_up_counts_again_or_is_done

use super::raw_wait_group::RawWaitGroup;
use crate::primitive::model::{Shared, check};
use crate::sched;
use loom::sync::Arc;
use loom::thread;

struct Fixture {
    group: RawWaitGroup,
    values: [Shared<u32>; 2],
}

impl Fixture {
    fn new() -> Arc<Self> {
        sched::forget_model();
        let values = [Shared::new(0), Shared::new(0)];
        Arc::new(Self { group: RawWaitGroup::one(), values })
    }
}

/// A member that writes and leaves.
fn member(fixture: &Arc<Fixture>, index: usize) -> thread::JoinHandle<()> {
    fixture.group.join();
    let fixture = Arc::clone(fixture);
    thread::spawn(move || {
        fixture.values[index].set(7);
        fixture.group.leave();
    })
}

/// OverOnce and AllWoken, with the ordering: what each member did, not only the last one.
#[test]
fn what_the_members_did_is_seen() {
    check(|| {
        let fixture = Fixture::new();
        let members = [0, 1].map(|index| member(&fixture, index));
        fixture.group.leave();
        assert!(fixture.group.wait(None));
        assert_eq!([0, 1].map(|index: usize| fixture.values[index].get()), [7, 7]);
        for member in members {
            member.join().expect("no panic");
        }
    });
}

/// At its deadline a waiter is a member again, or it was over and it sees what was done.
#[test]
fn one_that_gives_up_counts_again_or_is_done() {
    check(|| {
        let fixture = Fixture::new();
        sched::expire(5);
        let other = member(&fixture, 0);
        fixture.group.leave();
        let is_over = fixture.group.wait(Some(5));
        let was_over = fixture.group.members() == 0;
        if is_over || !fixture.group.join_unless_over() {
            assert_eq!((fixture.values[0].get(), fixture.group.members()), (7, 0));
        } else {
            assert!(!was_over, "the count has risen from 0");
            fixture.group.leave();
        }
        other.join().expect("no panic");
        assert_eq!(fixture.group.members(), 0);
    });
}
