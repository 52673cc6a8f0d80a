//! Waiting for a socket to be ready.
//!
//! A green thread parks, and the netpoller makes it ready. An OS thread sleeps in `poll(2)` on the
//! socket and on an eventfd by which others break its sleep: it needs no runtime.

use super::shared::Shared;
use crate::primitive::lock::{Lock, Rank};
use crate::sys::socket::{Awaited, Event, poll};
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

/// Eventfds for the sleep of OS threads, kept for the next one.
static EVENTS: Lock<Vec<Arc<Event>>> = Lock::new(Rank(25), Vec::new());

/// How many of them are kept.
const EVENTS_KEPT_MAX: usize = 64;

/// An OS thread sleeps until `socket` may be ready, a word of `shared` was changed, or
/// `deadline_ns` has passed; it may return for no reason.
pub(super) fn sleep(
    shared: &Shared,
    socket: BorrowedFd<'_>,
    awaited: Awaited,
    deadline_ns: impl FnOnce() -> io::Result<u64>,
) -> io::Result<()> {
    let kept = EVENTS.lock().pop();
    let event = kept.map_or_else(|| Event::new().map(Arc::new), Ok)?;
    shared.enlist(awaited, event.clone());
    // Read after the thread has made itself known: whoever moves it from here on finds us.
    let slept = deadline_ns().and_then(|deadline_ns| {
        poll(socket, awaited, &event, (deadline_ns != u64::MAX).then_some(deadline_ns))
    });
    shared.discharge(&event);
    event.clear();
    let mut events = EVENTS.lock();
    if events.len() < EVENTS_KEPT_MAX {
        events.push(event);
    }
    slept
}
