//! What one would write by hand: the length-delimited codec, with the CRC32 and the HMAC-SHA256 of every
//! content in front of it, and if wanted a header like ours, which is under the HMAC and has a CRC32 of its
//! own. The state that the key makes is prepared once; a content is copied once on its way out and not at
//! all on its way in.

use std::io::{Error, ErrorKind};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::net::TcpStream;
use tokio_util::codec::{Decoder, Encoder, Framed, LengthDelimitedCodec};

use crate::wire::connection;

/// A header as ours is. Nobody parses it here.
pub const HEADER: &[u8] = b"{\"type\": \"message\", \"content_type\": \"application/octet-stream\", \
      \"session_id\": \"01234567-89ab-4def-8123-456789abcdef\"}";

const LENGTH: usize = 4;
const CRC: usize = 4;
const MAC: usize = 32;

pub struct Checked {
    lengths: LengthDelimitedCodec,
    mac: Hmac<Sha256>,
    /// Empty: frames have none.
    header: &'static [u8],
}

pub async fn ends(header: &'static [u8]) -> (Framed<TcpStream, Checked>, Framed<TcpStream, Checked>) {
    let (a, b) = connection().await;
    let codec = || Checked {
        lengths: LengthDelimitedCodec::new(),
        mac: Hmac::new_from_slice(b"the key of the whole suite").expect("any length"),
        header,
    };
    (Framed::new(a, codec()), Framed::new(b, codec()))
}

impl Checked {
    /// The bytes in front of header and content.
    fn guard_len(&self) -> usize {
        if self.header.is_empty() { CRC + MAC } else { 2 * CRC + MAC }
    }

    fn mac(&self, header: &[u8], content: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(header);
        mac.update(content);
        mac
    }
}

impl Encoder<Bytes> for Checked {
    type Error = Error;

    fn encode(&mut self, content: Bytes, out: &mut BytesMut) -> Result<(), Error> {
        let len = self.guard_len() + self.header.len() + content.len();
        out.reserve(LENGTH + len);
        out.put_u32(u32::try_from(len).map_err(|_| ErrorKind::InvalidInput)?);
        out.put_u32(crc32fast::hash(&content));
        if !self.header.is_empty() {
            out.put_u32(crc32fast::hash(self.header));
        }
        out.put_slice(&self.mac(self.header, &content).finalize().into_bytes());
        out.put_slice(self.header);
        out.put_slice(&content);
        Ok(())
    }
}

impl Decoder for Checked {
    type Item = BytesMut;
    type Error = Error;

    fn decode(&mut self, rx: &mut BytesMut) -> Result<Option<BytesMut>, Error> {
        let Some(mut frame) = self.lengths.decode(rx)? else { return Ok(None) };
        if frame.len() < self.guard_len() + self.header.len() {
            return Err(ErrorKind::InvalidData.into());
        }
        let content_crc = frame.get_u32();
        let header_crc = if self.header.is_empty() { None } else { Some(frame.get_u32()) };
        let mut mac = [0; MAC];
        frame.copy_to_slice(&mut mac);
        let header = &frame[..self.header.len()];
        let content = &frame[self.header.len()..];
        if header_crc.is_some_and(|crc| crc != crc32fast::hash(header))
            || content_crc != crc32fast::hash(content)
            || self.mac(header, content).verify_slice(&mac).is_err()
        {
            return Err(ErrorKind::InvalidData.into());
        }
        frame.advance(self.header.len());
        Ok(Some(frame))
    }
}
