//! The vectors of `tests/vectors/`: bytes that must be accepted, and bytes that must be refused.

use std::path::Path;

use serde::Deserialize;

/// The vectors of one format.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "A: Deserialize<'de>"))]
pub struct Vectors<A> {
    /// Which format they are of.
    pub format: String,
    /// What must be accepted.
    pub accept: Vec<A>,
    /// What must be refused.
    pub reject: Vec<Reject>,
}

/// Bytes that must be refused, and with which code.
#[derive(Debug, Deserialize)]
pub struct Reject {
    /// What they are about.
    pub name: String,
    /// The key of the side that reads them.
    #[serde(default)]
    pub key_hex: Hex,
    /// The limit that they are refused against, in bytes, where it is not the default.
    pub limit: Option<u64>,
    /// The bytes.
    pub bytes_hex: Hex,
    /// The code.
    pub error: String,
}

/// Bytes that must be accepted as one frame of the envelope.
#[derive(Debug, Deserialize)]
pub struct EnvelopeAccept {
    /// What they are about.
    pub name: String,
    /// The key of the side that reads them.
    pub key_hex: Hex,
    /// The bytes.
    pub bytes_hex: Hex,
    /// The frame's type.
    #[serde(rename = "type")]
    pub frame_type: String,
    /// Its content type.
    pub content_type: String,
    /// Its session, if it has one.
    pub session_id: Option<String>,
    /// Its content.
    pub content_hex: Hex,
}

/// Bytes that must be accepted as one message behind a header in JSON.
#[derive(Debug, Deserialize)]
pub struct JsonHeaderAccept {
    /// What they are about.
    pub name: String,
    /// The bytes.
    pub bytes_hex: Hex,
    /// The type in the header.
    #[serde(rename = "type")]
    pub kind: String,
    /// The size in the header, in bytes.
    pub size: u64,
    /// The file name in the header; texts have an empty one.
    pub filename: String,
    /// What follows the header.
    pub payload_hex: Hex,
}

/// Bytes that must be accepted as one sealed packet.
#[derive(Debug, Deserialize)]
pub struct SealedAccept {
    /// What they are about.
    pub name: String,
    /// The key that both sides have.
    pub key_hex: Hex,
    /// The nonce it was sealed with.
    pub nonce_hex: Hex,
    /// The bytes.
    pub bytes_hex: Hex,
    /// What is in it.
    pub plaintext_hex: Hex,
}

/// Bytes that must be accepted as one message behind its length.
#[derive(Debug, Deserialize)]
pub struct LengthPrefixedAccept {
    /// What they are about.
    pub name: String,
    /// The bytes.
    pub bytes_hex: Hex,
    /// The message.
    pub payload_hex: Hex,
}

/// Bytes that must be accepted as lines.
#[derive(Debug, Deserialize)]
pub struct LinesAccept {
    /// What they are about.
    pub name: String,
    /// The bytes, to the end of the stream.
    pub bytes_hex: Hex,
    /// The lines, without their endings.
    pub lines: Vec<String>,
}

/// Bytes that stand in JSON as hexadecimal digits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Hex(pub Vec<u8>);

impl TryFrom<String> for Hex {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
        match digits {
            Some(digits) if digits.len() & 1 == 0 => {
                Ok(Self(digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()))
            }
            _ => Err(format!("not pairs of hexadecimal digits: {text}")),
        }
    }
}

/// The vectors of the envelope.
#[must_use]
pub fn envelope() -> Vectors<EnvelopeAccept> {
    load("envelope.json", "envelope v1")
}

/// The vectors of messages behind a header in JSON.
#[must_use]
pub fn json_header() -> Vectors<JsonHeaderAccept> {
    load("json-header.json", "json-header")
}

/// The vectors of sealed packets.
#[must_use]
pub fn sealed_packet() -> Vectors<SealedAccept> {
    load("sealed-packet.json", "sealed packet (version 1, NaCl secretbox)")
}

/// The vectors of messages behind their length.
#[must_use]
pub fn length_prefixed() -> Vectors<LengthPrefixedAccept> {
    load("length-prefixed.json", "length-prefixed (4 bytes, big endian)")
}

/// The vectors of lines.
#[must_use]
pub fn lines() -> Vectors<LinesAccept> {
    load("lines.json", "lines")
}

/// Panics if the file is not there or not as expected.
fn load<A: for<'de> Deserialize<'de>>(name: &str, format: &str) -> Vectors<A> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let vectors: Vectors<A> =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(vectors.format, format, "{}", path.display());
    vectors
}

#[cfg(test)]
mod tests {
    use super::{Reject, envelope, json_header, length_prefixed, lines, sealed_packet};

    #[test]
    fn every_format_is_read_to_the_last_case() {
        let with_limit = |cases: &[Reject]| cases.iter().filter_map(|case| case.limit).collect::<Vec<_>>();
        let (envelope, headers, sealed) = (envelope(), json_header(), sealed_packet());
        let (lengths, lines) = (length_prefixed(), lines());
        assert!(envelope.accept.len() >= 34 && envelope.reject.len() >= 47);
        assert!(headers.accept.len() >= 8 && headers.reject.len() >= 11);
        assert!(sealed.accept.len() >= 5 && sealed.reject.len() >= 10);
        assert!(lengths.accept.len() >= 6 && lengths.reject.len() >= 3);
        assert!(lines.accept.len() >= 6 && lines.reject.len() >= 2);
        assert_eq!(with_limit(&lengths.reject), [1024 * 1024]);
        assert_eq!(with_limit(&lines.reject), [16]);
    }
}
