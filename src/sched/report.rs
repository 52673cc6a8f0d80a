//! What the scheduler tells the user unasked: once each, on standard error.

use crate::primitive::abort::Line;
use crate::primitive::atomic::{AtomicBool, Ordering};
use std::fmt::Write as _;

/// No thread could be started for a machine: the runtime goes on with those it has.
pub(super) fn no_thread(error: &std::io::Error, running: u32) {
    static TOLD: AtomicBool = AtomicBool::new(false);
    // ORDERING: Relaxed; only decides who prints.
    if TOLD.swap(true, Ordering::Relaxed) {
        return;
    }
    let mut line = Line::new();
    // A `Line` never fails to be written to; what does not fit is cut.
    let _ = writeln!(
        line,
        "gthread: no further machine can be started ({error}); going on with {running}. Green \
         threads that block in the kernel may hold the others up: gthread::inspect::dump() shows \
         which."
    );
    line.emit();
}
