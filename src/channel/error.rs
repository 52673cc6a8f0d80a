//! Errors: small, and those of sending give the value back.

use std::error::Error;
use std::fmt;

/// The value could not be sent: the channel is disconnected, nobody can receive it.
///
/// # Examples
/// ```
/// let (s, r) = gthread::channel::unbounded();
/// drop(r);
/// assert_eq!(s.send("foo").unwrap_err().into_inner(), "foo");
/// ```
#[derive(PartialEq, Eq, Clone, Copy)]
pub struct SendError<T>(pub T);

/// The value could not be sent at once.
///
/// # Examples
/// ```
/// let (s, _r) = gthread::channel::bounded(0);
/// let error = s.try_send("foo").unwrap_err();
/// assert!(error.is_full());
/// assert_eq!(error.into_inner(), "foo");
/// ```
#[derive(PartialEq, Eq, Clone, Copy)]
pub enum TrySendError<T> {
    /// The channel is full; of a rendezvous channel: nobody waits to receive.
    Full(T),
    /// The channel is disconnected, nobody can receive it.
    Disconnected(T),
}

/// The value could not be sent in time.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// let (s, _r) = gthread::channel::bounded(0);
/// let error = s.send_timeout("foo", Duration::from_millis(1)).unwrap_err();
/// assert!(error.is_timeout());
/// assert_eq!(error.into_inner(), "foo");
/// ```
#[derive(PartialEq, Eq, Clone, Copy)]
pub enum SendTimeoutError<T> {
    /// The channel stayed full; of a rendezvous channel: nobody came to receive.
    Timeout(T),
    /// The channel is disconnected, nobody can receive it.
    Disconnected(T),
}

/// No value can be received any more: the channel is empty and disconnected.
///
/// # Examples
/// ```
/// use gthread::channel::{RecvError, unbounded};
/// let (s, r) = unbounded::<()>();
/// drop(s);
/// assert_eq!(r.recv(), Err(RecvError));
/// ```
#[derive(PartialEq, Eq, Clone, Copy, Debug)]
pub struct RecvError;

/// No value could be received at once.
///
/// # Examples
/// ```
/// use gthread::channel::{TryRecvError, unbounded};
/// let (s, r) = unbounded::<()>();
/// assert_eq!(r.try_recv(), Err(TryRecvError::Empty));
/// drop(s);
/// assert_eq!(r.try_recv(), Err(TryRecvError::Disconnected));
/// ```
#[derive(PartialEq, Eq, Clone, Copy, Debug)]
pub enum TryRecvError {
    /// The channel is empty; of a rendezvous channel: nobody waits to send.
    Empty,
    /// The channel is empty and disconnected.
    Disconnected,
}

/// No value was received in time.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use gthread::channel::{RecvTimeoutError, unbounded};
/// let (_s, r) = unbounded::<()>();
/// assert_eq!(r.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
/// ```
#[derive(PartialEq, Eq, Clone, Copy, Debug)]
pub enum RecvTimeoutError {
    /// The channel stayed empty; of a rendezvous channel: nobody came to send.
    Timeout,
    /// The channel is empty and disconnected.
    Disconnected,
}

/// None of the operations can be done at once.
///
/// # Examples
/// ```
/// use gthread::channel::Select;
/// assert!(Select::new().try_select().is_err());
/// ```
#[derive(PartialEq, Eq, Clone, Copy, Debug)]
pub struct TrySelectError;

/// None of the operations could be done in time.
///
/// # Examples
/// ```
/// use gthread::channel::{Select, SelectTimeoutError};
/// use std::time::Duration;
/// let error = Select::new().select_timeout(Duration::from_millis(1)).unwrap_err();
/// assert_eq!(error, SelectTimeoutError);
/// ```
#[derive(PartialEq, Eq, Clone, Copy, Debug)]
pub struct SelectTimeoutError;

/// None of the operations is ready.
///
/// # Examples
/// ```
/// use gthread::channel::{Select, TryReadyError};
/// assert_eq!(Select::new().try_ready(), Err(TryReadyError));
/// ```
#[derive(PartialEq, Eq, Clone, Copy, Debug)]
pub struct TryReadyError;

