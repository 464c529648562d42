//! What the application tells a session.

use alloc::string::String;
use bytes::Bytes;

use crate::error::Code;
use crate::message::{App, ContentType, Message};
use crate::protocol::Ticket;

/// A command to a [`Session`](super::Session).
///
/// `Send` and `Begin` are answered with a new ticket; `Piece`, `End` and `Abort` with the ticket
/// they name; `Close` and `Fail` with [`Ticket::NONE`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command {
    /// Send a message from memory. Above the chunk size it goes out in chunks.
    Send(Message),
    /// Begin a message whose content comes piece by piece.
    Begin(Begin),
    /// The next piece of a message that was begun.
    Piece {
        /// The message.
        ticket: Ticket,
        /// The content that comes next. An empty piece changes nothing.
        content: Bytes,
    },
    /// The message has all its pieces.
    End {
        /// The message.
        ticket: Ticket,
    },
    /// Give a message up: one that is not begun leaves the queue; the peer is told of one that is.
    Abort {
        /// The message.
        ticket: Ticket,
    },
    /// Send what is queued, say goodbye, and end.
    Close {
        /// Why, for the peer: cut to 1,024 bytes. By default, `Client disconnecting` or
        /// `Server disconnecting`.
        reason: Option<String>,
    },
    /// End at once for a reason of the application's: the peer gets an `error` frame, and what was
    /// queued is handed back.
    Fail {
        /// The code.
        code: Code,
        /// One sentence for the peer: cut to 1,024 bytes.
        detail: String,
    },
}

/// The beginning of a message whose content comes piece by piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begin {
    /// What the content is.
    pub content_type: ContentType,
    /// The application's entries.
    pub app: App,
    /// The size of the content, in bytes, where it is known. The pieces must then add up to it.
    pub total_size: Option<u64>,
}

impl Begin {
    /// The beginning of a message of this type, of a size not known yet.
    #[must_use]
    pub fn new(content_type: ContentType) -> Self {
        Self { content_type, app: App::NONE, total_size: None }
    }

    /// The same, of a known size.
    #[must_use]
    pub fn total_size(mut self, bytes: u64) -> Self {
        self.total_size = Some(bytes);
        self
    }

    /// The same, with these entries.
    #[must_use]
    pub fn with_app(mut self, app: App) -> Self {
        self.app = app;
        self
    }
}
