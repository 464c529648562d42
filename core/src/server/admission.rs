//! Whom a server lets in: sessions up to a limit, handshakes in progress up to another.

use alloc::collections::{BTreeMap, BTreeSet};
use core::fmt;

/// The most that either limit can be set to.
const MOST: usize = 1 << 24;

/// How many connections a server holds.
///
/// ```
/// use heartwire_core::server::Limits;
///
/// assert_eq!(Limits::default().max_sessions(), 10_000);
/// assert!(Limits::builder().max_sessions(0).build().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    max_sessions: usize,
    max_handshakes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_sessions: 10_000, max_handshakes: 4_096 }
    }
}

impl Limits {
    /// The defaults, to be changed one by one.
    #[must_use]
    pub fn builder() -> LimitsBuilder {
        LimitsBuilder(Self::default())
    }

    /// Established sessions: 10,000 by default. A newcomer above it is told `too-many-sessions`.
    #[must_use]
    pub fn max_sessions(&self) -> usize {
        self.max_sessions
    }

    /// Handshakes in progress, and newcomers being refused: 4,096 by default. Above it the oldest is cut.
    #[must_use]
    pub fn max_handshakes(&self) -> usize {
        self.max_handshakes
    }
}

/// Builds [`Limits`], starting from the defaults.
#[derive(Clone, Copy, Debug)]
pub struct LimitsBuilder(Limits);

impl LimitsBuilder {
    /// See [`Limits::max_sessions`].
    #[must_use]
    pub fn max_sessions(mut self, sessions: usize) -> Self {
        self.0.max_sessions = sessions;
        self
    }

    /// See [`Limits::max_handshakes`].
    #[must_use]
    pub fn max_handshakes(mut self, handshakes: usize) -> Self {
        self.0.max_handshakes = handshakes;
        self
    }

    /// The limits, if both are in range.
    ///
    /// # Errors
    ///
    /// [`LimitsError`] names the first that is not.
    pub fn build(self) -> Result<Limits, LimitsError> {
        let limits = self.0;
        if !(1..=MOST).contains(&limits.max_sessions) {
            return Err(LimitsError::MaxSessions(limits.max_sessions));
        }
        if !(1..=MOST).contains(&limits.max_handshakes) {
            return Err(LimitsError::MaxHandshakes(limits.max_handshakes));
        }
        Ok(limits)
    }
}

/// Limits that can't be: the value that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitsError {
    /// `max_sessions` is out of range.
    MaxSessions(usize),
    /// `max_handshakes` is out of range.
    MaxHandshakes(usize),
}

impl fmt::Display for LimitsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, met) = match self {
            Self::MaxSessions(met) => ("max_sessions", met),
            Self::MaxHandshakes(met) => ("max_handshakes", met),
        };
        write!(f, "{name}: {met} is not between 1 and {MOST}")
    }
}

impl core::error::Error for LimitsError {}

/// One connection of one server: never used twice. Later connections have larger ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u64);

impl ConnectionId {
    /// The id with this number; for a server's own tables and tests, [`Admission`] hands out its own.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is to be done with a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a refused newcomer must be told, and a cut handshake closed"]
pub enum Admitted {
    /// Its handshake begins.
    Accepted {
        /// The new connection.
        id: ConnectionId,
        /// The oldest handshake in progress, which is to be closed without a word: there were too many.
        cut: Option<ConnectionId>,
    },
    /// It is to be told `too-many-sessions` in place of `session_init`.
    Refused {
        /// The new connection. It counts as a handshake in progress until it is closed.
        id: ConnectionId,
        /// The oldest handshake in progress, which is to be closed without a word: there were too many.
        cut: Option<ConnectionId>,
    },
}

impl Admitted {
    /// The new connection's id.
    #[must_use]
    pub const fn id(self) -> ConnectionId {
        match self {
            Self::Accepted { id, .. } | Self::Refused { id, .. } => id,
        }
    }

    /// The handshake to cut.
    #[must_use]
    pub const fn cut(self) -> Option<ConnectionId> {
        match self {
            Self::Accepted { cut, .. } | Self::Refused { cut, .. } => cut,
        }
    }
}

/// What a connection that is no session yet is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handshake {
    InProgress,
    /// Told that there is no room; no session any more, even if there is room by now.
    Refused,
}

/// Which connections a server holds, and whether it takes another. Every call costs at most the
/// logarithm of their number; ids it does not know are no error.
#[derive(Clone, Debug, Default)]
pub struct Admission {
    limits: Limits,
    next: u64,
    /// In the order of ids, which is the order of age.
    handshakes: BTreeMap<ConnectionId, Handshake>,
    sessions: BTreeSet<ConnectionId>,
}

