//! The connection under a session: frames in, frames out, and what the transport has of them.
//!
//! A record layer goes in here: it opens records into a second buffer and feeds the same decoder.

use alloc::collections::VecDeque;
use bytes::{Buf, Bytes, BytesMut};

use crate::buf::TransmitQueue;
use crate::error::Error;
use crate::wire::envelope::{Decoder, Frame, FrameLimits, Header, Protection, encode_head};

/// Contents up to this size are copied beside their header; larger ones leave as they are.
const COPY: usize = 8 * 1024;
/// Frames above this size are received in a block of their own, in bytes.
const LARGE_FRAME: usize = 256 * 1024;
/// What every frame to a peer without features is padded to: it takes one read of that many bytes
/// for one frame.
const LEGACY_FRAME: usize = 1024;

#[derive(Debug)]
pub(crate) struct Link<P> {
    decoder: Decoder,
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

    /// What is sent after this leaves in a write of its own.
    pub(crate) fn end_write(&mut self) {
        self.transmit.end_write();
    }

    /// The next frame of `rx`, if it is there whole.
    pub(crate) fn decode(&mut self, rx: &mut BytesMut, limits: FrameLimits) -> Result<Option<Frame>, Error> {
        let before = rx.len();
        let frame = self.decoder.decode(&mut self.protection, rx, limits)?;
        if frame.is_some() && before.saturating_sub(rx.len()) > LARGE_FRAME {
            // What follows a large frame must not keep its block alive.
            *rx = BytesMut::from(rx.as_ref());
        }
        Ok(frame)
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
    pub(crate) fn send(&mut self, header: &Header, mut content: Bytes, completes: bool) {
        let pad_to = if self.legacy { LEGACY_FRAME } else { 0 };
        // The first write to a peer without features has to hold enough of the frame, whatever a
        // transport does with several slices; the rest of a large content may follow as it is.
        let beside = match (content.len() <= COPY, self.legacy) {
            (true, _) => content.len(),
            (false, true) => LEGACY_FRAME,
            (false, false) => 0,
        };
        let protection = &self.protection;
        self.transmit.append(|out| {
            encode_head(protection, header, &content, pad_to, out);
            out.extend_from_slice(content.get(..beside).unwrap_or_default());
        });
        if beside < content.len() {
            content.advance(beside);
            self.transmit.chain(content);
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
        let whole = self.message_ends.iter().take_while(|end| **end <= taken).count();
        self.message_ends.drain(..whole);
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

    pub(crate) fn slices<'a>(&'a self, out: &mut [&'a [u8]]) -> usize {
        self.transmit.slices(out)
    }
}
