//! Machines of one's own: green threads that are tied to one.
//!
//! # Protocol
//! (t1) A tie is counted before a machine is kept ([`Ties`](super::ties::Ties)). Where that would
//! leave no machine for the others, (t2) the green thread leaves a *wish* for the monitor, which is
//! news (Inv. NewsIsSeen), and waits. (t3) The monitor counts the tie for it, after it has started a
//! machine if it has to, or says why it cannot, and wakes it. (t4) The machine is kept: that on
//! which the green thread finds itself, or on which it first runs. (t5) At the end of the tie the
//! machine is no longer kept; then the tie is given back.
//!
//! The monitor is there as long as somebody may wish: who does is a green thread of the runtime, or
//! has a handle of it.

use super::enter::{current_green, enter};
use super::shared::Shared;
use super::wait::{wait, wake};
use crate::green::wait::Outcome;
use crate::green::{Green, Reason, Token};
use crate::machine::Machine;
use crate::primitive::lock::{Lock, Rank};
use std::io;
use std::ptr::NonNull;
use std::sync::{Arc, OnceLock};

/// What the monitor says to a wish.
type Answer = Arc<OnceLock<io::Result<()>>>;

/// Those who wait at t2.
#[derive(Debug)]
pub(super) struct Wishes(Lock<Vec<(Token, Answer)>>);

impl Wishes {
    /// None.
    pub(super) fn new() -> Self {
        Self(Lock::new(Rank(20), Vec::new()))
    }
}

impl Shared {
    /// Counts a tie: t1 to t3.
    ///
    /// # Errors
    /// The kernel's, when no machine would be left for the others and none can be started.
    ///
    /// # Switches
    pub(super) fn tie(&self) -> io::Result<()> {
        if self.spares.ties.try_tie() {
            return Ok(());
        }
        let answer = Answer::default();
        wait(Reason::Machine, None, |token| {
            self.spares.wishes.0.lock().push((token, answer.clone()));
            self.monitor.wake();
            true
        });
        match answer.get().expect("who wakes it has answered") {
            Ok(()) => Ok(()),
            Err(error) => Err(io::Error::new(error.kind(), Refused(error.to_string()))),
        }
    }

    /// The monitor's part of [`tie`](Self::tie): t3.
    pub(super) fn fill_wishes(&self) {
        let wishes = std::mem::take(&mut *self.spares.wishes.0.lock());
        for (token, answer) in wishes {
            // It is the only one to answer.
            let _ = answer.set(self.tie_or_start());
            wake(token, Outcome::Woken);
        }
    }

    fn tie_or_start(&self) -> io::Result<()> {
        // Others may take what was started for this one, each at most once in its wish.
        while !self.spares.ties.try_tie() {
            self.start_spare()?;
        }
        Ok(())
    }
}

/// Why a green thread gets no machine of its own.
#[derive(Debug)]
struct Refused(String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "no OS thread of its own for a green thread: none would be left for the others, and no \
             further one can be started: {}",
            self.0
        )
    }
}

impl std::error::Error for Refused {}

/// Ties the running green thread to the OS thread it is on, until [`unpin`]; nests. `false` off
/// green threads, where there is nothing to tie.
///
/// # Errors
/// The kernel's, when no machine would be left for the others and none can be started.
///
/// # Switches
pub(crate) fn pin() -> io::Result<bool> {
    let Some(me) = current_green() else { return Ok(false) };
    let is_counted = me.pinned_to.get().is_null();
    if is_counted {
        // SAFETY: `me` runs here, so it has not finished.
        unsafe { Shared::of(me) }.tie()?;
    }
    keep_machine(me, is_counted);
    Ok(true)
}

/// t4, for the running green thread; `is_counted`: t1 was done.
fn keep_machine(me: &Green, is_counted: bool) {
    let entered = enter(me);
    me.pins.set(me.pins.get() + 1);
    let ties = &entered.shared.spares.ties;
    match (me.pinned_to.get().is_null(), is_counted) {
        (true, true) | (false, false) => {}
        (true, false) => _ = ties.tie_anyway(),
        // A handler of a signal has tied it meanwhile.
        (false, true) => ties.untie(),
    }
    if me.pinned_to.get().is_null() {
        me.pin_to(std::ptr::from_ref(entered.machine).cast());
        entered.machine.locked.set(Some(NonNull::from(me)));
    }
    entered.leave();
}

/// The running green thread has changed the signal mask of its machine: it is pinned as long as that
/// is another than the machine's own, which everybody else runs with.
///
/// Also called by a handler of a signal. What a handler does to the mask ends with it, so inside the
/// runtime, which is not re-entrant, it is ignored. Elsewhere it pins, at worst for longer than
/// needed: until the next change, or the end. It cannot be refused, and does not wait: the tie is
/// counted even if it leaves no machine for the others.
pub(crate) fn mask_changed() {
    let Some(me) = current_green() else { return };
    // SAFETY: `me` runs here.
    let machine = unsafe { Machine::of(me) };
    if machine.bias.is_in_runtime() {
        return;
    }
    match (machine.has_other_mask(), me.has_own_mask.get()) {
        (true, false) => {
            keep_machine(me, false);
            me.has_own_mask.set(true);
        }
        (false, true) => {
            me.has_own_mask.set(false);
            unpin();
        }
        _ => {}
    }
}

/// Ends one [`pin`].
pub(crate) fn unpin() {
    let Some(me) = current_green() else { return };
    let entered = enter(me);
    let pins = me.pins.get() - 1;
    me.pins.set(pins);
    if pins == 0 {
        me.pinned_to.set(std::ptr::null());
        entered.machine.locked.set(None);
        entered.machine.restore_mask();
        entered.shared.spares.ties.untie();
    }
    entered.leave();
}
