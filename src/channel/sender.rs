//! The sending handle.

use super::clock;
use super::counter::{Count, Counted};
use super::error::{SendError, SendTimeoutError, TrySendError};
use super::flavor::array::Array;
use super::flavor::list::List;
use super::flavor::zero::Zero;
use super::select::core::{Selectable, Ticket};
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

/// The sending side of a channel; any number of clones may be used at once, by green threads and
/// OS threads alike.
///
/// When the last one is dropped the channel is disconnected: receivers get what is still in it,
/// and then errors.
///
/// # Examples
/// ```
/// let (s, r) = gthread::channel::bounded(1);
/// let other = s.clone();
/// gthread::run(move || {
///     gthread::spawn(move || s.send(1));
///     gthread::spawn(move || other.send(2));
/// });
/// assert_eq!(r.iter().sum::<i32>(), 3);
/// ```
pub struct Sender<T>(pub(super) Flavor<T>);

/// The channel behind a sender.
pub(super) enum Flavor<T> {
    Array(Counted<Array<T>>),
    List(Counted<List<T>>),
    Zero(Counted<Zero<T>>),
}

// SAFETY: a sender moves values of `T` to other threads, and drops them there; the channel itself
// is made for many threads: atomics and locks, and slots that their protocols guard.
unsafe impl<T: Send> Send for Sender<T> {}
// SAFETY: as above; a shared sender can do what clones of it can.
unsafe impl<T: Send> Sync for Sender<T> {}

// No operation runs user code while the channel is between two states.
impl<T> UnwindSafe for Sender<T> {}
impl<T> RefUnwindSafe for Sender<T> {}

