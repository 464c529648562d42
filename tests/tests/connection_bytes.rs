//! One small stream of each protocol without a session, with every byte changed to every other value, cut
//! everywhere, and split everywhere: held against a second implementation that is written by hand.

use std::io::BufReader;

use bytes::{Bytes, BytesMut};
use heartwire_core::error::Code;
use heartwire_core::role::Role;
use heartwire_core::wire::body::Part;
use heartwire_core::wire::codec::Codec;
use heartwire_core::wire::json_header::{self, JsonFormat, JsonHeader, Kind};
use heartwire_core::wire::length_prefixed::{self, Format, LengthPrefixed};
use heartwire_core::wire::lines::{self, Line, Lines};
use heartwire_core::wire::sealed::{self, Sealed, SecretKey};
use heartwire_tests::peers;
use heartwire_tests::streams::{Stream, codec, decode, decode_by};

/// What a stream holds, and the code of what ends it.
type Met<I> = (Vec<I>, Option<String>);

fn ours<C: Stream>(settings: &C::Settings, bytes: &[u8]) -> Met<C::Item> {
    let (items, end) = decode::<C>(settings, [bytes]);
    (items, end.err().map(|error| error.code().as_str().to_owned()))
}

/// Messages until there is none, or one is refused.
fn read_all<T>(mut next: impl FnMut() -> std::io::Result<Option<T>>) -> Met<T> {
    let mut items = Vec::new();
    loop {
        match next() {
            Ok(Some(item)) => items.push(item),
            Ok(None) => return (items, None),
            Err(error) => return (items, Some(error.to_string())),
        }
    }
}

/// Every byte set to every value.
fn changes(bytes: &[u8]) -> impl Iterator<Item = (usize, u8, Vec<u8>)> {
    (0..bytes.len()).flat_map(move |at| {
        (0..=255).map(move |value| {
            let mut changed = bytes.to_vec();
            changed[at] = value;
            (at, value, changed)
        })
    })
}

/// The whole messages among these parts: what a reader has that holds messages whole.
fn whole<H: Clone + PartialEq + std::fmt::Debug>(parts: &[Part<H>]) -> Vec<(H, Vec<u8>)> {
    let (mut head, mut body, mut whole) = (None, Vec::new(), Vec::new());
    for part in parts {
        match part {
            Part::Head(next) => head = Some(next.clone()),
            Part::Piece(piece) => body.extend_from_slice(piece),
            Part::End => whole.push((head.take().expect("a head"), std::mem::take(&mut body))),
        }
    }
    whole
}

mod json_headers {
    use super::*;

    fn stream() -> Vec<u8> {
        [
            peers::json_header::message("CSV", "a/b\"é.csv", b"1,2\n"),
            peers::json_header::message("TEXT", "", b""),
        ]
        .concat()
    }

    fn theirs(mut bytes: &[u8]) -> Met<(json_header::Head, Vec<u8>)> {
        read_all(|| {
            let next = peers::json_header::read(&mut bytes)?;
            Ok(next.map(|(header, body)| {
                let (kind, size) = (Kind::parse(&header.kind), header.size);
                (json_header::Head { kind, size, filename: header.filename }, body)
            }))
        })
    }

    #[test]
    fn every_byte_as_everything() {
        let mut accepted = 0;
        for (at, value, changed) in changes(&stream()) {
            let (parts, code) = ours::<JsonHeader>(&JsonFormat::new(), &changed);
            let met = (whole(&parts), code);
            assert_eq!(met, theirs(&changed), "byte {at} as {value}");
            accepted += usize::from(met.1.is_none());
        }
        assert!(accepted > 1000, "names and payloads may be anything: {accepted}");
    }

    #[test]
    fn cut_everywhere() {
        let bytes = stream();
        let first = peers::json_header::message("CSV", "a/b\"é.csv", b"1,2\n").len();
        for len in 0..bytes.len() {
            let met = ours::<JsonHeader>(&JsonFormat::new(), &bytes[..len]);
            let expected = if len == 0 || len == first { None } else { Some("truncated") };
            assert_eq!(met.1.as_deref(), expected, "{len}");
            assert_eq!((whole(&met.0), met.1), theirs(&bytes[..len]), "{len}");
        }
    }

