//! One frame of each kind, with every byte changed to every other value: none passes.

use bytes::{Bytes, BytesMut};
use heartwire_core::error::{Code, Error};
use heartwire_core::key::{Key, Keys};
use heartwire_core::message::{App, ContentType};
use heartwire_core::wire::envelope::{
    Chunk, CrcHmac, Decoder, Features, Frame, FrameLimits, FrameType, Header, Hello, Kind, PREFIX_LEN,
    PeerLimits, encode_head,
};

const LIMITS: FrameLimits = FrameLimits { header: 64 * 1024, content: 10 * 1024 * 1024 };
/// Where the prefix has the code of the type. The MAC does not cover it.
const TYPE_CODE: std::ops::Range<usize> = 10..12;
const HEADER_CRC: std::ops::Range<usize> = 16..20;
const CONTENT_CRC: std::ops::Range<usize> = 28..32;

fn protection() -> CrcHmac {
    CrcHmac::new(Keys::new(Key::new(b"a key of these tests").unwrap()))
}

/// What a stream of these bytes gives: the first frame, or the error.
fn decode(bytes: &[u8]) -> Result<Frame, Error> {
    let (mut decoder, mut rx) = (Decoder::new(), BytesMut::from(bytes));
    match decoder.decode(&mut protection(), &mut rx, LIMITS)? {
        Some(frame) => Ok(frame),
        None => Err(decoder.finish(&rx).expect_err("no frame, and nothing left over")),
    }
}

fn encode(kind: Kind, content: &'static [u8], pad_to: usize) -> (Frame, Vec<u8>) {
    let header = Header { kind, content_type: ContentType::PLAIN, session_id: Some("s1".into()) };
    let mut out = BytesMut::new();
    encode_head(&protection(), &header, content, pad_to, &mut out);
    out.extend_from_slice(content);
    (Frame { header, content: Bytes::from_static(content) }, out.to_vec())
}

fn frames() -> Vec<(&'static str, Frame, Vec<u8>)> {
    let app = || App::from_json(r#"{"room": "a"}"#).unwrap();
    let hello = || Hello {
        features: Some(Features(vec!["chunk".into(), "later".into()])),
        limits: PeerLimits { message: 1 << 20, unfinished: 3 },
    };
    let first =
        Chunk { message_id: 7, index: 0, last: false, aborted: false, total_size: Some(9), app: app() };
    let middle = Chunk { index: 1, total_size: None, app: App::NONE, ..first.clone() };
    let last = Chunk { last: true, ..middle.clone() };
    let aborted = Chunk { aborted: true, ..last.clone() };
    let goodbye = br#"{"message": "Disconnecting", "reason": "Client disconnecting"}"#;
    [
        ("session_init", Kind::SessionInit(hello()), &b"Session established"[..], 0),
        ("session_ack", Kind::SessionAck(hello()), b"Session acknowledged", 0),
        ("session_ack without features", Kind::SessionAck(Hello::default()), b"Session acknowledged", 0),
        ("ping", Kind::Heartbeat { seq: Some(41) }, b"ping", 0),
        ("pong without seq", Kind::Heartbeat { seq: None }, b"pong", 0),
        ("message", Kind::Message { app: App::NONE }, b"hello", 0),
        ("message with entries", Kind::Message { app: app() }, b"{}} \n", 0),
        ("message with padding", Kind::Message { app: App::NONE }, b"hello", 300),
        ("first chunk", Kind::Chunk(first), b"abc", 0),
        ("middle chunk", Kind::Chunk(middle), b"def", 0),
        ("last chunk", Kind::Chunk(last), b"", 0),
        ("aborted chunk", Kind::Chunk(aborted), b"", 0),
        ("error", Kind::Error { code: Some("bad-magic".into()) }, b"bad-magic: no", 0),
        ("disconnect", Kind::Disconnect, goodbye, 0),
    ]
    .into_iter()
    .map(|(name, kind, content, pad_to)| {
        let (frame, bytes) = encode(kind, content, pad_to);
        (name, frame, bytes)
    })
    .collect()
}

/// Writes the checksums that fit the header and the content where the prefix says they are; as far
/// as they are there. What is left to notice a change is the MAC, and what a header must be.
fn repair_checksums(bytes: &mut [u8]) {
    let header_len = u32::from_be_bytes(bytes[12..16].try_into().unwrap()) as usize;
    let content_len = u64::from_be_bytes(bytes[20..28].try_into().unwrap()) as usize;
    let header_end = PREFIX_LEN.saturating_add(header_len).min(bytes.len());
    let frame_end = header_end.saturating_add(content_len).min(bytes.len());
    let header_crc = crc32fast::hash(&bytes[PREFIX_LEN..header_end]);
    let content_crc = crc32fast::hash(&bytes[header_end..frame_end]);
    bytes[HEADER_CRC].copy_from_slice(&header_crc.to_be_bytes());
    bytes[CONTENT_CRC].copy_from_slice(&content_crc.to_be_bytes());
}

/// Which error a change may lead to, by where it was made: in a frame whose checksums were left.
fn expected(at: usize) -> &'static [Code] {
    match at {
        0..8 => &[Code::BadMagic],
        8..10 => &[Code::UnsupportedVersion],
        10..12 => &[Code::TypeMismatch, Code::UnknownType],
        // A header that ends elsewhere has another checksum, one that is longer than all may not be there.
        12..16 => &[Code::HeaderTooLarge, Code::HeaderCrcMismatch, Code::Truncated],
        16..20 => &[Code::HeaderCrcMismatch],
        20..28 => &[Code::ContentTooLarge, Code::ContentCrcMismatch, Code::Truncated],
        28..32 => &[Code::ContentCrcMismatch],
        32..64 => &[Code::MacMismatch],
        _ => &[Code::HeaderCrcMismatch, Code::ContentCrcMismatch],
    }
}

