//! The vectors of the protocols without a session: each is accepted, or refused with its code, however it is
//! split, and written as existing programs write it.

use bytes::Bytes;
use heartwire_core::connection::{Config, Event};
use heartwire_core::role::Role;
use heartwire_core::testing::Chunker;
use heartwire_core::wire::body::Whole;
use heartwire_core::wire::json_header::{self, JsonFormat, JsonHeader, Kind};
use heartwire_core::wire::length_prefixed::{self, Format, LengthPrefixed};
use heartwire_core::wire::lines::{self, Line, Lines};
use heartwire_core::wire::sealed::{self, Sealed, SecretKey};
use heartwire_tests::lone::Lone;
use heartwire_tests::peers;
use heartwire_tests::streams::{Stream, decode_every_way, encode, parts};
use heartwire_tests::vectors::{self, Hex, Reject};

fn sealed_settings(key: &Hex) -> sealed::Settings {
    sealed::Settings::new(SecretKey::new(key.0[..].try_into().unwrap()))
}

/// It is accepted by the codec, and by the machine, which says that the peer has finished.
fn accepted<C: Stream>(name: &str, settings: &C::Settings, bytes: &[u8], expected: &[C::Item]) {
    let (items, end) = decode_every_way::<C>(name, settings, bytes);
    assert_eq!(end, Ok(()), "{name}");
    assert!(items == expected, "{name}: {items:?}");
    for chunker in [Chunker::whole(), Chunker::fixed(1), Chunker::fixed(7), Chunker::random(3, 5000)] {
        let mut lone = Lone::<C>::new(Config::default(), settings, Role::Client);
        lone.chunker = chunker;
        lone.feed(bytes);
        lone.eof();
        let mut events = lone.events();
        assert!(matches!(events.pop(), Some(Event::Finished)), "{name}");
        let received = |event| match event {
            Event::Received(item) => item,
            other => panic!("{name}: {other:?}"),
        };
        assert!(C::joined(events.into_iter().map(received).collect()) == expected, "{name}");
        assert!(lone.written().is_empty());
        lone.close();
        let ended = lone.ended();
        assert!(ended.is_orderly(), "{name}: {ended}");
    }
}

/// It is refused with its code by the codec, and by the machine, which writes nothing about it.
fn refused<C: Stream>(case: &Reject, settings: &C::Settings) {
    let name = &case.name;
    let (_, end) = decode_every_way::<C>(name, settings, &case.bytes_hex.0);
    let error = end.expect_err(name);
    assert_eq!(error.code().as_str(), case.error, "{name}: {error}");
    for chunker in [Chunker::whole(), Chunker::fixed(1), Chunker::fixed(7), Chunker::random(3, 5000)] {
        let mut lone = Lone::<C>::new(Config::default(), settings, Role::Client);
        lone.chunker = chunker;
        lone.feed(&case.bytes_hex.0);
        lone.eof();
        let mut events = lone.events();
        let Some(Event::Ended(ended)) = events.pop() else { panic!("{name}: {events:?}") };
        assert_eq!(ended.code.as_str(), case.error, "{name}: {ended}");
        assert!(!events.iter().any(|event| matches!(event, Event::Finished)), "{name}");
        assert!(lone.written().is_empty(), "{name}");
    }
}

#[test]
fn headers_and_payloads_that_must_be_accepted_are() {
    for case in vectors::json_header().accept {
        let head =
            json_header::Head { kind: Kind::parse(&case.kind), size: case.size, filename: case.filename };
        let expected = parts(head, &case.payload_hex.0);
        accepted::<JsonHeader>(&case.name, &JsonFormat::new(), &case.bytes_hex.0, &expected);
    }
}

#[test]
fn headers_that_must_be_refused_are() {
    vectors::json_header().reject.iter().for_each(|case| refused::<JsonHeader>(case, &JsonFormat::new()));
}

