//! The codecs of the protocols without a session, over streams that arrive in pieces.

use std::fmt::Debug;

use bytes::{Bytes, BytesMut};
use heartwire_core::buf::TransmitQueue;
use heartwire_core::error::Error;
use heartwire_core::role::Role;
use heartwire_core::seed::Seed;
use heartwire_core::wire::body::{Bodied, Part};
use heartwire_core::wire::codec::Codec;
use heartwire_core::wire::json_header::JsonFormat;
use heartwire_core::wire::length_prefixed::Format;
use heartwire_core::wire::lines::{Line, Lines};
use heartwire_core::wire::sealed::Sealed;

/// A codec whose items can be compared however a stream was split.
pub trait Stream: Codec<Item: Clone, Head: Clone + PartialEq> {
    /// How the settings are called in a failed test.
    const NAME: &'static str;
    /// The same items as if everything had arrived at once, as far as that can be told from them.
    fn joined(items: Vec<Self::Item>) -> Vec<Self::Item>;
}

impl Stream for Bodied<JsonFormat> {
    const NAME: &'static str = "json-header";

    fn joined(items: Vec<Self::Item>) -> Vec<Self::Item> {
        join(items)
    }
}

impl Stream for Bodied<Format> {
    const NAME: &'static str = "length-prefixed";

    fn joined(items: Vec<Self::Item>) -> Vec<Self::Item> {
        join(items)
    }
}

impl Stream for Sealed {
    const NAME: &'static str = "sealed";

    fn joined(items: Vec<Bytes>) -> Vec<Bytes> {
        items
    }
}

impl Stream for Lines {
    const NAME: &'static str = "lines";

    fn joined(items: Vec<Line>) -> Vec<Line> {
        items
    }
}

/// The pieces of each body as one.
///
/// # Panics
///
/// If one is empty, or stands where none may.
fn join<H: Clone + Debug>(items: Vec<Part<H>>) -> Vec<Part<H>> {
    let mut joined = Vec::new();
    let mut body = BytesMut::new();
    for item in items {
        match item {
            Part::Piece(piece) => {
                assert!(!piece.is_empty(), "a piece is never empty");
                assert!(!joined.is_empty(), "a piece without a head");
                body.extend_from_slice(&piece);
            }
            Part::Head(_) => {
                assert!(body.is_empty(), "a head within a body");
                joined.push(item);
            }
            Part::End => {
                push_body(&mut joined, &mut body);
                joined.push(item);
            }
        }
    }
    push_body(&mut joined, &mut body);
    joined
}

fn push_body<H>(joined: &mut Vec<Part<H>>, body: &mut BytesMut) {
    if !body.is_empty() {
        joined.push(Part::Piece(body.split().freeze()));
    }
}

/// The parts of a message, as if it had arrived at once.
#[must_use]
pub fn parts<H>(head: H, body: &[u8]) -> Vec<Part<H>> {
    let piece = (!body.is_empty()).then(|| Part::Piece(Bytes::copy_from_slice(body)));
    [Some(Part::Head(head)), piece, Some(Part::End)].into_iter().flatten().collect()
}

/// A codec of either side; seeds differ.
#[must_use]
pub fn codec<C: Codec>(settings: &C::Settings, role: Role) -> C {
    C::new(settings, role, &Seed::new([role as u8; 32]))
}

/// What a stream gives that arrives in these pieces and then ends: its items, and how it ended.
pub fn decode<'a, C: Stream>(
    settings: &C::Settings,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<C::Item>, Result<(), Error>) {
    let (mut codec, mut rx, mut items) = (codec::<C>(settings, Role::Client), BytesMut::new(), Vec::new());
    for piece in pieces {
        rx.extend_from_slice(piece);
        loop {
            match codec.decode(&mut rx) {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(error) => return (C::joined(items), Err(error)),
            }
        }
        let missing = codec.missing(&rx);
        assert!(missing > 0 || rx.is_empty(), "{} bytes wait, and nothing is missing", rx.len());
    }
    match codec.finish(&mut rx) {
        Ok(last) => {
            items.extend(last);
            (C::joined(items), Ok(()))
        }
        Err(error) => (C::joined(items), Err(error)),
    }
}

/// The same, the pieces of at most this size.
pub fn decode_by<C: Stream>(
    settings: &C::Settings,
    bytes: &[u8],
    size: usize,
) -> (Vec<C::Item>, Result<(), Error>) {
    decode::<C>(settings, bytes.chunks(size))
}

/// Where a stream is split in two: everywhere if it is small; else near its ends and now and then.
pub fn splits(len: usize) -> impl Iterator<Item = usize> {
    const NEAR: usize = 200;
    const STRIDE: usize = 997;
    (0..=len).filter(move |at| {
        len <= 2048 || *at <= NEAR || len - at <= NEAR || at.is_multiple_of(STRIDE) || at.is_multiple_of(4096)
    })
}

/// What a stream gives however it is split, which must be the same.
///
/// # Panics
///
/// If it is not.
pub fn decode_every_way<C: Stream>(
    name: &str,
    settings: &C::Settings,
    bytes: &[u8],
) -> (Vec<C::Item>, Result<(), Error>) {
    let whole = decode::<C>(settings, [bytes]);
    assert_eq!(decode_by::<C>(settings, bytes, 1), whole, "{name}: byte by byte");
    for at in splits(bytes.len()) {
        let (front, back) = bytes.split_at(at);
        assert_eq!(decode::<C>(settings, [front, back]), whole, "{name}: split at {at}");
    }
    whole
}

/// The bytes of a message.
///
/// # Panics
///
/// If it can't be sent.
pub fn encode<C: Codec>(settings: &C::Settings, message: C::Message) -> Vec<u8> {
    let mut codec = codec::<C>(settings, Role::Client);
    codec.check(&message).expect("it can be sent");
    encode_with(&mut codec, message)
}

/// The bytes of a message by this codec.
///
/// # Panics
///
/// If it can't be sent.
pub fn encode_with<C: Codec>(codec: &mut C, message: C::Message) -> Vec<u8> {
    let mut tx = TransmitQueue::new();
    codec.encode(message, &mut tx).expect("it can be sent");
    taken(&mut tx)
}

/// Everything that is queued, taken off.
pub fn taken(tx: &mut TransmitQueue) -> Vec<u8> {
    let mut all = Vec::new();
    while tx.pending() > 0 {
        let mut slices = [&[][..]; 4];
        let used = tx.slices(&mut slices);
        let before = all.len();
        slices[..used].iter().for_each(|slice| all.extend_from_slice(slice));
        tx.advance(all.len() - before);
    }
    all
}
