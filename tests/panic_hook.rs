//! The panic hook names the green thread, and cuts nothing off.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that unwraps is a test that fails, and it explains itself"
)]

mod common;

use common::{assert_passed, errors_of, in_child, is_child};

#[test]
fn a_long_message_of_a_green_thread_is_told_to_its_end() {
    const NAME: &str = "a_long_message_of_a_green_thread_is_told_to_its_end";
    if is_child(NAME) {
        gthread::inspect::install_panic_hook();
        let verbose = gthread::Builder::new().name("verbose".into());
        let panics = || panic!("begin {} end on purpose", "x".repeat(4000));
        assert!(verbose.spawn(panics).unwrap().join().is_err());
        return;
    }
    let output = in_child(NAME, &[("RUST_BACKTRACE", "0")]);
    assert_passed(&output);
    let text = errors_of(&output);
    assert!(text.contains("green thread 'verbose' panicked at tests/panic_hook.rs:"), "{text}");
    let message = format!("begin {} end on purpose\n", "x".repeat(4000));
    assert!(text.contains(&message), "{text}");
}

#[test]
fn a_backtrace_is_told_to_its_end_when_asked_for() {
    const NAME: &str = "a_backtrace_is_told_to_its_end_when_asked_for";
    if is_child(NAME) {
        gthread::inspect::install_panic_hook();
        assert!(gthread::spawn(|| panic!("on purpose")).join().is_err());
        return;
    }
    let output = in_child(NAME, &[("RUST_BACKTRACE", "1")]);
    assert_passed(&output);
    let text = errors_of(&output);
    let (_, backtrace) = text.split_once("\nstack backtrace:\n").expect("a backtrace is told");
    assert!(backtrace.contains("a_backtrace_is_told_to_its_end_when_asked_for"), "{text}");
}
