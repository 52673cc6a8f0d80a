//! Ticks at a fixed distance.
//!
//! An interval owns no timer: it is the time of its next tick, and [`Interval::tick`] sleeps until
//! then. So ticks that nobody waits for cost nothing, and dropping an interval cancels nothing.
//!
//! A tick is *missed* when its time has passed before `tick` is called: whoever was late was the
//! caller, and [`MissedTickBehavior`] says what becomes of the ticks after it. A tick that was
//! waited for and came late by the scheduler's doing moves nothing: the next is due one period
//! after this one *was*, so lateness does not add up. (tokio, whose clock counts milliseconds, calls
//! a tick missed that is more than 5 ms late, whosever doing.)

use std::time::{Duration, Instant};

/// When the ticks come that follow a missed one.
///
/// Names and meaning are tokio's; [`Interval`] says when a tick is missed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedTickBehavior {
    /// At their times: those that have passed at once, one after the other, until the interval has
    /// caught up. The number of ticks is right.
    #[default]
    Burst,
    /// Each a period after the missed one was taken: ticks are never closer than that.
    Delay,
    /// Those that have passed are left out; the next comes at the next multiple of the period since
    /// the start.
    Skip,
}

/// Ticks of a fixed period; made by [`interval`] and [`interval_at`].
///
/// A tick is missed when its time has passed before [`tick`](Interval::tick) is called.
#[derive(Debug)]
pub struct Interval {
    /// `None`: a time too far off for the clock.
    next: Option<Instant>,
    period: Duration,
    behavior: MissedTickBehavior,
}

/// An interval whose first tick is due at once, and the others `period` apart.
///
/// # Examples
/// ```
/// use std::time::{Duration, Instant};
/// let start = Instant::now();
/// let mut ticks = gthread::time::interval(Duration::from_micros(200));
/// for _ in 0..4 {
///     ticks.tick();
/// }
/// assert!(start.elapsed() >= Duration::from_micros(600));
/// ```
///
/// # Panics
/// If `period` is zero.
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    interval_at(Instant::now(), period)
}

/// An interval whose first tick is due at `start`, and the others `period` apart.
///
/// # Panics
/// If `period` is zero.
#[track_caller]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    assert!(
        !period.is_zero(),
        "invalid period {period:?} of an interval: accepted is 1 ns or more"
    );
    Interval { next: Some(start), period, behavior: MissedTickBehavior::default() }
}

impl Interval {
    /// Blocks the running thread, green or not, until the next tick is due, and returns the time
    /// at which it was.
    ///
    /// Returns at once if that time has passed. A [`timeout`](super::timeout) around it does not
    /// shorten the wait. A tick too far off for the clock never comes.
    pub fn tick(&mut self) -> Instant {
        let Some(due) = self.next else {
            loop {
                super::sleep(Duration::MAX);
            }
        };
        let now = Instant::now();
        if now < due {
            super::sleep_until(due);
            self.next = due.checked_add(self.period);
        } else {
            self.next = self.after_missed(due, now);
        }
        due
    }

    /// The tick after one that was due at `due` and is taken late, at `now`.
    fn after_missed(&self, due: Instant, now: Instant) -> Option<Instant> {
        match self.behavior {
            MissedTickBehavior::Burst => due.checked_add(self.period),
            MissedTickBehavior::Delay => now.checked_add(self.period),
            MissedTickBehavior::Skip => {
                let since_last_ns = (now - due).as_nanos() % self.period.as_nanos();
                let (seconds, ns) = (since_last_ns / 1_000_000_000, since_last_ns % 1_000_000_000);
                now.checked_add(self.period - Duration::new(seconds as u64, ns as u32))
            }
        }
    }

    /// Makes the next tick due one period from now.
    pub fn reset(&mut self) {
        self.reset_after(self.period);
    }

    /// Makes the next tick due at once.
    pub fn reset_immediately(&mut self) {
        self.reset_at(Instant::now());
    }

    /// Makes the next tick due after `duration`, whatever the period.
    pub fn reset_after(&mut self, duration: Duration) {
        self.next = Instant::now().checked_add(duration);
    }

    /// Makes the next tick due at `deadline`, whatever the period.
    pub fn reset_at(&mut self, deadline: Instant) {
        self.next = Some(deadline);
    }

    /// The distance of the ticks.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// When the ticks come that follow a missed one; [`MissedTickBehavior::Burst`] at first.
    pub fn missed_tick_behavior(&self) -> MissedTickBehavior {
        self.behavior
    }

    /// Says when the ticks come that follow a missed one.
    pub fn set_missed_tick_behavior(&mut self, behavior: MissedTickBehavior) {
        self.behavior = behavior;
    }
}

#[cfg(test)]
mod tests {
    use super::{Interval, MissedTickBehavior, interval_at};
    use std::time::{Duration, Instant};

    const PERIOD: Duration = Duration::from_millis(10);

    /// The tick after one that was due at 0 and is taken after `late_ms`, in ms.
    fn next_ms(behavior: MissedTickBehavior, late_ms: u64) -> u128 {
        let start = Instant::now();
        let mut ticks: Interval = interval_at(start, PERIOD);
        ticks.set_missed_tick_behavior(behavior);
        let next = ticks.after_missed(start, start + Duration::from_millis(late_ms));
        (next.expect("in this century") - start).as_millis()
    }

    #[test]
    fn a_missed_tick_moves_the_next_as_was_said() {
        use MissedTickBehavior::{Burst, Delay, Skip};
        let late = [0, 3, 10, 25, 30];
        assert_eq!(late.map(|ms| next_ms(Burst, ms)), [10; 5]);
        assert_eq!(late.map(|ms| next_ms(Delay, ms)), [10, 13, 20, 35, 40]);
        assert_eq!(late.map(|ms| next_ms(Skip, ms)), [10, 10, 20, 30, 40]);
    }
}
