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
///
/// # Panics
///
/// If the file is not there or not as expected.
#[must_use]
pub fn envelope() -> Vectors<EnvelopeAccept> {
    let vectors: Vectors<EnvelopeAccept> = load("envelope.json");
    assert_eq!(vectors.format, "envelope v1");
    vectors
}

fn load<T: for<'de> Deserialize<'de>>(name: &str) -> T {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
