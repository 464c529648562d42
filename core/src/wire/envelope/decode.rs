//! Frames off the front of a receive buffer.

use alloc::format;
use alloc::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};

use super::header::{Frame, FrameType, Header, Kind, PING, PONG};
use super::prefix::{PREFIX_LEN, Prefix};
use super::protection::Protection;
use super::remembered::Remembered;
use crate::buf::take_content;
use crate::error::{Code, Error};

/// The most a frame may hold, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    /// The header.
    pub header: usize,
    /// The content.
    pub content: usize,
}

impl FrameLimits {
    /// The most that the protocol has.
    pub const PROTOCOL: Self = Self { header: 64 * 1024, content: 10 * 1024 * 1024 };
}

/// Takes frames off the front of a receive buffer, whatever pieces they arrive in.
///
/// ```
/// use bytes::BytesMut;
/// use heartwire_core::key::{Key, Keys};
/// use heartwire_core::message::ContentType;
/// use heartwire_core::wire::envelope::{CrcHmac, Decoder, FrameLimits, Header, Kind, encode_head};
///
/// # fn main() -> Result<(), heartwire_core::error::Error> {
/// let mut protection = CrcHmac::new(Keys::new(Key::new(b"correct horse battery").unwrap()));
/// let header = Header {
///     kind: Kind::Heartbeat { seq: Some(7) },
///     content_type: ContentType::PLAIN,
///     session_id: Some("s".into()),
/// };
/// let mut rx = BytesMut::new();
/// encode_head(&protection, &header, b"ping", 0, &mut rx);
///
/// let mut decoder = Decoder::new();
/// let limits = FrameLimits { header: 4096, content: 4096 };
/// assert_eq!(decoder.decode(&mut protection, &mut rx, limits)?, None);
/// assert_eq!(decoder.missing(&rx), 4);
/// rx.extend_from_slice(b"ping");
/// let frame = decoder.decode(&mut protection, &mut rx, limits)?.expect("it is there whole");
/// assert_eq!(frame.header, header);
/// assert_eq!(&frame.content[..], b"ping");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Decoder<P: Protection> {
    /// The header at the front of the buffer passed its check: it is not read again while the content arrives.
    header_checked: bool,
    /// What was prepared of that header, unless it is the remembered one.
    fresh: Option<P::Prepared>,
    /// Parsing a header would take longer than authenticating a small frame does.
    last: Option<Remembered<P::Prepared>>,
    /// The header that carries on from the last chunk or heartbeat, if nothing comes between.
    next: Option<Header>,
    /// The id that headers are expected to have: theirs is not kept beside it.
    session_id: Option<Arc<str>>,
    /// The frame that was refused is an authentic `error` frame, though not one as it should be.
    refused_error: bool,
}

/// A frame off the front of a buffer.
#[derive(Debug)]
pub(crate) enum Decoded {
    /// A message with the same header, to the byte, as the last one.
    Again(Bytes),
    /// Anything else.
    Frame(Frame),
}