#[test]
fn each_frame_is_what_was_encoded() {
    let mut types = Vec::new();
    for (name, frame, bytes) in frames() {
        types.push(frame.header.kind.frame_type());
        assert_eq!(decode(&bytes), Ok(frame), "{name}");
    }
    assert!(FrameType::ALL.iter().all(|frame_type| types.contains(frame_type)));
}

/// The one change that is let pass: a type code of 0, which means "look in the header".
#[test]
fn no_byte_can_be_changed() {
    for (name, frame, bytes) in frames() {
        let mut accepted = Vec::new();
        for at in 0..bytes.len() {
            for value in (0..=255).filter(|value| *value != bytes[at]) {
                let mut changed = bytes.clone();
                changed[at] = value;
                match decode(&changed) {
                    Ok(met) => {
                        assert_eq!(met, frame, "{name}: byte {at} as {value}");
                        accepted.push((at, value));
                    }
                    Err(error) => {
                        assert!(expected(at).contains(&error.code()), "{name}: byte {at} as {value}: {error}")
                    }
                }
            }
        }
        assert_eq!(accepted, [(TYPE_CODE.end - 1, 0)], "{name}");
    }
}

/// The same by someone who repairs the checksums but has no key. Their own bytes are left out: they
/// are repaired to what they were.
#[test]
fn no_byte_can_be_changed_even_if_the_checksums_are_repaired() {
    for (name, frame, bytes) in frames() {
        let mut accepted = Vec::new();
        for at in (0..bytes.len()).filter(|at| !HEADER_CRC.contains(at) && !CONTENT_CRC.contains(at)) {
            for value in (0..=255).filter(|value| *value != bytes[at]) {
                let mut changed = bytes.clone();
                changed[at] = value;
                repair_checksums(&mut changed);
                match decode(&changed) {
                    Ok(met) => {
                        assert_eq!(met, frame, "{name}: byte {at} as {value}");
                        accepted.push((at, value));
                    }
                    Err(error) if (PREFIX_LEN..).contains(&at) => {
                        assert_eq!(error.code(), Code::MacMismatch, "{name}: byte {at} as {value}");
                    }
                    Err(_) => {}
                }
            }
        }
        assert_eq!(accepted, [(TYPE_CODE.end - 1, 0)], "{name}");
    }
}

/// Every code in the prefix: 0 and the type's own pass, 1 to 7 contradict the header, others do not exist.
#[test]
fn every_type_code_is_zero_or_right_or_refused() {
    for (name, frame, bytes) in frames() {
        let own = frame.header.kind.frame_type().code();
        for code in 0..=u16::MAX {
            let mut changed = bytes.clone();
            changed[TYPE_CODE].copy_from_slice(&code.to_be_bytes());
            let expected = match code {
                0 => Ok(()),
                code if code == own => Ok(()),
                1..=7 => Err(Code::TypeMismatch),
                _ => Err(Code::UnknownType),
            };
            assert_eq!(decode(&changed).map(drop).map_err(|error| error.code()), expected, "{name}: {code}");
        }
    }
}

