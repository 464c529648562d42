//! How a frame is authenticated on the wire, apart from what it means.

use alloc::format;
use core::fmt;

use super::prefix::Prefix;
use crate::error::{Code, Error};
use crate::key::{Keys, MacState};

/// What stands between bytes and trust. Version 1 has [`CrcHmac`]; a program that fuzzes a machine
/// brings one that accepts everything.
///
/// What depends on a header alone is [prepared](Self::prepare) apart from the content, and kept by who
/// meets the same header again: the headers of a session's messages mostly are.
pub trait Protection {
    /// What depends on a header alone.
    type Prepared: Clone + fmt::Debug;

    /// Works out what depends on this header alone.
    fn prepare(&self, header: &[u8]) -> Self::Prepared;

    /// Checks a header as soon as it is there whole. `prepared` is of these bytes.
    ///
    /// # Errors
    ///
    /// The code of the check that failed.
    fn check_header(&self, prefix: &Prefix, header: &[u8], prepared: &Self::Prepared) -> Result<(), Error>;

    /// Checks a frame when it is there whole. Its header passed `check_header`, and `prepared` is of it.
    ///
    /// # Errors
    ///
    /// The code of the first check that failed.
    fn check_frame(
        &mut self,
        prefix: &Prefix,
        header: &[u8],
        prepared: &Self::Prepared,
        content: &[u8],
    ) -> Result<(), Error>;

    /// What goes into the prefix of a frame that is sent. `prepared` is of its header.
    fn guard(&self, header: &[u8], prepared: &Self::Prepared, content: &[u8]) -> Guard;
}

/// The fields of a prefix that protect a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The header's CRC32.
    pub header_crc: u32,
    /// The content's CRC32.
    pub content_crc: u32,
    /// The authentication code over header and content.
    pub mac: [u8; 32],
}

/// CRC32 against accidents, HMAC-SHA256 against everything else.
#[derive(Debug)]
pub struct CrcHmac {
    keys: Keys,
}

impl CrcHmac {
    /// Protection by these keys. The one that verifies the first frame is the only one from then on.
    #[must_use]
    pub fn new(keys: Keys) -> Self {
        Self { keys }
    }
}

/// The CRC32 of a header, and the state of the HMAC behind it.
#[derive(Clone, Debug)]
pub struct Prepared {
    crc: u32,
    /// None while several keys are accepted: which one it has to be of is not known yet.
    mac: Option<MacState>,
}

impl Protection for CrcHmac {
    type Prepared = Prepared;

    fn prepare(&self, header: &[u8]) -> Prepared {
        Prepared { crc: crc32fast::hash(header), mac: self.keys.only().map(|key| key.begin(header)) }
    }

    fn check_header(&self, prefix: &Prefix, header: &[u8], prepared: &Prepared) -> Result<(), Error> {
        check_crc(Code::HeaderCrcMismatch, "header", header.len(), prefix.header_crc, prepared.crc)
    }

    fn check_frame(
        &mut self,
        prefix: &Prefix,
        header: &[u8],
        prepared: &Prepared,
        content: &[u8],
    ) -> Result<(), Error> {
        let met = crc32fast::hash(content);
        check_crc(Code::ContentCrcMismatch, "content", content.len(), prefix.content_crc, met)?;
        let tried = self.keys.len();
        let fits = match &prepared.mac {
            Some(state) => state.verify(content, &prefix.mac),
            None => self.keys.settle(&[header, content], &prefix.mac),
        };
        if fits {
            return Ok(());
        }
        // The code that was expected is not said: it would sign the forgery.
        let detail = match tried {
            1 => "the frame was not signed with our key, or was changed on the way".into(),
            _ => format!("the frame was signed with none of our {tried} keys, or was changed on the way"),
        };
        Err(Error::new(Code::MacMismatch, detail))
    }

