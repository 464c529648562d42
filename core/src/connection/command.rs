//! What an application asks of a connection.

use alloc::string::String;

use bytes::Bytes;

use crate::error::Code;
use crate::protocol::Ticket;
use crate::wire::codec::Codec;

/// A command to a [`Connection`](super::Connection).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command<M, H> {
    /// Send a message.
    Send(M),
    /// Begin a message whose body comes piece by piece. Until it has ended no other can begin: others are
    /// refused as [`Full`](crate::protocol::Why::Full).
    Begin(H),
    /// More of the body of a message that was begun.
    Piece {
        /// The message.
        ticket: Ticket,
        /// What comes next.
        content: Bytes,
    },
    /// The message has all of its body: as much as its head said.
    End {
        /// The message.
        ticket: Ticket,
    },
    /// Give up a message that was begun. What its head said can't be taken back: it is the end of the
    /// connection, of which the peer sees that it was cut short.
    Abort {
        /// The message.
        ticket: Ticket,
    },
    /// Send nothing more: when what is queued has left, the peer is sent the end of the stream. Receiving goes on
    /// until the peer does the same. A message that is being given piece by piece is given up: the peer sees that it
    /// was cut short.
    Finish,
    /// Close: as [`Finish`](Self::Finish), and what the peer has not ended by itself soon after is cut.
    Close,
    /// Close as soon as no answer is owed (by a server of sealed packets; otherwise at once): what a server that
    /// stops asks of its connections. As with [`Close`](Self::Close), a message that is being given piece by piece is
    /// given up.
    ///
    /// Where the [end of our stream confirms](super::Config::end_confirms) what the peer sent, it is the application
    /// that ends a connection on which something was received; until it does, everything goes on. One on which nothing
    /// was received ends at once, and confirms nothing.
    Stop,
    /// Give the connection up at once, for this reason. The peer is told nothing.
    Fail {
        /// The reason, for the last event.
        code: Code,
        /// One sentence about it.
        detail: String,
    },
}

/// What is asked of a connection with this codec.
pub type CommandOf<C> = Command<<C as Codec>::Message, <C as Codec>::Head>;