/// The MAC covers header and content, not where one ends: the header itself has to say it.
#[test]
fn the_border_between_header_and_content_can_not_be_moved() {
    let (_, plain) = encode(Kind::Message { app: App::NONE }, b" \t\r\n}} {}", 0);
    let (_, nested) = encode(Kind::Message { app: App::from_json(r#"{"a": {"b": {}}}"#).unwrap() }, b"}", 0);
    let (_, split) = encode(Kind::Message { app: App::NONE }, br#", "type": "error"}"#, 0);
    for bytes in [plain, nested, split] {
        let header_len = u32::from_be_bytes(bytes[12..16].try_into().unwrap());
        let all = u32::try_from(bytes.len() - PREFIX_LEN).unwrap();
        for moved in (0..=all).filter(|moved| *moved != header_len) {
            let mut changed = bytes.clone();
            changed[12..16].copy_from_slice(&moved.to_be_bytes());
            changed[20..28].copy_from_slice(&u64::from(all - moved).to_be_bytes());
            repair_checksums(&mut changed);
            let error = decode(&changed).unwrap_err();
            assert_eq!(error.code(), Code::InvalidHeader, "header of {moved}, not {header_len}: {error}");
        }
    }
}

/// A frame of this header, signed as it should be.
fn signed(header: &[u8], content: &[u8]) -> Vec<u8> {
    use heartwire_core::wire::envelope::{Prefix, Protection};
    let protection = protection();
    let guard = protection.guard(header, &protection.prepare(header), content);
    let prefix = Prefix {
        type_code: 0,
        header_len: header.len() as u32,
        header_crc: guard.header_crc,
        content_len: content.len() as u64,
        content_crc: guard.content_crc,
        mac: guard.mac,
    };
    [&prefix.to_bytes()[..], header, content].concat()
}

#[test]
fn headers_of_a_peer_that_has_the_key_are_still_strict() {
    use Code::{EmptyContent, InvalidHeader, UnknownType};
    const CHUNK: &str = r#""type": "chunk", "content_type": "a", "message_id": 1, "index": 0"#;
    const MESSAGE: &str = r#""type": "message", "content_type": "a""#;
    let object = |inner: &str| format!("{{{inner}}}");
    let with = |inner: &str, more: &str| format!("{{{inner}, {more}}}");
    let many = |count: usize| format!("[{}]", vec!["\"f\""; count].join(", "));
    let init = |more: &str| format!(r#"{{"type": "session_init", "content_type": "a", {more}}}"#);
    let table: Vec<(String, &str, Result<(), Code>)> = vec![
        (object(MESSAGE), "x", Ok(())),
        (object(MESSAGE), "", Err(EmptyContent)),
        (object("\n\"type\"\t:\r\"message\" , \"content_type\":\"a\" "), "x", Ok(())),
        (with(MESSAGE, r#""x": 1e999"#), "x", Ok(())),
        (with(MESSAGE, r#""x": [1e999, -1E-999]"#), "x", Ok(())),
        (with(MESSAGE, r#""x": Infinity"#), "x", Err(InvalidHeader)),
        (with(MESSAGE, r#""x": 1, "x": 1"#), "x", Err(InvalidHeader)),
        (with(MESSAGE, r#""x": 1, "\u0078": 1"#), "x", Err(InvalidHeader)),
        (with(MESSAGE, r#""x": {"y": 1, "y": 1}"#), "x", Ok(())),
        (with(MESSAGE, r#""x": "\udead""#), "x", Err(InvalidHeader)),
        (with(MESSAGE, r#""\udead": 1"#), "x", Err(InvalidHeader)),
        (with(MESSAGE, "\"x\": \"\u{1}\""), "x", Err(InvalidHeader)),
        (with(MESSAGE, r#""seq": "not mine""#), "x", Ok(())),
        (with(MESSAGE, r#""app": {}"#), "x", Ok(())),
        (with(MESSAGE, r#""app": null"#), "x", Err(InvalidHeader)),
        (with(MESSAGE, r#""session_id": """#), "x", Ok(())),
        (with(MESSAGE, r#""session_id": false"#), "x", Err(InvalidHeader)),
        (r#"{"type": null, "content_type": "a"}"#.into(), "x", Err(InvalidHeader)),
        (r#"{"type": "", "content_type": "a"}"#.into(), "x", Err(UnknownType)),
        (r#"{"type": "MESSAGE", "content_type": "a"}"#.into(), "x", Err(UnknownType)),
        (r#"{"type": "nothing", "content_type": ""}"#.into(), "x", Err(InvalidHeader)),
        (r#"{"type": "nothing", "content_type": "a"}"#.into(), "", Err(UnknownType)),
        (r#"{"type": "m\u0065ssage", "content_type": "\u0061"}"#.into(), "x", Ok(())),
        (init(r#""features": []"#), "x", Ok(())),
        (init(&format!("\"features\": {}", many(32))), "x", Ok(())),
        (init(&format!("\"features\": {}", many(33))), "x", Err(InvalidHeader)),
        (init(r#""features": null"#), "x", Err(InvalidHeader)),
        (init(r#""limits": {"message": 9007199254740991}"#), "x", Ok(())),
        (init(r#""limits": {"message": 9007199254740992}"#), "x", Err(InvalidHeader)),
        (init(r#""limits": {"message": 1.0}"#), "x", Err(InvalidHeader)),
        (init(r#""limits": []"#), "x", Err(InvalidHeader)),
        (object(CHUNK), "x", Err(InvalidHeader)),
        (with(CHUNK, r#""last": false"#), "x", Ok(())),
        (with(CHUNK, r#""last": false"#), "", Err(EmptyContent)),
        (with(CHUNK, r#""last": true"#), "", Ok(())),
        (with(CHUNK, r#""last": null"#), "x", Err(InvalidHeader)),
        (with(CHUNK, r#""last": false, "aborted": true"#), "x", Err(InvalidHeader)),
        (with(CHUNK, r#""last": true, "aborted": true"#), "", Ok(())),
    ];
    for (header, content, expected) in table {
        let met = decode(&signed(header.as_bytes(), content.as_bytes()));
        assert_eq!(met.as_ref().map(drop).map_err(Error::code), expected, "{header}: {met:?}");
    }
}
