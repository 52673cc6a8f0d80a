//! What the scheduler tells the user unasked: once each, on standard error.

use crate::primitive::abort;
use crate::primitive::atomic::{AtomicBool, Ordering};
use std::fmt::Write as _;

/// No thread could be started for a machine: the runtime goes on with those it has.
pub(super) fn no_thread(error: &std::io::Error, running: u32) {
    static TOLD: AtomicBool = AtomicBool::new(false);
    tell_once(
        &TOLD,
        format_args!(
            "gthread: no further machine can be started ({error}); going on with {running}. Green \
             threads that block in the kernel may hold the others up: gthread::inspect::dump() \
             shows which."
        ),
    );
}

/// No block of thread-locals could be built for a green thread: it waits for one that another
/// leaves, or for memory.
pub(super) fn no_block(error: &std::io::Error) {
    static TOLD: AtomicBool = AtomicBool::new(false);
    tell_once(
        &TOLD,
        format_args!(
            "gthread: no memory for the thread-locals of a green thread ({error}); it will run when \
             there is some, or when another has ended."
        ),
    );
}

fn tell_once(told: &AtomicBool, text: std::fmt::Arguments<'_>) {
    // ORDERING: Relaxed; only decides who prints.
    if told.swap(true, Ordering::Relaxed) {
        return;
    }
    let mut line = abort::Line::new();
    // A `Line` never fails to be written to; what does not fit is cut.
    let _ = writeln!(line, "{text}");
    line.emit();
}