impl<T> Sender<T> {
    /// Sends, if that can be done at once.
    ///
    /// # Errors
    /// The channel is full (a rendezvous channel: nobody waits to receive) or disconnected; the
    /// value comes back.
    ///
    /// # Examples
    /// ```
    /// use gthread::channel::{TrySendError, bounded};
    /// let (s, r) = bounded(1);
    /// assert_eq!(s.try_send(1), Ok(()));
    /// assert_eq!(s.try_send(2), Err(TrySendError::Full(2)));
    /// drop(r);
    /// assert_eq!(s.try_send(3), Err(TrySendError::Disconnected(3)));
    /// ```
    #[inline]
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        match &self.0 {
            Flavor::Array(array) => array.channel().try_send(value),
            Flavor::List(list) => list.channel().send(value).map_err(TrySendError::Disconnected),
            Flavor::Zero(zero) => zero.channel().try_send(value),
        }
    }

    /// Sends; blocks the thread, green or not, while the channel is full, or until somebody
    /// receives from a rendezvous channel.
    ///
    /// Those who wait are served first come, first served; somebody who comes when there is room
    /// may be faster than one who was just told of it. Not affected by
    /// [`time::timeout`](crate::time::timeout).
    ///
    /// # Errors
    /// The channel is disconnected; the value comes back.
    ///
    /// # Examples
    /// ```
    /// use gthread::channel::{SendError, bounded};
    /// let (s, r) = bounded(1);
    /// assert_eq!(s.send(1), Ok(()));
    /// drop(r);
    /// assert_eq!(s.send(2), Err(SendError(2)));
    /// ```
    #[inline]
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        // Without a deadline a timeout does not come to pass.
        self.send_until(value, None).map_err(|error| SendError(error.into_inner()))
    }

    /// As [`send`](Self::send), for at most `timeout`; never less, unless an enclosing
    /// [`time::timeout`](crate::time::timeout) ends before.
    ///
    /// # Errors
    /// The time is up, or the channel is disconnected; the value comes back.
    ///
    /// # Examples
    /// ```
    /// use gthread::channel::{SendTimeoutError, bounded};
    /// use std::time::Duration;
    /// let (s, _r) = bounded(0);
    /// let sent = s.send_timeout(1, Duration::from_millis(1));
    /// assert_eq!(sent, Err(SendTimeoutError::Timeout(1)));
    /// ```
    pub fn send_timeout(&self, value: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        self.send_until(value, clock::after(timeout))
    }

    /// As [`send_timeout`](Self::send_timeout), until `deadline`.
    ///
    /// # Errors
    /// The time is up, or the channel is disconnected; the value comes back.
    ///
    /// # Examples
    /// ```
    /// use gthread::channel::{SendTimeoutError, bounded};
    /// use std::time::Instant;
    /// let (s, _r) = bounded(0);
    /// let sent = s.send_deadline(1, Instant::now());
    /// assert_eq!(sent, Err(SendTimeoutError::Timeout(1)));
    /// ```
    pub fn send_deadline(&self, value: T, deadline: Instant) -> Result<(), SendTimeoutError<T>> {
        self.send_until(value, clock::at(deadline))
    }

    #[inline]
    fn send_until(&self, value: T, deadline_ns: Option<u64>) -> Result<(), SendTimeoutError<T>> {
        match &self.0 {
            Flavor::Array(array) => array.channel().send(value, deadline_ns),
            Flavor::List(list) => {
                list.channel().send(value).map_err(SendTimeoutError::Disconnected)
            }
            Flavor::Zero(zero) => zero.channel().send(value, deadline_ns),
        }
    }

    /// Whether nothing lies in the channel; always so for a rendezvous channel.
    pub fn is_empty(&self) -> bool {
        match &self.0 {
            Flavor::Array(array) => array.channel().is_empty(),
            Flavor::List(list) => list.channel().is_empty(),
            Flavor::Zero(_) => true,
        }
    }

    /// Whether there is no room; always so for a rendezvous channel, never for an unbounded one.
    pub fn is_full(&self) -> bool {
        match &self.0 {
            Flavor::Array(array) => array.channel().is_full(),
            Flavor::List(_) => false,
            Flavor::Zero(_) => true,
        }
    }

    /// How many values lie in the channel.
    ///
    /// # Examples
    /// ```
    /// let (s, _r) = gthread::channel::unbounded();
    /// s.send('a').unwrap();
    /// assert_eq!((s.len(), s.capacity()), (1, None));
    /// ```
    pub fn len(&self) -> usize {
        match &self.0 {
            Flavor::Array(array) => array.channel().len(),
            Flavor::List(list) => list.channel().len(),
            Flavor::Zero(_) => 0,
        }
    }

    /// How many values have room in the channel: 0 for a rendezvous channel, `None` for an
    /// unbounded one.
    pub fn capacity(&self) -> Option<usize> {
        match &self.0 {
            Flavor::Array(array) => Some(array.channel().capacity()),
            Flavor::List(_) => None,
            Flavor::Zero(_) => Some(0),
        }
    }

    /// Whether both send to the same channel.
    ///
    /// # Examples
    /// ```
    /// use gthread::channel::unbounded;
    /// let ((a, _), (b, _)) = (unbounded::<()>(), unbounded::<()>());
    /// assert!(a.same_channel(&a.clone()));
    /// assert!(!a.same_channel(&b));
    /// ```
    pub fn same_channel(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Flavor::Array(a), Flavor::Array(b)) => a.is_same(b),
            (Flavor::List(a), Flavor::List(b)) => a.is_same(b),
            (Flavor::Zero(a), Flavor::Zero(b)) => a.is_same(b),
            _ => false,
        }
    }

    /// What a select works with.
    pub(super) fn selectable(&self) -> &dyn Selectable {
        match &self.0 {
            Flavor::Array(array) => array.channel(),
            Flavor::List(list) => list.channel(),
            Flavor::Zero(zero) => zero.channel(),
        }
    }

    /// Completes a send that a select has started on this channel.
    pub(super) fn write(&self, ticket: Ticket, value: T) -> Result<(), T> {
        match &self.0 {
            Flavor::Array(array) => array.channel().write(&ticket, value),
            Flavor::List(list) => list.channel().write(&ticket, value),
            Flavor::Zero(zero) => zero.channel().write(ticket, value),
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        match &self.0 {
            // SAFETY: this handle's reference, given up once.
            Flavor::Array(array) => unsafe { array.release(Count::Senders, Array::disconnect) },
            // SAFETY: as above.
            Flavor::List(list) => unsafe {
                list.release(Count::Senders, List::disconnect_senders);
            },
            // SAFETY: as above.
            Flavor::Zero(zero) => unsafe { zero.release(Count::Senders, Zero::disconnect) },
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Flavor::Array(array) => Flavor::Array(array.acquire(Count::Senders)),
            Flavor::List(list) => Flavor::List(list.acquire(Count::Senders)),
            Flavor::Zero(zero) => Flavor::Zero(zero.acquire(Count::Senders)),
        })
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Sender { .. }")
    }
}
