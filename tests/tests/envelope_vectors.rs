//! The envelope's vectors: each is accepted, or refused with its code, however it is split.

use bytes::BytesMut;
use heartwire_core::error::Error;
use heartwire_core::key::{Key, Keys};
use heartwire_core::wire::envelope::{
    CrcHmac, Decoder, Frame, FrameLimits, FrameType, PREFIX_LEN, encode_head,
};
use heartwire_tests::vectors::{self, EnvelopeAccept, Hex};

const LIMITS: FrameLimits = FrameLimits { header: 64 * 1024, content: 10 * 1024 * 1024 };

fn protection(key: &Hex) -> CrcHmac {
    CrcHmac::new(Keys::new(Key::new_allow_weak(&key.0).unwrap()))
}

/// What a stream gives that arrives in these pieces and then ends: its frame, or its error.
fn decode(key: &Hex, pieces: &[&[u8]]) -> Result<Frame, Error> {
    let (mut decoder, mut protection, mut rx) = (Decoder::new(), protection(key), BytesMut::new());
    let mut met = None;
    for piece in pieces {
        rx.extend_from_slice(piece);
        while let Some(frame) = decoder.decode(&mut protection, &mut rx, LIMITS)? {
            assert_eq!(met.replace(frame), None, "a vector holds one frame");
        }
    }
    decoder.finish(&rx)?;
    Ok(met.expect("a stream that is not empty holds a frame"))
}

/// The same, however the bytes are split.
fn decode_every_way(name: &str, key: &Hex, bytes: &[u8]) -> Result<Frame, Error> {
    let whole = decode(key, &[bytes]);
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(decode(key, &single), whole, "{name}: byte by byte");
    for at in 0..=bytes.len() {
        let (front, back) = bytes.split_at(at);
        assert_eq!(decode(key, &[front, back]), whole, "{name}: split at {at}");
    }
    whole
}

#[test]
fn what_must_be_accepted_is_however_it_is_split() {
    let vectors = vectors::envelope();
    assert!(vectors.accept.len() >= 34);
    for EnvelopeAccept { name, key_hex, bytes_hex, frame_type, content_type, session_id, content_hex } in
        vectors.accept
    {
        let frame =
            decode_every_way(&name, &key_hex, &bytes_hex.0).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(frame.header.kind.frame_type().name(), frame_type, "{name}");
        assert_eq!(frame.header.content_type.as_str(), content_type, "{name}");
        assert_eq!(frame.header.session_id.as_deref(), session_id.as_deref(), "{name}");
        assert_eq!(frame.content, content_hex.0, "{name}");
    }
}

#[test]
fn what_must_be_refused_is_with_its_code_however_it_is_split() {
    let vectors = vectors::envelope();
    assert!(vectors.reject.len() >= 47);
    for case in vectors.reject {
        let error = decode_every_way(&case.name, &case.key_hex, &case.bytes_hex.0).expect_err(&case.name);
        assert_eq!(error.code().as_str(), case.error, "{}: {error}", case.name);
    }
}

/// What existing programs write is what is written here, but for the type's code in the prefix.
#[test]
fn frames_are_written_as_existing_programs_write_them() {
    // These hold what is not kept (unknown keys, padding of another length), or spell it another way.
    const OTHER: [&str; 5] = [
        "unknown header keys are ignored",
        "header keys in another order, no spaces",
        "session_id absent",
        "padded for a peer without features",
        "nested 60 deep",
    ];
    let mut written = 0;
    for case in vectors::envelope().accept {
        let frame = decode(&case.key_hex, &[&case.bytes_hex.0]).unwrap();
        let mut out = BytesMut::new();
        encode_head(&protection(&case.key_hex), &frame.header, &frame.content, 0, &mut out);
        out.extend_from_slice(&frame.content);
        assert_eq!(out[10..12], frame.header.kind.frame_type().code().to_be_bytes(), "{}", case.name);
        let again = decode(&case.key_hex, &[&out]).unwrap();
        assert_eq!(again, frame, "{}", case.name);
        if OTHER.contains(&case.name.as_str()) {
            continue;
        }
        out[10..12].copy_from_slice(&case.bytes_hex.0[10..12]);
        assert_eq!(out, case.bytes_hex.0, "{}: {}", case.name, String::from_utf8_lossy(&out[PREFIX_LEN..]));
        written += 1;
    }
    assert!(written >= 29, "only {written} were compared");
}

/// The one in which a header of existing programs is padded, too, but for the number of spaces.
#[test]
fn padding_is_written_as_in_its_vector() {
    let case = vectors::envelope().accept.into_iter().find(|case| case.name.starts_with("padded")).unwrap();
    let frame = decode(&case.key_hex, &[&case.bytes_hex.0]).unwrap();
    assert_eq!(frame.header.kind.frame_type(), FrameType::Message);
    let mut out = BytesMut::new();
    encode_head(&protection(&case.key_hex), &frame.header, &frame.content, case.bytes_hex.0.len(), &mut out);
    out.extend_from_slice(&frame.content);
    out[10..12].copy_from_slice(&[0, 0]);
    assert_eq!(out, case.bytes_hex.0);
}
