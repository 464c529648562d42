//! What a session tells the application.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use core::time::Duration;

use crate::error::{Code, Fault};
use crate::message::{App, ContentType, Message};
use crate::protocol::Ticket;
use crate::wire::envelope::{Features, PeerLimits};

/// An event of a [`Session`](super::Session).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The handshake is done: messages can be sent. The first event, unless the session ends before.
    Established(Established),
    /// A message, whole.
    Message(Message),
    /// A part of a large message ([`Receive::Pieces`](crate::config::Receive::Pieces) only).
    Piece(Piece),
    /// The peer gave a large message up before its end
    /// ([`Receive::Whole`](crate::config::Receive::Whole) only; otherwise it is a [`Piece`]).
    Abandoned {
        /// What the content would have been.
        content_type: ContentType,
        /// How much of it had arrived, in bytes.
        received: u64,
    },
    /// A heartbeat came back after this time. At most one such event waits to be taken; it holds
    /// the latest time.
    RoundTrip(Duration),
    /// The session is over. Always the last event.
    Ended(Ended),
}

/// What the handshake settled.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Established {
    /// The session's id.
    pub session_id: Arc<str>,
    /// What the peer accepts; none: a peer without features.
    pub features: Option<Features>,
    /// The most the peer takes.
    pub limits: PeerLimits,
}

impl Established {
    /// The largest message that can be sent, in bytes.
    #[must_use]
    pub fn longest_message(&self) -> u64 {
        self.limits.longest_message(self.features.as_ref())
    }
}

/// A part of a large message, in order; parts of different messages may alternate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Which message of this session and direction it is part of.
    pub message_id: u64,
    /// On the first part, what the message is.
    pub start: Option<Start>,
    /// The content of this part. Only a last part may be empty.
    pub content: Bytes,
    /// Whether the message goes on.
    pub end: PieceEnd,
}

/// What a message is, known from its first part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// What the content is.
    pub content_type: ContentType,
    /// The application's entries.
    pub app: App,
    /// The size of the whole content, where the peer announced it. The parts add up to it.
    pub total_size: Option<u64>,
}

/// Whether a message goes on after a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PieceEnd {
    /// More is to come.
    More,
    /// This was the last part: the message is whole.
    Last,
    /// The peer gave the message up: what came of it is not a message.
    Aborted,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended {
    /// Who ended it.
    pub by: EndedBy,
    /// Why.
    pub code: Code,
    /// One sentence: the reason of a `disconnect`, or what was met and what was allowed. It may quote
    /// what the peer sent: escape it before it reaches a terminal or a log line.
    pub detail: String,
    /// Whether our last frame reached the transport, where there was one to send.
    pub told: bool,
    /// The accepted messages that the transport did not take whole, in the order of their tickets.
    pub unsent: Vec<Unsent>,
}

impl Ended {
    /// Whether the session was closed in order, by either side.
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
}

impl fmt::Display for Ended {
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

impl core::error::Error for Ended {}

/// Who ended a session.
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
pub struct Unsent {
    /// The ticket it was accepted with.
    pub ticket: Ticket,
    /// The message, as it was given; none if it came piece by piece.
    pub message: Option<Message>,
    /// Whether some of it may have reached the peer; perhaps all, where the connection was cut while it left.
    pub begun: bool,
}
