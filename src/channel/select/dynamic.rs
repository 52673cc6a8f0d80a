//! The select whose operations are chosen at run time; `select!` is written with it.

use super::core::{self, Case, Patience, Side, Ticket};
use super::shuffle::shuffle;
use crate::channel::clock;
use crate::channel::error::{
    ReadyTimeoutError, RecvError, SelectTimeoutError, SendError, TryReadyError, TrySelectError,
};
use crate::channel::flavor::time::Never;
use crate::channel::receiver::Receiver;
use crate::channel::sender::Sender;
use std::fmt;
use std::time::{Duration, Instant};

/// As many operations are kept without an allocation.
const INLINE: usize = 8;

/// A list of operations, one of which is to be done: whichever can be done first.
///
/// Of several that can be done at once a random one is chosen, or the first of them by a select
/// made with [`new_biased`](Self::new_biased). An operation on a disconnected channel can be done:
/// it gives an error. The same channel may be in the list more than once, also for sending and
/// receiving: a thread never serves itself.
///
/// To wait costs O(n) for n operations. A select over 8 operations or fewer does not allocate,
/// except when it waits on a rendezvous channel.
///
/// # Examples
/// ```
/// use gthread::channel::{Select, unbounded};
/// let channels: Vec<_> = (0..3).map(|_| unbounded()).collect();
/// channels[1].0.send("message").unwrap();
/// let mut select = Select::new();
/// channels.iter().for_each(|(_, r)| drop(select.recv(r)));
/// let operation = select.select();
/// let index = operation.index();
/// assert_eq!((index, operation.recv(&channels[index].1)), (1, Ok("message")));
/// ```
pub struct Select<'a> {
    /// The operations, while they are at most [`INLINE`].
    inline: [Case<'a>; INLINE],
    /// How many of `inline` there are.
    len: usize,
    /// All of them, once they have become more.
    spilled: Vec<Case<'a>>,
    next_index: usize,
    is_biased: bool,
}

// SAFETY: what it holds are shared references to senders and receivers; it calls only what those
// make available to all threads, and never a value's own code: completing an operation asks for
// the handle, whose type says whether the thread may have it.
unsafe impl Send for Select<'_> {}
// SAFETY: as above; a shared `Select` can do nothing.
unsafe impl Sync for Select<'_> {}

/// What fills unused places.
const UNUSED: Case<'static> =
    Case { channel: &Never, side: Side::Receiver, index: 0, handle: std::ptr::null() };

impl<'a> Select<'a> {
    /// An empty list.
    pub fn new() -> Self {
        Self {
            inline: [UNUSED; INLINE],
            len: 0,
            spilled: Vec::new(),
            next_index: 0,
            is_biased: false,
        }
    }

    /// An empty list whose first operation that can be done is chosen, in the order of the list.
    ///
    /// # Examples
    /// ```
    /// use gthread::channel::{Select, unbounded};
    /// let (s, r) = unbounded();
    /// s.send(1).unwrap();
    /// let mut select = Select::new_biased();
    /// let receive = select.recv(&r);
    /// let send = select.send(&s);
    /// let operation = select.select();
    /// assert_eq!((operation.index(), receive, send), (0, 0, 1));
    /// assert_eq!(operation.recv(&r), Ok(1));
    /// ```
    pub fn new_biased() -> Self {
        Self { is_biased: true, ..Self::new() }
    }

    /// Adds sending; returns its index: operations are counted from 0 on.
    pub fn send<T>(&mut self, s: &'a Sender<T>) -> usize {
        self.add(Case {
            channel: s.selectable(),
            side: Side::Sender,
            index: self.next_index,
            handle: std::ptr::from_ref(s).cast(),
        })
    }

    /// Adds receiving; returns its index: operations are counted from 0 on.
    pub fn recv<T>(&mut self, r: &'a Receiver<T>) -> usize {
        self.add(Case {
            channel: r.selectable(),
            side: Side::Receiver,
            index: self.next_index,
            handle: std::ptr::from_ref(r).cast(),
        })
    }

    fn add(&mut self, case: Case<'a>) -> usize {
        match self.inline.get_mut(self.len) {
            Some(place) if self.spilled.is_empty() => {
                *place = case;
                self.len += 1;
            }
            _ => {
                self.spilled.extend_from_slice(&self.inline[..self.len]);
                self.len = 0;
                self.spilled.push(case);
            }
        }
        self.next_index += 1;
        case.index
    }

    fn cases(&mut self) -> &mut [Case<'a>] {
        match self.spilled.is_empty() {
            true => &mut self.inline[..self.len],
            false => &mut self.spilled,
        }
    }

