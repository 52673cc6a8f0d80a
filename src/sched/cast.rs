//! The threads that play the monitor, one at a time.
//!
//! There is one, until many machines are at work and its share of the CPUs is used up; then the
//! role passes on, by [`relay`](super::relay), after each [`TURN_NS`] of work, and the one who has
//! acted rests while the others act. Each new player is started by one that plays: it inherits
//! what the machines may inherit.

use super::monitor::{Monitor, SHORT_SLICE_NS};
use super::relay::{Cue, PLAYERS_MAX, Relay, Role};
use super::shared::Shared;
use std::sync::Arc;
use std::thread::JoinHandle;

/// How long a thread works among many machines before it passes the role on.
const TURN_NS: u64 = 50_000;
/// How late it may wake before it passes the role on at once.
const LATE_NS: u64 = 500_000;

/// What the players pass on.
#[derive(Debug)]
struct Part {
    monitor: Monitor,
    relay: Arc<Relay>,
    /// The threads of all players but the first.
    others: Vec<JoinHandle<()>>,
    /// How long its player has worked since it got the role.
    worked_ns: u64,
}

/// The first thread that plays the monitor; ends when the runtime stops, after the others.
pub(crate) fn main(shared: &Arc<Shared>) {
    crate::sys::schedule::set_timer_slack_ns(1);
    crate::sys::schedule::set_slice(0, Some(SHORT_SLICE_NS));
    let relay = Arc::new(Relay::new());
    let (monitor, others) = (Monitor::new(shared), Vec::new());
    let part = Part { monitor, relay: relay.clone(), others, worked_ns: 0 };
    let Some(part) = relay.play(0, Some(Box::new(part))) else { return };
    relay.dismiss(part.players());
    for other in part.others {
        // A player never panics: a panic in the scheduler aborts.
        let _ = other.join();
    }
}

impl Role for Part {
    fn act(&mut self) -> Cue {
        let Some(look) = self.monitor.round() else { return Cue::Stop };
        self.worked_ns += if look.late_ns > LATE_NS { TURN_NS } else { look.took_ns };
        if self.worked_ns < TURN_NS || !self.monitor.is_crowded() {
            return Cue::Again;
        }
        self.worked_ns = 0;
        self.admit();
        Cue::Pass
    }

    fn players(&self) -> usize {
        1 + self.others.len()
    }
}

impl Part {
    /// Starts one more player, if there may be one. Without a thread for it the others go on.
    fn admit(&mut self) {
        let me = self.players();
        if me == PLAYERS_MAX {
            return;
        }
        let relay = self.relay.clone();
        let player = crate::sys::schedule::spawn(format!("gthread-monitor-{me}"), move || {
            relay.play::<Part>(me, None);
        });
        self.others.extend(player);
    }
}
