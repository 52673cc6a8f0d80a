//! A spawn that fails leaves nobody waiting for it.
#![allow(clippy::unwrap_used, reason = "a test that unwraps is a test that fails")]

mod common;

use common::watch;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("on purpose");
    }
}

#[test]
fn a_scope_ends_whose_refused_closure_panics_when_it_is_dropped() {
    let _dog = watch("a_scope_ends_whose_refused_closure_panics_when_it_is_dropped");
    let ended = catch_unwind(AssertUnwindSafe(|| {
        gthread::scope(|s| {
            let bomb = Bomb;
            let refused =
                gthread::Builder::new().stack_size(usize::MAX).spawn_scoped(s, move || drop(bomb));
            assert!(refused.is_err());
        });
    }));
    let message = ended.unwrap_err();
    assert_eq!(message.downcast_ref::<&str>(), Some(&"on purpose"));
}

#[test]
fn a_scope_ends_whose_spawns_are_refused() {
    let _dog = watch("a_scope_ends_whose_spawns_are_refused");
    let count = gthread::scope(|s| {
        let refused = gthread::Builder::new().stack_size(usize::MAX).spawn_scoped(s, || ());
        s.spawn(move || i32::from(refused.is_err())).join().unwrap()
    });
    assert_eq!(count, 1);
}
