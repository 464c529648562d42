//! The first 64 bytes of a frame.

use alloc::format;

use bytes::BufMut;

use super::decode::FrameLimits;
use crate::error::{Code, Error};

/// The first eight bytes of every frame.
pub const MAGIC: [u8; 8] = [0x89, 0x50, 0x4E, 0x47, 0x0E, 0x0B, 0x1B, 0x0B];
/// The version of the protocol.
pub const VERSION: u16 = 1;
/// The length of the prefix, in bytes.
pub const PREFIX_LEN: usize = 64;

/// The fields of a prefix, after magic and version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// The code of the type; 0: look in the header.
    pub type_code: u16,
    /// The header's length, in bytes.
    pub header_len: u32,
    /// The header's CRC32.
    pub header_crc: u32,
    /// The content's length, in bytes.
    pub content_len: u64,
    /// The content's CRC32.
    pub content_crc: u32,
    /// The authentication code over header and content.
    pub mac: [u8; 32],
}

impl Prefix {
    /// The prefix at the front of `bytes`, if it is there whole. What is there of it is checked
    /// field by field, so that nothing is awaited behind a field that is wrong.
    ///
    /// # Errors
    ///
    /// `bad-magic`, `unsupported-version`, `header-too-large`, `content-too-large`.
    pub fn parse(bytes: &[u8], limits: FrameLimits) -> Result<Option<Self>, Error> {
        match bytes.first_chunk::<PREFIX_LEN>() {
            // The same: the length is known here, and nothing is checked against it.
            Some(whole) => Self::parse_fields(whole, limits),
            None => Self::parse_fields(bytes, limits),
        }
    }

    #[inline(always)]
    fn parse_fields(bytes: &[u8], limits: FrameLimits) -> Result<Option<Self>, Error> {
        check_magic(bytes)?;
        let mut fields = Fields(bytes.get(MAGIC.len()..).unwrap_or_default());
        let Some(version) = fields.take().map(u16::from_be_bytes) else { return Ok(None) };
        if version != VERSION {
            return Err(Error::new(
                Code::UnsupportedVersion,
                format!("version {version} of the protocol; {VERSION} is spoken here"),
            ));
        }
        let Some(type_code) = fields.take().map(u16::from_be_bytes) else { return Ok(None) };
        let Some(header_len) = fields.take().map(u32::from_be_bytes) else { return Ok(None) };
        check_len(Code::HeaderTooLarge, "header", header_len.into(), limits.header)?;
        let Some(header_crc) = fields.take().map(u32::from_be_bytes) else { return Ok(None) };
        let Some(content_len) = fields.take().map(u64::from_be_bytes) else { return Ok(None) };
        check_len(Code::ContentTooLarge, "content", content_len, limits.content)?;
        let Some(content_crc) = fields.take().map(u32::from_be_bytes) else { return Ok(None) };
        let Some(mac) = fields.take() else { return Ok(None) };
        Ok(Some(Self { type_code, header_len, header_crc, content_len, content_crc, mac }))
    }

    /// The prefix as it stands on the wire.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; PREFIX_LEN] {
        let mut bytes = [0; PREFIX_LEN];
        let mut rest = bytes.as_mut_slice();
        rest.put_slice(&MAGIC);
        rest.put_u16(VERSION);
        rest.put_u16(self.type_code);
        rest.put_u32(self.header_len);
        rest.put_u32(self.header_crc);
        rest.put_u64(self.content_len);
        rest.put_u32(self.content_crc);
        rest.put_slice(&self.mac);
        bytes
    }

    /// Where the header ends, counted from the start of the frame.
    pub(super) fn header_end(&self) -> usize {
        PREFIX_LEN.saturating_add(usize::try_from(self.header_len).unwrap_or(usize::MAX))
    }

    /// Where the frame ends. A length that no memory holds is as good as no end.
    pub(super) fn frame_end(&self) -> usize {
        self.header_end().saturating_add(usize::try_from(self.content_len).unwrap_or(usize::MAX))
    }
}

