//! Models of the count of machines that are left, by loom; run as those of the wait word are.
//!
// MUTANT: ties.tie KILLED-BY sched::ties_model::two_ties_leave_one_machine
// MUTANT: ties.end KILLED-BY sched::ties_model::a_machine_that_ends_leaves_one

use super::ties::Ties;
use crate::primitive::model::check;
use loom::sync::Arc;
use loom::thread;

fn with(machines: usize) -> Arc<Ties> {
    let ties = Ties::new();
    (0..machines).for_each(|_| ties.note_started());
    Arc::new(ties)
}

/// OneForAll: of two green threads that want a machine of their own at a time, with two machines,
/// one gets it; and what it gives back the other may have.
#[test]
fn two_ties_leave_one_machine() {
    check(|| {
        let ties = with(2);
        let other = {
            let ties = Arc::clone(&ties);
            thread::spawn(move || ties.try_tie())
        };
        let mine = ties.try_tie();
        assert!(ties.free() >= 1, "no machine is left for the others");
        let others = other.join().expect("no panic");
        assert!(mine ^ others, "one of two machines is to be had, once");
        ties.untie();
        assert!(ties.try_tie(), "what was given back is to be had");
        assert_eq!(ties.free(), 1);
    });
}

/// OneForAll: a machine ends while a green thread wants one of its own.
#[test]
fn a_machine_that_ends_leaves_one() {
    check(|| {
        let ties = with(2);
        let machine = {
            let ties = Arc::clone(&ties);
            thread::spawn(move || ties.may_end())
        };
        let tied = ties.try_tie();
        let ended = machine.join().expect("no panic");
        assert!(tied ^ ended, "one of two machines is to be had, once");
        assert_eq!(ties.free(), 1);
    });
}
