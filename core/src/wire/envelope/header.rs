//! What a frame says of itself, typed.

mod parse;
mod write;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use super::decode::FrameLimits;
use crate::message::{App, ContentType};

/// The content of a ping. Anything but [`PONG`] is one.
pub(crate) const PING: &[u8] = b"ping";
/// The content of a pong, which is never answered.
pub(crate) const PONG: &[u8] = b"pong";
/// The longest session id, in bytes.
const MAX_SESSION_ID_LEN: usize = 128;

/// A frame that passed every check of the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it says of itself.
    pub header: Header,
    /// Its content.
    pub content: Bytes,
}

/// The header of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The type, with the keys that belong to it.
    pub kind: Kind,
    /// What the content is.
    pub content_type: ContentType,
    /// The session, unless null or absent.
    pub session_id: Option<Arc<str>>,
}

/// The type of a frame, with the keys that belong to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The server speaks first.
    SessionInit(Hello),
    /// The client answers.
    SessionAck(Hello),
    /// A ping or a pong; the content says which.
    Heartbeat {
        /// Links a pong to its ping.
        seq: Option<u64>,
    },
    /// A message, whole.
    Message {
        /// The application's entries.
        app: App,
    },
    /// A part of a message.
    Chunk(Chunk),
    /// The end, for a reason.
    Error {
        /// The code, where the peer gives one.
        code: Option<Box<str>>,
    },
    /// The end, in order.
    Disconnect,
}

/// What a side says of itself in the handshake.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Hello {
    /// What it accepts; none: a peer without features.
    pub features: Option<Features>,
    /// The most it takes.
    pub limits: PeerLimits,
}

/// The features a side accepts, unknown ones included.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Features(pub Vec<String>);

impl Features {
    /// Chunked messages.
    pub const CHUNK: &'static str = "chunk";

    /// Whether chunks are accepted.
    #[must_use]
    pub fn chunk(&self) -> bool {
        self.0.iter().any(|feature| feature == Self::CHUNK)
    }
}

/// The most a side takes; sending above it is refused at the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerLimits {
    /// The largest message, in bytes.
    pub message: u64,
    /// Messages begun and not ended.
    pub unfinished: u64,
}

impl PeerLimits {
    /// Whether a side with these limits and features is sent large messages in chunks.
    #[must_use]
    pub fn takes_chunks(&self, features: Option<&Features>) -> bool {
        self.unfinished > 0 && features.is_some_and(Features::chunk)
    }

    /// The largest message, in bytes, that can be sent to a side with these limits and features: without
    /// chunks it has to fit one frame.
    #[must_use]
    pub fn longest_message(&self, features: Option<&Features>) -> u64 {
        if self.takes_chunks(features) {
            self.message
        } else {
            self.message.min(FrameLimits::PROTOCOL.content as u64)
        }
    }
}

impl Default for PeerLimits {
    fn default() -> Self {
        Self { message: 64 * 1024 * 1024, unfinished: 8 }
    }
}

/// The keys of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Which message it is part of, from 1.
    pub message_id: u64,
    /// Which part it is, from 0.
    pub index: u64,
    /// Whether it ends the message.
    pub last: bool,
    /// Whether the message is given up. Only with `last`.
    pub aborted: bool,
    /// On index 0, the size of the whole message where it is known.
    pub total_size: Option<u64>,
    /// On index 0, the application's entries.
    pub app: App,
}

/// The types of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameType {
    /// Code 1.
    SessionInit,
    /// Code 2.
    SessionAck,
    /// Code 3.
    Heartbeat,
    /// Code 4.
    Message,
    /// Code 5.
    Chunk,
    /// Code 6.
    Error,
    /// Code 7.
    Disconnect,
}

impl FrameType {
    /// Every type, in the order of the codes.
    pub const ALL: [Self; 7] = [
        Self::SessionInit,
        Self::SessionAck,
        Self::Heartbeat,
        Self::Message,
        Self::Chunk,
        Self::Error,
        Self::Disconnect,
    ];

    /// The type of this name in the header.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// The type of this code in the prefix, unless it is 0 or beyond the last.
    #[must_use]
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.code() == code)
    }

    /// The code in the prefix.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::SessionInit => 1,
            Self::SessionAck => 2,
            Self::Heartbeat => 3,
            Self::Message => 4,
            Self::Chunk => 5,
            Self::Error => 6,
            Self::Disconnect => 7,
        }
    }

    /// The name in the header.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SessionInit => "session_init",
            Self::SessionAck => "session_ack",
            Self::Heartbeat => "heartbeat",
            Self::Message => "message",
            Self::Chunk => "chunk",
            Self::Error => "error",
            Self::Disconnect => "disconnect",
        }
    }
}

impl Kind {
    /// Which type it is.
    #[must_use]
    pub const fn frame_type(&self) -> FrameType {
        match self {
            Self::SessionInit(_) => FrameType::SessionInit,
            Self::SessionAck(_) => FrameType::SessionAck,
            Self::Heartbeat { .. } => FrameType::Heartbeat,
            Self::Message { .. } => FrameType::Message,
            Self::Chunk(_) => FrameType::Chunk,
            Self::Error { .. } => FrameType::Error,
            Self::Disconnect => FrameType::Disconnect,
        }
    }
}

/// Whether a session may be called this: 1 to 128 printable ASCII characters, the space included.
///
/// ```
/// use heartwire_core::wire::envelope::is_valid_session_id;
///
/// assert!(is_valid_session_id("f5b16522-4a58-4791-9f6a-f1d8303e61cd"));
/// assert!(!is_valid_session_id(""));
/// assert!(!is_valid_session_id("line\nfeed"));
/// ```
#[must_use]
pub fn is_valid_session_id(id: &str) -> bool {
    (1..=MAX_SESSION_ID_LEN).contains(&id.len()) && id.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

#[cfg(test)]
mod tests;
