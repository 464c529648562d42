use super::*;
use crate::config::MAX_WIRE_INTEGER;
use crate::error::{Code, Error};
use crate::wire::envelope::encode::Sink as _;
use bytes::BytesMut;
use std::format;
use std::string::ToString;
use std::vec;

/// A header of this type with these further keys, as JSON text.
fn text(name: &str, keys: &str) -> String {
    format!(r#"{{"type": "{name}", "content_type": "text/plain", "session_id": "s"{keys}}}"#)
}

fn parse(name: &str, keys: &str) -> Result<Kind, Error> {
    Header::parse(text(name, keys).as_bytes()).map(|header| header.kind)
}

fn written(header: &Header) -> String {
    let mut out = BytesMut::new();
    header.write_open(&mut out);
    out.put(b"}");
    String::from_utf8(out.to_vec()).unwrap()
}

#[track_caller]
fn refused(name: &str, keys: &str, why: &str) {
    let error = parse(name, keys).expect_err(keys);
    assert_eq!(error.code(), Code::InvalidHeader, "{keys}");
    assert!(error.detail().contains(why), "{keys}: {error}");
}

#[test]
fn every_kind_reads_as_it_is_written() {
    let chunk = Chunk {
        message_id: 1,
        index: 0,
        last: true,
        aborted: true,
        total_size: Some(MAX_WIRE_INTEGER),
        app: App::from_json(r#"{"a":[1 ,2]}"#).unwrap(),
    };
    let hello = Hello {
        features: Some(Features(vec!["chunk".into(), "\u{1f600}\"".into()])),
        limits: PeerLimits { message: 1, unfinished: 2 },
    };
    let only_limits = Hello { features: None, ..hello.clone() };
    for (kind, expected) in [
        (Kind::SessionInit(Hello::default()), ""),
        (
            Kind::SessionAck(hello),
            r#", "features": ["chunk", "\ud83d\ude00\""], "limits": {"message": 1, "unfinished": 2}"#,
        ),
        (Kind::SessionInit(only_limits), r#", "limits": {"message": 1, "unfinished": 2}"#),
        (Kind::Heartbeat { seq: None }, ""),
        (Kind::Heartbeat { seq: Some(0) }, r#", "seq": 0"#),
        (Kind::Message { app: App::NONE }, ""),
        (Kind::Message { app: chunk.app.clone() }, r#", "app": {"a":[1 ,2]}"#),
        (
            Kind::Chunk(chunk.clone()),
            r#", "message_id": 1, "index": 0, "last": true, "aborted": true, "total_size": 9007199254740991, "app": {"a":[1 ,2]}"#,
        ),
        (
            Kind::Chunk(Chunk {
                index: 1,
                last: false,
                aborted: false,
                total_size: None,
                app: App::NONE,
                ..chunk
            }),
            r#", "message_id": 1, "index": 1, "last": false"#,
        ),
        (Kind::Error { code: None }, ""),
        (Kind::Error { code: Some("bad-magic".into()) }, r#", "code": "bad-magic""#),
        (Kind::Disconnect, ""),
    ] {
        let name = kind.frame_type().name();
        let header = Header { kind, content_type: ContentType::PLAIN, session_id: Some("s".into()) };
        assert_eq!(written(&header), text(name, expected));
        assert_eq!(Header::parse(written(&header).as_bytes()), Ok(header));
    }
}

#[test]
fn strings_are_written_in_ascii_as_existing_programs_do() {
    let all = "a\"\\/\n\r\t\u{8}\u{c}\u{0}\u{1f}\u{7f}\u{80}é\u{ffff}\u{10ffff} z";
    let mut out = BytesMut::new();
    write::put_string(&mut out, all);
    let expected = r#""a\"\\/\n\r\t\b\f\u0000\u001f\u007f\u0080\u00e9\uffff\udbff\udfff z""#;
    assert_eq!(String::from_utf8(out.to_vec()).unwrap(), expected);
    assert_eq!(serde_json::from_str::<String>(expected).unwrap(), all);
}

#[test]
fn a_session_id_is_a_string_or_null_or_absent() {
    let id = |keys: &str| {
        let text = format!(r#"{{"type": "disconnect", "content_type": "a"{keys}}}"#);
        Header::parse(text.as_bytes()).map(|header| header.session_id)
    };
    assert_eq!(id(""), Ok(None));
    assert_eq!(id(r#", "session_id": null"#), Ok(None));
    assert_eq!(id(r#", "session_id": "\u0061b""#), Ok(Some("ab".into())));
    for bad in ["7", "true", "[]", "{}", "\"a", "nul"] {
        assert_eq!(id(&format!(r#", "session_id": {bad}"#)).unwrap_err().code(), Code::InvalidHeader);
    }
}

#[test]
fn integers_are_digits_up_to_the_most_the_wire_carries() {
    let seq = |text: &str| parse("heartbeat", &format!(r#", "seq": {text}"#));
    assert_eq!(seq("9007199254740991"), Ok(Kind::Heartbeat { seq: Some(MAX_WIRE_INTEGER) }));
    for bad in [
        "9007199254740992",
        "18446744073709551616",
        "-1",
        "-0",
        "1.0",
        "1e3",
        "1e999",
        "\"1\"",
        "null",
        "[1]",
        "01",
    ] {
        assert_eq!(seq(bad).unwrap_err().code(), Code::InvalidHeader, "{bad}");
    }
    refused("heartbeat", r#", "seq": 1.5"#, "seq is `1.5`, not an integer from 0 to 9007199254740991");
}

#[test]
fn features_and_limits_are_bounded_and_typed() {
    let hello = |keys: &str| match parse("session_init", keys) {
        Ok(Kind::SessionInit(hello)) => hello,
        other => panic!("{other:?}"),
    };
    assert_eq!(hello(""), Hello::default());
    assert_eq!(hello(r#", "features": []"#).features, Some(Features::default()));
    let list = |count: usize, len: usize| {
        let name = format!("\"{}\"", "x".repeat(len));
        format!(r#", "features": [{}]"#, vec![name; count].join(","))
    };
    assert_eq!(hello(&list(32, 16)).features.unwrap().0.len(), 32);
    refused("session_init", &list(33, 1), "33 features of 33 bytes are over the limit of 32");
    refused("session_init", &list(1, 513), "1 features of 513 bytes");
    for bad in ["null", "\"chunk\"", "{}", "[1]", "[\"chunk\", null]"] {
        refused("session_ack", &format!(r#", "features": {bad}"#), "not a list of strings");
    }
    let limits = |text: &str| hello(&format!(r#", "limits": {text}"#)).limits;
    assert_eq!(limits("{}"), PeerLimits::default());
    assert_eq!(limits(r#"{"message": 5, "v3": [null]}"#), PeerLimits { message: 5, ..PeerLimits::default() });
    assert_eq!(limits(r#"{"unfinished": 0}"#).unfinished, 0);
    for bad in [
        "null",
        "[1, 2]",
        "1",
        r#"{"message": null}"#,
        r#"{"unfinished": -1}"#,
        r#"{"message": 1, "message": 1}"#,
    ] {
        refused("session_init", &format!(r#", "limits": {bad}"#), "limits");
    }
}

#[test]
fn chunks_have_their_keys() {
    let keys = |id: &str, index: &str, last: &str, more: &str| {
        format!(r#", "message_id": {id}, "index": {index}, "last": {last}{more}"#)
    };
    assert!(parse("chunk", &keys("1", "0", "false", "")).is_ok());
    refused("chunk", &keys("0", "0", "false", ""), "counted from 1");
    refused("chunk", &keys("1", "-1", "false", ""), "index");
    refused("chunk", &keys("1", "0", "0", ""), "last is `0`, not true or false");
    refused("chunk", r#", "index": 0, "last": true"#, "message_id is missing");
    refused("chunk", r#", "message_id": 1, "last": true"#, "index is missing");
    refused("chunk", r#", "message_id": 1, "index": 0"#, "last is missing");
    refused("chunk", &keys("1", "0", "false", r#", "aborted": true"#), "not the last");
    refused("chunk", &keys("1", "0", "true", r#", "aborted": 1"#), "aborted is `1`");
    assert!(parse("chunk", &keys("1", "0", "false", r#", "aborted": false"#)).is_ok());
    refused("chunk", &keys("1", "0", "false", r#", "total_size": "9""#), "total_size");
    refused("chunk", &keys("1", "0", "false", r#", "app": []"#), "app");
    let Ok(Kind::Chunk(later)) =
        parse("chunk", &keys("1", "1", "false", r#", "total_size": "9", "app": []"#))
    else {
        panic!("on a later chunk these are keys like any other");
    };
    assert_eq!((later.total_size, later.app), (None, App::NONE));
}

#[test]
fn application_entries_are_an_object_of_bounded_size() {
    let app = |text: &str| parse("message", &format!(r#", "app": {text}"#));
    for bad in ["null", "[]", "1", "\"{}\""] {
        assert_eq!(app(bad).unwrap_err().code(), Code::InvalidHeader, "{bad}");
    }
    let entries = |len: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(len - 8));
    assert!(app(&entries(8192)).is_ok());
    refused("message", &format!(r#", "app": {}"#, entries(8193)), "8193 bytes");
    assert_eq!(app("  {\n} \t"), Ok(Kind::Message { app: App::from_json("{\n}").unwrap() }));
}

#[test]
fn a_key_of_another_type_of_frame_is_a_key_like_any_other() {
    let foreign = r#", "seq": null, "message_id": "x", "index": -1, "last": 3, "features": 1, "limits": [], "app": 0, "code": 1, "total_size": {}, "aborted": [], "pad": 5"#;
    assert_eq!(parse("disconnect", foreign), Ok(Kind::Disconnect));
    assert_eq!(parse("error", r#", "seq": null, "code": "c""#), Ok(Kind::Error { code: Some("c".into()) }));
    for lenient in [r#", "code": 5"#, r#", "code": null"#] {
        assert_eq!(parse("error", lenient), Ok(Kind::Error { code: None }), "the reason must not be lost");
    }
}

#[test]
fn no_key_stands_twice_known_or_not_escaped_or_not() {
    for keys in [
        r#", "type": "message""#,
        r#", "pad": 1, "pad": 2"#,
        r#", "x": 1, "x": 1"#,
        r#", "x": 1, "\u0078": 1"#,
        r#", "": 1, "": 1"#,
        r#", "\u0074ype": 1"#,
        r#", "seq": 1, "seq": 1"#,
        r#", "\ud83d\ude00": 1, "😀": 1"#,
    ] {
        refused("message", keys, "is there twice");
    }
    assert!(parse("message", r#", "x": {"x": 1, "x": 2}, "X": 1, "y": 1"#).is_ok());
}

#[test]
fn many_keys_take_no_quadratic_time() {
    let many: String = (0..6000).map(|n| format!(r#","k{n}":1"#)).collect();
    assert!(parse("message", &many).is_ok());
    refused("message", &format!(r#"{many},"k0":1"#), "the key `k0` is there twice");
}

#[test]
fn what_nobody_reads_is_json_all_the_same() {
    for good in ["1e999", "-0.0e-999", "123456789012345678901234567890", r#"[null, {"a": "\u0000"}]"#] {
        assert!(parse("message", &format!(r#", "x": {good}"#)).is_ok(), "{good}");
    }
    for bad in
        ["NaN", "Infinity", "-", "01", "+1", ".5", "1.", "'a'", "[1,]", "{\"a\":1,}", "\"\n\"", "\"\\x\"", ""]
    {
        assert_eq!(parse("message", &format!(r#", "x": {bad}"#)).unwrap_err().code(), Code::InvalidHeader);
    }
    refused("message", r#", "x": ["\udc00"]"#, "a lone surrogate \\udc00");
    refused("message", &format!(r#", "x": {}{}"#, "[".repeat(64), "]".repeat(64)), "deeper than 64");
    assert!(parse("message", &format!(r#", "x": {}{}"#, "[".repeat(63), "]".repeat(63))).is_ok());
}

#[test]
fn a_header_is_one_bare_object_in_utf_8() {
    for (bad, why) in [
        (&b""[..], "is empty"),
        (b"[]", "first byte of the header is 0x5b, not 0x7b"),
        (b" {}", "first byte"),
        (b"\xEF\xBB\xBF{}", "first byte"),
        (b"{} ", "last byte of the header is 0x20, not 0x7d"),
        (b"{}\0", "last byte"),
        (b"{}{}", "trailing"),
        (b"{}}", "trailing"),
        (b"{", "last byte"),
        (b"{\xff}", "not UTF-8 from byte 1"),
        (b"{}", "type is missing"),
    ] {
        let error = Header::parse(bad).unwrap_err();
        assert_eq!(error.code(), Code::InvalidHeader);
        assert!(error.detail().contains(why), "{error}");
    }
}

#[test]
fn types_are_known_and_said_alike_in_prefix_and_header() {
    assert_eq!(parse("teleport", "").unwrap_err().to_string(), "unknown-type: there is no type `teleport`");
    assert_eq!(parse("Message", "").unwrap_err().code(), Code::UnknownType);
    // What is wrong with the header as such comes first.
    assert_eq!(Header::parse(br#"{"type": "teleport"}"#).unwrap_err().code(), Code::InvalidHeader);
    for (at, frame_type) in FrameType::ALL.into_iter().enumerate() {
        assert_eq!(usize::from(frame_type.code()), at + 1);
        assert_eq!(FrameType::from_code(frame_type.code()), Some(frame_type));
        assert_eq!(FrameType::from_name(frame_type.name()), Some(frame_type));
    }
    assert_eq!((FrameType::from_code(0), FrameType::from_code(8)), (None, None));
    let header = Header::parse(text("message", "").as_bytes()).unwrap();
    let code = |code| header.check_type_code(code).map_err(|error| error.code());
    assert_eq!((code(0), code(4)), (Ok(()), Ok(())));
    for other in [1, 2, 3, 5, 6, 7] {
        assert_eq!(code(other), Err(Code::TypeMismatch));
    }
    for none in [8, 255, 256, 1024, u16::MAX] {
        assert_eq!(code(none), Err(Code::UnknownType));
    }
}

#[test]
fn only_a_last_chunk_may_be_empty() {
    let empty = |name: &str, keys: &str| {
        Header::parse(text(name, keys).as_bytes()).unwrap().check_content(b"").map_err(|error| error.code())
    };
    assert_eq!(empty("chunk", r#", "message_id": 1, "index": 3, "last": true"#), Ok(()));
    assert_eq!(empty("chunk", r#", "message_id": 1, "index": 3, "last": false"#), Err(Code::EmptyContent));
    for name in ["session_init", "session_ack", "heartbeat", "message", "error", "disconnect"] {
        assert_eq!(empty(name, r#", "last": true"#), Err(Code::EmptyContent), "{name}");
    }
}

#[test]
fn session_ids_are_printable_and_of_bounded_length() {
    assert!(is_valid_session_id(" !~"));
    assert!(is_valid_session_id(&"x".repeat(128)));
    for bad in ["", "\u{7f}", "a\tb", "é", &"x".repeat(129)] {
        assert!(!is_valid_session_id(bad), "{bad}");
    }
}

#[test]
fn errors_quote_no_more_than_a_line() {
    let long = format!(r#", "seq": "\n{}""#, "é".repeat(2000));
    let error = parse("heartbeat", &long).unwrap_err();
    assert!(error.detail().len() < 200, "{error}");
    assert!(!error.detail().contains('\n'));
}

#[test]
fn the_longest_message_depends_on_whether_chunks_are_taken() {
    const FRAME: u64 = 10 * 1024 * 1024;
    let chunk = Features(std::vec![Features::CHUNK.to_string()]);
    let of = |message, unfinished| PeerLimits { message, unfinished };
    assert_eq!(of(FRAME * 2, 1).longest_message(Some(&chunk)), FRAME * 2);
    assert_eq!(of(FRAME * 2, 0).longest_message(Some(&chunk)), FRAME);
    assert_eq!(of(FRAME * 2, 1).longest_message(Some(&Features::default())), FRAME);
    assert_eq!(of(FRAME * 2, 1).longest_message(None), FRAME);
    assert_eq!(of(5, 1).longest_message(None), 5);
}
