//! `heartwire inspect` with the formats that have no session.

use std::io::Write;
use std::process::Command;

use heartwire_tests::peers::{content, json_header, length_prefixed, sealed};
use heartwire_tests::program::{Finished, heartwire, run};
use serde_json::{Value, json};

const VECTORS: [(&str, &str); 4] = [
    ("json-header", include_str!("../vectors/json-header.json")),
    ("sealed-packet", include_str!("../vectors/sealed-packet.json")),
    ("length-prefixed", include_str!("../vectors/length-prefixed.json")),
    ("lines", include_str!("../vectors/lines.json")),
];

fn vectors(list: &str) -> Vec<(&'static str, Value)> {
    let of = |(format, text): (&'static str, &str)| {
        let vectors: Value = serde_json::from_str(text).unwrap();
        vectors[list].as_array().unwrap().iter().map(|vector| (format, vector.clone())).collect::<Vec<_>>()
    };
    VECTORS.into_iter().flat_map(of).collect()
}

fn inspect(format: &str, vector: &Value) -> (Command, Vec<u8>) {
    let mut command = heartwire(["inspect", "--format", format]);
    if let Some(key) = vector["key_hex"].as_str() {
        command.args(["--key-hex", key]);
    }
    if let Some(limit) = vector["limit"].as_u64() {
        command.args(["--limit", &limit.to_string()]);
    }
    (command, unhex(vector["bytes_hex"].as_str().unwrap()))
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn said(finished: &Finished, code: i32, text: &str) {
    assert_eq!(finished.code(), code, "{}", finished.stderr);
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    assert!(finished.stderr.contains(text), "{}", finished.stderr);
}

#[test]
fn every_accepted_vector_is_an_object_with_its_fields() {
    for (format, vector) in vectors("accept") {
        let (mut command, bytes) = inspect(format, &vector);
        let finished = run(&mut command, &bytes);
        assert_eq!((finished.code(), finished.stderr.as_str()), (0, ""), "{format}: {}", vector["name"]);
        let met: Vec<Value> =
            finished.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let expected: Vec<Value> = match format {
            "json-header" => vec![json!({
                "type": vector["type"],
                "size": vector["size"],
                "filename": vector["filename"],
                "payload_hex": vector["payload_hex"],
            })],
            "sealed-packet" => vec![json!({
                "nonce_hex": vector["nonce_hex"],
                "plaintext_hex": vector["plaintext_hex"],
            })],
            "length-prefixed" => vec![json!({"payload_hex": vector["payload_hex"]})],
            _ => vector["lines"].as_array().unwrap().iter().map(|line| json!({"line": line})).collect(),
        };
        assert_eq!(met, expected, "{format}: {}", vector["name"]);
    }
}

#[test]
fn every_rejected_vector_is_its_code() {
    for (format, vector) in vectors("reject") {
        let (mut command, bytes) = inspect(format, &vector);
        let finished = run(&mut command, &bytes);
        let code = vector["error"].as_str().unwrap();
        assert_eq!(finished.stdout, format!("{{\"error\":\"{code}\"}}\n"), "{format}: {}", vector["name"]);
        said(&finished, 1, code);
    }
}

#[test]
fn what_came_before_a_refusal_is_shown_and_the_refused_one_is_placed() {
    let key = [7; 32];
    let good = sealed::packet(&key, &sealed::nonce(1), b"first");
    let bad = sealed::packet(&[8; 32], &sealed::nonce(2), b"second");
    let stream = [&good[..], &good, &bad].concat();
    let finished =
        run(&mut heartwire(["inspect", "--format", "sealed-packet", "--key-hex", &hex(&key)]), &stream);
    let nonce = hex(&sealed::nonce(1));
    let packet = format!("{{\"nonce_hex\":\"{nonce}\",\"plaintext_hex\":\"{}\"}}\n", hex(b"first"));
    assert_eq!(finished.stdout, format!("{packet}{packet}{{\"error\":\"decryption-failed\"}}\n"));
    said(&finished, 1, &format!("the input: packet 3, which begins at byte {}", 2 * good.len()));

    let finished = run(&mut heartwire(["inspect", "--format", "lines"]), b"one\n\xff\nthree\n");
    assert_eq!(finished.stdout, "{\"line\":\"one\"}\n{\"error\":\"invalid-utf8\"}\n");
    said(&finished, 1, "line 2, which begins at byte 4");

    let stream = [json_header::message("CSV", "a.csv", b"1,2\n"), vec![0; 3]].concat();
    let finished = run(&mut heartwire(["inspect", "--format", "json-header"]), &stream);
    assert_eq!(
        finished.stdout,
        "{\"type\":\"CSV\",\"size\":4,\"filename\":\"a.csv\",\"payload_hex\":\"312c320a\"}\n{\"error\":\"truncated\"}\n"
    );
    said(&finished, 1, "file 2, which begins at byte");
}

#[test]
fn a_body_that_does_not_fit_into_memory_is_shown_whole_when_it_is_there() {
    let body = content::bytes(9 * 1024 * 1024);
    let stream = length_prefixed::message(&body);
    let finished = run(&mut heartwire(["inspect", "--format", "length-prefixed"]), &stream);
    assert_eq!(finished.code(), 0, "{}", finished.stderr);
    assert!(finished.stdout == format!("{{\"payload_hex\":\"{}\"}}\n", hex(&body)), "another body");

    let finished =
        run(&mut heartwire(["inspect", "--format", "length-prefixed"]), &stream[..stream.len() - 1]);
    assert_eq!(finished.stdout, "{\"error\":\"truncated\"}\n");
    said(&finished, 1, "1 bytes before the end of a message");
}

#[test]
fn a_limit_bounds_what_each_format_has() {
    let text = json_header::message("TEXT", "", b"12345");
    let message = length_prefixed::message(b"12345");
    let packet = sealed::packet(&[7; 32], &sealed::nonce(1), b"12345");
    let key = hex(&[7; 32]);
    for (format, key, stream, enough, code) in [
        ("json-header", None, text, 5, "message-too-large"),
        ("length-prefixed", None, message, 5, "message-too-large"),
        ("sealed-packet", Some(key.as_str()), packet, 21, "ciphertext-too-large"),
        ("lines", None, b"12345\n".to_vec(), 5, "line-too-long"),
    ] {
        for (limit, fits) in [(enough, true), (enough - 1, false)] {
            let mut command = heartwire(["inspect", "--format", format, "--limit", &limit.to_string()]);
            command.args(key.into_iter().flat_map(|key| ["--key-hex", key]));
            let finished = run(&mut command, &stream);
            if fits {
                assert_eq!((finished.code(), finished.stdout.lines().count()), (0, 1), "{format}");
            } else {
                assert_eq!(finished.stdout, format!("{{\"error\":\"{code}\"}}\n"), "{format}");
                said(&finished, 1, "give a larger --limit");
            }
        }
    }
}

#[test]
fn a_key_belongs_to_the_formats_that_have_one() {
    for format in ["json-header", "length-prefixed", "lines"] {
        let finished = run(&mut heartwire(["inspect", "--format", format, "--key-hex", "6b"]), b"");
        said(&finished, 2, "this format has no key");
        // what the environment holds is no matter
        let mut command = heartwire(["inspect", "--format", format]);
        let finished = run(command.env("HEARTWIRE_KEY", "a key of sessions"), b"");
        assert_eq!((finished.code(), finished.stderr.as_str()), (0, ""));
    }
    let sealed = |args: &[&str]| run(heartwire(["inspect", "--format", "sealed-packet"]).args(args), b"");
    said(&sealed(&[]), 2, "no key; give --key-hex HEX or --key-file FILE");
    said(&sealed(&["--key-hex", "6b"]), 2, "--key-hex: not 64 hexadecimal digits");
    said(&sealed(&["--key-file", "a", "--key-file", "b"]), 2, "sealed packets have one key");

    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&[7; 32]).unwrap();
    let packet = sealed::packet(&[7; 32], &sealed::nonce(1), b"from a file");
    let mut command = heartwire(["inspect", "--format", "sealed-packet", "--key-file"]);
    let finished = run(command.arg(file.path()), &packet);
    assert_eq!(finished.code(), 0, "{}", finished.stderr);
    assert!(finished.stdout.contains(&hex(b"from a file")), "{}", finished.stdout);
}
