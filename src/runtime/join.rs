//! Join handles.

use super::spawn::run_body;
use super::thread::Thread;
use crate::green::join::Announce;
use crate::green::wait::Outcome;
use crate::green::{Green, Reason};
use crate::sched::{self, Shared};
use crate::stack::StackSize;
use crate::sys::clock;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::time::Duration;

/// Owns the right to join a green thread; dropping it detaches the green thread.
///
/// # Examples
/// ```
/// let handle = gthread::spawn(|| "done");
/// assert_eq!(handle.join().unwrap(), "done");
/// ```
pub struct JoinHandle<T> {
    thread: Thread,
    joined: bool,
    _result: PhantomData<T>,
}

// SAFETY: a handle gives the result, once, to the thread that joins: `T: Send` is enough. The
// thread handle inside is Send; the rest is plain data.
unsafe impl<T: Send> Send for JoinHandle<T> {}
// SAFETY: a shared handle only asks `is_finished` and lends the thread handle, which is Sync.
unsafe impl<T: Send> Sync for JoinHandle<T> {}

impl<T> JoinHandle<T> {
    /// Takes over one reference of a header with a result of type `T`.
    pub(super) fn new(header: NonNull<Green>) -> Self {
        Self { thread: Thread::from_reference(header), joined: false, _result: PhantomData }
    }

    /// Waits for the green thread to finish and returns its result; `Err` holds the payload of its
    /// panic.
    ///
    /// Blocks the calling thread, green or not. Returns after the destructors of the green
    /// thread's thread-locals have run.
    ///
    /// # Errors
    /// The payload of the panic that ended the green thread.
    pub fn join(mut self) -> std::thread::Result<T> {
        self.wait(None);
        self.take_result()
    }

    /// Takes the result of a green thread that has finished.
    fn take_result(&mut self) -> std::thread::Result<T> {
        self.joined = true;
        // SAFETY: finished, so the stage holds the result, which this handle alone may take.
        unsafe { self.thread.header().stage.take::<std::thread::Result<T>>() }
    }

    /// As [`join`](JoinHandle::join), for at most `timeout`; gives the handle back if the green
    /// thread has not finished by then.
    ///
    /// Inside a [`time::timeout`](crate::time::timeout) it ends at the earlier of the two.
    ///
    /// # Errors
    /// The handle, when the timeout passed first.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// let handle = gthread::spawn(gthread::park);
    /// let handle = handle.join_timeout(Duration::from_millis(1)).expect_err("it parks");
    /// handle.thread().unpark();
    /// assert!(handle.join().is_ok());
    /// ```
    pub fn join_timeout(mut self, timeout: Duration) -> Result<std::thread::Result<T>, Self> {
        let deadline_ns = sched::earlier_deadline_ns(clock::deadline_after(timeout));
        if !self.wait(Some(deadline_ns)) {
            return Err(self);
        }
        Ok(self.take_result())
    }

    /// Whether the green thread has finished; if so, `join` does not wait.
    pub fn is_finished(&self) -> bool {
        self.thread.header().join.is_finished()
    }

    /// A handle of the green thread.
    pub fn thread(&self) -> &Thread {
        &self.thread
    }

    /// Waits until the green thread has finished, or until the deadline; whether it has finished.
    fn wait(&mut self, deadline_ns: Option<u64>) -> bool {
        let green = self.thread.header();
        if green.join.is_finished() {
            return true;
        }
        let outcome = sched::wait(Reason::Join, deadline_ns, |token| {
            green.joiner.set(Some(token));
            green.join.announce_joiner() == Announce::Wait
        });
        outcome == Outcome::Woken || green.join.retract_joiner() == Announce::Done
    }

    /// Starts the OS thread that stands in for the green thread.
    ///
    /// # Errors
    /// The kernel's; the closure has been dropped then.
    pub(super) fn start_os_thread(
        &mut self,
        shared: &Shared,
        name: Option<String>,
        stack_size: StackSize,
    ) -> io::Result<()> {
        let header = NonNull::from(self.thread.header());
        let mut builder = std::thread::Builder::new().stack_size(stack_size.bytes());
        // `std` panics at a name with a NUL; the OS thread goes without one then.
        if let Some(name) = name.filter(|name| !name.contains('\0')) {
            builder = builder.name(name);
        }
        let started = shared.start_stand_in(header, builder, run_body);
        if started.is_err() {
            self.joined = true;
            sched::cancel_unstarted(shared, header);
        }
        started
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        let green = self.thread.header();
        if !self.joined
            && green.join.detach()
            && let Some(vtable) = green.vtable.get()
        {
            // SAFETY: the result is there, and nobody else drops it (Inv. OneDrop).
            unsafe { (vtable.drop_result)(green) };
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("thread", &self.thread).finish_non_exhaustive()
    }
}
