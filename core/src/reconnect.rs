//! Connecting again: when, how often, and when to give it up.

use core::time::Duration;

use crate::config::{ConfigError, MS, YEAR, config, in_range};
use crate::seed::Seed;
use crate::time::Instant;

config! {
    /// How a client tries again.
    ///
    /// ```
    /// use core::time::Duration;
    /// use heartwire_core::reconnect::Backoff;
    ///
    /// let backoff = Backoff::builder().cap(Duration::from_secs(5)).attempts(100).build()?;
    /// assert_eq!(backoff.base(), Duration::from_millis(200));
    /// assert!(Backoff::builder().attempts(0).build().is_err());
    /// # Ok::<(), heartwire_core::config::ConfigError>(())
    /// ```
    Backoff, BackoffBuilder;
    plain {}
    ranged {
    /// The longest wait before the second attempt of a row: 200 ms by default. It doubles with every further one.
    base: Duration = Duration::from_millis(200), MS, YEAR;
    /// What that never grows beyond: 30 s by default.
    cap: Duration = Duration::from_secs(30), MS, YEAR;
    /// How many attempts there are in a row, the first included: 20 by default. With 1, nothing is tried again.
    attempts: u32 = 20, 1, u32::MAX;
    /// How long a connection must have stayed up to begin a new row: 30 s by default. Its own attempt is the
    /// first of that row.
    stable: Duration = Duration::from_secs(30), MS, YEAR;
    }
}

impl Backoff {
    fn check(self) -> Result<Self, ConfigError> {
        in_range("cap", &self.cap, &self.base, &YEAR)?;
        Ok(self)
    }

    /// The longest wait after this attempt of a row.
    fn ceiling(&self, attempt: u32) -> Duration {
        let doubled = 2_u32.checked_pow(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        self.base.saturating_mul(doubled).min(self.cap)
    }
}

/// How far connecting is.
///
/// ```text
///                     ┌────────────────── timeout ──────────────────┐
///                     ▼                                             │
/// start ──────▶ Connecting ──failed, worth it, attempts left──▶ Waiting
///                │    │                                             ▲
///                │    └──connected──▶ Connected ──lost, likewise────┘
///                │                        │
///                └─ failed, otherwise ────┴── lost, otherwise ──▶ GivenUp ◀── stop, from every state
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// An attempt is to be made, or under way.
    Connecting {
        /// Its number in its row, from 1.
        attempt: u32,
    },
    /// There is a connection.
    Connected {
        /// Since when.
        since: Instant,
    },
    /// The next attempt is to come.
    Waiting {
        /// When.
        until: Instant,
        /// Its number in its row.
        attempt: u32,
    },
    /// There will be no more attempts.
    GivenUp(GivenUp),
}

/// Why there will be no more attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GivenUp {
    /// As many in a row as there may be came to nothing, or to a connection that soon was lost.
    BudgetSpent,
    /// Another one would end as the last did.
    NotWorthIt,
    /// The application said so.
    Stopped,
}

/// Says when a client connects again, and when it gives up.
///
/// A wait is drawn from its whole range, from nothing to a longest that doubles with every attempt up to a cap ("full
/// jitter"): when a server comes back, its clients do not all come at once. Calls that do not fit the state change
/// nothing.
///
/// ```
/// use core::time::Duration;
/// use heartwire_core::reconnect::{Backoff, Reconnect, State};
/// use heartwire_core::{seed::Seed, time::Instant};
///
/// let mut reconnect = Reconnect::new(Backoff::default(), Seed::new([7; 32]));
/// assert_eq!(reconnect.poll_state(), Some(State::Connecting { attempt: 1 }));
/// let now = Instant::ZERO;
/// reconnect.handle_failed(now, true); // refused: worth another try
/// let Some(State::Waiting { until, attempt: 2 }) = reconnect.poll_state() else { panic!() };
/// assert!(until <= now + Duration::from_millis(200));
/// reconnect.handle_timeout(until);
/// reconnect.handle_connected(until);
/// assert_eq!(reconnect.state(), State::Connected { since: until });
/// ```
#[derive(Debug)]
pub struct Reconnect {
    backoff: Backoff,
    seed: Seed,
    /// How many waits were drawn.
    drawn: u64,
    /// The last attempt's number in its row.
    attempt: u32,
    state: State,
    /// The state was not asked for since it changed.
    news: bool,
}