/// None of the operations became ready in time.
///
/// # Examples
/// ```
/// use gthread::channel::{ReadyTimeoutError, Select};
/// use std::time::Duration;
/// assert_eq!(Select::new().ready_timeout(Duration::from_millis(1)), Err(ReadyTimeoutError));
/// ```
#[derive(PartialEq, Eq, Clone, Copy, Debug)]
pub struct ReadyTimeoutError;

const SEND_DISCONNECTED: &str = "sending on a disconnected channel";
const RECV_DISCONNECTED: &str = "receiving on an empty and disconnected channel";

impl<T> SendError<T> {
    /// The value that was not sent.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("SendError(..)")
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(SEND_DISCONNECTED)
    }
}

impl<T: Send> Error for SendError<T> {}

impl<T> TrySendError<T> {
    /// The value that was not sent.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(value) | Self::Disconnected(value) => value,
        }
    }

    /// Whether the channel was full.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full(_))
    }

    /// Whether the channel is disconnected.
    pub fn is_disconnected(&self) -> bool {
        matches!(self, Self::Disconnected(_))
    }
}

impl<T> fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(if self.is_full() { "Full(..)" } else { "Disconnected(..)" })
    }
}

impl<T> fmt::Display for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(if self.is_full() { "sending on a full channel" } else { SEND_DISCONNECTED })
    }
}

impl<T: Send> Error for TrySendError<T> {}

impl<T> From<SendError<T>> for TrySendError<T> {
    fn from(error: SendError<T>) -> Self {
        Self::Disconnected(error.0)
    }
}

impl<T> SendTimeoutError<T> {
    /// The value that was not sent.
    pub fn into_inner(self) -> T {
        match self {
            Self::Timeout(value) | Self::Disconnected(value) => value,
        }
    }

    /// Whether the time was up.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout(_))
    }

    /// Whether the channel is disconnected.
    pub fn is_disconnected(&self) -> bool {
        matches!(self, Self::Disconnected(_))
    }
}

impl<T> fmt::Debug for SendTimeoutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("SendTimeoutError(..)")
    }
}

impl<T> fmt::Display for SendTimeoutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let late = "timed out waiting on send operation";
        f.pad(if self.is_timeout() { late } else { SEND_DISCONNECTED })
    }
}

impl<T: Send> Error for SendTimeoutError<T> {}

impl<T> From<SendError<T>> for SendTimeoutError<T> {
    fn from(error: SendError<T>) -> Self {
        Self::Disconnected(error.0)
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(RECV_DISCONNECTED)
    }
}

impl Error for RecvError {}

impl TryRecvError {
    /// Whether the channel was empty.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// Whether the channel is empty and disconnected.
    pub fn is_disconnected(&self) -> bool {
        matches!(self, Self::Disconnected)
    }
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(if self.is_empty() { "receiving on an empty channel" } else { RECV_DISCONNECTED })
    }
}

impl Error for TryRecvError {}

impl From<RecvError> for TryRecvError {
    fn from(_: RecvError) -> Self {
        Self::Disconnected
    }
}

impl RecvTimeoutError {
    /// Whether the time was up.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout)
    }

    /// Whether the channel is empty and disconnected.
    pub fn is_disconnected(&self) -> bool {
        matches!(self, Self::Disconnected)
    }
}

impl fmt::Display for RecvTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let late = "timed out waiting on receive operation";
        f.pad(if self.is_timeout() { late } else { "channel is empty and disconnected" })
    }
}

impl Error for RecvTimeoutError {}

impl From<RecvError> for RecvTimeoutError {
    fn from(_: RecvError) -> Self {
        Self::Disconnected
    }
}

impl fmt::Display for TrySelectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("all operations in select would block")
    }
}

impl Error for TrySelectError {}

impl fmt::Display for SelectTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("timed out waiting on select")
    }
}

impl Error for SelectTimeoutError {}

impl fmt::Display for TryReadyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("no operation in select is ready")
    }
}

impl Error for TryReadyError {}

impl fmt::Display for ReadyTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("timed out waiting for an operation in select to become ready")
    }
}

impl Error for ReadyTimeoutError {}