    #[test]
    fn split_everywhere() {
        let bytes = stream();
        let all = decode::<JsonHeader>(&JsonFormat::new(), [&bytes[..]]);
        assert_eq!((all.0.len(), &all.1), (5, &Ok(())));
        for a in 0..=bytes.len() {
            for b in a..=bytes.len() {
                let met = decode::<JsonHeader>(&JsonFormat::new(), [&bytes[..a], &bytes[a..b], &bytes[b..]]);
                assert_eq!(met, all, "split at {a} and {b}");
            }
        }
    }

    #[test]
    fn every_length_of_a_header_is_as_the_second_implementation_has_it() {
        let stream = stream();
        for len in (0..600).chain([65_535, 65_536, 65_537, u32::MAX - 1, u32::MAX]) {
            let mut changed = stream.clone();
            changed[..4].copy_from_slice(&u32::to_be_bytes(len));
            let (parts, code) = ours::<JsonHeader>(&JsonFormat::new(), &changed);
            assert_eq!((whole(&parts), code), theirs(&changed), "{len}");
        }
    }
}

mod lengths {
    use super::*;

    fn theirs(mut bytes: &[u8], limit: u32) -> Met<(length_prefixed::Head, Vec<u8>)> {
        read_all(|| {
            let next = peers::length_prefixed::read(&mut bytes, limit)?;
            Ok(next.map(|body| (length_prefixed::Head { size: body.len() as u64 }, body)))
        })
    }

    fn stream() -> Vec<u8> {
        [&b"one"[..], b"", b"\0\0\0\x01"].map(peers::length_prefixed::message).concat()
    }

    #[test]
    fn every_byte_as_everything() {
        for limit in [2, 3, 100, u32::MAX] {
            for (at, value, changed) in changes(&stream()) {
                let (parts, code) = ours::<LengthPrefixed>(&Format::with_limit(limit), &changed);
                assert_eq!((whole(&parts), code), theirs(&changed, limit), "{limit}: byte {at} as {value}");
            }
        }
    }

    #[test]
    fn cut_and_split_everywhere() {
        let bytes = stream();
        let all = decode::<LengthPrefixed>(&Format::default(), [&bytes[..]]);
        assert_eq!(all.1, Ok(()));
        for a in 0..=bytes.len() {
            let (parts, code) = ours::<LengthPrefixed>(&Format::default(), &bytes[..a]);
            assert_eq!((whole(&parts), code), theirs(&bytes[..a], u32::MAX), "{a}");
            for b in a..=bytes.len() {
                let pieces = [&bytes[..a], &bytes[a..b], &bytes[b..]];
                assert_eq!(decode::<LengthPrefixed>(&Format::default(), pieces), all, "split at {a} and {b}");
            }
        }
    }

    #[test]
    fn the_limit_is_exact() {
        for (len, code) in [(9, None), (10, None), (11, Some("message-too-large"))] {
            let bytes = peers::length_prefixed::message(&vec![7; len]);
            assert_eq!(ours::<LengthPrefixed>(&Format::with_limit(10), &bytes).1.as_deref(), code);
            // It is refused as soon as the length is there.
            let error = decode::<LengthPrefixed>(&Format::with_limit(10), [&bytes[..4]]).1.unwrap_err();
            assert_eq!(error.code().as_str(), code.unwrap_or(if len > 0 { "truncated" } else { "" }));
        }
    }
}

mod of_lines {
    use super::*;

    const LIMIT: usize = 5;

    fn settings() -> lines::Settings {
        lines::Settings::with_limit(LIMIT)
    }

    fn theirs(bytes: &[u8]) -> Met<Line> {
        // By a buffer of one byte, so that it sees what it is given in the same order.
        let mut stream = BufReader::with_capacity(1, bytes);
        read_all(|| {
            Ok(peers::lines::read(&mut stream, LIMIT)?.map(|line| Line::new(line).expect("it is a line")))
        })
    }

