//! One frame into bytes.

use bytes::{BufMut, BytesMut};

use super::header::Header;
use super::prefix::{PREFIX_LEN, Prefix};
use super::protection::Protection;

/// What opens and closes the key that pads a header.
const PAD: [&[u8]; 2] = [b", \"pad\": \"", b"\""];
/// What that key takes without a single space in it.
const PAD_LEN: usize = PAD[0].len() + PAD[1].len();

/// Appends the prefix and the header of a frame to `out`; its content is to follow. The frame is
/// padded to `pad_to` bytes, content included, by a last header key `pad` of spaces. Where less is
/// missing than that key takes, the frame gets the key without spaces and is a little longer.
///
/// Nothing is checked here: [`header_len`] says whether a header is within a limit.
pub fn encode_head<P: Protection>(
    protection: &P,
    header: &Header,
    content: &[u8],
    pad_to: usize,
    out: &mut BytesMut,
) {
    let start = out.len();
    // The prefix is made of what follows it, so its place is kept for it.
    out.put_bytes(0, PREFIX_LEN);
    header.write_open(out);
    let len = out.len().saturating_sub(start).saturating_add(CLOSE.len()).saturating_add(content.len());
    if len < pad_to {
        let [open, close] = PAD;
        out.put_slice(open);
        out.put_bytes(b' ', pad_to.saturating_sub(len).saturating_sub(PAD_LEN));
        out.put_slice(close);
    }
    out.put_slice(CLOSE);

    let Some((place, written)) = out.get_mut(start..).and_then(|frame| frame.split_first_chunk_mut()) else {
        return;
    };
    let guard = protection.guard(written, content);
    let prefix = Prefix {
        type_code: header.kind.frame_type().code(),
        header_len: u32::try_from(written.len()).unwrap_or(u32::MAX),
        header_crc: guard.header_crc,
        content_len: u64::try_from(content.len()).unwrap_or(u64::MAX),
        content_crc: guard.content_crc,
        mac: guard.mac,
    };
    *place = prefix.to_bytes();
}

/// What closes a header.
const CLOSE: &[u8] = b"}";

/// How many bytes this header takes on the wire, without padding. Text takes more there than in
/// memory where it is escaped, so a limit is checked against this.
#[must_use]
pub fn header_len(header: &Header) -> usize {
    let mut len = Count(CLOSE.len());
    header.write_open(&mut len);
    len.0
}

/// Where a header is written to.
pub(super) trait Sink {
    /// Appends these bytes.
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for BytesMut {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Counts what is written to it.
struct Count(usize);

impl Sink for Count {
    fn put(&mut self, bytes: &[u8]) {
        self.0 = self.0.saturating_add(bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Key, Keys};
    use crate::message::{App, ContentType, MAX_APP_LEN};
    use crate::wire::envelope::{CrcHmac, Decoder, FrameLimits, Hello, Kind};

    fn header(kind: Kind) -> Header {
        Header { kind, content_type: ContentType::new("тип").unwrap(), session_id: Some("s".into()) }
    }

    fn protection() -> CrcHmac {
        CrcHmac::new(Keys::new(Key::new_allow_weak(b"k").unwrap()))
    }

    #[test]
    fn a_frame_is_padded_to_the_byte_or_overshoots_by_less_than_the_key_takes() {
        let header = header(Kind::Message { app: App::NONE });
        let content = [7; 100];
        let plain = PREFIX_LEN + header_len(&header) + content.len();
        for pad_to in (0..plain + 100).chain([1024, 70_000]) {
            let mut out = BytesMut::from(&b"before"[..]);
            encode_head(&protection(), &header, &content, pad_to, &mut out);
            out.extend_from_slice(&content);
            let expected = if pad_to <= plain { plain } else { pad_to.max(plain + PAD_LEN) };
            assert_eq!(out.len() - 6, expected, "{pad_to}");
            assert_eq!(&out.split_to(6)[..], b"before");
            let limits = FrameLimits { header: 100_000, content: 1000 };
            let frame = Decoder::new().decode(&mut protection(), &mut out, limits).unwrap().unwrap();
            assert_eq!(frame.header, header);
            assert!(out.is_empty());
        }
    }

    #[test]
    fn the_length_of_a_header_is_known_without_writing_it() {
        let app = App::from_json(&["{\"a\": \"", &"x".repeat(MAX_APP_LEN - 9), "\"}"].concat()).unwrap();
        for kind in [Kind::SessionInit(Hello::default()), Kind::Message { app }, Kind::Disconnect] {
            let header = header(kind);
            let mut out = BytesMut::new();
            encode_head(&protection(), &header, b"x", 0, &mut out);
            assert_eq!(out.len(), PREFIX_LEN + header_len(&header));
        }
    }

    #[test]
    fn a_frame_is_written_into_room_that_is_there() {
        let header = header(Kind::Heartbeat { seq: Some(1) });
        let mut out = BytesMut::with_capacity(1024);
        let place = out.as_ptr();
        encode_head(&protection(), &header, b"ping", 1024, &mut out);
        assert_eq!((out.as_ptr(), out.len()), (place, 1020));
    }
}
