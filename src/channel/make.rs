//! What makes channels.

use super::counter::counted;
use super::flavor::array::Array;
use super::flavor::list::List;
use super::flavor::time::Clock;
use super::flavor::zero::Zero;
use super::receiver::{self, Receiver};
use super::sender::{self, Sender};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A channel that holds any number of values: sending never blocks.
///
/// Memory is taken in blocks of 31 values, and given back as they are received.
///
/// # Examples
/// ```
/// let (s, r) = gthread::channel::unbounded();
/// gthread::run(move || gthread::spawn(move || s.send(42).unwrap()));
/// assert_eq!(r.recv(), Ok(42));
/// ```
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    let (s, r) = counted(List::new());
    (Sender(sender::Flavor::List(s)), Receiver(receiver::Flavor::List(r)))
}

/// A channel that holds up to `capacity` values: sending blocks while it is full.
///
/// With a capacity of 0 it is a *rendezvous* channel: sender and receiver wait for each other, and
/// the value goes straight from one to the other. Otherwise the memory for `capacity` values is
/// taken at once.
///
/// # Panics
/// With a capacity of 2^40 and more. Without memory for it the process ends, as at any allocation
/// of `std`.
///
/// # Examples
/// ```
/// let (s, r) = gthread::channel::bounded(0);
/// gthread::run(move || {
///     gthread::spawn(move || s.send("hand to hand").unwrap());
///     assert_eq!(r.recv(), Ok("hand to hand"));
/// });
/// ```
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    if capacity == 0 {
        let (s, r) = counted(Zero::new());
        return (Sender(sender::Flavor::Zero(s)), Receiver(receiver::Flavor::Zero(r)));
    }
    let (s, r) = counted(Array::with_capacity(capacity));
    (Sender(sender::Flavor::Array(s)), Receiver(receiver::Flavor::Array(r)))
}

/// A receiver that gets one message after `duration`: the time it was due, which it may be late
/// for but never early. It is never disconnected.
///
/// Nothing runs in the background: the message comes to be when somebody asks for it. With a
/// duration beyond the end of the clock (584 years) it never does.
///
/// # Examples
/// ```
/// use gthread::channel::{after, unbounded};
/// use std::time::Duration;
/// let (_s, r) = unbounded::<i32>();
/// gthread::select! {
///     recv(r) -> _ => unreachable!(),
///     recv(after(Duration::from_millis(5))) -> due => assert!(due.is_ok()),
/// }
/// ```
pub fn after(duration: Duration) -> Receiver<Instant> {
    Instant::now().checked_add(duration).map_or_else(never, at)
}

/// As [`after`], at the time `when`; at once if that is over.
///
/// # Examples
/// ```
/// let when = std::time::Instant::now();
/// assert_eq!(gthread::channel::at(when).recv(), Ok(when));
/// ```
pub fn at(when: Instant) -> Receiver<Instant> {
    Receiver(receiver::Flavor::Clock(Arc::new(Clock::once(when)), |moment| moment))
}

/// A receiver that never gets anything, and is never disconnected: for a case of a `select!` that
/// may be missing.
///
/// # Examples
/// ```
/// use gthread::channel::{never, unbounded};
/// let (s, r) = unbounded();
/// s.send(1).unwrap();
/// let other: Option<&gthread::channel::Receiver<i32>> = None;
/// gthread::select! {
///     recv(r) -> value => assert_eq!(value, Ok(1)),
///     recv(other.unwrap_or(&never())) -> _ => unreachable!(),
/// }
/// ```
pub const fn never<T>() -> Receiver<T> {
    Receiver(receiver::Flavor::Never)
}

/// A receiver that gets a message each `duration`, the first after one: the time it was due.
///
/// Messages do not pile up: who comes late gets one, and the next is due a `duration` after that.
/// Nothing runs in the background.
///
/// # Examples
/// ```
/// use std::time::{Duration, Instant};
/// let start = Instant::now();
/// let ticker = gthread::channel::tick(Duration::from_millis(2));
/// ticker.recv().unwrap();
/// ticker.recv().unwrap();
/// assert!(start.elapsed() >= Duration::from_millis(4));
/// ```
pub fn tick(duration: Duration) -> Receiver<Instant> {
    let Some(first) = Instant::now().checked_add(duration) else { return never() };
    Receiver(receiver::Flavor::Clock(Arc::new(Clock::each(first, duration)), |moment| moment))
}