    fn check(bytes: &[u8]) {
        let met = ours::<Lines>(&settings(), bytes);
        assert_eq!(met, theirs(bytes), "{:?}", String::from_utf8_lossy(bytes));
        let single = decode_by::<Lines>(&settings(), bytes, 1);
        assert_eq!(decode::<Lines>(&settings(), [bytes]), single, "{:?}", String::from_utf8_lossy(bytes));
    }

    #[test]
    fn every_byte_as_everything() {
        for (_, _, changed) in changes("a\n\r\nab\r\nxé\r\n\nabcde\r\n\r\r\ntail".as_bytes()) {
            check(&changed);
        }
    }

    /// Everything there is of these: endings in every place, at the limit and beyond it, also at the end.
    #[test]
    fn every_short_stream_of_letters_and_endings() {
        for len in 0..=9_u32 {
            for number in 0..3_usize.pow(len) {
                let mut rest = number;
                let bytes: Vec<_> = (0..len)
                    .map(|_| {
                        let byte = b"x\r\n"[rest % 3];
                        rest /= 3;
                        byte
                    })
                    .collect();
                check(&bytes);
            }
        }
    }

    #[test]
    fn the_limit_is_without_the_ending() {
        let read = |text: &str| ours::<Lines>(&settings(), text.as_bytes());
        let one = |text: &str| (vec![Line::new(text.to_owned()).unwrap()], None);
        for text in ["12345\n", "12345\r\n", "12345"] {
            assert_eq!(read(text), one("12345"), "{text:?}");
        }
        assert_eq!(read("1234\r\r\n"), one("1234\r"));
        assert_eq!(read("1234\r"), one("1234\r"), "what is no ending belongs to the line");
        let too_long = (vec![], Some("line-too-long".to_owned()));
        for text in
            ["123456\n", "123456\r\n", "123456", "12345\r", "12345\r\r\n", "12345\rx", "\r\r\r\r\r\r\r\n"]
        {
            assert_eq!(read(text), too_long, "{text:?}");
        }
        // Length is looked at first, whatever the bytes are.
        let bytes = b"\xff\xff\xff\xff\xff\xff\n";
        assert_eq!(ours::<Lines>(&settings(), bytes), too_long);
        // A character that is cut by the end of the stream.
        assert_eq!(ours::<Lines>(&settings(), b"x\xc3").1.as_deref(), Some("invalid-utf8"));
    }

    #[test]
    fn a_line_that_is_too_long_is_refused_before_it_ends() {
        let (mut codec, mut rx) = (codec::<Lines>(&settings(), Role::Client), BytesMut::new());
        for at in 0..LIMIT + 1 {
            rx.extend_from_slice(b"x");
            assert_eq!(codec.decode(&mut rx).is_err(), at == LIMIT);
        }
    }
}

mod packets {
    use super::*;

    const KEY: [u8; 32] = [7; 32];
    const LIMIT: u32 = 1000;

    fn settings() -> sealed::Settings {
        sealed::Settings::new(SecretKey::new(KEY)).limit(LIMIT)
    }

    fn packet(number: u64, text: &[u8]) -> Vec<u8> {
        peers::sealed::packet(&KEY, &peers::sealed::nonce(number), text)
    }

    fn theirs(mut bytes: &[u8]) -> Met<Bytes> {
        read_all(|| Ok(peers::sealed::read(&mut bytes, &KEY, LIMIT)?.map(|opened| opened.plaintext.into())))
    }

    /// Decodes a stream of one packet that is refused, and looks at all that came out.
    fn refused(bytes: &[u8]) -> Code {
        let (mut codec, mut rx) = (codec::<Sealed>(&settings(), Role::Client), BytesMut::from(bytes));
        match codec.decode(&mut rx) {
            Ok(Some(plaintext)) => panic!("it was opened: {plaintext:?}"),
            Ok(None) => codec.finish(&mut rx).expect_err("nothing came, and nothing is missing").code(),
            Err(error) => {
                // Neither handed out nor left lying about.
                assert_eq!(rx, bytes, "what was refused was changed");
                assert!(codec.decode(&mut rx).is_err(), "it stays refused");
                error.code()
            }
        }
    }

