//! How a connection ended: what the last event says.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::error::{Code, Fault};
use crate::message::Message;
use crate::protocol::Ticket;

/// How a session or another connection ended; `M` is what its messages are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended<M = Message> {
    /// Who ended it.
    pub by: EndedBy,
    /// Why.
    pub code: Code,
    /// One sentence: the reason of a `disconnect`, or what was met and what was allowed. It may quote
    /// what the peer sent: escape it before it reaches a terminal or a log line.
    pub detail: String,
    /// Whether our last frame reached the transport, where there was one to send; without a session: everything
    /// that was queued.
    pub told: bool,
    /// The accepted messages that the transport did not take whole, in the order of their tickets.
    pub unsent: Vec<Unsent<M>>,
}

impl<M> Ended<M> {
    /// Whether it was closed in order, by either side.
    #[must_use]
    pub fn is_orderly(&self) -> bool {
        // A peer may write any code into its error.
        self.code == Code::Disconnected && self.by != EndedBy::PeerError
    }

    /// Whose fault it was, seen from here: what the peer reports as its peer's fault is ours.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match (self.by, self.code.fault()) {
            (EndedBy::PeerError, Fault::Peer) => Fault::Local,
            (EndedBy::PeerError, Fault::Local) => Fault::Peer,
            (_, fault) => fault,
        }
    }

    /// Whether another connection may last longer: see [`Code::is_worth_retrying`]. One that this side closed was
    /// not lost.
    #[must_use]
    pub fn is_worth_retrying(&self) -> bool {
        let closed_here = self.by == EndedBy::Local && self.is_orderly();
        self.code.is_worth_retrying() && !closed_here
    }
}

impl<M> fmt::Display for Ended<M> {
    /// One line, with what the peer sent escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = crate::escape::escape(&self.detail);
        match self.by {
            EndedBy::Local if self.is_orderly() => write!(f, "closed here: {detail}")?,
            EndedBy::Local => write!(f, "{}: {detail}", self.code)?,
            EndedBy::Peer if self.is_orderly() => write!(f, "closed by the peer: {detail}")?,
            EndedBy::Peer => write!(f, "{}: {detail}", self.code)?,
            EndedBy::PeerError => write!(f, "the peer reports {}: {detail}", self.code)?,
            EndedBy::Transport => write!(f, "{}: {detail}", self.code)?,
        }
        if self.by == EndedBy::Local && self.is_orderly() && !self.told {
            f.write_str(" (the goodbye did not leave)")?;
        }
        match self.unsent.len() {
            0 => Ok(()),
            1 => f.write_str(" (1 message unsent)"),
            n => write!(f, " ({n} messages unsent)"),
        }
    }
}

impl<M: fmt::Debug> core::error::Error for Ended<M> {}

/// Who ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndedBy {
    /// This side: it closed, refused a frame, or ran out of patience.
    Local,
    /// The peer: it said goodbye, or its stream ended.
    Peer,
    /// The peer, with an `error` frame: the code is what it refused.
    PeerError,
    /// Neither: the transport failed.
    Transport,
}

/// A message that was accepted and that the transport did not take whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsent<M = Message> {
    /// The ticket it was accepted with.
    pub ticket: Ticket,
    /// The message, as it was given; none if it came piece by piece.
    pub message: Option<M>,
    /// Whether some of it may have reached the peer; perhaps all, where the connection was cut while it left.
    pub begun: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lost_is_worth_another_try_and_what_will_be_the_same_is_not() {
        use EndedBy::*;
        for (by, code, worth_it) in [
            (Peer, Code::Disconnected, true),
            (Local, Code::Disconnected, false),
            (Peer, Code::EndedWithoutDisconnect, true),
            (Peer, Code::Truncated, true),
            (Transport, Code::TransportFailed, true),
            (Local, Code::PeerSilent, true),
            (Local, Code::FrameStalled, true),
            (Local, Code::HandshakeTimeout, true),
            (PeerError, Code::HandshakeTimeout, true),
            (PeerError, Code::TooManySessions, true),
            (PeerError, Code::TooSlow, true),
            (Local, Code::ContentCrcMismatch, true),
            (Local, Code::MacMismatch, false),
            (PeerError, Code::MacMismatch, false),
            (Local, Code::BadMagic, false),
            (Local, Code::UnsupportedVersion, false),
            (Local, Code::UnexpectedType, false),
            (Local, Code::InvalidHeader, false),
            (PeerError, Code::MessageTooLarge, false),
            (PeerError, Code::PeerError, false),
            (Local, Code::Aborted, false),
        ] {
            let ended: Ended = Ended { by, code, detail: String::new(), told: true, unsent: Vec::new() };
            assert_eq!(ended.is_worth_retrying(), worth_it, "{by:?} {code}");
        }
    }
}
