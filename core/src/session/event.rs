//! What a session tells the application.

use alloc::sync::Arc;
use bytes::Bytes;
use core::time::Duration;

use crate::ended::Ended;
use crate::message::{App, ContentType, Message};
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
