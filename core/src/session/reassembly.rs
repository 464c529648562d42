//! The peer's unfinished messages: chunks must come without gap, repeat or overrun.

use alloc::collections::BTreeMap;
use alloc::format;
use bytes::Bytes;

use super::event::{Piece, PieceEnd, Start};
use crate::error::{Code, Error};
use crate::message::ContentType;
use crate::wire::envelope::Chunk;

#[derive(Debug)]
pub(crate) struct Reassembly {
    /// The last message the peer began; they count up from 1.
    last_begun: u64,
    unfinished: BTreeMap<u64, Progress>,
    unfinished_limit: usize,
    message_limit: u64,
}

#[derive(Debug)]
struct Progress {
    next_index: u64,
    received: u64,
    total: Option<u64>,
}

impl Reassembly {
    pub(crate) fn new(unfinished_limit: usize, message_limit: u64) -> Self {
        Self { last_begun: 0, unfinished: BTreeMap::new(), unfinished_limit, message_limit }
    }

    /// How many messages have begun and not ended.
    pub(crate) fn unfinished(&self) -> usize {
        self.unfinished.len()
    }

    /// A chunk arrived; gives the piece it is.
    pub(crate) fn handle_chunk(
        &mut self,
        chunk: Chunk,
        content_type: ContentType,
        content: Bytes,
    ) -> Result<Piece, Error> {
        let id = chunk.message_id;
        let start = if chunk.index == 0 {
            self.begin(&chunk)?;
            true
        } else {
            false
        };
        let limit = self.message_limit;
        let Some(progress) = self.unfinished.get_mut(&id) else {
            return Err(Error::new(
                Code::ChunkWithoutStart,
                format!("chunk {} of message {id}, which has not begun or has ended", chunk.index),
            ));
        };
        if chunk.index != progress.next_index {
            let code = if chunk.index < progress.next_index { Code::ChunkRepeat } else { Code::ChunkGap };
            let expected = progress.next_index;
            return Err(Error::new(
                code,
                format!("chunk {} of message {id} came where chunk {expected} was expected", chunk.index),
            ));
        }
        progress.next_index = progress.next_index.saturating_add(1);
        progress.received = progress.received.saturating_add(content.len() as u64);
        let received = progress.received;
        if received > limit {
            return Err(too_large(received, limit));
        }
        let overrun = |total: &u64| received > *total || (chunk.last && !chunk.aborted && received != *total);
        if let Some(total) = progress.total.filter(overrun) {
            return Err(Error::new(
                Code::ChunkOverrun,
                format!("message {id} announced {total} bytes, and {received} came"),
            ));
        }
        let end = match (chunk.last, chunk.aborted) {
            (true, true) => PieceEnd::Aborted,
            (true, false) => PieceEnd::Last,
            (false, _) => PieceEnd::More,
        };
        if chunk.last {
            self.unfinished.remove(&id);
        }
        let start = start.then_some(Start { content_type, app: chunk.app, total_size: chunk.total_size });
        Ok(Piece { message_id: id, start, content, end })
    }

    fn begin(&mut self, chunk: &Chunk) -> Result<(), Error> {
        let id = chunk.message_id;
        let expected = self.last_begun.saturating_add(1);
        if id < expected {
            return Err(Error::new(Code::ChunkRepeat, format!("message {id} began a second time")));
        }
        if id > expected {
            return Err(Error::new(
                Code::ChunkGap,
                format!("message {id} began where message {expected} was expected"),
            ));
        }
        if self.unfinished.len() >= self.unfinished_limit {
            return Err(Error::new(
                Code::TooManyUnfinished,
                format!(
                    "message {id} began while {} are unfinished, the most allowed",
                    self.unfinished.len()
                ),
            ));
        }
        if let Some(total) = chunk.total_size.filter(|total| *total > self.message_limit) {
            return Err(too_large(total, self.message_limit));
        }
        self.last_begun = id;
        self.unfinished.insert(id, Progress { next_index: 0, received: 0, total: chunk.total_size });
        Ok(())
    }
}

