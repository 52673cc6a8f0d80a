//! A shelf against a sorted map, by proptest: a sequence that fails comes out shrunk.
//!
//! `tests` plays far longer sequences, at random only.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// What is done to both.
#[derive(Clone, Debug)]
enum Operation {
    Arm {
        deadline_ns: u64,
    },
    /// Cancels the timer of that number, modulo how many have been armed.
    Cancel {
        number: usize,
    },
    Expire {
        now_ns: u64,
        limit: usize,
    },
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    // Few distinct times, so that many are equal; and the ends of the range.
    let time = prop_oneof![8 => 0..20_u64, 1 => Just(u64::MAX), 1 => Just(u64::MAX - 1)];
    let limit = prop_oneof![Just(usize::MAX), 0..40_usize];
    let operation = prop_oneof![
        4 => time.clone().prop_map(|deadline_ns| Operation::Arm { deadline_ns }),
        2 => any::<usize>().prop_map(|number| Operation::Cancel { number }),
        1 => (time, limit).prop_map(|(now_ns, limit)| Operation::Expire { now_ns, limit }),
    ];
    prop::collection::vec(operation, 0..200)
}

/// The shelf, the map, and the handle of every timer that was ever armed with its key in the map.
#[derive(Default)]
struct Pair {
    shelf: Option<Shelf<(u64, usize)>>,
    /// By deadline, and by the order of arming.
    map: BTreeSet<(u64, usize)>,
    handles: Vec<(Handle, (u64, usize))>,
}

impl Pair {
    fn apply(&mut self, operation: &Operation) -> Result<(), TestCaseError> {
        let shelf = self.shelf.get_or_insert_with(Shelf::new);
        match *operation {
            Operation::Arm { deadline_ns } => {
                let key = (deadline_ns, self.handles.len());
                let first = self.map.first().map_or(u64::MAX, |key| key.0);
                let armed = shelf.arm(deadline_ns, key);
                prop_assert_eq!(armed.earliest, deadline_ns < first);
                self.handles.push((armed.handle, key));
                self.map.insert(key);
            }
            Operation::Cancel { number } => {
                let Some(at) = number.checked_rem(self.handles.len()) else { return Ok(()) };
                let (handle, key) = self.handles[at];
                prop_assert_eq!(shelf.cancel(handle), self.map.remove(&key));
            }
            Operation::Expire { now_ns, limit } => {
                let due = self.map.range(..=(now_ns.min(u64::MAX - 1), usize::MAX));
                let due: Vec<_> = due.take(limit).copied().collect();
                let mut fired = Vec::new();
                shelf.expire_at_most(limit, now_ns, |key| fired.push(key));
                prop_assert_eq!(&fired, &due);
                self.map.retain(|key| !due.contains(key));
            }
        }
        let first = self.map.first().map_or(u64::MAX, |key| key.0);
        prop_assert_eq!(shelf.next_deadline_ns(), first);
        prop_assert_eq!(shelf.len(), self.map.len());
        Ok(())
    }
}

proptest! {
    #[test]
    fn a_shelf_is_a_sorted_map_with_handles(operations in operations()) {
        let mut pair = Pair::default();
        for operation in &operations {
            pair.apply(operation)?;
        }
    }
}
