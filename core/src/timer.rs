//! When to wake up: an alarm that is re-armed as seldom as it can be.

use crate::time::Instant;

/// Says when a driver has to re-arm its sleep: when the deadline moves earlier, or the armed time
/// has passed. A deadline that only moves later leaves the sleep alone: it wakes early, finds
/// nothing to do, and is armed again. So deadlines that move with every message cost nothing.
///
/// ```
/// use core::time::Duration;
/// use heartwire_core::{time::Instant, timer::Alarm};
///
/// let t = |s| Instant::ZERO + Duration::from_secs(s);
/// let mut alarm = Alarm::new();
/// assert_eq!(alarm.rearm(t(0), Some(t(5))), Some(t(5)));
/// assert_eq!(alarm.rearm(t(1), Some(t(6))), None); // later: leave it
/// assert_eq!(alarm.rearm(t(2), Some(t(3))), Some(t(3))); // earlier
/// assert_eq!(alarm.rearm(t(3), Some(t(6))), Some(t(6))); // its time has passed
/// alarm.went_off();
/// assert_eq!(alarm.rearm(t(5), Some(t(6))), Some(t(6))); // it went off early
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Alarm {
    armed: Option<Instant>,
}

impl Alarm {
    /// An alarm that is not armed.
    #[must_use]
    pub const fn new() -> Self {
        Self { armed: None }
    }

    /// The sleep is over, early or not: it has to be armed again.
    pub fn went_off(&mut self) {
        self.armed = None;
    }

    /// The time to arm the sleep for now, or none to leave it as it is.
    pub fn rearm(&mut self, now: Instant, deadline: Option<Instant>) -> Option<Instant> {
        let deadline = deadline?;
        match self.armed {
            Some(armed) if armed > now && armed <= deadline => None,
            _ => {
                self.armed = Some(deadline);
                Some(deadline)
            }
        }
    }

    /// Whether the sleep can stay as it is: [`rearm`](Self::rearm) would leave it alone.
    #[must_use]
    pub fn covers(&self, now: Instant, deadline: Option<Instant>) -> bool {
        let mut alarm = *self;
        alarm.rearm(now, deadline).is_none()
    }
}

/// The earliest of several deadlines.
pub(crate) fn earliest<const N: usize>(deadlines: [Option<Instant>; N]) -> Option<Instant> {
    deadlines.into_iter().fold(None, |earliest, deadline| match (earliest, deadline) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    })
}
