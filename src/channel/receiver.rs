//! The receiving handle.

use super::clock;
use super::counter::{Count, Counted};
use super::error::{RecvError, RecvTimeoutError, TryRecvError};
use super::flavor::array::Array;
use super::flavor::list::List;
use super::flavor::time::{Clock, Never};
use super::flavor::zero::Zero;
use super::iter::{IntoIter, Iter, TryIter};
use super::select::core::{Selectable, Ticket};
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The receiving side of a channel; any number of clones may be used at once, by green threads and
/// OS threads alike. Each value goes to one of them.
///
/// When the last one is dropped the channel is disconnected: senders get errors.
///
/// # Examples
/// ```
/// let (s, r) = gthread::channel::unbounded();
/// gthread::run(|| {
///     let count = gthread::spawn(move || r.iter().count());
///     (0..10).for_each(|i| s.send(i).unwrap());
///     drop(s);
///     assert_eq!(count.join().unwrap(), 10);
/// });
/// ```
pub struct Receiver<T>(pub(super) Flavor<T>);

/// The channel behind a receiver.
pub(super) enum Flavor<T> {
    Array(Counted<Array<T>>),
    List(Counted<List<T>>),
    Zero(Counted<Zero<T>>),
    /// With what makes a `T` of its messages: a receiver of instants is made with the identity.
    Clock(Arc<Clock>, fn(Instant) -> T),
    Never,
}

// SAFETY: a receiver takes values of `T` from other threads, and drops them there; the channel
// itself is made for many threads: atomics and locks, and slots that their protocols guard.
unsafe impl<T: Send> Send for Receiver<T> {}
// SAFETY: as above; a shared receiver can do what clones of it can.
unsafe impl<T: Send> Sync for Receiver<T> {}

// No operation runs user code while the channel is between two states.
impl<T> UnwindSafe for Receiver<T> {}
impl<T> RefUnwindSafe for Receiver<T> {}