#[test]
fn headers_are_written_as_existing_programs_write_them() {
    let mut written = 0;
    for case in vectors::json_header().accept {
        // What no existing sender writes.
        if case.name == "extra keys" {
            continue;
        }
        let head =
            json_header::Head { kind: Kind::parse(&case.kind), size: case.size, filename: case.filename };
        let message = Whole { head, body: case.payload_hex.0.into() };
        let bytes = encode::<JsonHeader>(&JsonFormat::new(), message);
        assert!(bytes == case.bytes_hex.0, "{}: {:?}", case.name, String::from_utf8_lossy(&bytes));
        written += 1;
    }
    assert!(written >= 7, "only {written} were compared");
}

#[test]
fn messages_behind_their_length_that_must_be_accepted_are() {
    for case in vectors::length_prefixed().accept {
        let head = length_prefixed::Head { size: case.payload_hex.0.len() as u64 };
        let expected = parts(head, &case.payload_hex.0);
        accepted::<LengthPrefixed>(&case.name, &Format::default(), &case.bytes_hex.0, &expected);
        let message = Whole::from(Bytes::from(case.payload_hex.0));
        assert!(encode::<LengthPrefixed>(&Format::default(), message) == case.bytes_hex.0, "{}", case.name);
    }
}

#[test]
fn messages_behind_their_length_that_must_be_refused_are() {
    for case in vectors::length_prefixed().reject {
        let limit = case.limit.map_or(u32::MAX, |limit| limit.try_into().unwrap());
        refused::<LengthPrefixed>(&case, &Format::with_limit(limit));
    }
}

#[test]
fn lines_that_must_be_accepted_are() {
    let mut written = 0;
    for case in vectors::lines().accept {
        let lines: Vec<_> = case.lines.into_iter().map(|line| Line::new(line).unwrap()).collect();
        accepted::<Lines>(&case.name, &lines::Settings::default(), &case.bytes_hex.0, &lines);
        // Ended otherwise than lines are here.
        if case.name.starts_with("crlf") || case.name.starts_with("last line without") {
            continue;
        }
        let bytes: Vec<_> =
            lines.into_iter().map(|line| encode::<Lines>(&lines::Settings::default(), line)).collect();
        assert_eq!(bytes.concat(), case.bytes_hex.0, "{}", case.name);
        written += 1;
    }
    assert!(written >= 4, "only {written} were compared");
}

#[test]
fn lines_that_must_be_refused_are() {
    for case in vectors::lines().reject {
        let settings = case.limit.map_or_else(lines::Settings::default, |limit| {
            lines::Settings::with_limit(limit.try_into().unwrap())
        });
        refused::<Lines>(&case, &settings);
    }
}

#[test]
fn packets_that_must_be_accepted_are() {
    for case in vectors::sealed_packet().accept {
        let expected = [Bytes::from(case.plaintext_hex.0.clone())];
        accepted::<Sealed>(&case.name, &sealed_settings(&case.key_hex), &case.bytes_hex.0, &expected);
    }
}

#[test]
fn packets_that_must_be_refused_are() {
    for case in vectors::sealed_packet().reject {
        let settings = sealed_settings(&case.key_hex);
        let settings = match case.limit {
            Some(limit) => settings.limit(limit.try_into().unwrap()),
            None => settings,
        };
        refused::<Sealed>(&case, &settings);
    }
}

/// Nonces are drawn, so packets are not the same; what is in them is.
#[test]
fn packets_are_written_so_that_a_second_implementation_opens_them() {
    for case in vectors::sealed_packet().accept {
        let key: [u8; 32] = case.key_hex.0[..].try_into().unwrap();
        let bytes = encode::<Sealed>(&sealed_settings(&case.key_hex), case.plaintext_hex.0.clone().into());
        let opened = peers::sealed::read(&mut &bytes[..], &key, peers::sealed::LIMIT).unwrap().unwrap();
        assert!(opened.plaintext == case.plaintext_hex.0, "{}", case.name);
        assert_eq!(bytes.len(), case.bytes_hex.0.len(), "{}", case.name);
        assert_ne!(opened.nonce[..], case.nonce_hex.0, "{}", case.name);
    }
}
