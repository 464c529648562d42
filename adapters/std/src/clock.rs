//! The machines' time from the operating system's monotonic clock.

use std::time::{Duration, Instant as StdInstant};

use heartwire_core::time::Instant;

/// Far enough for any deadline, near enough for any platform's clock.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// Maps between [`std::time::Instant`] and the machines' [`Instant`], whose epoch is the clock's creation.
///
/// One clock for all machines of a program makes their times comparable; copies are the same clock.
///
/// ```
/// use heartwire_std::clock::Clock;
///
/// let clock = Clock::new();
/// let now = std::time::Instant::now();
/// assert_eq!(clock.to_std(clock.at(now)), now);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    epoch: StdInstant,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// A clock that begins now.
    #[must_use]
    pub fn new() -> Self {
        Self::starting_at(StdInstant::now())
    }

    /// A clock that begins at `epoch`: for runtimes with a clock of their own (paused in tests).
    #[must_use]
    pub fn starting_at(epoch: StdInstant) -> Self {
        Self { epoch }
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.at(StdInstant::now())
    }

    /// The machines' name for `instant`; the epoch for anything before it.
    #[must_use]
    pub fn at(&self, instant: StdInstant) -> Instant {
        Instant::ZERO + instant.saturating_duration_since(self.epoch)
    }

    /// The operating system's name for `instant`; what its clock can't represent becomes an instant
    /// thirty years after the epoch.
    #[must_use]
    pub fn to_std(&self, instant: Instant) -> StdInstant {
        let after = instant.since(Instant::ZERO);
        self.epoch.checked_add(after).unwrap_or_else(|| self.epoch + FAR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_agree_and_neither_panics() {
        let clock = Clock::new();
        let before = clock.now();
        let later = clock.epoch + Duration::from_millis(1500);
        assert_eq!(clock.at(later), Instant::ZERO + Duration::from_millis(1500));
        assert_eq!(clock.to_std(clock.at(later)), later);
        assert!(clock.now() >= before);
        let younger = Clock::starting_at(later);
        assert_eq!(younger.at(clock.epoch), Instant::ZERO);
        assert!(clock.to_std(Instant::MAX) >= clock.epoch + FAR);
    }
}