impl<T> Receiver<T> {
    /// Receives, if that can be done at once.
    ///
    /// A sender that waits in a `select!` to send on a rendezvous channel is waited for while it
    /// evaluates its message.
    ///
    /// # Errors
    /// The channel is empty (a rendezvous channel: nobody waits to send), or also disconnected.
    ///
    /// # Examples
    /// ```
    /// use gthread::channel::{TryRecvError, unbounded};
    /// let (s, r) = unbounded();
    /// assert_eq!(r.try_recv(), Err(TryRecvError::Empty));
    /// s.send(5).unwrap();
    /// drop(s);
    /// assert_eq!(r.try_recv(), Ok(5));
    /// assert_eq!(r.try_recv(), Err(TryRecvError::Disconnected));
    /// ```
    #[inline]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        match &self.0 {
            Flavor::Array(array) => array.channel().try_recv(),
            Flavor::List(list) => list.channel().try_recv(),
            Flavor::Zero(zero) => zero.channel().try_recv(),
            Flavor::Clock(clock, make) => clock.try_recv().map(make),
            Flavor::Never => Err(TryRecvError::Empty),
        }
    }

    /// Receives; blocks the thread, green or not, until there is something.
    ///
    /// Those who wait are served first come, first served; somebody who comes when there is a
    /// value may be faster than one who was just told of it. Not affected by
    /// [`time::timeout`](crate::time::timeout).
    ///
    /// # Errors
    /// The channel is empty and disconnected.
    ///
    /// # Examples
    /// ```
    /// use gthread::channel::{RecvError, bounded};
    /// let (s, r) = bounded(1);
    /// s.send(5).unwrap();
    /// drop(s);
    /// assert_eq!(r.recv(), Ok(5));
    /// assert_eq!(r.recv(), Err(RecvError));
    /// ```
    #[inline]
    pub fn recv(&self) -> Result<T, RecvError> {
        // Without a deadline a timeout does not come to pass.
        self.recv_until(None).map_err(|_| RecvError)
    }

    /// As [`recv`](Self::recv), for at most `timeout`; never less, unless an enclosing
    /// [`time::timeout`](crate::time::timeout) ends before.
    ///
    /// # Errors
    /// The time is up, or the channel is empty and disconnected.
    ///
    /// # Examples
    /// ```
    /// use gthread::channel::{RecvTimeoutError, bounded};
    /// use std::time::Duration;
    /// let (_s, r) = bounded::<()>(0);
    /// assert_eq!(r.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
    /// ```
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.recv_until(clock::after(timeout))
    }

    /// As [`recv_timeout`](Self::recv_timeout), until `deadline`.
    ///
    /// # Errors
    /// The time is up, or the channel is empty and disconnected.
    ///
    /// # Examples
    /// ```
    /// use gthread::channel::{RecvTimeoutError, unbounded};
    /// use std::time::Instant;
    /// let (_s, r) = unbounded::<()>();
    /// assert_eq!(r.recv_deadline(Instant::now()), Err(RecvTimeoutError::Timeout));
    /// ```
    pub fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        self.recv_until(clock::at(deadline))
    }

    #[inline]
    fn recv_until(&self, deadline_ns: Option<u64>) -> Result<T, RecvTimeoutError> {
        match &self.0 {
            Flavor::Array(array) => array.channel().recv(deadline_ns),
            Flavor::List(list) => list.channel().recv(deadline_ns),
            Flavor::Zero(zero) => zero.channel().recv(deadline_ns),
            Flavor::Clock(clock, make) => clock.recv(deadline_ns).map(make),
            Flavor::Never => Err(Never::recv(deadline_ns)),
        }
    }

    /// Whether nothing lies in the channel; always so for a rendezvous channel.
    pub fn is_empty(&self) -> bool {
        match &self.0 {
            Flavor::Array(array) => array.channel().is_empty(),
            Flavor::List(list) => list.channel().is_empty(),
            Flavor::Zero(_) | Flavor::Never => true,
            Flavor::Clock(clock, _) => clock.len() == 0,
        }
    }

    /// Whether there is no room; always so for a rendezvous channel, never for an unbounded one.
    pub fn is_full(&self) -> bool {
        match &self.0 {
            Flavor::Array(array) => array.channel().is_full(),
            Flavor::List(_) => false,
            Flavor::Zero(_) | Flavor::Never => true,
            Flavor::Clock(clock, _) => clock.len() == 1,
        }
    }

    /// How many values lie in the channel.
    ///
    /// # Examples
    /// ```
    /// let (s, r) = gthread::channel::bounded(3);
    /// s.send('a').unwrap();
    /// assert_eq!((r.len(), r.capacity()), (1, Some(3)));
    /// ```
    pub fn len(&self) -> usize {
        match &self.0 {
            Flavor::Array(array) => array.channel().len(),
            Flavor::List(list) => list.channel().len(),
            Flavor::Zero(_) | Flavor::Never => 0,
            Flavor::Clock(clock, _) => clock.len(),
        }
    }

    /// How many values have room in the channel: 0 for a rendezvous channel and for
    /// [`never`](super::never()), 1 for those that tell the time, `None` for an unbounded one.
    pub fn capacity(&self) -> Option<usize> {
        match &self.0 {
            Flavor::Array(array) => Some(array.channel().capacity()),
            Flavor::List(_) => None,
            Flavor::Zero(_) | Flavor::Never => Some(0),
            Flavor::Clock(..) => Some(1),
        }
    }

    /// Whether both receive from the same channel.
    ///
    /// # Examples
    /// ```
    /// use gthread::channel::unbounded;
    /// let ((_a, a), (_b, b)) = (unbounded::<()>(), unbounded::<()>());
    /// assert!(a.same_channel(&a.clone()));
    /// assert!(!a.same_channel(&b));
    /// ```
    pub fn same_channel(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Flavor::Array(a), Flavor::Array(b)) => a.is_same(b),
            (Flavor::List(a), Flavor::List(b)) => a.is_same(b),
            (Flavor::Zero(a), Flavor::Zero(b)) => a.is_same(b),
            (Flavor::Clock(a, _), Flavor::Clock(b, _)) => Arc::ptr_eq(a, b),
            (Flavor::Never, Flavor::Never) => true,
            _ => false,
        }
    }

    /// An iterator that blocks for each value, until the channel is empty and disconnected.
    ///
    /// # Examples
    /// ```
    /// let (s, r) = gthread::channel::unbounded();
    /// s.send(1).unwrap();
    /// s.send(2).unwrap();
    /// drop(s);
    /// assert_eq!(r.iter().collect::<Vec<i32>>(), [1, 2]);
    /// ```
    pub fn iter(&self) -> Iter<'_, T> {
        Iter(self)
    }

    /// An iterator over what can be received at once; it never blocks.
    ///
    /// # Examples
    /// ```
    /// let (s, r) = gthread::channel::unbounded();
    /// s.send(1).unwrap();
    /// assert_eq!(r.try_iter().collect::<Vec<i32>>(), [1]);
    /// ```
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter(self)
    }

    /// What a select works with.
    pub(super) fn selectable(&self) -> &dyn Selectable {
        match &self.0 {
            Flavor::Array(array) => array.channel(),
            Flavor::List(list) => list.channel(),
            Flavor::Zero(zero) => zero.channel(),
            Flavor::Clock(clock, _) => &**clock,
            Flavor::Never => &Never,
        }
    }

    /// Completes a receive that a select has started on this channel.
    pub(super) fn read(&self, ticket: Ticket) -> Result<T, RecvError> {
        let value = match &self.0 {
            Flavor::Array(array) => array.channel().read(&ticket),
            Flavor::List(list) => list.channel().read(&ticket),
            Flavor::Zero(zero) => zero.channel().read(ticket),
            Flavor::Clock(_, make) => match ticket {
                Ticket::Moment(moment) => Some(make(moment)),
                _ => None,
            },
            Flavor::Never => None,
        };
        value.ok_or(RecvError)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        match &self.0 {
            // SAFETY: this handle's reference, given up once.
            Flavor::Array(array) => unsafe { array.release(Count::Receivers, Array::disconnect) },
            // SAFETY: as above.
            Flavor::List(list) => unsafe {
                list.release(Count::Receivers, List::disconnect_receivers);
            },
            // SAFETY: as above.
            Flavor::Zero(zero) => unsafe { zero.release(Count::Receivers, Zero::disconnect) },
            Flavor::Clock(..) | Flavor::Never => {}
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Flavor::Array(array) => Flavor::Array(array.acquire(Count::Receivers)),
            Flavor::List(list) => Flavor::List(list.acquire(Count::Receivers)),
            Flavor::Zero(zero) => Flavor::Zero(zero.acquire(Count::Receivers)),
            Flavor::Clock(clock, make) => Flavor::Clock(clock.clone(), *make),
            Flavor::Never => Flavor::Never,
        })
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Receiver { .. }")
    }
}

impl<'a, T> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter(self)
    }
}
