//! The loom model of the number that is made once.
//!
// MUTANT: alloc.once.claim KILLED-BY alloc::once::model::one_makes_it_and_all_see_what_it_wrote
// MUTANT: alloc.once.publish KILLED-BY alloc::once::model::one_makes_it_and_all_see_what_it_wrote
// MUTANT: alloc.once.receive KILLED-BY alloc::once::model::one_makes_it_and_all_see_what_it_wrote

use std::sync::Arc;

use super::*;
use crate::primitive::model::{Shared, check};

#[test]
fn one_makes_it_and_all_see_what_it_wrote() {
    check(|| {
        let number = Arc::new(OnceNumber::new());
        // The secret of hardened builds: written by the maker, read by everybody.
        let secret = Arc::new(Shared::new(0));
        let ask = |number: &OnceNumber, secret: &Shared<u32>| {
            let got = number.get(|| {
                secret.update(|secret| *secret += 7);
                Some(5)
            });
            assert_eq!(got, Some(5));
            assert_eq!(secret.get(), 7);
        };
        let (other_number, other_secret) = (number.clone(), secret.clone());
        let other = loom::thread::spawn(move || ask(&other_number, &other_secret));
        ask(&number, &secret);
        other.join().expect("no panic");
    });
}
