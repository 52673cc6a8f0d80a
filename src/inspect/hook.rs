//! A panic hook that knows the names of green threads.

use crate::green::Kind;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::Write as _;
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
    let payload = info.payload();
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("Box<dyn Any>");
    let place = info.location().map(|location| format!(" at {location}")).unwrap_or_default();
    let mut text = format!("\ngreen thread '{name}' panicked{place}:\n{message}\n");
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        text.push_str(&format!("stack backtrace:\n{backtrace}"));
    }
    // In one piece, so that the reports of several do not mix; there is nobody to tell of a failure.
    let _ = std::io::stderr().write_all(text.as_bytes());
}
