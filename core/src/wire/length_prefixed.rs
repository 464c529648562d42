//! Protocol 5: a `u32` length, then that many bytes.
//!
//! ```
//! use bytes::{Bytes, BytesMut};
//! use heartwire_core::wire::body::Part;
//! use heartwire_core::wire::codec::Codec;
//! use heartwire_core::wire::length_prefixed::{Format, Head, LengthPrefixed};
//!
//! let mut codec = LengthPrefixed::with_format(Format::default());
//! let mut rx = BytesMut::from(&b"\0\0\0\x06123"[..]);
//! assert_eq!(codec.decode(&mut rx)?, Some(Part::Head(Head { size: 6 })));
//! assert_eq!(codec.decode(&mut rx)?, Some(Part::Piece(Bytes::from("123"))));
//! assert_eq!(codec.decode(&mut rx)?, None);
//! rx.extend_from_slice(b"456");
//! assert_eq!(codec.decode(&mut rx)?, Some(Part::Piece(Bytes::from("456"))));
//! assert_eq!(codec.decode(&mut rx)?, Some(Part::End));
//! # Ok::<(), heartwire_core::error::Error>(())
//! ```

use alloc::format;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::body::{Bodied, BodyHead, HeadFormat, Whole};
use crate::error::{Code, Error};

/// The largest message there is, in bytes: 4 GiB − 1.
pub const MAX_MESSAGE: u64 = u32::MAX as u64;
/// The length, in bytes.
const PREFIX_LEN: usize = 4;

/// Length-prefixed messages off a stream, and onto one.
pub type LengthPrefixed = Bodied<Format>;

/// What stands before a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// How long the message is, in bytes; at most [`MAX_MESSAGE`].
    pub size: u64,
}

impl BodyHead for Head {
    fn size(&self) -> u64 {
        self.size
    }
}

impl From<Bytes> for Whole<Head> {
    fn from(body: Bytes) -> Self {
        Self { head: Head { size: body.len() as u64 }, body }
    }
}

/// The limit of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    limit: u32,
}

impl Default for Format {
    fn default() -> Self {
        Self { limit: u32::MAX }
    }
}

impl Format {
    /// Messages received may have so many bytes; by default as many as there can be, which is no matter for
    /// who takes them in pieces.
    #[must_use]
    pub const fn with_limit(limit: u32) -> Self {
        Self { limit }
    }
}

impl HeadFormat for Format {
    type Head = Head;

    fn decode_head(&self, rx: &mut BytesMut) -> Result<Option<Head>, Error> {
        let Some(prefix) = rx.first_chunk::<PREFIX_LEN>() else { return Ok(None) };
        let size = u32::from_be_bytes(*prefix);
        if size > self.limit {
            let detail = format!("a message of {size} bytes; at most {} are taken", self.limit);
            return Err(Error::new(Code::MessageTooLarge, detail));
        }
        rx.advance(PREFIX_LEN);
        Ok(Some(Head { size: size.into() }))
    }

    fn missing(&self, rx: &BytesMut) -> usize {
        PREFIX_LEN.saturating_sub(rx.len())
    }

    fn check_head(&self, head: &Head) -> Result<(), Code> {
        if head.size > MAX_MESSAGE { Err(Code::MessageTooLarge) } else { Ok(()) }
    }

    fn encode_head(&self, head: &Head, out: &mut BytesMut) {
        out.put_u32(u32::try_from(head.size).unwrap_or(u32::MAX));
    }
}
