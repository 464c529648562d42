//! Sealed packets.

use std::io::Write;

use bytes::BytesMut;
use heartwire_core::role::Role;
use heartwire_core::seed::Seed;
use heartwire_core::wire::codec::Codec;
use heartwire_core::wire::sealed::{self, SecretKey, Settings};
use serde::Serialize;

use super::{Frames, Halt, write_line};
use crate::hex::Hex;

/// Memory is bounded by one packet, of which nothing is shown unless it opens.
pub struct Sealed(sealed::Sealed);

impl Sealed {
    /// Packets under this key, with ciphertexts of at most `limit` bytes; without one, of as many as the protocol
    /// usually has.
    pub fn new(key: SecretKey, limit: Option<u64>) -> Self {
        let settings = Settings::new(key);
        let settings = match limit {
            Some(limit) => settings.limit(u32::try_from(limit).unwrap_or(u32::MAX)),
            None => settings,
        };
        // nothing is sealed, so that the seed does not matter
        Self(sealed::Sealed::new(&settings, Role::Client, &Seed::new([0; 32])))
    }
}

impl Frames for Sealed {
    fn unit(&self) -> &'static str {
        "packet"
    }

    fn next(&mut self, rx: &mut BytesMut, out: &mut dyn Write) -> Result<bool, Halt> {
        #[derive(Serialize)]
        struct Shown<'a> {
            nonce_hex: Hex<'a>,
            plaintext_hex: Hex<'a>,
        }
        let Some(packet) = self.0.decode_packet(rx)? else { return Ok(false) };
        let shown = Shown { nonce_hex: Hex(&packet.nonce), plaintext_hex: Hex(&packet.plaintext) };
        write_line(out, &shown)?;
        Ok(true)
    }

    fn finish(&mut self, rx: &mut BytesMut, _: &mut dyn Write) -> Result<(), Halt> {
        self.0.finish(rx)?;
        Ok(())
    }
}
