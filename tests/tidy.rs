//! Checks of the house rules on the project's own source, as data: who may import whom, how long
//! a file or a function may be, which comment an atomic or an `unsafe` needs, where a name may
//! appear, and that each mutant site is accounted for.
//!
//! The rules are the tables in `tidy/rules.rs`. Every check has a test beside it which feeds it a
//! bad snippet: a check that cannot fail checks nothing.

mod tidy {
    pub(crate) mod comments;
    pub(crate) mod documents;
    pub(crate) mod layers;
    pub(crate) mod mutants;
    pub(crate) mod names;
    pub(crate) mod rules;
    pub(crate) mod shape;
    pub(crate) mod source;
}

use tidy::source::{Complaint, Source, Tree};

/// Runs one check over the sources in `src` and panics with every complaint.
fn check_each(check: impl Fn(&Source) -> Vec<Complaint>) {
    let tree = Tree::read();
    report(tree.sources.iter().flat_map(check).collect());
}

fn report(complaints: Vec<Complaint>) {
    let lines: Vec<String> = complaints.iter().map(Complaint::to_string).collect();
    assert!(lines.is_empty(), "{} complaints:\n{}", lines.len(), lines.join("\n"));
}

#[test]
fn modules_import_only_what_lies_below_them() {
    check_each(tidy::layers::check);
}

#[test]
fn the_table_of_layers_has_no_cycle_and_no_stranger() {
    report(tidy::layers::check_table(&Tree::read()));
}

#[test]
fn files_functions_and_nesting_stay_small() {
    check_each(tidy::shape::check);
}

#[test]
fn the_crate_root_holds_documentation_and_re_exports_only() {
    check_each(tidy::shape::check_root);
}

#[test]
fn every_file_starts_with_its_story() {
    check_each(tidy::comments::check_story);
}

#[test]
fn every_atomic_operation_states_its_ordering() {
    check_each(tidy::comments::check_ordering);
}

#[test]
fn every_unsafe_block_and_impl_states_its_safety() {
    check_each(tidy::comments::check_safety);
}

#[test]
fn no_argument_is_an_empty_phrase() {
    check_each(tidy::comments::check_phrases);
}

#[test]
fn confined_names_stay_in_their_modules() {
    check_each(tidy::names::check_confined);
}

#[test]
fn the_house_words_are_used() {
    check_each(tidy::names::check_words);
}

#[test]
fn nothing_is_left_to_do_and_nothing_is_unwrapped() {
    check_each(tidy::names::check_leftovers);
}

#[test]
fn every_mutant_site_is_killed_or_equivalent() {
    report(tidy::mutants::check(&Tree::read().sources));
}

#[test]
fn links_between_documents_resolve() {
    report(tidy::documents::check_links(&Tree::read()));
}

#[test]
fn lock_ranks_are_in_the_table_of_the_architecture() {
    report(tidy::documents::check_ranks(&Tree::read()));
}

#[test]
fn every_ci_step_is_run() {
    report(tidy::documents::check_steps(&Tree::read()));
}