impl<P: Protection> Decoder<P> {
    /// A decoder at the beginning of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self {
            session_id: None,
            header_checked: false,
            fresh: None,
            last: None,
            next: None,
            refused_error: false,
        }
    }

    /// From here on headers are expected to have this session id. Others are none the worse for it.
    pub fn expect_session(&mut self, id: &Arc<str>) {
        self.session_id = Some(Arc::clone(id));
    }

    /// The next frame, if it is there whole.
    ///
    /// Contents of at most 8 KiB are copied out of `rx`, larger ones are slices of it.
    ///
    /// # Errors
    ///
    /// The first check that fails, as soon as the bytes it needs are there. After an error the
    /// stream is lost: nobody searches for the next magic.
    pub fn decode(
        &mut self,
        protection: &mut P,
        rx: &mut BytesMut,
        limits: FrameLimits,
    ) -> Result<Option<Frame>, Error> {
        Ok(match self.decode_next(protection, rx, limits)? {
            None => None,
            Some(Decoded::Frame(frame)) => Some(frame),
            Some(Decoded::Again(content)) => {
                self.last.as_ref().map(|last| Frame { header: last.header.clone(), content })
            }
        })
    }

    /// The same, for who knows what the last message was.
    #[inline]
    pub(crate) fn decode_next(
        &mut self,
        protection: &mut P,
        rx: &mut BytesMut,
        limits: FrameLimits,
    ) -> Result<Option<Decoded>, Error> {
        if rx.is_empty() {
            return Ok(None);
        }
        let Some(prefix) = Prefix::parse(rx, limits)? else { return Ok(None) };
        let (header_end, frame_end) = (prefix.header_end(), prefix.frame_end());
        let Some(header) = rx.get(PREFIX_LEN..header_end) else { return Ok(None) };
        let known = self.last.as_ref().filter(|known| known.bytes == header);
        let prepared = match known {
            Some(known) => &known.prepared,
            None => self.fresh.get_or_insert_with(|| protection.prepare(header)),
        };
        if !self.header_checked {
            protection.check_header(&prefix, header, prepared)?;
            self.header_checked = true;
        }
        let Some(content) = rx.get(header_end..frame_end) else { return Ok(None) };
        protection.check_frame(&prefix, header, prepared, content)?;
        self.header_checked = false;
        // Only now is anything believed that the bytes say.
        if known.is_some() && prefix.type_code == FrameType::Message.code() && !content.is_empty() {
            let content = take_content(rx, header_end, frame_end);
            return Ok(Some(Decoded::Again(content)));
        }
        self.read(&prefix, rx, header_end, frame_end).map(|frame| Some(Decoded::Frame(frame)))
    }

    /// The last message, as far as its header says: what [`Decoded::Again`] is one more of.
    pub(crate) fn last_message(&self) -> Option<&Header> {
        self.last.as_ref().map(|last| &last.header)
    }

    /// What an authentic frame says, checked further.
    fn read(
        &mut self,
        prefix: &Prefix,
        rx: &mut BytesMut,
        header_end: usize,
        frame_end: usize,
    ) -> Result<Frame, Error> {
        let header = rx.get(PREFIX_LEN..header_end).unwrap_or_default();
        let content = rx.get(header_end..frame_end).unwrap_or_default();
        let known = self.last.as_ref().filter(|known| known.bytes == header);
        let understood = match known {
            Some(known) => Ok(known.header.clone()),
            None => read_header(&mut self.next, header, self.session_id.as_ref()),
        }
        .and_then(|parsed| {
            parsed.check_type_code(prefix.type_code)?;
            parsed.check_content(content)?;
            Ok(parsed)
        });
        let parsed = match understood {
            Ok(parsed) => parsed,
            Err(error) => {
                let code = FrameType::Error.code();
                self.refused_error = prefix.type_code == code || Header::claims(header, FrameType::Error);
                return Err(error);
            }
        };
        if let Some(fresh) = self.fresh.take() {
            Remembered::replace(&mut self.last, &parsed, header, fresh);
        }
        let heartbeat = matches!(parsed.kind, Kind::Heartbeat { .. });
        Ok(Frame { header: parsed, content: take_frame_content(rx, header_end, frame_end, heartbeat) })
    }

    /// Whether the frame that `decode` refused is an `error` frame whose authentication code held: it is
    /// not to be answered.
    #[must_use]
    pub fn refused_an_error(&self) -> bool {
        self.refused_error
    }

    /// How many more bytes the frame at the front of `rx` needs; a whole prefix if none has begun.
    ///
    /// Lengths that `decode` has not let pass may be anything a peer claims.
    #[must_use]
    pub fn missing(&self, rx: &BytesMut) -> usize {
        if rx.is_empty() {
            return PREFIX_LEN;
        }
        frame_len(rx).saturating_sub(rx.len())
    }

    /// The stream ended with `rx` left over.
    ///
    /// # Errors
    ///
    /// `truncated` unless it ended between frames.
    pub fn finish(&self, rx: &BytesMut) -> Result<(), Error> {
        if rx.is_empty() {
            return Ok(());
        }
        let (met, part, whole) = match frame_len(rx) {
            whole if rx.len() < PREFIX_LEN => (rx.len(), "the prefix", whole),
            whole => (rx.len(), "a frame", whole),
        };
        Err(Error::new(
            Code::Truncated,
            format!("the stream ended after {met} bytes of {part}, which has {whole}"),
        ))
    }
}

