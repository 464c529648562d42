//! How a stop went.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::ConnectionId;

/// What a server holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Unit {
    /// Sessions.
    #[default]
    Session,
    /// Connections of a protocol without sessions.
    Connection,
}

impl Unit {
    /// Whether it begins with a handshake.
    #[must_use]
    pub const fn has_handshake(self) -> bool {
        matches!(self, Self::Session)
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Session => "session",
            Self::Connection => "connection",
        })
    }
}

/// How a stop went, as data; shown, a line that a person can read. What it says of sessions it says of connections
/// where there are none.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Report {
    /// What the server held.
    pub unit: Unit,
    /// Sessions that were told.
    pub told: usize,
    /// Sessions that ended in order: the goodbye was written.
    pub closed: usize,
    /// Sessions whose connection failed meanwhile.
    pub failed: usize,
    /// Sessions that were cut because time was up.
    pub cut: Vec<ConnectionId>,
    /// Handshakes in progress that were dropped without a word; newcomers that were being refused are among them, and
    /// are all where there are no handshakes.
    pub handshakes: usize,
    /// Accepted messages that were not sent, of all sessions together.
    pub unsent: u64,
    /// How long it took.
    pub took: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // people want milliseconds, not nanoseconds
        let took = Duration::from_millis(u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX));
        if took.is_zero() {
            f.write_str("stopped in 0ms: ")?;
        } else {
            write!(f, "stopped in {took:?}: ")?;
        }
        let mut first = true;
        for (count, what) in [(self.closed, "closed"), (self.failed, "failed"), (self.cut.len(), "cut")] {
            if count == 0 {
                continue;
            }
            if first {
                write!(f, "{count} {}{} {what}", self.unit, plural(count))?;
            } else {
                write!(f, ", {count} {what}")?;
            }
            first = false;
        }
        if first {
            write!(f, "no {}s", self.unit)?;
        }
        if self.unsent > 0 {
            let s = if self.unsent == 1 { "" } else { "s" };
            write!(f, " ({} message{s} unsent)", self.unsent)?;
        }
        if self.handshakes > 0 {
            match self.unit {
                Unit::Session => {
                    write!(f, ", {} handshake{} dropped", self.handshakes, plural(self.handshakes))?;
                }
                // without handshakes, these are newcomers above the limit
                Unit::Connection => write!(f, ", {} turned away", self.handshakes)?,
            }
        }
        Ok(())
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;
    use std::vec;

    #[test]
    fn a_report_is_a_sentence() {
        let cut = vec![ConnectionId::new(7)];
        let mut report = Report {
            told: 4,
            closed: 3,
            cut: cut.clone(),
            unsent: 2,
            took: Duration::from_micros(120_900),
            ..Report::default()
        };
        assert_eq!(report.to_string(), "stopped in 120ms: 3 sessions closed, 1 cut (2 messages unsent)");
        report.handshakes = 1;
        report.unsent = 0;
        assert_eq!(report.to_string(), "stopped in 120ms: 3 sessions closed, 1 cut, 1 handshake dropped");
        let only_cut = Report { cut, unsent: 1, took: Duration::from_secs(3), ..Report::default() };
        assert_eq!(only_cut.to_string(), "stopped in 3s: 1 session cut (1 message unsent)");
        assert_eq!(Report::default().to_string(), "stopped in 0ms: no sessions");
        let failed = Report { closed: 1, failed: 2, took: Duration::from_millis(1250), ..Report::default() };
        assert_eq!(failed.to_string(), "stopped in 1.25s: 1 session closed, 2 failed");
        let failed = Report { unit: Unit::Connection, handshakes: 3, ..failed };
        assert_eq!(failed.to_string(), "stopped in 1.25s: 1 connection closed, 2 failed, 3 turned away");
    }
}
