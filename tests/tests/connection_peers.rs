//! Both directions of the protocols without a session against second implementations that are written by hand.

use std::io::BufReader;

use bytes::Bytes;
use heartwire_core::wire::body::Whole;
use heartwire_core::wire::json_header::{self, JsonFormat, JsonHeader, Kind};
use heartwire_core::wire::length_prefixed::{self, Format, LengthPrefixed};
use heartwire_core::wire::lines::{Line, Lines, Settings};
use heartwire_core::wire::sealed::{self, Sealed, SecretKey};
use heartwire_core::{role::Role, wire::codec::Codec};
use heartwire_tests::peers;
use heartwire_tests::peers::content::bytes;
use heartwire_tests::streams::{Stream, codec, decode, encode_with, parts};
use proptest::collection::vec;
use proptest::prelude::*;

const KEY: [u8; 32] = [7; 32];
const SIZES: [usize; 12] = [0, 1, 4095, 4096, 4097, 8191, 8192, 8193, 65_535, 65_536, 65_537, 1 << 20];
const KINDS: [Kind; 4] = [Kind::Text, Kind::Csv, Kind::Image, Kind::Unknown];

/// Sizes of messages: those at which something changes, and small ones.
fn sizes() -> impl Strategy<Value = Vec<usize>> {
    vec(prop_oneof![2 => prop::sample::select(&SIZES[..11]), 2 => 0..300_usize, 1 => 0..20_000_usize], 0..6)
}

/// Sizes of pieces that a stream arrives in, over and over.
fn steps() -> impl Strategy<Value = Vec<usize>> {
    vec(prop_oneof![1..10_usize, 1..5000_usize, 1..100_000_usize], 1..20)
}