impl Reconnect {
    /// Connecting for the first time. Waits are drawn from the seed.
    #[must_use]
    pub fn new(backoff: Backoff, seed: Seed) -> Self {
        Self { backoff, seed, drawn: 0, attempt: 1, state: State::Connecting { attempt: 1 }, news: true }
    }

    /// What it was made with.
    #[must_use]
    pub fn backoff(&self) -> &Backoff {
        &self.backoff
    }

    /// How far it is.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { until, .. } => Some(until),
            State::Connecting { .. } | State::Connected { .. } | State::GivenUp(_) => None,
        }
    }

    /// No more attempts.
    pub fn stop(&mut self) {
        if !matches!(self.state, State::GivenUp(_)) {
            self.enter(State::GivenUp(GivenUp::Stopped));
        }
    }

    /// The attempt made a connection: one that can be used, its handshake done.
    pub fn handle_connected(&mut self, now: Instant) {
        if matches!(self.state, State::Connecting { .. }) {
            self.enter(State::Connected { since: now });
        }
    }

    /// The attempt made none; `worth_it`: another one may.
    pub fn handle_failed(&mut self, now: Instant, worth_it: bool) {
        if matches!(self.state, State::Connecting { .. }) {
            self.go_on(now, worth_it);
        }
    }

    /// The connection is over; `worth_it`: another one may last.
    pub fn handle_lost(&mut self, now: Instant, worth_it: bool) {
        let State::Connected { since } = self.state else { return };
        if now.since(since) >= self.backoff.stable {
            self.attempt = 1;
        }
        self.go_on(now, worth_it);
    }

    /// The deadline may have passed. Calling early does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        let State::Waiting { until, attempt } = self.state else { return };
        if until <= now {
            self.attempt = attempt;
            self.enter(State::Connecting { attempt });
        }
    }

    /// The state, once after each change; one that was left before it was asked for is passed over.
    pub fn poll_state(&mut self) -> Option<State> {
        core::mem::take(&mut self.news).then_some(self.state)
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.news = true;
    }

    fn go_on(&mut self, now: Instant, worth_it: bool) {
        let state = if !worth_it {
            State::GivenUp(GivenUp::NotWorthIt)
        } else if self.attempt >= self.backoff.attempts {
            State::GivenUp(GivenUp::BudgetSpent)
        } else {
            State::Waiting { until: now + self.draw(), attempt: self.attempt.saturating_add(1) }
        };
        self.enter(state);
    }

    /// A wait, each in the range as likely as any other.
    fn draw(&mut self) -> Duration {
        let ceiling = self.backoff.ceiling(self.attempt).as_nanos();
        let derived = self.seed.derive(&[b"heartwire reconnect", &self.drawn.to_be_bytes()]);
        self.drawn = self.drawn.wrapping_add(1);
        let random = u64::from_be_bytes(derived.first_chunk().copied().unwrap_or_default());
        // No more than a year of nanoseconds: nothing saturates.
        let scaled = u128::from(random).saturating_mul(ceiling.saturating_add(1)) >> 64;
        Duration::from_nanos(u64::try_from(scaled).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const STABLE: Duration = Duration::from_secs(30);

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    fn reconnect(backoff: Backoff) -> Reconnect {
        Reconnect::new(backoff, Seed::new([7; 32]))
    }

    /// What one test does in each state.
    #[derive(Clone, Copy, Debug)]
    enum Input {
        Connected,
        Failed(bool),
        Lost(bool),
        TimeoutEarly,
        Timeout,
        Stop,
    }

    /// What is to come of it, however long the wait is.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Expected {
        Same,
        Connecting(u32),
        Connected,
        Waiting(u32),
        GivenUp(GivenUp),
    }

    /// Every input in every state, with two attempts in a row.
    #[test]
    fn every_input_in_every_state() {
        use Expected as E;
        use GivenUp::*;
        use Input as I;
        let inputs = [
            I::Connected,
            I::Failed(true),
            I::Failed(false),
            I::Lost(true),
            I::Lost(false),
            I::TimeoutEarly,
            I::Timeout,
            I::Stop,
        ];
        // how it is reached, and what each input makes of it
        let waiting = &[I::Failed(true)][..];
        let last = &[I::Failed(true), I::Timeout][..];
        let connected = &[I::Connected][..];
        let connected_last = &[I::Failed(true), I::Timeout, I::Connected][..];
        let (spent, not, stop) = (E::GivenUp(BudgetSpent), E::GivenUp(NotWorthIt), E::GivenUp(Stopped));
        let same = E::Same;
        let table = [
            (&[][..], [E::Connected, E::Waiting(2), not, same, same, same, same, stop]),
            (last, [E::Connected, spent, not, same, same, same, same, stop]),
            (waiting, [same, same, same, same, same, same, E::Connecting(2), stop]),
            (connected, [same, same, same, E::Waiting(2), not, same, same, stop]),
            (connected_last, [same, same, same, spent, not, same, same, stop]),
            (&[I::Failed(false)], [same; 8]),
            (&[I::Failed(true), I::Timeout, I::Failed(true)], [same; 8]),
            (&[I::Stop], [same; 8]),
        ];
        for (way, row) in table {
            for (input, expected) in inputs.into_iter().zip(row) {
                let mut machine = reconnect(Backoff::builder().attempts(2).build().unwrap());
                let mut now = at(1000);
                for step in way {
                    apply(&mut machine, &mut now, *step);
                }
                let before = machine.state();
                machine.poll_state();
                apply(&mut machine, &mut now, input);
                let after = match machine.state() {
                    state if state == before => E::Same,
                    State::Connecting { attempt } => E::Connecting(attempt),
                    State::Connected { since } => {
                        assert_eq!(since, now);
                        E::Connected
                    }
                    State::Waiting { until, attempt } => {
                        assert_eq!(machine.deadline(), Some(until));
                        E::Waiting(attempt)
                    }
                    State::GivenUp(why) => E::GivenUp(why),
                };
                assert_eq!(after, expected, "{way:?}, then {input:?}");
                // told once, if there is something to tell
                let told = (expected != E::Same).then(|| machine.state());
                assert_eq!((machine.poll_state(), machine.poll_state()), (told, None), "{way:?}, {input:?}");
            }
        }
    }

    fn apply(machine: &mut Reconnect, now: &mut Instant, input: Input) {
        match input {
            Input::Connected => machine.handle_connected(*now),
            Input::Failed(worth_it) => machine.handle_failed(*now, worth_it),
            Input::Lost(worth_it) => machine.handle_lost(*now, worth_it),
            Input::TimeoutEarly => {
                let early = machine.deadline().map_or(0, |at| at.as_nanos() - 1);
                machine.handle_timeout(Instant::from_nanos(early));
            }
            Input::Timeout => {
                *now = machine.deadline().unwrap_or(*now);
                machine.handle_timeout(*now);
            }
            Input::Stop => machine.stop(),
        }
    }

    /// The waits of this seed, calculated without this code.
    #[test]
    fn the_waits_of_a_row_to_the_nanosecond() {
        let expected: [u64; 12] = [
            171_178_439,
            170_969_559,
            362_957_030,
            1_353_940_741,
            159_746_513,
            2_700_184_784,
            4_590_545_564,
            7_859_257_727,
            9_581_797_618,
            11_683_089_136,
            5_821_377_795,
            3_734_350_606,
        ];
        let mut machine = reconnect(Backoff::builder().attempts(13).build().unwrap());
        let mut now = at(5000);
        for (wait, attempt) in expected.into_iter().zip(2..) {
            machine.handle_failed(now, true);
            let until = now + Duration::from_nanos(wait);
            assert_eq!(machine.state(), State::Waiting { until, attempt });
            machine.handle_timeout(Instant::from_nanos(until.as_nanos() - 1));
            assert_eq!(machine.deadline(), Some(until));
            machine.handle_timeout(until);
            assert_eq!(machine.state(), State::Connecting { attempt });
            now = until;
        }
        machine.handle_failed(now, true);
        assert_eq!(machine.state(), State::GivenUp(GivenUp::BudgetSpent));
    }

    /// Attempt 2 of 3 connects for so long: the number of the attempt after it, if there is one.
    fn attempt_after(up: Duration) -> Option<u32> {
        let mut machine = reconnect(Backoff::builder().attempts(3).build().unwrap());
        let mut now = at(1000);
        for input in [Input::Failed(true), Input::Timeout, Input::Connected] {
            apply(&mut machine, &mut now, input);
        }
        machine.handle_lost(now + up, true);
        let State::Waiting { attempt, .. } = machine.state() else { return None };
        Some(attempt)
    }

    #[test]
    fn a_row_ends_with_a_connection_that_was_stable_and_with_no_other() {
        assert_eq!(attempt_after(Duration::ZERO), Some(3));
        assert_eq!(attempt_after(STABLE - Duration::from_nanos(1)), Some(3));
        assert_eq!(attempt_after(STABLE), Some(2));
    }

    #[test]
    fn connections_that_never_last_spend_the_budget_and_those_that_do_never() {
        for (up, most) in [(STABLE - Duration::from_nanos(1), 5), (STABLE, 1000)] {
            let mut machine = reconnect(Backoff::builder().attempts(5).build().unwrap());
            let (mut now, mut connections) = (at(0), 0);
            while matches!(machine.state(), State::Connecting { .. }) && connections < most + 1 {
                machine.handle_connected(now);
                connections += 1;
                now = now + up;
                machine.handle_lost(now, true);
                if let State::Waiting { until, .. } = machine.state() {
                    // the step is taken back, too
                    assert!(up < STABLE || until <= now + Duration::from_millis(200));
                }
                now = machine.deadline().unwrap_or(now);
                machine.handle_timeout(now);
            }
            assert_eq!(connections, if up < STABLE { 5 } else { 1001 });
        }
    }

    /// Ten thousand clients lose their server: after each number of failures their waits are spread evenly, and none
    /// is longer than it may be.
    #[test]
    fn waits_are_spread_evenly_and_bounded_by_the_cap() {
        let mut machines: Vec<_> = (0..10_000_u32)
            .map(|number| {
                let mut bytes = [3; 32];
                bytes[..4].copy_from_slice(&number.to_be_bytes());
                Reconnect::new(Backoff::default(), Seed::new(bytes))
            })
            .collect();
        let mut first = Vec::new();
        for ceiling in [200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000] {
            let mut tenths = [0_u32; 10];
            for machine in &mut machines {
                machine.handle_failed(at(0), true);
                let wait = machine.deadline().unwrap().since(at(0));
                assert!(wait <= Duration::from_millis(ceiling));
                let tenth = wait.as_nanos() * 10 / (u128::from(ceiling) * 1_000_000 + 1);
                tenths[tenth as usize] += 1;
                if ceiling == 200 {
                    first.push(wait);
                }
                machine.handle_timeout(machine.deadline().unwrap());
            }
            // a thousand in each, give or take five standard deviations
            assert!(tenths.iter().all(|n| (850..=1150).contains(n)), "{ceiling} ms: {tenths:?}");
        }
        first.sort_unstable();
        first.dedup();
        assert_eq!(first.len(), 10_000, "no two wait alike");
    }

    #[test]
    fn values_that_can_not_be_are_named() {
        assert_eq!(Backoff::builder().build(), Ok(Backoff::default()));
        let too_short = Backoff::builder().cap(Duration::from_millis(100)).build();
        assert_eq!(too_short.unwrap_err().name(), "cap");
        assert_eq!(Backoff::builder().attempts(0).build().unwrap_err().name(), "attempts");
        // the largest there are do not overflow
        let backoff = Backoff::builder().base(YEAR).cap(YEAR).attempts(u32::MAX).build().unwrap();
        assert_eq!(backoff.ceiling(u32::MAX), YEAR);
    }
}