impl<P: Protection> Default for Decoder<P> {
    fn default() -> Self {
        Self::new()
    }
}

/// What a header means: recognised if it carries on from the last chunk or heartbeat, else parsed.
fn read_header(
    next: &mut Option<Header>,
    bytes: &[u8],
    session_id: Option<&Arc<str>>,
) -> Result<Header, Error> {
    let foreseen = next.take().and_then(|header| header.spelled_as(bytes));
    let mut header = match foreseen {
        Some(header) => header,
        None => Header::parse(bytes)?,
    };
    if session_id.is_some() && header.session_id.as_ref() == session_id {
        header.session_id = session_id.cloned();
    }
    *next = header.successor();
    Ok(header)
}

/// Takes a frame off the front of `rx`, and gives its content.
fn take_frame_content(rx: &mut BytesMut, header_end: usize, frame_end: usize, heartbeat: bool) -> Bytes {
    let content = rx.get(header_end..frame_end).unwrap_or_default();
    // The two contents that heartbeats have take no memory.
    let usual = if heartbeat { [PING, PONG].into_iter().find(|usual| *usual == content) } else { None };
    match usual {
        Some(usual) => {
            rx.advance(frame_end);
            Bytes::from_static(usual)
        }
        None => take_content(rx, header_end, frame_end),
    }
}

