//! The functions that make and take apart a frame, without a session around them.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use heartwire_core::wire::envelope::{CrcHmac, Decoder, Encoder, FrameLimits};

use crate::floor::Frame;
use crate::machine::keys;
use crate::reads::batches;

pub struct Codec<'a> {
    frames: &'a [Frame],
    protection: CrcHmac,
    encoder: Encoder<CrcHmac>,
    decoder: Decoder<CrcHmac>,
    buffer: BytesMut,
}

impl<'a> Codec<'a> {
    pub fn new(frames: &'a [Frame]) -> Self {
        let protection = CrcHmac::new(keys());
        Self { frames, protection, encoder: Encoder::new(), decoder: Decoder::new(), buffer: BytesMut::new() }
    }

    /// Makes the frames of a message.
    pub fn encode(&mut self) {
        self.buffer.clear();
        for Frame { header, content, .. } in self.frames {
            self.encoder.encode_head(&self.protection, black_box(header), content, 0, &mut self.buffer);
            self.buffer.extend_from_slice(content);
        }
        black_box(&self.buffer);
    }

    /// Takes apart the frames of so many messages.
    pub fn decode(&mut self, times: u64) -> Duration {
        let mut time = Duration::ZERO;
        for batch in batches(times, self.frames) {
            for frame in self.frames {
                (0..batch).for_each(|_| self.buffer.extend_from_slice(&frame.whole));
                let began = Instant::now();
                for _ in 0..batch {
                    let limits = FrameLimits::PROTOCOL;
                    let frame = self.decoder.decode(&mut self.protection, &mut self.buffer, limits);
                    black_box(frame.expect("it is good").expect("it is whole"));
                }
                time += began.elapsed();
            }
        }
        time
    }
}
