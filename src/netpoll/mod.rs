//! Readiness of descriptors: who waits for which, and whom an event makes ready.
//!
//! A [`Descriptor`] is the state of one file descriptor: for each direction a word that events
//! advance, whoever waits, and a deadline ([`side`]). It is registered with the epoll instance of
//! a runtime, its [`Poller`], when a green thread of that runtime first has to wait for it, once
//! and for both directions, edge-triggered. OS threads wait in poll(2) instead.
//!
//! This module finds tokens and readies nobody: `sched::io` waits and wakes. The protocol, its
//! proofs and how to use it are in `README.md` beside this file.

mod crowd;
#[cfg(all(test, loom))]
mod model;
mod relay;
#[cfg(all(test, loom))]
mod relay_model;
mod side;
pub(crate) mod turn;

cfg_if::cfg_if! {
    if #[cfg(not(loom))] {
        mod arena;
        mod descriptor;
        mod poller;
        mod slot;

        pub(crate) use descriptor::Descriptor;
        pub(crate) use poller::{Poller, Turn};
        pub(crate) use slot::Wakes;
    }
}

#[cfg(not(loom))]
pub(crate) use side::Seen;

/// A direction of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Reading, accepting.
    Input,
    /// Writing, connecting.
    Output,
}

/// What a token is here: a pointer and a number.
pub(crate) trait Name: Copy {
    /// The two halves.
    fn parts(self) -> (*mut (), u64);
    /// The token that has these halves.
    fn from_parts(name: *mut (), number: u64) -> Self;
}

#[cfg(not(loom))]
impl Name for crate::green::Token {
    #[inline(always)]
    fn parts(self) -> (*mut (), u64) {
        (self.green.as_ptr().cast(), self.sequence.get())
    }

    #[inline(always)]
    fn from_parts(name: *mut (), number: u64) -> Self {
        let green = std::ptr::NonNull::new(name.cast()).unwrap_or_else(|| {
            crate::primitive::abort::rt_abort!("netpoll: a direction waits for nobody")
        });
        Self { green, sequence: crate::green::wait::Sequence::from_raw(number) }
    }
}
