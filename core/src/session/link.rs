//! The connection under a session: frames in, frames out, and what the transport has of them.
//!
//! A record layer goes in here: it opens records into a second buffer and feeds the same decoder.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use bytes::{Bytes, BytesMut};

use crate::buf::{COPY, TransmitQueue};
use crate::error::Error;
use crate::message::Message;
use crate::wire::envelope::{Decoded, Decoder, Encoder, FrameLimits, Header, Protection};

/// Frames above this size are received in a block of their own, in bytes.
const LARGE_FRAME: usize = 256 * 1024;
/// What every frame to a peer without features is padded to: it takes one read of that many bytes
/// for one frame.
const LEGACY_FRAME: usize = 1024;

#[derive(Debug)]
pub(crate) struct Link<P: Protection> {
    decoder: Decoder<P>,
    encoder: Encoder<P>,
    protection: P,
    transmit: TransmitQueue,
    /// Where the last bytes of messages stand that were encoded whole.
    message_ends: VecDeque<u64>,
    /// The peer announced no features: pad, and keep writes apart.
    legacy: bool,
}

impl<P: Protection> Link<P> {
    pub(crate) fn new(protection: P) -> Self {
        Self {
            decoder: Decoder::new(),
            encoder: Encoder::new(),
            protection,
            transmit: TransmitQueue::new(),
            message_ends: VecDeque::new(),
            legacy: false,
        }
    }

    /// From here on every frame is made for a peer without features, or is not.
    pub(crate) fn set_legacy(&mut self, legacy: bool) {
        self.legacy = legacy;
    }

    /// Every frame from here on belongs to the session with this id, or is refused.
    pub(crate) fn expect_session(&mut self, id: &Arc<str>) {
        self.decoder.expect_session(id);
    }

    /// What is sent after this leaves in a write of its own.
    pub(crate) fn end_write(&mut self) {
        self.transmit.end_write();
    }

    /// The next frame of `rx`, if it is there whole.
    #[inline]
    pub(crate) fn decode(
        &mut self,
        rx: &mut BytesMut,
        limits: FrameLimits,
    ) -> Result<Option<Decoded>, Error> {
        let before = rx.len();
        let result = self.decoder.decode_next(&mut self.protection, rx, limits);
        if before.saturating_sub(rx.len()) > LARGE_FRAME {
            // What follows a large frame must not keep its block alive.
            *rx = BytesMut::from(rx.as_ref());
        }
        result
    }

    /// What [`Decoded::Again`] is one more of.
    pub(crate) fn last_message(&self) -> Option<&Header> {
        self.decoder.last_message()
    }

    /// Whether the frame that was refused is an `error` frame, which is not to be answered.
    pub(crate) fn refused_an_error(&self) -> bool {
        self.decoder.refused_an_error()
    }

    /// The stream ended with `rx` left over.
    pub(crate) fn finish(&self, rx: &BytesMut) -> Result<(), Error> {
        self.decoder.finish(rx)
    }

    /// How many bytes the frame at the front of `rx` still needs.
    pub(crate) fn missing(&self, rx: &BytesMut) -> usize {
        self.decoder.missing(rx)
    }

    /// Encodes a frame; `completes`: with it a message is encoded whole.
    pub(crate) fn send(&mut self, header: &Header, content: &Bytes, completes: bool) {
        self.put(content, completes, |encoder, protection, pad_to, out| {
            encoder.encode_head(protection, header, content, pad_to, out);
        });
    }

    /// Encodes a message in one frame.
    pub(crate) fn send_message(&mut self, message: &Message, session_id: Option<&Arc<str>>) {
        self.put(&message.content, true, |encoder, protection, pad_to, out| {
            encoder.encode_message_head(protection, message, session_id, pad_to, out);
        });
    }

    fn put(
        &mut self,
        content: &Bytes,
        completes: bool,
        encode_head: impl FnOnce(&mut Encoder<P>, &P, usize, &mut BytesMut),
    ) {
        let pad_to = if self.legacy { LEGACY_FRAME } else { 0 };
        // The first write to a peer without features has to hold enough of the frame, whatever a
        // transport does with several slices; the rest of a large content may follow as it is.
        let beside = match (content.len() <= COPY, self.legacy) {
            (true, _) => content.len(),
            (false, true) => LEGACY_FRAME,
            (false, false) => 0,
        };
        let (protection, encoder) = (&self.protection, &mut self.encoder);
        self.transmit.append(|out| {
            encode_head(encoder, protection, pad_to, out);
            out.extend_from_slice(content.get(..beside).unwrap_or_default());
        });
        if beside < content.len() {
            self.transmit.chain(content.slice(beside..));
        }
        if self.legacy {
            self.transmit.end_write();
        }
        if completes {
            self.message_ends.push_back(self.transmit.end());
        }
    }

    /// The transport took `n` more bytes. Gives the number of messages that it has whole now.
    pub(crate) fn handle_transmitted(&mut self, n: usize) -> usize {
        self.transmit.advance(n);
        let taken = self.transmit.taken();
        let mut whole = 0_usize;
        while self.message_ends.front().is_some_and(|end| *end <= taken) {
            self.message_ends.pop_front();
            whole = whole.saturating_add(1);
        }
        whole
    }

    /// Bytes encoded and not taken.
    pub(crate) fn pending(&self) -> usize {
        self.transmit.pending()
    }

    /// Bytes taken by the transport.
    pub(crate) fn taken(&self) -> u64 {
        self.transmit.taken()
    }

    /// Hands over the bytes that are not taken.
    pub(crate) fn lend(&mut self, to: &mut TransmitQueue) {
        self.transmit.lend(to);
    }

    /// Gives back what is not needed while nothing happens.
    pub(crate) fn trim(&mut self) {
        self.transmit.trim();
        if self.message_ends.is_empty() {
            self.message_ends = VecDeque::new();
        }
    }

    pub(crate) fn slices<'a>(&'a self, out: &mut [&'a [u8]]) -> usize {
        self.transmit.slices(out)
    }
}
