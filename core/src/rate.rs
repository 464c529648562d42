//! How much a peer may send: rates, and the pauses in reading that keep a peer within them.
//!
//! Nobody is cut for being fast, and nothing is lost: what is above a rate waits in the peer's and the operating
//! system's buffers.

use alloc::boxed::Box;
use core::time::Duration;

use crate::config::{ConfigError, in_range};
use crate::time::Instant;

/// So many a second, and so many at once after a time in which there were fewer.
///
/// In any time `t`, in seconds, at most `burst + per_second · t` pass. After a pause some are let pass together:
/// a tenth of a second's worth, at most the burst.
///
/// ```
/// use heartwire_core::config::Config;
/// use heartwire_core::rate::Rate;
///
/// let config = Config::builder().message_rate(Some(Rate::new(100, 500)?)).build()?;
/// assert_eq!(config.message_rate().map(Rate::burst), Some(500));
/// # Ok::<(), heartwire_core::config::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    per_second: u64,
    burst: u64,
}

impl Rate {
    /// `per_second` on average, and `burst` at once: messages or bytes, as the option says. Bytes are read in
    /// portions of at most `burst`: below some KiB, reading becomes work.
    ///
    /// # Errors
    ///
    /// One of them is 0: nothing would ever be received.
    pub fn new(per_second: u64, burst: u64) -> Result<Self, ConfigError> {
        in_range("per_second", &per_second, &1, &u64::MAX)?;
        in_range("burst", &burst, &1, &u64::MAX)?;
        Ok(Self { per_second, burst })
    }

    /// How many a second.
    #[must_use]
    pub const fn per_second(self) -> u64 {
        self.per_second
    }

    /// How many at once.
    #[must_use]
    pub const fn burst(self) -> u64 {
        self.burst
    }

    /// How many there must be again when a pause ends, so that few are not waited for one by one.
    fn portion(self) -> u64 {
        (self.per_second / 10).clamp(1, self.burst)
    }
}

/// What passes is counted in billionths, so that a nanosecond is worth `per_second` of them: nothing is rounded.
const UNIT: u128 = 1_000_000_000;

/// A token bucket, and the pause when it is empty.
#[derive(Debug)]
struct Bucket {
    rate: Rate,
    /// What it misses to be full, in billionths, at this time. More than the burst is a debt.
    missing: u128,
    at: Instant,
    /// Until when nothing passes.
    paused: Option<Instant>,
}

impl Bucket {
    /// A full one.
    fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, missing: 0, at: now, paused: None }
    }

    /// So many passed, be they there or not.
    fn take(&mut self, now: Instant, n: u64) {
        self.missing = self.missing_at(now).saturating_add(u128::from(n).saturating_mul(UNIT));
        // A clock that goes back must not let time count twice.
        self.at = self.at.max(now);
        if self.tokens(now) == 0 {
            self.paused = Some(self.when(self.rate.portion()));
        }
    }

    /// The pause is over, if it is.
    fn handle_time(&mut self, now: Instant) {
        if self.paused.is_some_and(|until| until <= now) {
            self.paused = None;
        }
    }

    /// How many there are.
    fn tokens(&self, now: Instant) -> u64 {
        let units = self.capacity().saturating_sub(self.missing_at(now));
        u64::try_from(units / UNIT).unwrap_or(u64::MAX)
    }

    /// When there will be so many, to the nanosecond.
    fn when(&self, tokens: u64) -> Instant {
        let enough = self.capacity().saturating_sub(u128::from(tokens).saturating_mul(UNIT));
        let wait = self.missing.saturating_sub(enough).div_ceil(self.rate.per_second.into());
        self.at + Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX))
    }

    fn missing_at(&self, now: Instant) -> u128 {
        let elapsed = now.as_nanos().saturating_sub(self.at.as_nanos());
        let refill = u128::from(elapsed).saturating_mul(self.rate.per_second.into());
        self.missing.saturating_sub(refill)
    }

    fn capacity(&self) -> u128 {
        u128::from(self.rate.burst).saturating_mul(UNIT)
    }
}

/// The rates of what one connection receives. Mostly there are none: what asks for them is kept out of its callers.
/// Bytes stop reading: what was read is paid for. Messages stop
/// understanding, and with it reading.
#[derive(Debug)]
pub(crate) struct Throttle {
    messages: Option<Bucket>,
    bytes: Option<Bucket>,
}

impl Throttle {
    /// None, if no rate is set.
    pub(crate) fn new(messages: Option<Rate>, bytes: Option<Rate>, now: Instant) -> Option<Box<Self>> {
        if messages.is_none() && bytes.is_none() {
            return None;
        }
        let bucket = |rate: Option<Rate>| rate.map(|rate| Bucket::new(rate, now));
        Some(Box::new(Self { messages: bucket(messages), bytes: bucket(bytes) }))
    }

    /// So many bytes were read.
    #[cold]
    pub(crate) fn handle_received(&mut self, now: Instant, bytes: usize) {
        self.handle_time(now);
        if let Some(bucket) = &mut self.bytes {
            bucket.take(now, bytes as u64);
        }
    }

    /// A message ended.
    #[cold]
    pub(crate) fn handle_message(&mut self, now: Instant) {
        if let Some(bucket) = &mut self.messages {
            bucket.take(now, 1);
        }
    }

    /// Pauses that are over end.
    pub(crate) fn handle_time(&mut self, now: Instant) {
        for bucket in [&mut self.messages, &mut self.bytes].into_iter().flatten() {
            bucket.handle_time(now);
        }
    }

    /// Whether what was read may be understood.
    pub(crate) fn lets_parse(&self) -> bool {
        self.messages.as_ref().is_none_or(|bucket| bucket.paused.is_none())
    }

