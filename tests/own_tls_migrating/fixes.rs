//! Each fix has a test that fails without it, and thread-locals need the switch at all.

use crate::harness::{LIMIT, Outcome, child};
use std::time::Duration;

/// How often a test may pass without a fix by chance, because those that must meet on a carrier did
/// not: two green threads on two carriers need not.
const CHANCES: usize = 5;

/// Runs a test without a fix; it has to fail, crash or hang.
fn fails_without(fix: &str, test: &str) {
    if std::env::var_os("GTHREAD_TEST_ALONE").is_some() {
        return;
    }
    for _ in 0..CHANCES {
        match child(test, Some(("GTHREAD_TEST_WITHOUT", fix)), Duration::from_secs(20)) {
            Outcome::Skipped => return,
            Outcome::Failed(outcome) => {
                let first = outcome.lines().next().unwrap_or("").to_owned();
                let reason = outcome.lines().find(|line| line.contains("panicked at"));
                let reason = reason.unwrap_or("");
                return eprintln!("note: without {fix}, {test}: {first} {reason}");
            }
            Outcome::Passed => eprintln!("note: without {fix}, {test} has passed"),
        }
    }
    panic!("{test} passes {CHANCES} times without {fix}: it tests nothing");
}

#[test]
fn fork_needs_f1() {
    fails_without("F1", "calls::a_forked_child_allocates_and_starts_threads");
}

#[test]
fn keys_need_f2() {
    fails_without("F2", "exits::destructors_of_keys_run_with_their_values");
}

#[test]
fn modules_need_f3() {
    fails_without("F3", "loading::a_static_thread_local_is_initialised_in_older_green_threads");
}

#[test]
fn descriptors_need_f3() {
    let test = "a_thread_local_behind_a_descriptor_is_initialised_in_older_green_threads";
    fails_without("F3", &format!("loading::{test}"));
}

#[test]
fn credentials_need_f4() {
    fails_without("F4", "signals::credentials_change_from_green_threads");
}

#[test]
fn stacks_need_f5() {
    fails_without("F5", "signals::the_stack_is_the_green_threads_own");
}

#[test]
fn threads_need_f5() {
    fails_without("F5", "calls::threads_of_green_threads_have_restartable_sequences");
}

#[test]
fn heaps_need_f6() {
    fails_without("F6", "exits::green_threads_leave_nothing_on_the_heap");
}

#[test]
fn the_resolver_needs_f7() {
    fails_without("F7", "calls::resolver_states_are_their_own_and_closed");
}

#[test]
fn the_loader_needs_f8() {
    fails_without("F8", "loading::the_loader_runs_on_the_machines_thread_pointer");
}

#[test]
fn readers_of_restartable_sequences_need_f9() {
    fails_without("F9", "loading::a_reader_of_restartable_sequences_is_told_there_are_none");
}

#[test]
fn thread_locals_need_the_switch_of_the_thread_pointer() {
    for test in [
        "locals::a_borrow_is_held_over_a_migration",
        "locals::an_address_is_kept_and_no_update_is_lost",
        "locals::errno_is_kept_over_a_migration",
        "locals::a_panic_is_counted_where_it_happens",
        "locals::the_current_thread_is_the_green_thread",
        "locals::pthread_self_is_kept",
        "locals::values_of_keys_are_kept_low_and_high",
        "locks::a_contended_recursive_mutex_has_one_owner",
        "locks::the_stdout_lock_has_one_owner",
        "exits::destructors_run_once_each",
    ] {
        fails_without("TP", test);
    }
}

/// The allocator's words cannot be found when it has no cache, or another allocator is in front.
#[test]
fn blocks_keep_libcs_words_where_they_cannot_be_lent() {
    if std::env::var_os("GTHREAD_TEST_ALONE").is_some() {
        return;
    }
    if cfg!(target_feature = "crt-static") {
        return;
    }
    let setting = ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0");
    for test in [
        "locals::a_used_slot_starts_afresh",
        "locals::a_locale_and_character_classes_are_per_green_thread",
        "locals::a_locale_ends_with_its_green_thread",
        "locals::memory_is_freed_where_it_was_not_allocated",
        "exits::green_threads_leave_nothing_on_the_heap",
        "exits::destructors_run_once_each",
        "calls::a_forked_child_allocates_and_starts_threads",
        "loading::modules_are_loaded_and_unloaded_by_many_at_once",
    ] {
        if let Outcome::Failed(outcome) = child(test, Some(setting), LIMIT) {
            panic!("{test}: {outcome}");
        }
    }
}