/// Checks as much of the magic as is there: a wrong first byte is reason enough.
#[inline(always)]
fn check_magic(bytes: &[u8]) -> Result<(), Error> {
    if bytes.starts_with(&MAGIC) { Ok(()) } else { check_each_of_magic(bytes) }
}

fn check_each_of_magic(bytes: &[u8]) -> Result<(), Error> {
    for (at, (met, expected)) in bytes.iter().zip(MAGIC).enumerate() {
        if *met != expected {
            return Err(Error::new(
                Code::BadMagic,
                format!("byte {at} of the magic is {met:#04x}, not {expected:#04x}: not this protocol"),
            ));
        }
    }
    Ok(())
}

fn check_len(code: Code, what: &str, met: u64, limit: usize) -> Result<(), Error> {
    if met > u64::try_from(limit).unwrap_or(u64::MAX) {
        return Err(Error::new(code, format!("a {what} of {met} bytes is over the limit of {limit}")));
    }
    Ok(())
}

/// Fields off the front of what is there.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    #[inline(always)]
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: FrameLimits = FrameLimits { header: 100, content: 1000 };

    fn prefix() -> Prefix {
        Prefix {
            type_code: 4,
            header_len: 100,
            header_crc: 0x0102_0304,
            content_len: 1000,
            content_crc: 0xA0B0_C0D0,
            mac: [7; 32],
        }
    }

    #[test]
    fn a_prefix_reads_as_it_was_written() {
        let bytes = prefix().to_bytes();
        assert_eq!(&bytes[..8], &MAGIC);
        assert_eq!(&bytes[8..20], &[0, 1, 0, 4, 0, 0, 0, 100, 1, 2, 3, 4]);
        assert_eq!(&bytes[20..32], &[0, 0, 0, 0, 0, 0, 3, 0xE8, 0xA0, 0xB0, 0xC0, 0xD0]);
        assert_eq!(&bytes[32..], &[7; 32]);
        assert_eq!(Prefix::parse(&bytes, LIMITS), Ok(Some(prefix())));
        for end in 0..PREFIX_LEN {
            assert_eq!(Prefix::parse(&bytes[..end], LIMITS), Ok(None), "{end}");
        }
    }

    #[test]
    fn each_field_fails_as_soon_as_it_is_there_and_not_before() {
        let over = Prefix { header_len: 101, content_len: 1001, ..prefix() }.to_bytes();
        let fails_from = |bytes: &[u8], limits| {
            (0..=PREFIX_LEN).find_map(|n| Some((n, Prefix::parse(&bytes[..n], limits).err()?.code())))
        };
        assert_eq!(fails_from(&over, LIMITS), Some((16, Code::HeaderTooLarge)));
        let wider = FrameLimits { header: 101, ..LIMITS };
        assert_eq!(fails_from(&over, wider), Some((28, Code::ContentTooLarge)));
        let mut version = over;
        version[8] = 1;
        assert_eq!(fails_from(&version, LIMITS), Some((10, Code::UnsupportedVersion)));
        for at in 0..8 {
            let mut magic = version;
            magic[at] ^= 0x80;
            assert_eq!(fails_from(&magic, LIMITS), Some((at + 1, Code::BadMagic)));
        }
    }

    #[test]
    fn errors_say_what_was_met_and_what_is_allowed() {
        let error = Prefix::parse(b"GET / HTTP/1.1", LIMITS).unwrap_err();
        assert_eq!(error.detail(), "byte 0 of the magic is 0x47, not 0x89: not this protocol");
        let bytes = Prefix { content_len: u64::MAX, ..prefix() }.to_bytes();
        let error = Prefix::parse(&bytes, LIMITS).unwrap_err();
        assert_eq!(error.detail(), "a content of 18446744073709551615 bytes is over the limit of 1000");
    }
}
