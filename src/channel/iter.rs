//! Iterators over what is received.

use super::receiver::Receiver;
use std::fmt;
use std::iter::FusedIterator;

/// Blocks for each value, until the channel is empty and disconnected; see [`Receiver::iter`].
pub struct Iter<'a, T>(pub(super) &'a Receiver<T>);

/// Takes what can be received at once; see [`Receiver::try_iter`].
pub struct TryIter<'a, T>(pub(super) &'a Receiver<T>);

/// As [`Iter`], and owns its receiver.
///
/// # Examples
/// ```
/// let (s, r) = gthread::channel::unbounded();
/// s.send(1).unwrap();
/// drop(s);
/// assert_eq!(r.into_iter().collect::<Vec<i32>>(), [1]);
/// ```
pub struct IntoIter<T>(pub(super) Receiver<T>);

impl<T> Iterator for Iter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.recv().ok()
    }
}

impl<T> FusedIterator for Iter<'_, T> {}

impl<T> fmt::Debug for Iter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Iter { .. }")
    }
}

impl<T> Iterator for TryIter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.try_recv().ok()
    }
}

impl<T> fmt::Debug for TryIter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("TryIter { .. }")
    }
}

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.recv().ok()
    }
}

impl<T> FusedIterator for IntoIter<T> {}

impl<T> fmt::Debug for IntoIter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("IntoIter { .. }")
    }
}