    fn guard(&self, header: &[u8], prepared: &Prepared, content: &[u8]) -> Guard {
        let mac = match &prepared.mac {
            Some(state) => state.sign(content),
            // `Keys` is never empty.
            None => self.keys.signing().map_or([0; 32], |key| key.sign(&[header, content])),
        };
        Guard { header_crc: prepared.crc, content_crc: crc32fast::hash(content), mac }
    }
}

fn check_crc(code: Code, what: &str, len: usize, announced: u32, met: u32) -> Result<(), Error> {
    if met != announced {
        let detail =
            format!("the {what} of {len} bytes has the CRC32 {met:#010x}, the prefix says {announced:#010x}");
        return Err(Error::new(code, detail));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;

    fn key(text: &str) -> Key {
        Key::new_allow_weak(text.as_bytes()).unwrap()
    }

    fn guard(side: &CrcHmac, header: &[u8], content: &[u8]) -> Guard {
        side.guard(header, &side.prepare(header), content)
    }

    fn check_header(side: &CrcHmac, prefix: &Prefix, header: &[u8]) -> Result<(), Error> {
        side.check_header(prefix, header, &side.prepare(header))
    }

    fn check_frame(side: &mut CrcHmac, prefix: &Prefix, header: &[u8], content: &[u8]) -> Result<(), Error> {
        let prepared = side.prepare(header);
        side.check_frame(prefix, header, &prepared, content)
    }

    fn prefix(guard: Guard) -> Prefix {
        let Guard { header_crc, content_crc, mac } = guard;
        Prefix { type_code: 0, header_len: 6, header_crc, content_len: 7, content_crc, mac }
    }

    #[test]
    fn what_one_side_guards_the_other_takes() {
        let mut ours = CrcHmac::new(Keys::new(key("a")));
        let good = guard(&ours, b"header", b"content");
        assert_eq!(guard(&ours, b"123456789", b"").header_crc, 0xCBF4_3926);
        assert_eq!(check_header(&ours, &prefix(good), b"header"), Ok(()));
        assert_eq!(check_frame(&mut ours, &prefix(good), b"header", b"content"), Ok(()));
    }

    #[test]
    fn each_field_is_checked_and_says_what_it_met() {
        let mut ours = CrcHmac::new(Keys::new(key("a")));
        let good = guard(&ours, b"header", b"content");
        let header = prefix(Guard { header_crc: 1, ..good });
        let error = check_header(&ours, &header, b"header").unwrap_err();
        assert_eq!(error.code(), Code::HeaderCrcMismatch);
        assert!(error.detail().starts_with("the header of 6 bytes has the CRC32 0x"), "{error}");
        assert!(error.detail().ends_with(", the prefix says 0x00000001"), "{error}");
        let content = prefix(Guard { content_crc: 1, mac: [0; 32], ..good });
        let error = check_frame(&mut ours, &content, b"header", b"content").unwrap_err();
        assert_eq!(error.code(), Code::ContentCrcMismatch);
        let mac = prefix(Guard { mac: [0; 32], ..good });
        let error = check_frame(&mut ours, &mac, b"header", b"content").unwrap_err();
        assert_eq!(error.code(), Code::MacMismatch);
    }

    #[test]
    fn the_key_of_the_first_frame_is_the_key_both_ways_from_then_on() {
        let mut server = CrcHmac::new(Keys::new(key("new")).and_accept(key("old")));
        let old = CrcHmac::new(Keys::new(key("old")));
        let new = CrcHmac::new(Keys::new(key("new")));
        let by = |side: &CrcHmac| prefix(guard(side, b"header", b"content"));
        assert_eq!(by(&server), by(&new));
        let forged = prefix(Guard { mac: [1; 32], ..guard(&server, b"header", b"content") });
        let error = check_frame(&mut server, &forged, b"header", b"content").unwrap_err();
        assert!(error.detail().contains("none of our 2 keys"), "{error}");
        assert_eq!(check_frame(&mut server, &by(&old), b"header", b"content"), Ok(()));
        assert_eq!(by(&server), by(&old));
        let error = check_frame(&mut server, &by(&new), b"header", b"content").unwrap_err();
        assert_eq!(error.code(), Code::MacMismatch);
    }
}
