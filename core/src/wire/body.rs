//! Heads with bodies: what protocols 2 and 5 have in common. A body is never held: it goes through in pieces.

use core::fmt::Debug;

use bytes::{Bytes, BytesMut};

use super::codec::Codec;
use crate::buf::{TransmitQueue, take_content};
use crate::error::{Code, Error};
use crate::role::Role;
use crate::seed::Seed;

/// How the heads of a protocol are written; also what a codec for it is made with.
pub trait HeadFormat: Clone + Debug + Send + Sync + 'static {
    /// What stands before a body.
    type Head: BodyHead;

    /// The head at the front of `rx`, taken off it if it is there whole.
    ///
    /// # Errors
    ///
    /// What is wrong with it, as soon as that can be told.
    fn decode_head(&self, rx: &mut BytesMut) -> Result<Option<Self::Head>, Error>;

    /// How many more bytes the head at the front of `rx`, which is not there whole, needs at least.
    fn missing(&self, rx: &BytesMut) -> usize;

    /// Whether a head can be sent.
    ///
    /// # Errors
    ///
    /// What stands against it.
    fn check_head(&self, head: &Self::Head) -> Result<(), Code>;

    /// Writes a head.
    fn encode_head(&self, head: &Self::Head, out: &mut BytesMut);
}

/// What stands before a body.
pub trait BodyHead: Clone + Debug + PartialEq + Send + Sync + 'static {
    /// How many bytes follow it.
    fn size(&self) -> u64;

    /// The bytes that the head itself holds in memory, beside its fixed part.
    fn len_in_memory(&self) -> usize {
        0
    }
}

/// A part of a message that arrives: its head, what has come of its body, its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part<H> {
    /// A message begins.
    Head(H),
    /// More of its body; never empty. All pieces together are as long as the head says.
    Piece(Bytes),
    /// The body is whole.
    End,
}

/// A message as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole<H> {
    /// What stands before the body, and says how long it is.
    pub head: H,
    /// The body.
    pub body: Bytes,
}

/// Heads and bodies off the front of a stream, and onto one.
///
/// Bodies come in pieces of what arrived. Pieces of at most 8 KiB are copied out of the receive buffer, larger
/// ones are slices of it.
#[derive(Debug)]
pub struct Bodied<F> {
    format: F,
    /// How much of the present body is to come; none between messages.
    left: Option<u64>,
}

impl<F: HeadFormat> Bodied<F> {
    /// A codec at the beginning of a stream.
    #[must_use]
    pub fn with_format(format: F) -> Self {
        Self { format, left: None }
    }
}

impl<F: HeadFormat> Codec for Bodied<F> {
    type Settings = F;
    type Item = Part<F::Head>;
    type Message = Whole<F::Head>;
    type Head = F::Head;

    fn new(format: &F, _: Role, _: &Seed) -> Self {
        Self::with_format(format.clone())
    }

    fn decode(&mut self, rx: &mut BytesMut) -> Result<Option<Self::Item>, Error> {
        match self.left {
            None => {
                let head = self.format.decode_head(rx)?;
                self.left = head.as_ref().map(BodyHead::size);
                Ok(head.map(Part::Head))
            }
            Some(0) => {
                self.left = None;
                Ok(Some(Part::End))
            }
            Some(_) if rx.is_empty() => Ok(None),
            Some(left) => {
                let n = usize::try_from(left).map_or(rx.len(), |left| left.min(rx.len()));
                self.left = Some(left.saturating_sub(n as u64));
                Ok(Some(Part::Piece(take_content(rx, 0, n))))
            }
        }
    }

    fn finish(&mut self, rx: &mut BytesMut) -> Result<Option<Self::Item>, Error> {
        let detail = match self.left {
            None if rx.is_empty() => return Ok(None),
            None => alloc::format!("the stream ended {} bytes into a header", rx.len()),
            Some(left) => alloc::format!("the stream ended {left} bytes before the end of a message"),
        };
        Err(Error::new(Code::Truncated, detail))
    }

    fn missing(&self, rx: &BytesMut) -> usize {
        match self.left {
            None if rx.is_empty() => 0,
            None => self.format.missing(rx),
            Some(left) => usize::try_from(left).unwrap_or(usize::MAX),
        }
    }

    fn completes(item: &Self::Item) -> bool {
        matches!(item, Part::End)
    }

    fn item_len(item: &Self::Item) -> usize {
        match item {
            Part::Head(head) => head.len_in_memory(),
            Part::Piece(piece) => piece.len(),
            Part::End => 0,
        }
    }

    fn message_len(message: &Self::Message) -> usize {
        message.body.len().saturating_add(message.head.len_in_memory())
    }

    fn head_len_in_memory(head: &F::Head) -> usize {
        head.len_in_memory()
    }

    fn body_len(head: &F::Head) -> u64 {
        head.size()
    }

    fn check(&self, message: &Self::Message) -> Result<(), Code> {
        self.format.check_head(&message.head)?;
        if message.body.len() as u64 != message.head.size() {
            return Err(Code::ChunkOverrun);
        }
        Ok(())
    }

    fn check_head(&self, head: &F::Head) -> Result<(), Code> {
        self.format.check_head(head)
    }

    fn encode(&mut self, message: Self::Message, tx: &mut TransmitQueue) -> Result<(), Error> {
        tx.append(|out| self.format.encode_head(&message.head, out));
        tx.push(message.body);
        Ok(())
    }

    fn encode_head(&mut self, head: F::Head, tx: &mut TransmitQueue) {
        tx.append(|out| self.format.encode_head(&head, out));
    }
}
