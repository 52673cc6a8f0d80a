//! The scheduler: who runs where, and who runs next.
//!
//! The protocols, their proofs, and the table of every entry with and without a processor are in
//! `README.md` beside this file. In short: a green thread *enters* the runtime ([`enter`]), and
//! leaves its stack by [`switch`] to the next one that [`find`] gives; when there is none, the
//! machine's own loop ([`run`]) steals, and finally retires by the protocol of [`idle`]. Work
//! that is submitted wakes one machine if none searches ([`spare`]). The [`monitor`] takes
//! processors from machines that block or compute for too long.

#[cfg(all(test, loom))]
mod backlog_model;
pub(crate) mod idle;
#[cfg(all(test, loom))]
mod idle_model;
#[cfg(all(test, loom))]
mod poller_model;
mod relay;
#[cfg(all(test, loom))]
mod relay_model;
pub(crate) mod spare_list;
#[cfg(all(test, loom))]
mod spare_model;
mod ties;
#[cfg(all(test, loom))]
mod ties_model;
pub(crate) mod timekeeper;
#[cfg(all(test, loom))]
mod timekeeper_model;
#[cfg(all(test, loom))]
mod timeout_model;
pub(crate) mod watch;
#[cfg(all(test, loom))]
mod watch_model;

cfg_if::cfg_if! {
    if #[cfg(not(loom))] {
        mod blocking;
        pub(crate) mod cast;
        mod enter;
        mod find;
        pub(crate) mod fork;
        pub(crate) mod io;
        pub(crate) mod monitor;
        mod registry;
        mod report;
        mod run;
        pub(crate) mod shared;
        mod shutdown;
        mod spare;
        mod stand_in;
        pub(crate) mod spawn;
        mod spin;
        mod suspect;
        mod switch;
        mod tie;
        mod timeout;
        mod wait;
        mod yielding;

        pub(crate) use blocking::blocking;
        pub(crate) use tie::{mask_changed, pin, unpin};
        pub(crate) use enter::{current_stack, free_header};
        pub(crate) use spawn::cancel_unstarted;
        pub(crate) use spin::may_spin;
        pub(crate) use registry::{deregister, register, runtimes};
        pub(crate) use shared::{Carriage, Shared};
        pub(crate) use timeout::{deadline_ns, earlier_deadline_ns, with_deadline};
        pub(crate) use crate::green::Token;
        pub(crate) use wait::{
            Claimed, claim, current_for_handle, current_or_adopt, ready_elsewhere, sleep_until, wait, wake,
        };
        pub(crate) use yielding::yield_now;

        /// One more strong count for the runtime behind a reference.
        ///
        /// # Safety
        /// - `shared` lies in an `Arc` whose strong count is not 0 during the call.
        pub(crate) unsafe fn retain(shared: &Shared) -> std::sync::Arc<Shared> {
            let pointer = std::ptr::from_ref(shared);
            // SAFETY: the caller's clause.
            unsafe { std::sync::Arc::increment_strong_count(pointer) };
            // SAFETY: the count made above is the one given away.
            unsafe { std::sync::Arc::from_raw(pointer) }
        }
    } else {
        mod wait_stand_in;

        #[allow(unused_imports, reason = "what models of sync and channel need")]
        pub(crate) use wait_stand_in::{
            Claimed, Token, claim, expire, forget_model, wait, wake, yield_now,
        };
    }
}
