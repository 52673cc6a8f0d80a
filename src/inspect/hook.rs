//! A panic hook that knows the names of green threads.

use crate::green::Kind;
use crate::primitive::abort::Line;
use std::fmt::Write as _;
use std::panic::PanicHookInfo;

/// Installs a panic hook that names the green thread which panics.
///
/// The standard library's message cannot be told the name of a green thread (`thread
/// '<unnamed>' panicked`). This hook prints `green thread 'name' panicked at file:line:column:`
/// and the message on standard error, and the backtrace that `RUST_BACKTRACE` asks for; panics
/// off green threads go to the hook that was installed before. Never installed unasked.
pub fn install_panic_hook() {
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let green = crate::green::current().filter(|green| green.kind.get() == Kind::Green);
        match green {
            Some(green) => report(green.name().unwrap_or("<unnamed>"), info),
            None => previous(info),
        }
    }));
}

fn report(name: &str, info: &PanicHookInfo<'_>) {
    let mut line = Line::new();
    let payload = info.payload();
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("Box<dyn Any>");
    // A `Line` never fails to be written to; what does not fit is cut.
    let _ = match info.location() {
        Some(location) => {
            writeln!(line, "\ngreen thread '{name}' panicked at {location}:\n{message}")
        }
        None => writeln!(line, "\ngreen thread '{name}' panicked:\n{message}"),
    };
    line.emit();
    let backtrace = std::backtrace::Backtrace::capture();
    if backtrace.status() == std::backtrace::BacktraceStatus::Captured {
        let mut line = Line::new();
        for part in backtrace.to_string().lines() {
            let _ = writeln!(line, "{part}");
            line.emit();
            line = Line::new();
        }
    }
}
