//! Whole messages from parts, in bounded memory.

use alloc::format;

use bytes::BytesMut;

use crate::error::{Code, Error};
use crate::wire::body::{BodyHead, Part, Whole};

/// Makes whole messages of the [`Part`]s that a connection gives, up to a size.
///
/// ```
/// use bytes::Bytes;
/// use heartwire_core::connection::Gatherer;
/// use heartwire_core::wire::body::{Part, Whole};
/// use heartwire_core::wire::length_prefixed::Head;
///
/// let mut gatherer = Gatherer::new(1024);
/// assert_eq!(gatherer.add(Part::Head(Head { size: 5 }))?, None);
/// assert_eq!(gatherer.add(Part::Piece(Bytes::from("he")))?, None);
/// assert_eq!(gatherer.add(Part::Piece(Bytes::from("llo")))?, None);
/// assert_eq!(gatherer.add(Part::End)?, Some(Whole::from(Bytes::from("hello"))));
/// # Ok::<(), heartwire_core::error::Error>(())
/// ```
#[derive(Debug)]
pub struct Gatherer<H> {
    limit: u64,
    head: Option<H>,
    body: Gathered,
}

/// What has come of a body: nothing is copied where it came at once.
#[derive(Debug, Default)]
enum Gathered {
    #[default]
    Nothing,
    One(bytes::Bytes),
    Several(BytesMut),
}

impl<H: BodyHead> Gatherer<H> {
    /// A gatherer of messages with at most `limit` bytes.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self { limit, head: None, body: Gathered::Nothing }
    }

    /// Bytes held of a message that is not whole.
    #[must_use]
    pub fn held(&self) -> usize {
        match &self.body {
            Gathered::Nothing => 0,
            Gathered::One(body) => body.len(),
            Gathered::Several(body) => body.len(),
        }
    }

    /// Adds a part; gives the message when it is whole.
    ///
    /// # Errors
    ///
    /// `message-too-large`, as soon as the head says so. The connection should be ended then; nothing is held of the
    /// message if it is not.
    pub fn add(&mut self, part: Part<H>) -> Result<Option<Whole<H>>, Error> {
        match part {
            Part::Head(head) => {
                if head.size() > self.limit {
                    let detail =
                        format!("a message of {} bytes; at most {} are taken", head.size(), self.limit);
                    return Err(Error::new(Code::MessageTooLarge, detail));
                }
                self.head = Some(head);
                self.body = Gathered::Nothing;
                Ok(None)
            }
            // Of a message that was refused.
            Part::Piece(_) if self.head.is_none() => Ok(None),
            Part::Piece(piece) => {
                // It grows by what arrived, never by what the peer says will.
                self.body = match core::mem::take(&mut self.body) {
                    Gathered::Nothing => Gathered::One(piece),
                    Gathered::One(first) => {
                        let mut body = BytesMut::from(&first[..]);
                        body.extend_from_slice(&piece);
                        Gathered::Several(body)
                    }
                    Gathered::Several(mut body) => {
                        body.extend_from_slice(&piece);
                        Gathered::Several(body)
                    }
                };
                Ok(None)
            }
            Part::End => {
                let body = match core::mem::take(&mut self.body) {
                    Gathered::Nothing => bytes::Bytes::new(),
                    Gathered::One(body) => body,
                    Gathered::Several(body) => body.freeze(),
                };
                Ok(self.head.take().map(|head| Whole { head, body }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::length_prefixed::Head;
    use bytes::Bytes;

    #[test]
    fn what_came_at_once_is_not_copied() {
        let body = Bytes::from(std::vec![7; 100_000]);
        let mut gatherer = Gatherer::new(u64::MAX);
        gatherer.add(Part::Head(Head { size: 100_000 })).unwrap();
        gatherer.add(Part::Piece(body.clone())).unwrap();
        assert_eq!(gatherer.held(), 100_000);
        let whole = gatherer.add(Part::End).unwrap().unwrap();
        assert_eq!(whole.body.as_ptr(), body.as_ptr());
        assert_eq!(gatherer.held(), 0);
    }

    #[test]
    fn a_message_over_the_limit_is_refused_by_its_head() {
        let mut gatherer = Gatherer::new(5);
        assert_eq!(gatherer.add(Part::Head(Head { size: 5 })), Ok(None));
        let error = Gatherer::new(5).add(Part::Head(Head { size: 6 })).unwrap_err();
        assert_eq!(error.code(), Code::MessageTooLarge);
    }

    #[test]
    fn nothing_is_held_of_a_message_that_was_refused() {
        let mut gatherer = Gatherer::new(5);
        assert!(gatherer.add(Part::Head(Head { size: 6 })).is_err());
        for _ in 0..2 {
            assert_eq!(gatherer.add(Part::Piece("123".into())), Ok(None));
        }
        assert_eq!(gatherer.held(), 0);
        assert_eq!(gatherer.add(Part::End), Ok(None));
    }
}
