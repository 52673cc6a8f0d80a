//! Messages between threads, green or not: names and semantics of crossbeam-channel.
//!
//! A channel is a [`Sender`] and a [`Receiver`], which may be cloned and sent to any thread. Who has
//! to wait blocks where it stands: a green thread leaves its processor to others, an OS thread
//! sleeps. Green threads of any runtime and OS threads may stand at the two ends of one channel.
//!
//! | made by | holds | sending blocks |
//! |---|---|---|
//! | [`bounded`]`(0)` | nothing: values go from hand to hand | until somebody receives |
//! | [`bounded`]`(n)` | `n` values | while it is full |
//! | [`unbounded`] | any number | never |
//! | [`after`], [`at`], [`tick`] | one [`Instant`](std::time::Instant) | (nobody sends) |
//! | [`never()`] | nothing | (nobody sends) |
//!
//! To wait for several channels at once: [`select!`](crate::select), [`select_biased!`], or
//! [`Select`] for a list made at run time.
//!
//! When the last sender or the last receiver is dropped, the channel is *disconnected*, and whoever
//! waits at the other side is told. What lies in it can still be received.
//!
//! Code written for crossbeam-channel moves over by its `use` line. What differs: the message of a
//! panic, and a [`SelectedOperation`] that is dropped gives its operation up.
//!
//! The protocols, with their proofs, are in `README.md` beside this file.
//!
//! # Examples
//! ```
//! use gthread::channel::bounded;
//!
//! let (s, r) = bounded(8);
//! let total = gthread::run(move || {
//!     for _ in 0..4 {
//!         let s = s.clone();
//!         gthread::spawn(move || (1..=10).for_each(|i| s.send(i).unwrap()));
//!     }
//!     drop(s);
//!     r.iter().sum::<i32>()
//! });
//! assert_eq!(total, 220);
//! ```

mod clock;
mod counter;
#[cfg(all(test, loom))]
mod counter_model;
mod error;
mod exchange;
mod flavor;
mod padded;
mod select;
mod snooze;
mod waiters;

pub use error::{
    ReadyTimeoutError, RecvError, RecvTimeoutError, SelectTimeoutError, SendError,
    SendTimeoutError, TryReadyError, TryRecvError, TrySelectError, TrySendError,
};

cfg_if::cfg_if! {
    if #[cfg(not(loom))] {
        mod iter;
        mod make;
        mod receiver;
        mod sender;

        pub use iter::{IntoIter, Iter, TryIter};
        pub use make::{after, at, bounded, never, tick, unbounded};
        pub use receiver::Receiver;
        pub use select::dynamic::{Select, SelectedOperation};
        pub use sender::Sender;
        #[doc(hidden)]
        pub use select::macros::__gthread_select;
        #[doc(no_inline)]
        pub use select::macros::{select, select_biased};
    }
}