fn chunked<'a>(bytes: &'a [u8], steps: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = bytes;
    steps.iter().cycle().map_while(move |step| {
        let (piece, after) = rest.split_at((*step).min(rest.len()));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Messages by one codec.
fn encoded<C: Codec>(settings: &C::Settings, messages: impl IntoIterator<Item = C::Message>) -> Vec<u8> {
    let mut codec = codec::<C>(settings, Role::Client);
    messages.into_iter().flat_map(|message| encode_with(&mut codec, message)).collect()
}

fn accepts<C: Stream>(settings: &C::Settings, bytes: &[u8], steps: &[usize], expected: &[C::Item]) {
    let (items, end) = decode::<C>(settings, chunked(bytes, steps));
    assert_eq!(end, Ok(()));
    assert!(items == expected, "{}: something else arrived", C::NAME);
}

fn json_headers(messages: &[(Kind, String, Vec<u8>)], steps: &[usize]) {
    let head = |kind: Kind, name: &str, body: &[u8]| json_header::Head {
        kind,
        size: body.len() as u64,
        filename: name.into(),
    };
    let theirs: Vec<u8> = messages
        .iter()
        .flat_map(|(kind, name, body)| peers::json_header::message(kind.as_str(), name, body))
        .collect();
    let expected: Vec<_> =
        messages.iter().flat_map(|(kind, name, body)| parts(head(*kind, name, body), body)).collect();
    accepts::<JsonHeader>(&JsonFormat::new(), &theirs, steps, &expected);
    let whole = messages
        .iter()
        .map(|(kind, name, body)| Whole { head: head(*kind, name, body), body: body.clone().into() });
    assert!(encoded::<JsonHeader>(&JsonFormat::new(), whole) == theirs, "written otherwise");
}

fn lengths(messages: &[Vec<u8>], steps: &[usize]) {
    let theirs: Vec<u8> = messages.iter().flat_map(|body| peers::length_prefixed::message(body)).collect();
    let expected: Vec<_> = messages
        .iter()
        .flat_map(|body| parts(length_prefixed::Head { size: body.len() as u64 }, body))
        .collect();
    accepts::<LengthPrefixed>(&Format::default(), &theirs, steps, &expected);
    let whole = messages.iter().map(|body| Whole::from(Bytes::from(body.clone())));
    assert!(encoded::<LengthPrefixed>(&Format::default(), whole) == theirs, "written otherwise");
}

fn packets(messages: &[Vec<u8>], steps: &[usize]) {
    let settings = sealed::Settings::new(SecretKey::new(KEY));
    let theirs: Vec<u8> = (0..)
        .zip(messages)
        .flat_map(|(number, text)| peers::sealed::packet(&KEY, &peers::sealed::nonce(number), text))
        .collect();
    let expected: Vec<_> = messages.iter().map(|text| Bytes::from(text.clone())).collect();
    accepts::<Sealed>(&settings, &theirs, steps, &expected);
    let ours = encoded::<Sealed>(&settings, expected);
    let mut stream = &ours[..];
    for text in messages {
        let opened = peers::sealed::read(&mut stream, &KEY, peers::sealed::LIMIT).unwrap().unwrap();
        assert!(opened.plaintext == *text, "another text came out");
    }
    assert_eq!(peers::sealed::read(&mut stream, &KEY, peers::sealed::LIMIT).unwrap(), None);
}

fn lines(texts: &[String], steps: &[usize]) {
    let settings = Settings::with_limit(1 << 20);
    // A line that ends with `\r` can't be said as they write it: they would lose that.
    let plain: Vec<_> = texts.iter().filter(|text| !text.ends_with('\r')).collect();
    let theirs: Vec<u8> = plain.iter().flat_map(|text| peers::lines::line(text)).collect();
    let line = |text: &str| Line::new(text.to_owned()).unwrap();
    let expected: Vec<_> = plain.iter().map(|text| line(text)).collect();
    accepts::<Lines>(&settings, &theirs, steps, &expected);
    assert!(encoded::<Lines>(&settings, expected) == theirs, "written otherwise");
    // Ours can be any, and are the same here and there.
    let all: Vec<_> = texts.iter().map(|text| line(text)).collect();
    let ours = encoded::<Lines>(&settings, all.clone());
    accepts::<Lines>(&settings, &ours, steps, &all);
    let mut stream = BufReader::new(&ours[..]);
    for text in texts {
        assert_eq!(peers::lines::read(&mut stream, 1 << 20).unwrap().as_ref(), Some(text));
    }
    assert_eq!(peers::lines::read(&mut stream, 1 << 20).unwrap(), None);
}

#[test]
fn messages_of_every_size_at_which_something_changes() {
    for steps in [&[usize::MAX][..], &[4096], &[65_536, 1], &[8192, 8193, 3]] {
        let bodies: Vec<_> = SIZES.iter().map(|size| bytes(*size)).collect();
        lengths(&bodies, steps);
        packets(&bodies, steps);
        let files: Vec<_> = bodies
            .into_iter()
            .zip(KINDS.into_iter().cycle())
            .map(|(body, kind)| (kind, "a/b".into(), body))
            .collect();
        json_headers(&files, steps);
        let texts: Vec<_> = SIZES.iter().map(|size| "é".repeat(size / 2) + &"x".repeat(size % 2)).collect();
        lines(&texts, steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn headers_and_payloads(
        sizes in sizes(),
        names in vec((prop::sample::select(&KINDS[..]), any::<String>()), 6),
        steps in steps(),
    ) {
        let messages: Vec<_> =
            sizes.into_iter().zip(names).map(|(size, (kind, name))| (kind, name, bytes(size))).collect();
        json_headers(&messages, &steps);
    }

    #[test]
    fn messages_behind_their_length(sizes in sizes(), steps in steps()) {
        lengths(&sizes.into_iter().map(bytes).collect::<Vec<_>>(), &steps);
    }

    #[test]
    fn sealed_packets(sizes in sizes(), steps in steps()) {
        packets(&sizes.into_iter().map(bytes).collect::<Vec<_>>(), &steps);
    }

    #[test]
    fn lines_of_anything_but_newlines(
        texts in vec(prop_oneof!["[x\\ré\u{1f600}]{0,8}", "[^\n]{0,300}", "\\PC{0,20}"], 0..20),
        steps in steps(),
    ) {
        lines(&texts, &steps);
    }
}

/// A carriage return in every place, and several.
#[test]
fn lines_with_carriage_returns_everywhere() {
    let texts: Vec<String> = (0..64_u32)
        .map(|bits| (0..6).map(|at| if bits >> at & 1 == 1 { '\r' } else { 'x' }).collect())
        .collect();
    for steps in [&[1_usize][..], &[2], &[3], &[1000]] {
        lines(&texts, steps);
        for text in &texts {
            lines(std::slice::from_ref(text), steps);
        }
    }
}
