use bytes::BytesMut;
use heartwire_core::error::Error;
use heartwire_core::wire::envelope::{
    Decoder, Frame, FrameLimits, PREFIX_LEN, encode_head, header_len, is_valid_session_id,
};

use super::pieces::Pieces;
use crate::unprotected::Unprotected;

const LIMITS: FrameLimits = FrameLimits { header: 64 * 1024, content: 10 * 1024 * 1024 };
/// Escaped text takes more than what it was decoded from.
const WIDE: FrameLimits = FrameLimits { header: 1024 * 1024, ..LIMITS };

/// A stream of envelope frames: however it is split it gives the same frames and the same error,
/// and frames that were decoded are encoded so that they decode to themselves.
///
/// # Panics
///
/// If not.
pub fn envelope(data: &[u8]) {
    let whole = decode([data].into_iter(), LIMITS);
    assert_eq!(decode(data.chunks(1), LIMITS), whole, "byte by byte");
    assert_eq!(decode(Pieces::of(data), LIMITS), whole, "in pieces");

    let (frames, _) = whole;
    for pad_to in [0, 1024] {
        let mut stream = BytesMut::new();
        for frame in &frames {
            let start = stream.len();
            encode_head(&Unprotected, &frame.header, &frame.content, pad_to, &mut stream);
            stream.extend_from_slice(&frame.content);
            let len = stream.len() - start;
            let plain = PREFIX_LEN + header_len(&frame.header) + frame.content.len();
            assert!(
                len >= plain.max(pad_to) && (len == plain || len <= pad_to.max(plain + 11)),
                "padded to {len}"
            );
            // Only that it does not panic, whatever the text.
            let _ = frame.header.session_id.as_deref().map(is_valid_session_id);
        }
        assert_eq!(decode([&stream[..]].into_iter(), WIDE), (frames.clone(), Ok(())), "encoded");
    }
}

/// What a stream gives when it arrives in these pieces.
fn decode<'a>(
    pieces: impl Iterator<Item = &'a [u8]>,
    limits: FrameLimits,
) -> (Vec<Frame>, Result<(), Error>) {
    let (mut decoder, mut rx, mut frames) = (Decoder::new(), BytesMut::new(), Vec::new());
    for piece in pieces {
        rx.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut Unprotected, &mut rx, limits) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => {
                    let again = decoder.decode(&mut Unprotected, &mut rx, limits);
                    assert_eq!(again, Err(error.clone()), "an error stays");
                    return (frames, Err(error));
                }
            }
        }
        let missing = decoder.missing(&rx);
        assert!(missing > 0, "a frame that is there whole was not taken");
        assert!(
            missing <= PREFIX_LEN + limits.header + limits.content,
            "{missing} bytes are over the limits"
        );
    }
    let end = decoder.finish(&rx);
    assert_eq!(end.is_ok(), rx.is_empty());
    (frames, end)
}