    /// Whether more may be read.
    pub(crate) fn lets_read(&self) -> bool {
        self.lets_parse() && self.bytes.as_ref().is_none_or(|bucket| bucket.paused.is_none())
    }

    /// How much may be read at once, where so much is wanted, in bytes.
    #[cold]
    pub(crate) fn limit(&self, now: Instant, wanted: usize) -> usize {
        match &self.bytes {
            _ if !self.lets_read() => 0,
            // One at least: there is no pause, and so no time at which nothing would become more.
            Some(bytes) => usize::try_from(bytes.tokens(now)).map_or(wanted, |most| most.max(1).min(wanted)),
            None => wanted,
        }
    }

    /// When the next pause ends.
    #[cold]
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let until = |bucket: &Option<Bucket>| bucket.as_ref().and_then(|bucket| bucket.paused);
        crate::timer::earliest([until(&self.messages), until(&self.bytes)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    const SECOND: u64 = 1_000_000_000;

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    fn bucket(per_second: u64, burst: u64) -> Bucket {
        Bucket::new(Rate::new(per_second, burst).unwrap(), at(0))
    }

    /// Takes one by one, as soon as each may pass; gives the time of the last.
    fn drain(bucket: &mut Bucket, from: Instant, n: u64) -> Instant {
        (0..n).fold(from, |now, _| {
            let now = bucket.paused.unwrap_or(now);
            bucket.handle_time(now);
            assert!(bucket.paused.is_none() && bucket.tokens(now) > 0, "a pause ends too early");
            bucket.take(now, 1);
            assert!(bucket.paused.is_none_or(|until| until > now), "a pause without length");
            now
        })
    }

    #[test]
    fn nothing_is_no_rate() {
        let error = Rate::new(0, 5).unwrap_err();
        assert_eq!(error.to_string(), "per_second: 0 is not between 1 and 18446744073709551615");
        assert_eq!(Rate::new(5, 0).unwrap_err().name(), "burst");
        assert!(Throttle::new(None, None, at(0)).is_none());
    }

    #[test]
    fn nothing_is_rounded_however_long_it_goes_on() {
        // None of these divides a second.
        for per_second in [3, 7, 9, 13] {
            let mut bucket = bucket(per_second, 2);
            let last = drain(&mut bucket, at(0), 2 + per_second * 100_000);
            assert_eq!(last, at(100_000 * SECOND), "{per_second}");
        }
    }

    #[test]
    fn a_pause_ends_when_a_tenth_of_a_second_is_there_again_or_the_burst() {
        for (per_second, burst, nanos) in
            [(1000, 500, SECOND / 10), (1000, 20, SECOND / 50), (4, 9, SECOND / 4), (1, 1, SECOND)]
        {
            let mut bucket = bucket(per_second, burst);
            bucket.take(at(0), burst);
            assert_eq!(bucket.paused, Some(at(nanos)), "{per_second} {burst}");
            bucket.handle_time(at(nanos - 1));
            assert!(bucket.paused.is_some());
            bucket.handle_time(at(nanos));
            assert!(bucket.paused.is_none());
        }
    }

    #[test]
    fn a_debt_is_paid_in_full() {
        let mut bucket = bucket(10, 10);
        bucket.take(at(0), 110);
        assert_eq!(bucket.paused, Some(at(10 * SECOND + SECOND / 10)));
        bucket.take(at(0), 100);
        assert_eq!(bucket.paused, Some(at(20 * SECOND + SECOND / 10)));
        assert_eq!(bucket.tokens(at(20 * SECOND + SECOND / 2)), 5);
        assert_eq!(bucket.tokens(at(1000 * SECOND)), 10, "never more than the burst");
    }

    #[test]
    fn the_largest_numbers_overflow_nothing() {
        let mut largest = bucket(u64::MAX, u64::MAX);
        for now in [0, 1, u64::MAX] {
            (0..1000).for_each(|_| largest.take(at(now), u64::MAX));
            assert!(largest.tokens(at(now)) == 0 && largest.paused.is_some());
        }
        let mut slow = bucket(1, u64::MAX);
        (0..3).for_each(|_| slow.take(at(u64::MAX - 5), u64::MAX));
        assert_eq!(slow.paused, Some(Instant::MAX));
        // After years, the same as at first.
        let mut old = bucket(3, 2);
        let years = 500 * 365 * 24 * 3600 * SECOND;
        assert_eq!(drain(&mut old, at(years), 32), at(years + 10 * SECOND));
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_twice() {
        let mut bucket = bucket(10, 10);
        bucket.take(at(SECOND), 10);
        for _ in 0..5 {
            bucket.take(at(0), 1);
            bucket.take(at(SECOND), 1);
        }
        assert_eq!(bucket.paused, Some(at(2 * SECOND + SECOND / 10)));
    }

    #[test]
    fn the_two_rates_are_counted_apart() {
        let rate = |n| Some(Rate::new(n, n).unwrap());
        let mut throttle = Throttle::new(rate(2), rate(100), at(0)).unwrap();
        throttle.handle_received(at(0), 100);
        assert!(throttle.lets_parse() && !throttle.lets_read(), "what was read is paid for");
        assert_eq!(throttle.deadline(), Some(at(SECOND / 10)));
        throttle.handle_time(at(SECOND / 10));
        assert_eq!((throttle.lets_read(), throttle.limit(at(SECOND / 10), 50)), (true, 10));
        throttle.handle_message(at(SECOND / 10));
        throttle.handle_message(at(SECOND / 10));
        assert!(!throttle.lets_parse() && !throttle.lets_read());
        assert_eq!(throttle.deadline(), Some(at(SECOND / 10 + SECOND / 2)));
    }
}
