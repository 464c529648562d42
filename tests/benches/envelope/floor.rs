//! What no implementation can do without: the HMAC and the CRCs of a frame, and for sending one copy of it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use heartwire_core::wire::envelope::{CrcHmac, Decoder, FrameLimits, Header, PREFIX_LEN};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::machine::{KEY, keys};
use crate::reads::batches;

/// One frame as a session sent it.
pub struct Frame {
    pub header: Header,
    pub content: Bytes,
    /// The bytes of the header.
    head: Bytes,
    /// All of its bytes.
    pub whole: Bytes,
}

/// The frames in these bytes.
pub fn frames(bytes: &[u8]) -> Vec<Frame> {
    let (mut decoder, mut protection) = (Decoder::new(), CrcHmac::new(keys()));
    let mut rx = BytesMut::from(bytes);
    let mut frames = Vec::new();
    loop {
        let before = Bytes::copy_from_slice(&rx);
        let decoded = decoder.decode(&mut protection, &mut rx, FrameLimits::PROTOCOL).expect("it is good");
        let Some(frame) = decoded else { return frames };
        let whole = before.slice(..before.len() - rx.len());
        let content = whole.slice(whole.len() - frame.content.len()..);
        let head = whole.slice(PREFIX_LEN..whole.len() - content.len());
        frames.push(Frame { header: frame.header, content, head, whole });
    }
}

/// The floor under the frames of one message.
pub struct Floor<'a> {
    mac: Hmac<Sha256>,
    frames: &'a [Frame],
    buffer: BytesMut,
}

impl<'a> Floor<'a> {
    pub fn new(frames: &'a [Frame]) -> Self {
        let mac = Hmac::<Sha256>::new_from_slice(KEY).expect("any length");
        let floor = Self { mac, frames, buffer: BytesMut::new() };
        for frame in frames {
            let (header_crc, content_crc, mac) = floor.guard(&frame.head, &frame.content);
            // It is the same work if it gives what stands in the prefix.
            let prefix = [&header_crc.to_be_bytes()[..], &content_crc.to_be_bytes(), &mac].concat();
            let met = [&frame.whole[16..20], &frame.whole[28..32], &frame.whole[32..64]].concat();
            assert_eq!(prefix, met);
        }
        floor
    }

    /// Authenticates and checks the frames of so many messages, which come as they come to the others.
    pub fn check(&mut self, times: u64) -> Duration {
        let mut time = Duration::ZERO;
        for batch in batches(times, self.frames) {
            for frame in self.frames {
                self.buffer.clear();
                (0..batch).for_each(|_| self.buffer.extend_from_slice(&frame.whole));
                let began = Instant::now();
                for whole in black_box(&self.buffer).chunks_exact(frame.whole.len()) {
                    let (head, content) = whole[PREFIX_LEN..].split_at(frame.head.len());
                    black_box(self.guard(head, content));
                }
                time += began.elapsed();
            }
        }
        time
    }

    /// Authenticates the frames of a message, and copies them into a buffer that is there already.
    pub fn encode(&mut self) {
        self.buffer.clear();
        for frame in self.frames {
            black_box(self.guard(black_box(&frame.head), black_box(&frame.content)));
            self.buffer.extend_from_slice(&frame.whole);
        }
        black_box(&self.buffer);
    }

    fn guard(&self, head: &[u8], content: &[u8]) -> (u32, u32, hmac::digest::Output<Hmac<Sha256>>) {
        let mut mac = self.mac.clone();
        mac.update(head);
        mac.update(content);
        let (head, content) = (crc32fast::hash(head), crc32fast::hash(content));
        (head, content, mac.finalize().into_bytes())
    }
}