    /// Takes an operation off the list, by its index, which is not given again.
    ///
    /// # Panics
    /// If the list has no such operation.
    ///
    /// # Examples
    /// ```
    /// use gthread::channel::{Select, unbounded};
    /// let (_, gone) = unbounded::<i32>();
    /// let (_s, r) = unbounded::<i32>();
    /// let mut select = Select::new();
    /// select.recv(&gone);
    /// select.recv(&r);
    /// let operation = select.select();
    /// let index = operation.index();
    /// assert!(operation.recv(&gone).is_err());
    /// select.remove(index);
    /// assert!(select.try_select().is_err());
    /// ```
    pub fn remove(&mut self, index: usize) {
        let place = self.cases().iter().position(|case| case.index == index);
        let place = place.expect("no operation with this index");
        // The others keep their order, for a biased select.
        if self.spilled.is_empty() {
            self.inline[place..self.len].rotate_left(1);
            self.len -= 1;
        } else {
            self.spilled.remove(place);
        }
    }

    /// Chooses an operation that can be done at once.
    ///
    /// What is returned has to be completed: [`SelectedOperation::send`] or
    /// [`recv`](SelectedOperation::recv).
    ///
    /// # Errors
    /// None can be done.
    ///
    /// # Examples
    /// ```
    /// use gthread::channel::{Select, bounded};
    /// let (s, r) = bounded(1);
    /// let mut select = Select::new();
    /// select.recv(&r);
    /// assert!(select.try_select().is_err());
    /// select.send(&s);
    /// select.try_select().unwrap().send(&s, 1).unwrap();
    /// assert_eq!(r.try_recv(), Ok(1));
    /// ```
    pub fn try_select(&mut self) -> Result<SelectedOperation<'a>, TrySelectError> {
        self.run(Patience::None).ok_or(TrySelectError)
    }

    /// Chooses an operation; blocks the thread, green or not, until one can be done.
    ///
    /// What is returned has to be completed: [`SelectedOperation::send`] or
    /// [`recv`](SelectedOperation::recv).
    ///
    /// # Panics
    /// If the list is empty.
    pub fn select(&mut self) -> SelectedOperation<'a> {
        assert!(!self.cases().is_empty(), "no operations have been added to `Select`");
        self.run(Patience::Endless).expect("an endless wait ends with an operation")
    }

    /// As [`select`](Self::select), for at most `timeout`; never less, unless an enclosing
    /// [`time::timeout`](crate::time::timeout) ends before. An empty list waits in vain.
    ///
    /// # Errors
    /// The time is up.
    ///
    /// # Examples
    /// ```
    /// use gthread::channel::{Select, unbounded};
    /// use std::time::Duration;
    /// let (_s, r) = unbounded::<i32>();
    /// let mut select = Select::new();
    /// select.recv(&r);
    /// assert!(select.select_timeout(Duration::from_millis(1)).is_err());
    /// ```
    pub fn select_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<SelectedOperation<'a>, SelectTimeoutError> {
        self.run(patience(clock::after(timeout))).ok_or(SelectTimeoutError)
    }

    /// As [`select_timeout`](Self::select_timeout), until `deadline`.
    ///
    /// # Errors
    /// The time is up.
    pub fn select_deadline(
        &mut self,
        deadline: Instant,
    ) -> Result<SelectedOperation<'a>, SelectTimeoutError> {
        self.run(patience(clock::at(deadline))).ok_or(SelectTimeoutError)
    }

    /// The index of an operation that could be done at this moment; it is not chosen, so others
    /// may be faster.
    ///
    /// # Errors
    /// None could be.
    ///
    /// # Examples
    /// ```
    /// use gthread::channel::{Select, unbounded};
    /// let (s, r) = unbounded();
    /// s.send(1).unwrap();
    /// let mut select = Select::new();
    /// let receive = select.recv(&r);
    /// assert_eq!(select.try_ready(), Ok(receive));
    /// assert_eq!(r.try_recv(), Ok(1));
    /// ```
    pub fn try_ready(&mut self) -> Result<usize, TryReadyError> {
        self.run_ready(Patience::None).ok_or(TryReadyError)
    }

    /// As [`try_ready`](Self::try_ready), but blocks the thread, green or not, until there is one.
    /// It may be one that was ready for a moment only.
    ///
    /// # Panics
    /// If the list is empty.
    pub fn ready(&mut self) -> usize {
        assert!(!self.cases().is_empty(), "no operations have been added to `Select`");
        self.run_ready(Patience::Endless).expect("an endless wait ends with an operation")
    }

    /// As [`ready`](Self::ready), for at most `timeout`; an empty list waits in vain.
    ///
    /// # Errors
    /// The time is up.
    pub fn ready_timeout(&mut self, timeout: Duration) -> Result<usize, ReadyTimeoutError> {
        self.run_ready(patience(clock::after(timeout))).ok_or(ReadyTimeoutError)
    }

    /// As [`ready_timeout`](Self::ready_timeout), until `deadline`.
    ///
    /// # Errors
    /// The time is up.
    pub fn ready_deadline(&mut self, deadline: Instant) -> Result<usize, ReadyTimeoutError> {
        self.run_ready(patience(clock::at(deadline))).ok_or(ReadyTimeoutError)
    }

    fn run(&mut self, patience: Patience) -> Option<SelectedOperation<'a>> {
        let (ticket, case) = core::run(self.ordered(), patience)?;
        Some(SelectedOperation { ticket: Some(ticket), case })
    }

    fn run_ready(&mut self, patience: Patience) -> Option<usize> {
        core::ready(self.ordered(), patience)
    }

    /// The operations in the order in which they are to be tried.
    fn ordered(&mut self) -> &[Case<'a>] {
        if !self.is_biased {
            shuffle(self.cases());
        }
        self.cases()
    }
}