impl Admission {
    /// A server's admission, with nobody in.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// A connection was accepted.
    pub fn admit(&mut self) -> Admitted {
        let id = ConnectionId(self.next);
        self.next = self.next.wrapping_add(1);
        let full = self.is_full();
        let state = if full { Handshake::Refused } else { Handshake::InProgress };
        self.handshakes.insert(id, state);
        let cut = if self.handshakes.len() > self.limits.max_handshakes {
            self.handshakes.pop_first().map(|(oldest, _)| oldest)
        } else {
            None
        };
        if full { Admitted::Refused { id, cut } } else { Admitted::Accepted { id, cut } }
    }

    /// The handshake of `id` is done. Says whether it is a session now; `false`: the sessions are
    /// full by now (or it was refused, cut or closed before), and it is to be ended with `too-many-sessions`. Until it
    /// is closed it still counts as a handshake in progress.
    #[must_use = "a connection that is no session must be ended"]
    pub fn established(&mut self, id: ConnectionId) -> bool {
        let full = self.is_full();
        match self.handshakes.get_mut(&id) {
            Some(state @ Handshake::InProgress) if full => {
                *state = Handshake::Refused;
                false
            }
            Some(Handshake::InProgress) => {
                self.handshakes.remove(&id);
                self.sessions.insert(id)
            }
            Some(Handshake::Refused) => false,
            None => self.sessions.contains(&id),
        }
    }

    /// The connection is gone, whatever it was.
    pub fn closed(&mut self, id: ConnectionId) {
        self.sessions.remove(&id);
        self.handshakes.remove(&id);
    }

    /// How many sessions are established.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// How many handshakes are in progress, newcomers that are being refused included.
    #[must_use]
    pub fn handshake_count(&self) -> usize {
        self.handshakes.len()
    }

    /// The established sessions, oldest first.
    pub fn sessions(&self) -> impl Iterator<Item = ConnectionId> + '_ {
        self.sessions.iter().copied()
    }

    /// The handshakes in progress, oldest first, newcomers that are being refused included.
    pub fn handshakes(&self) -> impl Iterator<Item = ConnectionId> + '_ {
        self.handshakes.keys().copied()
    }

    /// The limits it holds.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    fn is_full(&self) -> bool {
        self.sessions.len() >= self.limits.max_sessions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    fn admission(sessions: usize, handshakes: usize) -> Admission {
        Admission::new(Limits::builder().max_sessions(sessions).max_handshakes(handshakes).build().unwrap())
    }

    #[test]
    fn limits_out_of_range_are_named() {
        let builder = Limits::builder();
        assert_eq!(builder.build(), Ok(Limits::default()));
        assert_eq!(builder.max_sessions(0).build(), Err(LimitsError::MaxSessions(0)));
        let error = builder.max_handshakes(usize::MAX).build().unwrap_err();
        assert_eq!(error, LimitsError::MaxHandshakes(usize::MAX));
        assert_eq!(LimitsError::MaxSessions(0).to_string(), "max_sessions: 0 is not between 1 and 16777216");
    }

    #[test]
    fn beyond_the_limit_the_oldest_handshake_is_cut() {
        let mut admission = admission(10, 2);
        let [a, b, c] = [(); 3].map(|()| admission.admit());
        assert_eq!((a.cut(), b.cut(), c.cut()), (None, None, Some(a.id())));
        // an established one is no handshake any more
        assert!(admission.established(b.id()));
        assert_eq!(admission.admit().cut(), None);
        assert_eq!(admission.admit().cut(), Some(c.id()));
        // the cut one can't come back
        assert!(!admission.established(a.id()));
        assert_eq!((admission.session_count(), admission.handshake_count()), (1, 2));
    }

    #[test]
    fn above_the_sessions_newcomers_are_refused_and_still_bounded() {
        let mut admission = admission(1, 2);
        let session = admission.admit().id();
        let late = admission.admit().id();
        assert!(admission.established(session));
        // the room went to another while its handshake was going on
        assert!(!admission.established(late));
        admission.closed(session);
        assert!(!admission.established(late));
        let session = admission.admit().id();
        assert!(admission.established(session));
        let refused = admission.admit();
        assert!(matches!(refused, Admitted::Refused { cut: None, .. }));
        assert_eq!(admission.admit().cut(), Some(late));
        // who was told that there is no room stays out
        admission.closed(session);
        assert!(!admission.established(refused.id()));
        assert!(matches!(admission.admit(), Admitted::Accepted { .. }));
    }

    #[test]
    fn repeated_and_unknown_ids_change_nothing() {
        let mut admission = admission(2, 2);
        let id = admission.admit().id();
        assert!(admission.established(id));
        assert!(admission.established(id));
        assert_eq!(admission.session_count(), 1);
        assert!(!admission.established(ConnectionId::new(99)));
        admission.closed(ConnectionId::new(99));
        admission.closed(id);
        admission.closed(id);
        assert!(!admission.established(id));
        assert_eq!((admission.session_count(), admission.handshake_count()), (0, 0));
    }
}
