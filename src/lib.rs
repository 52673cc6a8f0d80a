//! M:N green threads: `std::thread` semantics at the cost of a goroutine.
//!
//! Blocking code, safe Rust, a million threads at once. [`spawn`](spawn()) has the bounds and the
//! meaning of [`std::thread::spawn`]; what waits is written as if it blocked.
//!
//! ```
//! use gthread::channel::bounded;
//! use std::time::Duration;
//!
//! let (sender, receiver) = bounded(16);
//! for n in 0..10_000_u64 {
//!     let sender = sender.clone();
//!     gthread::spawn(move || {
//!         gthread::sleep(Duration::from_millis(1));
//!         sender.send(n).unwrap();
//!     });
//! }
//! drop(sender);
//! assert_eq!(receiver.iter().sum::<u64>(), 49_995_000);
//! ```
//!
//! # The map
//! - Threads: [`spawn`](spawn()), [`Builder`], [`JoinHandle`], [`scope`](scope()), [`current`],
//!   [`park`], [`sleep`], [`yield_now`].
//! - [`channel`] with [`select!`], [`sync`], [`net`], [`time`]: names and semantics of
//!   crossbeam-channel, parking_lot and `std`, `std::net`, `std` and tokio. What waits in them blocks
//!   the green thread and nothing else.
//! - [`blocking`] around a call that blocks its OS thread spares the monitor the discovery;
//!   [`pin_to_machine`] is for what belongs to the kernel's thread.
//! - [`Runtime`]: processors of one's own, and an end that waits; the default one starts by itself,
//!   with as many processors as the environment variable `GTHREAD_MAXPROCS` says, else as
//!   [`available_parallelism`] does.
//! - [`inspect`]: what everything is doing. [`alloc`]: a global allocator whose caches belong to the
//!   machine.
//!
//! Everything also works on a plain OS thread: a wait there blocks that thread.
//!
//! # What is the green thread's own
//! Thread-locals, `errno`, the panic count, `std::thread::current()` and the signal mask belong to the
//! green thread, whichever OS thread carries it. What the kernel keeps per thread (affinity,
//! namespaces, scheduling class) belongs to the carrier; see [`pin_to_machine`].
//!
//! # Platforms
//! Linux with glibc on x86-64 and aarch64. Elsewhere [`RuntimeBuilder::build`] fails and says why, and
//! [`RuntimeBuilder::os_threads`] makes each green thread an OS thread.
#![cfg_attr(loom, allow(dead_code))]
// The examples of the README are tested as those of this page are.
#![cfg_attr(doctest, doc = include_str!("../README.md"))]

pub mod alloc;
#[cfg(not(loom))]
mod arch;
pub mod channel;
mod collections;
mod green;
#[cfg(not(loom))]
pub mod inspect;
mod machine;
#[cfg(not(loom))]
pub mod net;
mod netpoll;
#[cfg(not(loom))]
mod own_tls;
mod primitive;
mod processor;
#[cfg(not(loom))]
mod runtime;
mod sched;
mod stack;
pub mod sync;
#[cfg(not(loom))]
mod sys;
#[cfg(not(loom))]
pub mod time;
mod timer;

#[cfg(not(loom))]
pub use runtime::*;

/// For the fault-injection tests of this crate alone: makes calls of the kernel fail.
#[cfg(all(feature = "fault-injection", not(loom)))]
#[doc(hidden)]
pub mod fault {
    pub use crate::sys::fault::{Call, calls, clear, fail};
}