fn patience(deadline_ns: Option<u64>) -> Patience {
    deadline_ns.map_or(Patience::Endless, Patience::Until)
}

impl Default for Select<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for Select<'_> {
    fn clone(&self) -> Self {
        Self { spilled: self.spilled.clone(), ..*self }
    }
}

impl fmt::Debug for Select<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Select { .. }")
    }
}

/// An operation that a [`Select`] has chosen: to be completed by [`send`](Self::send) or
/// [`recv`](Self::recv), at once. Until then others may wait for it.
///
/// # Panics
/// If it is dropped without having been completed. The operation is then given up: what was about
/// to be received is lost, who waited for the message goes on waiting.
#[must_use = "the operation is chosen but not yet done"]
pub struct SelectedOperation<'a> {
    /// `None`: it was completed.
    ticket: Option<Ticket>,
    case: Case<'a>,
}

impl SelectedOperation<'_> {
    /// Which operation it is: what [`Select::send`] or [`Select::recv`] returned.
    pub fn index(&self) -> usize {
        self.case.index
    }

    /// Completes sending.
    ///
    /// # Errors
    /// The channel is disconnected; the value comes back.
    ///
    /// # Panics
    /// If `s` is not the sender that was added.
    ///
    /// # Examples
    /// ```
    /// use gthread::channel::{Select, bounded};
    /// let (s, r) = bounded(1);
    /// let mut select = Select::new();
    /// select.send(&s);
    /// select.select().send(&s, 10).unwrap();
    /// assert_eq!(r.recv(), Ok(10));
    /// ```
    pub fn send<T>(mut self, s: &Sender<T>, value: T) -> Result<(), SendError<T>> {
        let handle = std::ptr::from_ref(s).cast();
        assert!(
            self.case.handle == handle && self.case.side == Side::Sender,
            "passed a sender that wasn't selected"
        );
        match self.ticket.take() {
            Some(ticket) => s.write(ticket, value).map_err(SendError),
            None => Err(SendError(value)),
        }
    }

    /// Completes receiving.
    ///
    /// # Errors
    /// The channel is empty and disconnected.
    ///
    /// # Panics
    /// If `r` is not the receiver that was added.
    ///
    /// # Examples
    /// ```
    /// use gthread::channel::{Select, bounded};
    /// let (s, r) = bounded(1);
    /// s.send(10).unwrap();
    /// let mut select = Select::new();
    /// select.recv(&r);
    /// assert_eq!(select.select().recv(&r), Ok(10));
    /// ```
    pub fn recv<T>(mut self, r: &Receiver<T>) -> Result<T, RecvError> {
        let handle = std::ptr::from_ref(r).cast();
        assert!(
            self.case.handle == handle && self.case.side == Side::Receiver,
            "passed a receiver that wasn't selected"
        );
        self.ticket.take().map_or(Err(RecvError), |ticket| r.read(ticket))
    }
}

impl Drop for SelectedOperation<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        self.case.channel.abandon(self.case.side, ticket);
        // While another panic unwinds (that of the message, say) a second one would abort.
        if !std::thread::panicking() {
            panic!("dropped `SelectedOperation` without completing the operation");
        }
    }
}

impl fmt::Debug for SelectedOperation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("SelectedOperation { .. }")
    }
}