/// The error of a message over the limit.
pub(crate) fn too_large(size: u64, limit: u64) -> Error {
    Error::new(
        Code::MessageTooLarge,
        format!("a message of {size} bytes or more is over the limit of {limit}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::App;

    fn chunk(message_id: u64, index: u64) -> Chunk {
        Chunk { message_id, index, last: false, aborted: false, total_size: None, app: App::NONE }
    }

    fn feed(reassembly: &mut Reassembly, chunk: Chunk, len: usize) -> Result<PieceEnd, Code> {
        reassembly
            .handle_chunk(chunk, ContentType::BINARY, Bytes::from(std::vec![0; len]))
            .map(|piece| piece.end)
            .map_err(|error| error.code())
    }

    #[test]
    fn two_messages_interleaved() {
        let mut r = Reassembly::new(2, 1000);
        assert_eq!(feed(&mut r, chunk(1, 0), 5), Ok(PieceEnd::More));
        assert_eq!(feed(&mut r, chunk(2, 0), 5), Ok(PieceEnd::More));
        assert_eq!(feed(&mut r, chunk(1, 1), 5), Ok(PieceEnd::More));
        assert_eq!(feed(&mut r, Chunk { last: true, ..chunk(2, 1) }, 0), Ok(PieceEnd::Last));
        assert_eq!(
            feed(&mut r, Chunk { last: true, aborted: true, ..chunk(1, 2) }, 0),
            Ok(PieceEnd::Aborted)
        );
        assert_eq!(r.unfinished(), 0);
    }

    #[test]
    fn violations() {
        let begun = || {
            let mut r = Reassembly::new(2, 100);
            feed(&mut r, chunk(1, 0), 5).unwrap();
            feed(&mut r, chunk(1, 1), 5).unwrap();
            r
        };
        for (bad, len, code) in [
            (chunk(1, 3), 1, Code::ChunkGap),
            (chunk(1, 1), 1, Code::ChunkRepeat),
            (chunk(1, 0), 1, Code::ChunkRepeat),
            (chunk(3, 0), 1, Code::ChunkGap),
            (chunk(0, 0), 1, Code::ChunkRepeat),
            (chunk(2, 1), 1, Code::ChunkWithoutStart),
            (chunk(1, 2), 91, Code::MessageTooLarge),
            (Chunk { total_size: Some(101), ..chunk(2, 0) }, 1, Code::MessageTooLarge),
            (Chunk { total_size: Some(4), ..chunk(2, 0) }, 5, Code::ChunkOverrun),
            (Chunk { total_size: Some(4), last: true, ..chunk(2, 0) }, 3, Code::ChunkOverrun),
        ] {
            assert_eq!(feed(&mut begun(), bad.clone(), len), Err(code), "{bad:?}");
        }
        let mut r = begun();
        feed(&mut r, chunk(2, 0), 1).unwrap();
        assert_eq!(feed(&mut r, chunk(3, 0), 1), Err(Code::TooManyUnfinished));
        let mut r = begun();
        feed(&mut r, Chunk { last: true, ..chunk(1, 2) }, 1).unwrap();
        assert_eq!(feed(&mut r, chunk(1, 3), 1), Err(Code::ChunkWithoutStart));
        assert_eq!(feed(&mut r, chunk(1, 0), 1), Err(Code::ChunkRepeat));
    }

    #[test]
    fn a_message_that_is_given_up_need_not_be_whole() {
        let mut r = Reassembly::new(1, 100);
        feed(&mut r, Chunk { total_size: Some(50), ..chunk(1, 0) }, 5).unwrap();
        let abort = Chunk { last: true, aborted: true, ..chunk(1, 1) };
        assert_eq!(feed(&mut r, abort, 0), Ok(PieceEnd::Aborted));
    }
}
