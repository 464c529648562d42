use heartwire_core::wire::body::{BodyHead, Part, Whole};
use heartwire_core::wire::codec::Codec;
use heartwire_core::wire::json_header::{JsonFormat, JsonHeader};
use heartwire_core::wire::length_prefixed::{Format, LengthPrefixed};
use heartwire_core::wire::lines::{Lines, Settings};
use heartwire_core::wire::sealed::{self, Sealed, SecretKey};

use super::pieces::Pieces;
use crate::peers;
use crate::streams::{Stream, decode, decode_by, encode};

const KEY: [u8; 32] = [7; 32];

/// A stream of one of the protocols without a session: however it is split it gives the same items and the same
/// error, and what was decoded is encoded so that it decodes to itself.
///
/// The first byte chooses the protocol. The rest is the stream; that of sealed packets is made of parts: a byte
/// that says what the next byte's number of bytes are, themselves or what is sealed with a key that is known.
///
/// # Panics
///
/// If not.
pub fn streams(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    match first % 4 {
        0 => every_way::<JsonHeader>(&JsonFormat::new(), rest, again),
        1 => every_way::<LengthPrefixed>(&Format::with_limit(1 << 20), rest, again),
        2 => every_way::<Lines>(&Settings::with_limit(usize::from(*first)), rest, |settings, lines| {
            lines.into_iter().flat_map(|line| encode::<Lines>(settings, line)).collect()
        }),
        _ => {
            let settings = sealed::Settings::new(SecretKey::new(KEY)).limit(200);
            every_way::<Sealed>(&settings, &sealed_parts(rest), |settings, plaintexts| {
                plaintexts.into_iter().flat_map(|plaintext| encode::<Sealed>(settings, plaintext)).collect()
            });
        }
    }
}

fn every_way<C: Stream>(
    settings: &C::Settings,
    stream: &[u8],
    encode: impl Fn(&C::Settings, Vec<C::Item>) -> Vec<u8>,
) {
    let whole = decode::<C>(settings, [stream]);
    assert_eq!(decode_by::<C>(settings, stream, 1), whole, "byte by byte");
    assert_eq!(decode::<C>(settings, Pieces::of(stream)), whole, "in pieces");
    let encoded = encode(settings, whole.0.clone());
    let (items, end) = decode::<C>(settings, [&encoded[..]]);
    assert_eq!(end, Ok(()), "encoded");
    assert!(whole.0.starts_with(&items), "encoded");
    // The last message may not be there whole.
    assert!(items.len() + 2 >= whole.0.len(), "encoded");
}

/// The whole messages among these parts, encoded.
fn again<F, H>(settings: &F, parts: Vec<Part<H>>) -> Vec<u8>
where
    F: heartwire_core::wire::body::HeadFormat<Head = H>,
    H: BodyHead,
{
    let (mut head, mut body, mut out) = (None, bytes::Bytes::new(), Vec::new());
    for part in parts {
        match part {
            Part::Head(next) => head = Some(next),
            Part::Piece(piece) => body = piece,
            Part::End => {
                let message = Whole { head: head.take().expect("a head"), body: std::mem::take(&mut body) };
                // A header may be read that would be longer as it is written.
                if heartwire_core::wire::body::Bodied::with_format(settings.clone()).check(&message).is_err()
                {
                    break;
                }
                out.extend(encode::<heartwire_core::wire::body::Bodied<F>>(settings, message));
            }
        }
    }
    out
}

fn sealed_parts(mut rest: &[u8]) -> Vec<u8> {
    let (mut stream, mut number) = (Vec::new(), 0);
    while let [kind, len, more @ ..] = rest {
        let (part, after) = more.split_at(usize::from(*len).min(more.len()));
        rest = after;
        if kind & 1 == 0 {
            stream.extend_from_slice(part);
        } else {
            stream.extend(peers::sealed::packet(&KEY, &peers::sealed::nonce(number), part));
            number += 1;
        }
    }
    stream
}
