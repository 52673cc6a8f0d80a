//! Seeing inside: what every green thread, processor and machine is doing, and how much was done.
//!
//! Reads everything, changes nothing. The scheduler never waits for an observer; what an observer
//! sees is a moment's glance at each thing, not one moment of all things.

mod dump;
mod hook;
mod metrics;
mod survivor;

pub use dump::{Dump, GreenInfo, MachineInfo, ProcessorInfo, dump};
pub use hook::install_panic_hook;
pub use metrics::{Metrics, metrics};
pub use survivor::Survivor;

pub(crate) use dump::survivors;

use crate::green::Green;
use crate::primitive::abort::Line;
use std::fmt::Write as _;

/// Tells the overflow report the name of a green thread; called in a signal handler.
pub(crate) fn name_for_overflow(owner: *const (), out: &mut Line) -> bool {
    // SAFETY: the owner of a bound stack is the header of the green thread that runs on it, which
    // lives, and whose name is constant.
    let Some(green) = (unsafe { owner.cast::<Green>().as_ref() }) else { return false };
    match green.name() {
        Some(name) => out.write_str(name).is_ok(),
        None => false,
    }
}