/// How long the frame at the front of `rx` is, as far as can be told: at least its prefix.
fn frame_len(rx: &BytesMut) -> usize {
    const ANY: FrameLimits = FrameLimits { header: usize::MAX, content: usize::MAX };
    match Prefix::parse(rx, ANY) {
        Ok(Some(prefix)) => prefix.frame_end(),
        // A prefix that is refused needs nothing more for that.
        Ok(None) | Err(_) => PREFIX_LEN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buf::COPIED;
    use crate::config::MAX_WIRE_INTEGER;
    use crate::key::{Key, Keys};
    use crate::message::{App, ContentType};
    use crate::wire::envelope::{Chunk, CrcHmac, Guard, Kind, encode_head};
    use core::cell::Cell;
    use std::string::ToString;
    use std::vec;
    use std::vec::Vec;

    const LIMITS: FrameLimits = FrameLimits { header: 1024, content: 100_000 };

    fn protection() -> CrcHmac {
        CrcHmac::new(Keys::new(Key::new_allow_weak(b"k").unwrap()))
    }

    fn header() -> Header {
        Header { kind: Kind::Message { app: App::NONE }, content_type: ContentType::BINARY, session_id: None }
    }

    fn frame(content: &[u8]) -> BytesMut {
        let mut frame = BytesMut::new();
        encode_head(&protection(), &header(), content, 0, &mut frame);
        frame.extend_from_slice(content);
        frame
    }

    #[test]
    fn frames_come_off_the_front_one_after_another() {
        let mut rx = frame(b"one");
        rx.unsplit(frame(b"two"));
        rx.extend_from_slice(&MAGIC_AND_MORE);
        let (mut decoder, mut protection) = (Decoder::new(), protection());
        for expected in ["one", "two"] {
            let met = decoder.decode(&mut protection, &mut rx, LIMITS).unwrap().unwrap();
            assert_eq!((&met.content[..], met.header), (expected.as_bytes(), header()));
        }
        assert_eq!(decoder.decode(&mut protection, &mut rx, LIMITS), Ok(None));
        assert_eq!(rx, &MAGIC_AND_MORE[..]);
    }

    #[test]
    fn a_header_that_comes_again_means_the_same_and_another_does_not() {
        let (mut decoder, mut protection) = (Decoder::new(), protection());
        for content_type in ["a", "a", "b", "a", "b", "b"] {
            let content_type = ContentType::new(content_type).unwrap();
            let header = Header { content_type, ..header() };
            let mut rx = BytesMut::new();
            encode_head(&protection, &header, b"x", 0, &mut rx);
            rx.extend_from_slice(b"x");
            assert_eq!(decoder.decode(&mut protection, &mut rx, LIMITS).unwrap().unwrap().header, header);
        }
    }

    #[test]
    fn headers_of_chunks_and_heartbeats_are_read_right_in_any_order() {
        let (mut decoder, mut protection) = (Decoder::new(), protection());
        let chunk = |message_id, index, last| {
            let total_size = (index == 0).then_some(100);
            let app = App::NONE;
            Kind::Chunk(Chunk { message_id, index, last, aborted: false, total_size, app })
        };
        let aborted =
            Chunk { message_id: 2, index: 1, last: true, aborted: true, total_size: None, app: App::NONE };
        for kind in [
            Kind::Heartbeat { seq: Some(1) },
            Kind::Heartbeat { seq: Some(2) },
            Kind::Heartbeat { seq: Some(3) },
            Kind::Heartbeat { seq: Some(3) },
            Kind::Heartbeat { seq: None },
            Kind::Heartbeat { seq: None },
            chunk(1, 0, false),
            chunk(1, 1, false),
            chunk(2, 0, false),
            chunk(1, 2, false),
            chunk(1, 3, true),
            chunk(1, 4, true),
            Kind::Chunk(aborted),
            chunk(3, 0, true),
            chunk(9, 9, false),
            chunk(9, 10, false),
            chunk(9, 11, true),
            Kind::Message { app: App::NONE },
        ] {
            let header = Header { kind, ..header() };
            let mut rx = BytesMut::new();
            encode_head(&protection, &header, b"ping", 0, &mut rx);
            rx.extend_from_slice(b"ping");
            let frame = decoder.decode(&mut protection, &mut rx, LIMITS).unwrap().unwrap();
            assert_eq!((frame.header, &frame.content[..], rx.len()), (header, &b"ping"[..], 0));
        }
    }

    #[test]
    fn a_number_that_carries_on_beyond_the_largest_is_refused() {
        let (mut decoder, mut protection) = (Decoder::new(), protection());
        for (seq, good) in
            [(MAX_WIRE_INTEGER - 1, true), (MAX_WIRE_INTEGER, true), (MAX_WIRE_INTEGER + 1, false)]
        {
            let header = Header { kind: Kind::Heartbeat { seq: Some(seq) }, ..header() };
            let mut rx = BytesMut::new();
            encode_head(&protection, &header, b"x", 0, &mut rx);
            rx.extend_from_slice(b"x");
            assert_eq!(decoder.decode(&mut protection, &mut rx, LIMITS).is_ok(), good, "{seq}");
        }
    }

    const MAGIC_AND_MORE: [u8; 10] = [0x89, 0x50, 0x4E, 0x47, 0x0E, 0x0B, 0x1B, 0x0B, 0, 1];

    #[test]
    fn large_contents_are_not_copied_and_small_ones_pin_nothing() {
        for (len, copied) in [(1, true), (COPIED, true), (COPIED + 1, false), (90_000, false)] {
            let mut rx = frame(&vec![7; len]);
            let place = rx[rx.len() - len..].as_ptr_range();
            let met = Decoder::new().decode(&mut protection(), &mut rx, LIMITS).unwrap().unwrap();
            assert_eq!(met.content.len(), len);
            assert_eq!(!place.contains(&met.content.as_ptr()), copied, "{len}");
            if !copied {
                assert_eq!(met.content.as_ptr_range(), place);
            }
            assert!(rx.is_empty());
        }
    }

    #[test]
    fn what_is_missing_is_known_and_never_overflows() {
        let decoder = Decoder::<CrcHmac>::new();
        let whole = frame(b"content");
        for n in 0..=whole.len() {
            let rx = BytesMut::from(&whole[..n]);
            let expected = if n < PREFIX_LEN { PREFIX_LEN - n } else { whole.len() - n };
            assert_eq!(decoder.missing(&rx), expected);
        }
        let prefix = Prefix {
            type_code: 0,
            header_len: u32::MAX,
            header_crc: 0,
            content_len: u64::MAX,
            content_crc: 0,
            mac: [0; 32],
        };
        let rx = BytesMut::from(&prefix.to_bytes()[..]);
        assert_eq!(decoder.missing(&rx), usize::MAX - PREFIX_LEN);
        assert_eq!(decoder.missing(&BytesMut::from(&b"GET / HTTP/1.1"[..])), PREFIX_LEN - 14);
    }

    #[test]
    fn a_stream_ends_between_frames_or_is_truncated() {
        let decoder = Decoder::<CrcHmac>::new();
        assert_eq!(decoder.finish(&BytesMut::new()), Ok(()));
        let mut rx = frame(b"content");
        let len = rx.len();
        rx.truncate(len - 1);
        assert_eq!(
            decoder.finish(&rx).unwrap_err().to_string(),
            std::format!("truncated: the stream ended after {} bytes of a frame, which has {len}", len - 1)
        );
        rx.truncate(8);
        assert_eq!(
            decoder.finish(&rx).unwrap_err().detail(),
            "the stream ended after 8 bytes of the prefix, which has 64"
        );
    }

    /// Counts what it is asked.
    #[derive(Default)]
    struct Counting {
        headers: Cell<usize>,
        frames: usize,
    }

    impl Protection for Counting {
        type Prepared = ();

        fn prepare(&self, _: &[u8]) {}

        fn check_header(&self, _: &Prefix, _: &[u8], (): &()) -> Result<(), Error> {
            self.headers.set(self.headers.get() + 1);
            Ok(())
        }

        fn check_frame(&mut self, _: &Prefix, _: &[u8], (): &(), _: &[u8]) -> Result<(), Error> {
            self.frames += 1;
            Ok(())
        }

        fn guard(&self, _: &[u8], (): &(), _: &[u8]) -> Guard {
            Guard { header_crc: 0, content_crc: 0, mac: [0; 32] }
        }
    }

    #[test]
    fn each_check_is_made_once_however_the_bytes_arrive() {
        let bytes: Vec<u8> = [frame(&[1; 5000]), frame(&[2; 10])].concat();
        let (mut decoder, mut counting, mut rx) = (Decoder::new(), Counting::default(), BytesMut::new());
        let mut frames = 0;
        for byte in bytes {
            rx.extend_from_slice(&[byte]);
            frames += usize::from(decoder.decode(&mut counting, &mut rx, LIMITS).unwrap().is_some());
        }
        assert_eq!((frames, counting.headers.get(), counting.frames), (2, 2, 2));
    }

    #[test]
    fn every_check_is_made_as_soon_as_its_bytes_are_there() {
        // One frame with everything wrong; mended from the front, it fails later and later.
        let mut bytes = frame(b"").to_vec();
        let good = bytes.clone();
        bytes[0] ^= 1;
        bytes[8] ^= 1;
        bytes[12] = 1;
        bytes[20] = 1;
        bytes[16] ^= 1;
        bytes[28] ^= 1;
        bytes[32] ^= 1;
        let first_error = |bytes: &[u8]| {
            let (mut decoder, mut protection, mut rx) = (Decoder::new(), protection(), BytesMut::new());
            bytes.iter().enumerate().find_map(|(at, byte)| {
                rx.extend_from_slice(&[*byte]);
                let error = decoder.decode(&mut protection, &mut rx, LIMITS).err()?;
                Some((at + 1, error.code()))
            })
        };
        let len = bytes.len();
        for (mend, expected) in [
            (0..0, (1, Code::BadMagic)),
            (0..1, (10, Code::UnsupportedVersion)),
            (8..9, (16, Code::HeaderTooLarge)),
            (12..13, (28, Code::ContentTooLarge)),
            (20..21, (len, Code::HeaderCrcMismatch)),
            (16..17, (len, Code::ContentCrcMismatch)),
            (28..29, (len, Code::MacMismatch)),
            (32..33, (len, Code::EmptyContent)),
        ] {
            bytes[mend.clone()].copy_from_slice(&good[mend]);
            assert_eq!(first_error(&bytes), Some(expected));
        }
        assert_eq!(bytes, good);
        // With a content to follow, the header's CRC does not wait for it.
        let mut bytes = frame(b"content").to_vec();
        bytes[16] ^= 1;
        assert_eq!(first_error(&bytes), Some((bytes.len() - 7, Code::HeaderCrcMismatch)));
    }
}
