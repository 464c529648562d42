//! Whole messages from pieces, in bounded memory.

use alloc::collections::BTreeMap;
use bytes::BytesMut;

use super::event::{Piece, PieceEnd, Start};
use super::reassembly::too_large;
use crate::error::{Code, Error};
use crate::message::{ContentType, Message};

/// Makes whole messages of [`Piece`]s, within one budget over all unfinished ones.
///
/// A session configured with [`Receive::Whole`](crate::config::Receive::Whole) does this by itself. A
/// program that receives in pieces can gather the messages it wants whole.
///
/// ```
/// use bytes::Bytes;
/// use heartwire_core::message::{App, ContentType};
/// use heartwire_core::session::{Gathered, Gatherer, Piece, PieceEnd, Start};
///
/// let mut gatherer = Gatherer::new(1024);
/// let start = Start { content_type: ContentType::TEXT, app: App::NONE, total_size: None };
/// let first = Piece { message_id: 1, start: Some(start), content: Bytes::from("ab"), end: PieceEnd::More };
/// let last = Piece { message_id: 1, start: None, content: Bytes::from("c"), end: PieceEnd::Last };
/// assert_eq!(gatherer.add(first)?, Gathered::More);
/// let Gathered::Message(message) = gatherer.add(last)? else { panic!() };
/// assert_eq!(message.content, "abc");
/// # Ok::<(), heartwire_core::error::Error>(())
/// ```
#[derive(Debug)]
pub struct Gatherer {
    budget: u64,
    held: u64,
    unfinished: BTreeMap<u64, (Start, BytesMut)>,
}

/// What a piece made of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gathered {
    /// More is to come.
    More,
    /// The message is whole.
    Message(Message),
    /// The peer gave it up.
    Abandoned {
        /// What the content would have been.
        content_type: ContentType,
        /// How much of it had arrived, in bytes.
        received: u64,
    },
}

impl Gatherer {
    /// A gatherer that holds at most `budget` bytes of unfinished contents.
    #[must_use]
    pub fn new(budget: u64) -> Self {
        Self { budget, held: 0, unfinished: BTreeMap::new() }
    }

    /// Bytes held for unfinished messages.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held
    }

    /// Adds a piece.
    ///
    /// # Errors
    ///
    /// `message-too-large` if the budget does not hold it; `chunk-without-start` if its message is
    /// not known. The gatherer is unchanged then.
    pub fn add(&mut self, piece: Piece) -> Result<Gathered, Error> {
        let more = piece.content.len() as u64;
        let held = self.held.saturating_add(more);
        if held > self.budget {
            return Err(too_large(held, self.budget));
        }
        if let (Some(start), PieceEnd::Last) = (&piece.start, piece.end) {
            // First and last at once: nothing to gather, nothing to copy.
            let Start { content_type, app, .. } = start.clone();
            return Ok(Gathered::Message(Message { content_type, content: piece.content, app }));
        }
        if let Some(start) = piece.start {
            self.unfinished.insert(piece.message_id, (start, BytesMut::new()));
        }
        let Some((_, content)) = self.unfinished.get_mut(&piece.message_id) else {
            return Err(Error::new(Code::ChunkWithoutStart, "a piece of a message that has not begun"));
        };
        // It grows by what arrived, never by what the peer says will.
        content.extend_from_slice(&piece.content);
        self.held = held;
        if piece.end == PieceEnd::More {
            return Ok(Gathered::More);
        }
        let Some((start, content)) = self.unfinished.remove(&piece.message_id) else {
            return Ok(Gathered::More);
        };
        let received = content.len() as u64;
        self.held = self.held.saturating_sub(received);
        Ok(match piece.end {
            PieceEnd::Aborted => Gathered::Abandoned { content_type: start.content_type, received },
            _ => Gathered::Message(Message {
                content_type: start.content_type,
                content: content.freeze(),
                app: start.app,
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::App;
    use bytes::Bytes;

    fn piece(message_id: u64, first: bool, len: usize, end: PieceEnd) -> Piece {
        let start =
            first.then_some(Start { content_type: ContentType::BINARY, app: App::NONE, total_size: None });
        Piece { message_id, start, content: Bytes::from(std::vec![0; len]), end }
    }

    #[test]
    fn one_budget_holds_for_all_unfinished_messages_and_is_given_back() {
        let mut gatherer = Gatherer::new(100);
        gatherer.add(piece(1, true, 60, PieceEnd::More)).unwrap();
        gatherer.add(piece(2, true, 40, PieceEnd::More)).unwrap();
        let error = gatherer.add(piece(1, false, 1, PieceEnd::More)).unwrap_err();
        assert_eq!(error.code(), Code::MessageTooLarge);
        assert!(matches!(
            gatherer.add(piece(2, false, 0, PieceEnd::Aborted)),
            Ok(Gathered::Abandoned { received: 40, .. })
        ));
        assert!(
            matches!(gatherer.add(piece(1, false, 40, PieceEnd::Last)), Ok(Gathered::Message(m)) if m.content.len() == 100)
        );
        assert_eq!(gatherer.held(), 0);
    }
}
