//! Frames into bytes.

use alloc::sync::Arc;

use bytes::{BufMut, BytesMut};

use super::header::{Header, Kind};
use super::prefix::{PREFIX_LEN, Prefix};
use super::protection::Protection;
use super::remembered::Remembered;
use crate::message::Message;

/// What opens and closes the key that pads a header.
const PAD: [&[u8]; 2] = [b", \"pad\": \"", b"\""];
/// What that key takes without a single space in it.
const PAD_LEN: usize = PAD[0].len() + PAD[1].len();

/// Writes frames, and remembers the last header of a whole message: messages of one session mostly have
/// the same, and making it anew would take longer than authenticating a small frame does.
///
/// ```
/// use bytes::BytesMut;
/// use heartwire_core::key::{Key, Keys};
/// use heartwire_core::message::{App, ContentType};
/// use heartwire_core::wire::envelope::{CrcHmac, Encoder, Header, Kind, PREFIX_LEN};
///
/// let protection = CrcHmac::new(Keys::new(Key::new(b"correct horse battery").unwrap()));
/// let header = Header {
///     kind: Kind::Message { app: App::NONE },
///     content_type: ContentType::PLAIN,
///     session_id: Some("s".into()),
/// };
/// let mut out = BytesMut::new();
/// Encoder::new().encode_head(&protection, &header, b"hello", 0, &mut out);
/// assert_eq!(
///     &out[PREFIX_LEN..],
///     br#"{"type": "message", "content_type": "text/plain", "session_id": "s"}"#
/// );
/// ```
#[derive(Debug)]
pub struct Encoder<P: Protection> {
    last: Option<Remembered<P::Prepared>>,
}

impl<P: Protection> Encoder<P> {
    /// An encoder at the beginning of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self { last: None }
    }

    /// Appends the prefix and the header of a frame to `out`; its content is to follow. The frame is
    /// padded to `pad_to` bytes, content included, by a last header key `pad` of spaces. Where less is
    /// missing than that key takes, the frame gets the key without spaces and is a little longer.
    ///
    /// Nothing is checked here: [`header_len`] says whether a header is within a limit.
    pub fn encode_head(
        &mut self,
        protection: &P,
        header: &Header,
        content: &[u8],
        pad_to: usize,
        out: &mut BytesMut,
    ) {
        if self.last.as_ref().is_some_and(|last| last.header == *header)
            && self.encode_again(protection, content, pad_to, out)
        {
            return;
        }
        let start = out.len();
        // The prefix is made of what follows it, so its place is kept for it.
        out.put_bytes(0, PREFIX_LEN);
        header.write_open(out);
        let len = out.len().saturating_sub(start).saturating_add(CLOSE.len()).saturating_add(content.len());
        let padded = len < pad_to;
        if padded {
            let [open, close] = PAD;
            out.put_slice(open);
            out.put_bytes(b' ', pad_to.saturating_sub(len).saturating_sub(PAD_LEN));
            out.put_slice(close);
        }
        out.put_slice(CLOSE);

        let Some((place, bytes)) = out.get_mut(start..).and_then(|frame| frame.split_first_chunk_mut())
        else {
            return;
        };
        let prepared = protection.prepare(bytes);
        *place = prefix(protection, header, bytes, &prepared, content).to_bytes();
        if !padded {
            Remembered::replace(&mut self.last, header, bytes, prepared);
        }
    }

    /// The same for a message in one frame, whose header need not be put together if it is the last one's.
    pub fn encode_message_head(
        &mut self,
        protection: &P,
        message: &Message,
        session_id: Option<&Arc<str>>,
        pad_to: usize,
        out: &mut BytesMut,
    ) {
        let Message { content_type, content, app } = message;
        let again = self.last.as_ref().is_some_and(|last| {
            let Header { kind, content_type: last_type, session_id: last_id } = &last.header;
            last_type == content_type
                && last_id.as_ref() == session_id
                && matches!(kind, Kind::Message { app: last_app } if last_app == app)
        });
        if again && self.encode_again(protection, content, pad_to, out) {
            return;
        }
        let header = Header {
            kind: Kind::Message { app: app.clone() },
            content_type: content_type.clone(),
            session_id: session_id.cloned(),
        };
        self.encode_head(protection, &header, content, pad_to, out);
    }

    /// Appends the remembered header with its prefix. Says whether it did: not if it is to be padded.
    fn encode_again(&self, protection: &P, content: &[u8], pad_to: usize, out: &mut BytesMut) -> bool {
        let Some(Remembered { header, bytes, prepared }) = &self.last else { return false };
        if PREFIX_LEN.saturating_add(bytes.len()).saturating_add(content.len()) < pad_to {
            return false;
        }
        let prefix = prefix(protection, header, bytes, prepared, content);
        out.put_slice(&prefix.to_bytes());
        out.put_slice(bytes);
        true
    }
}

impl<P: Protection> Default for Encoder<P> {
    fn default() -> Self {
        Self::new()
    }
}

fn prefix<P: Protection>(
    protection: &P,
    header: &Header,
    bytes: &[u8],
    prepared: &P::Prepared,
    content: &[u8],
) -> Prefix {
    let guard = protection.guard(bytes, prepared, content);
    Prefix {
        type_code: header.kind.frame_type().code(),
        header_len: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        header_crc: guard.header_crc,
        content_len: u64::try_from(content.len()).unwrap_or(u64::MAX),
        content_crc: guard.content_crc,
        mac: guard.mac,
    }
}

/// Appends the prefix and the header of a single frame: as [`Encoder::encode_head`], without remembering
/// anything.
pub fn encode_head<P: Protection>(
    protection: &P,
    header: &Header,
    content: &[u8],
    pad_to: usize,
    out: &mut BytesMut,
) {
    Encoder::new().encode_head(protection, header, content, pad_to, out);
}

/// What closes a header.
pub(super) const CLOSE: &[u8] = b"}";

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
    fn a_header_that_comes_again_is_written_the_same_and_another_is_not() {
        let (protection, mut encoder) = (protection(), Encoder::new());
        let app = |text| App::from_json(text).unwrap();
        let headers = [
            header(Kind::Message { app: App::NONE }),
            header(Kind::Message { app: app("{}") }),
            header(Kind::Message { app: app(r#"{"a": 1}"#) }),
            Header { content_type: ContentType::TEXT, ..header(Kind::Message { app: App::NONE }) },
            Header { session_id: None, ..header(Kind::Message { app: App::NONE }) },
            header(Kind::Heartbeat { seq: None }),
        ];
        for (first, second) in headers.iter().flat_map(|a| headers.iter().map(move |b| (a, b))) {
            for (header, content, pad_to) in
                [(first, "1", 0), (second, "22", 0), (second, "3", 0), (second, "4", 1024), (second, "5", 0)]
            {
                let (mut out, mut expected) = (BytesMut::new(), BytesMut::new());
                encoder.encode_head(&protection, header, content.as_bytes(), pad_to, &mut out);
                encode_head(&protection, header, content.as_bytes(), pad_to, &mut expected);
                assert_eq!(out, expected);
            }
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
