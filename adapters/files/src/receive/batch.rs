//! What was received and is not on the disk yet.

use std::collections::VecDeque;

use bytes::Bytes;
use heartwire_core::wire::body::Part;
use heartwire_core::wire::json_header::{Head, Kind};

use crate::{PIECE, TEXT_LIMIT};

/// How much may happen within what is handed to the disk at once.
const STEPS: usize = 256;

/// What is to be done, in this order.
#[derive(Debug)]
pub(super) enum Step {
    /// A file begins.
    Begin(Head),
    /// So many of the bytes are the file's.
    Data(usize),
    /// The file is complete.
    End,
    /// A text came.
    Text(Bytes),
    /// A text of this length is too long.
    LongText(u64),
}

/// What is handed to the disk at once: at least a piece of a large file, or many small files.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) steps: VecDeque<Step>,
    /// The bytes of files: copied, so that no block that was read into is held.
    pub(super) data: Vec<u8>,
    /// Bytes in the names of files: peers can give long ones.
    names: usize,
    /// Bytes in texts.
    texts: usize,
    /// Something else begins or ends in it than the middle of a file.
    due: bool,
}

impl Batch {
    /// Whether more can be added.
    pub(super) fn has_room(&self) -> bool {
        self.data.len() + self.names < PIECE && self.texts < TEXT_LIMIT && self.steps.len() < STEPS
    }

    /// Whether it is worth handing over.
    pub(super) fn is_due(&self) -> bool {
        self.due || !self.has_room()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Empty again, and as large as it was.
    pub(super) fn clear(&mut self) {
        self.steps.clear();
        self.data.clear();
        (self.names, self.texts) = (0, 0);
        self.due = false;
    }

    /// Adds what came.
    pub(super) fn add(&mut self, part: Part<Head>, text: &mut Option<Text>) {
        match (part, &mut *text) {
            (Part::Head(head), _) if head.kind == Kind::Text && head.filename.is_empty() => {
                *text = Some(Text { size: head.size, came: Vec::new() });
            }
            (Part::Head(head), _) => {
                self.names += head.filename.len();
                self.push(Step::Begin(head));
            }
            (Part::Piece(piece), Some(text)) => text.add(&piece),
            (Part::Piece(piece), None) => {
                self.data.extend_from_slice(&piece);
                match self.steps.back_mut() {
                    Some(Step::Data(len)) => *len += piece.len(),
                    _ => self.steps.push_back(Step::Data(piece.len())),
                }
            }
            (Part::End, Some(_)) => {
                let Some(Text { size, came }) = text.take() else { return };
                self.texts += came.len();
                let too_long = size > TEXT_LIMIT as u64;
                self.push(if too_long { Step::LongText(size) } else { Step::Text(came.into()) });
            }
            (Part::End, None) => self.push(Step::End),
        }
    }

    fn push(&mut self, step: Step) {
        self.due = true;
        self.steps.push_back(step);
    }
}

/// A text that is being received.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) size: u64,
    came: Vec<u8>,
}

impl Text {
    /// It grows by what arrives, up to the limit: of what is longer nothing is kept.
    fn add(&mut self, piece: &[u8]) {
        if self.size <= TEXT_LIMIT as u64 {
            self.came.extend_from_slice(piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use heartwire_core::wire::json_header::MAX_HEADER;

    use super::*;

    #[test]
    fn long_names_take_room_as_content_does() {
        let (mut batch, mut text) = (Batch::default(), None);
        for _ in 0..2 {
            let mut held = 0;
            while batch.has_room() {
                let filename = "x".repeat(MAX_HEADER - 100);
                held += filename.len();
                batch.add(Part::Head(Head { kind: Kind::Unknown, size: 0, filename }), &mut text);
                batch.add(Part::End, &mut text);
            }
            assert!(held <= PIECE + MAX_HEADER, "{held}");
            batch.clear();
        }
    }
}
