//! `heartwire inspect`, run as others run it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::process::{Command, Stdio};

use heartwire_tests::program::{Finished, Running, heartwire, run};
use serde_json::{Value, json};

const DEFAULT_KEY: &str = "64656661756c742d6b6579";

fn vectors(list: &str) -> Vec<Value> {
    let vectors: Value = serde_json::from_str(include_str!("../vectors/envelope.json")).unwrap();
    vectors[list].as_array().unwrap().clone()
}

fn text<'a>(vector: &'a Value, key: &str) -> &'a str {
    vector[key].as_str().unwrap()
}

fn bytes(vector: &Value) -> Vec<u8> {
    unhex(text(vector, "bytes_hex"))
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn accepted(name: &str) -> Vec<u8> {
    bytes(vectors("accept").iter().find(|vector| vector["name"] == name).unwrap())
}

fn inspect<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    heartwire(["inspect", "--format", "envelope"].into_iter().chain(args))
}

fn json_lines(finished: &Finished) -> Vec<Value> {
    finished.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn one_line_of_stderr(finished: &Finished, said: &str) {
    assert_eq!(finished.stderr.lines().count(), 1, "{finished:?}");
    assert!(finished.stderr.contains(said), "{finished:?}");
}

#[test]
fn every_accepted_vector_is_one_object() {
    for vector in vectors("accept") {
        let finished = run(&mut inspect(["--key-hex", text(&vector, "key_hex")]), &bytes(&vector));
        assert_eq!(finished.code(), 0, "{} {}", vector["name"], finished.stderr);
        assert_eq!(finished.stderr, "");
        let [met] = json_lines(&finished).try_into().unwrap();
        for key in ["type", "content_type", "session_id", "content_hex"] {
            assert_eq!(met.get(key), vector.get(key), "{} {key}", vector["name"]);
        }
        // keys of its own only where the frame has them
        let own: Vec<_> = met.as_object().unwrap().keys().cloned().collect();
        if vector["name"] != "application entries" {
            assert_eq!(own, ["content_hex", "content_type", "session_id", "type"], "{}", vector["name"]);
        }
    }
}

#[test]
fn every_rejected_vector_is_its_code() {
    for vector in vectors("reject") {
        let finished = run(&mut inspect(["--key-hex", text(&vector, "key_hex")]), &bytes(&vector));
        let code = text(&vector, "error");
        assert_eq!(finished.code(), 1, "{}", vector["name"]);
        assert_eq!(finished.stdout, format!("{{\"error\":\"{code}\"}}\n"), "{}", vector["name"]);
        one_line_of_stderr(&finished, code);
    }
}

#[test]
fn frames_stand_in_order_and_an_error_is_the_last_line() {
    let stream = [accepted("session_init"), accepted("message text"), accepted("heartbeat pong")].concat();
    let finished = run(&mut inspect(["--key-hex", DEFAULT_KEY]), &stream);
    assert_eq!(finished.code(), 0);
    let types: Vec<_> = json_lines(&finished).iter().map(|line| line["type"].clone()).collect();
    assert_eq!(types, ["session_init", "message", "heartbeat"]);
    // the order of the vectors' keys
    assert!(finished.stdout.starts_with(
        r#"{"type":"session_init","content_type":"application/octet-stream","session_id":"f5b16522-"#
    ));

    let finished = run(&mut inspect(["--key-hex", DEFAULT_KEY]), &stream[..stream.len() - 1]);
    assert_eq!(finished.code(), 1);
    let lines = json_lines(&finished);
    assert_eq!((lines.len(), &lines[2]), (3, &json!({"error": "truncated"})));
    let begins = stream.len() - accepted("heartbeat pong").len();
    one_line_of_stderr(&finished, &format!("the input: frame 3, which begins at byte {begins}: truncated"));
    one_line_of_stderr(&finished, "was the capture cut short?");

    let finished = run(&mut inspect(["--key-hex", DEFAULT_KEY]), b"");
    assert_eq!((finished.code(), finished.stdout.as_str()), (0, ""));
}

#[test]
fn keys_of_a_type_are_shown_where_a_frame_has_them() {
    use bytes::BytesMut;
    use heartwire_core::key::{Key, Keys};
    use heartwire_core::message::{App, ContentType};
    use heartwire_core::wire::envelope::{
        Chunk, CrcHmac, Features, Header, Hello, Kind, PeerLimits, encode_head,
    };

    let hello = Hello {
        features: Some(Features(vec!["chunk".into(), "\u{202e}odd".into()])),
        limits: PeerLimits { message: 1000, unfinished: 2 },
    };
    let chunk = Chunk {
        message_id: 3,
        index: 0,
        last: false,
        aborted: false,
        total_size: Some(9),
        app: App::from_json("{\n\"a b\": [1, 2.50]}").unwrap(),
    };
    let last =
        Chunk { index: 1, last: true, aborted: true, total_size: None, app: App::NONE, ..chunk.clone() };
    let app = App::from_json(r#"{"room": "a"}"#).unwrap();
    let mut stream = BytesMut::new();
    let protection = CrcHmac::new(Keys::new(Key::new_allow_weak(b"k").unwrap()));
    for (kind, content) in [
        (Kind::SessionInit(hello), "x"),
        (Kind::Heartbeat { seq: Some(7) }, "x"),
        (Kind::Message { app }, "x"),
        (Kind::Chunk(chunk), "x"),
        (Kind::Chunk(last), ""),
        (Kind::Error { code: Some("too-slow".into()) }, "x"),
    ] {
        let header = Header { kind, content_type: ContentType::PLAIN, session_id: Some("s".into()) };
        encode_head(&protection, &header, content.as_bytes(), 0, &mut stream);
        stream.extend_from_slice(content.as_bytes());
    }
    let finished = run(&mut inspect(["--key-hex", "6b"]), &stream);
    let common = r#""content_type":"text/plain","session_id":"s","content_hex":"#;
    let expected = [
        format!(
            r#"{{"type":"session_init",{common}"78","features":["chunk","{}odd"],"limits":{{"message":1000,"unfinished":2}}}}"#,
            '\u{202e}'
        ),
        format!(r#"{{"type":"heartbeat",{common}"78","seq":7}}"#),
        format!(r#"{{"type":"message",{common}"78","app":{{"room":"a"}}}}"#),
        format!(
            r#"{{"type":"chunk",{common}"78","message_id":3,"index":0,"last":false,"total_size":9,"app":{{"a b":[1,2.50]}}}}"#
        ),
        format!(r#"{{"type":"chunk",{common}"","message_id":3,"index":1,"last":true,"aborted":true}}"#),
        format!(r#"{{"type":"error",{common}"78","code":"too-slow"}}"#),
    ];
    assert_eq!(finished.stdout.lines().collect::<Vec<_>>(), expected);
    assert_eq!(finished.code(), 0);
}

#[test]
fn frames_are_shown_as_they_come() {
    let frame = accepted("message text");
    let mut running = Running::spawn(&mut inspect(["--key-hex", DEFAULT_KEY]));
    let mut stdin = running.stdin().unwrap();
    for _ in 0..2 {
        stdin.write_all(&frame[..70]).unwrap();
        stdin.flush().unwrap();
        stdin.write_all(&frame[70..]).unwrap();
        assert!(running.line().contains("\"message\""));
    }
    drop(stdin);
    assert_eq!(running.finish().code(), 0);
}

#[test]
fn keys_come_from_files_and_the_environment() {
    let frame = accepted("message text");
    let dir = std::env::temp_dir().join(format!("heartwire-inspect-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let [key, wrong, input] =
        ["key", "wrong", "input"].map(|name| dir.join(name).into_os_string().into_string().unwrap());
    std::fs::write(&key, "default-key\r\n").unwrap();
    std::fs::write(&wrong, "default-key\n\n").unwrap();
    std::fs::write(&input, &frame).unwrap();

    assert_eq!(run(&mut inspect(["--key-file", &key]), &frame).code(), 0);
    assert_eq!(run(&mut inspect(["--key-file", &key, &input]), b"").code(), 0);
    assert_eq!(run(&mut inspect(["--key-file", &key, "-"]), &frame).code(), 0);
    assert_eq!(run(&mut inspect(["--key-file", &wrong, "--key-file", &key]), &frame).code(), 0);
    let finished = run(&mut inspect(["--key-file", &wrong]), &frame);
    assert_eq!((finished.code(), finished.stdout.as_str()), (1, "{\"error\":\"mac-mismatch\"}\n"));
    one_line_of_stderr(&finished, "mac-mismatch");

    assert_eq!(run(inspect([]).env("HEARTWIRE_KEY", "default-key"), &frame).code(), 0);
    // byte for byte: a newline counts
    assert_eq!(run(inspect([]).env("HEARTWIRE_KEY", "default-key\n"), &frame).code(), 1);
    // a file goes before the environment
    assert_eq!(run(inspect(["--key-file", &wrong]).env("HEARTWIRE_KEY", "default-key"), &frame).code(), 1);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[cfg(unix)]
#[test]
fn a_key_in_the_environment_need_not_be_text() {
    use std::os::unix::ffi::OsStrExt;
    let vectors = vectors("accept");
    let binary = vectors.iter().find(|vector| {
        let key = unhex(text(vector, "key_hex"));
        std::str::from_utf8(&key).is_err() && !key.contains(&0)
    });
    let vector = binary.expect("a vector with a key that is not text");
    let key = unhex(text(vector, "key_hex"));
    let finished = run(inspect([]).env("HEARTWIRE_KEY", OsStr::from_bytes(&key)), &bytes(vector));
    assert_eq!(finished.code(), 0, "{finished:?}");
}

#[test]
fn a_missing_key_says_what_to_do() {
    for command in [&mut inspect([]), inspect([]).env("HEARTWIRE_KEY", "")] {
        let finished = run(command, b"");
        assert_eq!(finished.code(), 2);
        one_line_of_stderr(&finished, "no key; give --key-hex HEX or --key-file FILE, or set HEARTWIRE_KEY");
    }
    let finished = run(&mut inspect(["--key-file", "/nowhere/key"]), b"");
    assert_eq!(finished.code(), 2);
    one_line_of_stderr(&finished, "/nowhere/key: can't read the key file");
}

#[test]
fn bad_usage_is_exit_code_2_and_nothing_on_stdout() {
    for args in [
        &["inspect"][..],
        &["inspect", "--format", "envelope", "--key-hex", "6"],
        &["inspect", "--format", "envelope", "--key-hex", ""],
        &["inspect", "--format", "envelope", "--key-hex", "6b", "--key-file", "k"],
        &["inspect", "--format", "envelope", "--key-hex", "6b", "--limit", "-1"],
        &["inspect", "--format", "telegraph", "--key-hex", "6b"],
        &["inspect", "--format", "envelope", "--key-hex", "6b", "a", "b"],
        &["telephone"],
        &[],
    ] {
        let finished = run(&mut heartwire(args), b"");
        assert_eq!((finished.code(), finished.stdout.as_str()), (2, ""), "{args:?}");
        assert!(!finished.stderr.is_empty());
    }
    let help = run(&mut heartwire(["inspect", "--help"]), b"");
    assert_eq!(help.code(), 0);
    for format in ["envelope", "json-header", "sealed-packet", "length-prefixed", "lines"] {
        assert!(help.stdout.contains(format), "{}", help.stdout);
    }
}

#[test]
fn a_limit_bounds_the_content() {
    let frame = accepted("content of 64 bytes");
    let limited = |limit| run(&mut inspect(["--key-hex", DEFAULT_KEY, "--limit", limit]), &frame);
    assert_eq!(limited("64").code(), 0);
    assert_eq!(limited("18446744073709551615").code(), 0);
    let finished = limited("63");
    assert_eq!((finished.code(), finished.stdout.as_str()), (1, "{\"error\":\"content-too-large\"}\n"));
}

#[test]
fn a_file_that_can_not_be_read_is_a_failure() {
    let finished = run(&mut inspect(["--key-hex", "6b", "/nowhere/capture"]), b"");
    assert_eq!((finished.code(), finished.stdout.as_str()), (1, ""));
    one_line_of_stderr(&finished, "/nowhere/capture: can't read it");
    one_line_of_stderr(&finished, "check the file's name");
    let dir = std::env::temp_dir();
    let finished = run(inspect(["--key-hex", "6b"]).arg(&dir), b"");
    assert_eq!((finished.code(), finished.stdout.as_str()), (1, ""));
    one_line_of_stderr(&finished, &format!("{}: can't", dir.display()));
}

#[test]
fn an_error_names_the_file_the_frame_and_what_to_do() {
    let path = std::env::temp_dir().join(format!("heartwire-inspect-{}.capture", std::process::id()));
    let name = path.to_str().unwrap();
    let frame = accepted("content of 8191 bytes");
    let mut forged = frame.clone();
    forged[40] ^= 1;
    // more than is read at a time
    let good = frame.repeat(10);
    for (bad, code, advice) in [
        (forged, "mac-mismatch", "try another --key-hex or --key-file"),
        (vec![b'x'; 64], "bad-magic", "is this one direction of one connection, from its beginning?"),
    ] {
        std::fs::write(&path, [good.clone(), bad].concat()).unwrap();
        let finished = run(&mut inspect(["--key-hex", DEFAULT_KEY, name]), b"");
        assert_eq!(finished.code(), 1);
        assert!(finished.stdout.ends_with(&format!("\n{{\"error\":\"{code}\"}}\n")));
        let begins = good.len();
        one_line_of_stderr(&finished, &format!("{name}: frame 11, which begins at byte {begins}: {code}"));
        assert!(finished.stderr.ends_with(&format!("; {advice}\n")), "{finished:?}");
    }
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let path = std::env::temp_dir().join(format!("heartwire-inspect-{}.many", std::process::id()));
    let frame = accepted("content of 8191 bytes");
    let mut file = File::create(&path).unwrap();
    for _ in 0..100 {
        file.write_all(&frame).unwrap();
    }
    let mut child = inspect(["--key-hex", DEFAULT_KEY])
        .arg(&path)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
    std::fs::remove_file(&path).unwrap();
}