    #[test]
    fn every_bit_flipped_is_refused() {
        let bytes = packet(0, b"nothing of this may come out changed");
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let code = refused(&changed);
            match bit / 8 {
                0 => assert_eq!(code, Code::UnsupportedVersion, "bit {bit}"),
                1..5 => assert_eq!(code, Code::BadNonceLength, "bit {bit}"),
                // Longer than all there is, over a limit, or another ciphertext.
                5..9 => assert!(
                    matches!(
                        code,
                        Code::Truncated
                            | Code::CiphertextTooLarge
                            | Code::CiphertextTooShort
                            | Code::DecryptionFailed
                    ),
                    "bit {bit}: {code}"
                ),
                _ => assert_eq!(code, Code::DecryptionFailed, "bit {bit}"),
            }
        }
    }

    #[test]
    fn every_byte_as_everything() {
        let bytes = [packet(0, b"abc"), packet(1, b"")].concat();
        for (at, value, changed) in changes(&bytes) {
            let met = ours::<Sealed>(&settings(), &changed);
            assert_eq!(met, theirs(&changed), "byte {at} as {value}");
            assert_eq!(met.1.is_none(), changed == bytes, "byte {at} as {value}");
        }
    }

    #[test]
    fn every_length_of_a_ciphertext() {
        let bytes = packet(0, b"abc");
        for len in (0..2 * LIMIT).chain([u32::MAX, 1 << 24, 1 << 31]) {
            let mut changed = bytes.clone();
            changed[5..9].copy_from_slice(&len.to_be_bytes());
            changed.resize(33 + (len as usize).min(3000), 0);
            let expected = match len {
                0..16 => Some("ciphertext-too-short"),
                19 => None,
                16..=LIMIT => Some("decryption-failed"),
                _ => Some("ciphertext-too-large"),
            };
            assert_eq!(ours::<Sealed>(&settings(), &changed).1.as_deref(), expected, "{len}");
        }
    }

    #[test]
    fn every_version_and_nonce_length() {
        for version in 0..=255 {
            let expected = if version == 1 { "truncated" } else { "unsupported-version" };
            // The version alone says it.
            assert_eq!(ours::<Sealed>(&settings(), &[version]).1.as_deref(), Some(expected));
        }
        for len in (0..300).chain([u32::MAX, 24 << 24]) {
            let expected = if len == 24 { "truncated" } else { "bad-nonce-length" };
            let bytes = &peers::sealed::head(1, len, 0)[..5];
            assert_eq!(ours::<Sealed>(&settings(), bytes).1.as_deref(), Some(expected), "{len}");
        }
    }

    #[test]
    fn cut_and_split_everywhere() {
        let bytes = [packet(0, b"abc"), packet(1, b"")].concat();
        let all = decode::<Sealed>(&settings(), [&bytes[..]]);
        assert_eq!(all, (vec![Bytes::from("abc"), Bytes::new()], Ok(())));
        for a in 0..=bytes.len() {
            assert_eq!(ours::<Sealed>(&settings(), &bytes[..a]), theirs(&bytes[..a]), "{a}");
            for b in a..=bytes.len() {
                let pieces = [&bytes[..a], &bytes[a..b], &bytes[b..]];
                assert_eq!(decode::<Sealed>(&settings(), pieces), all, "split at {a} and {b}");
            }
        }
    }

    #[test]
    fn under_another_key_nothing_is_opened() {
        let bytes = peers::sealed::packet(&[8; 32], &peers::sealed::nonce(0), b"abc");
        assert_eq!(refused(&bytes), Code::DecryptionFailed);
    }

    #[test]
    fn the_limit_is_exact() {
        for (len, code) in [(983, None), (984, None), (985, Some("ciphertext-too-large"))] {
            assert_eq!(ours::<Sealed>(&settings(), &packet(0, &vec![7; len])).1.as_deref(), code);
        }
    }
}
