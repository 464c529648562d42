//! Protocol 2: a `u32` header length, a JSON header, then the payload it announces.
//!
//! ```
//! use bytes::{Bytes, BytesMut};
//! use heartwire_core::wire::body::Part;
//! use heartwire_core::wire::codec::Codec;
//! use heartwire_core::wire::json_header::{Head, JsonHeader, Kind, JsonFormat};
//!
//! let mut codec = JsonHeader::with_format(JsonFormat::new());
//! let header = r#"{"type": "TEXT", "size": 5, "filename": ""}"#;
//! let mut rx = BytesMut::from(&[&43_u32.to_be_bytes()[..], header.as_bytes(), b"hello"].concat()[..]);
//! assert_eq!(codec.decode(&mut rx)?, Some(Part::Head(Head::text(5))));
//! assert_eq!(codec.decode(&mut rx)?, Some(Part::Piece(Bytes::from("hello"))));
//! assert_eq!(codec.decode(&mut rx)?, Some(Part::End));
//! # Ok::<(), heartwire_core::error::Error>(())
//! ```

use alloc::format;
use alloc::string::String;
use core::fmt;

use bytes::{Buf, BufMut, BytesMut};
use serde::Deserialize;

use super::body::{Bodied, BodyHead, HeadFormat};
use super::json::{MAX_DEPTH, check, escape_lone_surrogates};
use crate::error::{Code, Error};

/// The longest header, in bytes.
pub const MAX_HEADER: usize = 64 * 1024;
/// The header's length, in bytes.
const PREFIX_LEN: usize = 4;

/// Files and texts with JSON headers off a stream, and onto one.
pub type JsonHeader = Bodied<JsonFormat>;

/// What a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Text, as a message or a file.
    Text,
    /// Comma-separated values: receivers append them to a file that is there.
    Csv,
    /// An image.
    Image,
    /// Anything else; also what other types are taken for.
    Unknown,
}

impl Kind {
    /// The kind as it stands on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "TEXT",
            Self::Csv => "CSV",
            Self::Image => "IMAGE",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// The kind that is written `text`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text {
            "TEXT" => Self::Text,
            "CSV" => Self::Csv,
            "IMAGE" => Self::Image,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What stands before a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// What the payload is.
    pub kind: Kind,
    /// How long it is, in bytes.
    pub size: u64,
    /// The file's name, with `/` between folders; empty for a text that is no file. A receiver must not trust
    /// it.
    ///
    /// Programs in Python write a byte of a name that is not UTF-8 as a lone surrogate. One that was received stands
    /// here as the six characters that stood on the wire, `\udc80`, digits in lower case. It is sent as these
    /// characters, too: not as a surrogate.
    pub filename: String,
}

impl Head {
    /// A text of so many bytes that is no file.
    #[must_use]
    pub const fn text(size: u64) -> Self {
        Self { kind: Kind::Text, size, filename: String::new() }
    }
}

impl BodyHead for Head {
    fn size(&self) -> u64 {
        self.size
    }

    fn len_in_memory(&self) -> usize {
        self.filename.len()
    }
}

/// The headers as existing programs write and read them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JsonFormat;

impl JsonFormat {
    /// The one format there is.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl HeadFormat for JsonFormat {
    type Head = Head;

    fn decode_head(&self, rx: &mut BytesMut) -> Result<Option<Head>, Error> {
        let Some(len) = header_len(rx) else { return Ok(None) };
        if len > MAX_HEADER {
            let detail = format!("a header of {len} bytes; at most {MAX_HEADER} are taken");
            return Err(Error::new(Code::HeaderTooLarge, detail));
        }
        let end = PREFIX_LEN.saturating_add(len);
        let Some(header) = rx.get(PREFIX_LEN..end) else { return Ok(None) };
        let head = parse(header)?;
        rx.advance(end);
        Ok(Some(head))
    }

    fn missing(&self, rx: &BytesMut) -> usize {
        let len = header_len(rx).map_or(0, |len| len.min(MAX_HEADER));
        PREFIX_LEN.saturating_add(len).saturating_sub(rx.len())
    }

    fn check_head(&self, head: &Head) -> Result<(), Code> {
        // A character takes twelve bytes at most where it is escaped.
        if head.filename.len().saturating_mul(6).saturating_add(256) <= MAX_HEADER {
            return Ok(());
        }
        let mut header = String::new();
        write(head, &mut header);
        if header.len() > MAX_HEADER { Err(Code::HeaderTooLarge) } else { Ok(()) }
    }

    fn encode_head(&self, head: &Head, out: &mut BytesMut) {
        let mut header = String::new();
        write(head, &mut header);
        out.put_u32(u32::try_from(header.len()).unwrap_or(u32::MAX));
        out.put_slice(header.as_bytes());
    }
}

fn header_len(rx: &BytesMut) -> Option<usize> {
    let prefix = rx.first_chunk::<PREFIX_LEN>()?;
    Some(usize::try_from(u32::from_be_bytes(*prefix)).unwrap_or(usize::MAX))
}

/// The keys that are read. Others are ignored.
#[derive(Deserialize)]
struct Keys {
    r#type: String,
    size: u64,
    filename: String,
}

fn parse(header: &[u8]) -> Result<Head, Error> {
    let invalid = |detail| Error::new(Code::InvalidHeader, detail);
    let text = core::str::from_utf8(header)
        .map_err(|error| invalid(format!("not UTF-8 at byte {}", error.valid_up_to())))?;
    let text = escape_lone_surrogates(text);
    check(&text, MAX_DEPTH)?;
    if !text.trim_start().starts_with('{') {
        return Err(invalid("not a JSON object".into()));
    }
    let Keys { r#type, size, filename } =
        serde_json::from_str(&text).map_err(|error| invalid(format!("{error}")))?;
    Ok(Head { kind: Kind::parse(&r#type), size, filename })
}

/// Writes a header to the byte as existing programs do: spaces after `:` and `,`, ASCII only.
fn write(head: &Head, out: &mut String) {
    use core::fmt::Write;
    // Writing to a string does not fail.
    let _ = write!(out, "{{\"type\": \"{}\", \"size\": {}, \"filename\": \"", head.kind, head.size);
    for char in head.filename.chars() {
        let short = match char {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '\u{8}' => "\\b",
            '\u{c}' => "\\f",
            ' '..='~' => {
                out.push(char);
                continue;
            }
            _ => {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
                continue;
            }
        };
        out.push_str(short);
    }
    out.push_str("\"}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;
    use std::vec::Vec;

    fn head(filename: &str) -> Head {
        Head { kind: Kind::Unknown, size: 7, filename: filename.into() }
    }

    fn parsed(json: &str) -> Result<Head, Code> {
        parse(json.as_bytes()).map_err(|error| error.code())
    }

    #[test]
    fn names_are_escaped_as_existing_programs_escape_them() {
        for (name, escaped) in [
            ("a/b c.txt", "a/b c.txt"),
            ("\"\\\n\r\t\u{8}\u{c}", r#"\"\\\n\r\t\b\f"#),
            ("\0\u{1f}\u{7f}", r"\u0000\u001f\u007f"),
            ("é€", r"\u00e9\u20ac"),
            ("\u{1f600}", r"\ud83d\ude00"),
        ] {
            let mut header = String::new();
            write(&head(name), &mut header);
            let expected = format!(r#"{{"type": "UNKNOWN", "size": 7, "filename": "{escaped}"}}"#);
            assert_eq!(header, expected);
            assert_eq!(parse(header.as_bytes()), Ok(head(name)));
        }
    }

    #[test]
    fn headers_are_read_however_they_are_written() {
        for json in [
            r#"{"type":"UNKNOWN","size":7,"filename":"a"}"#,
            r#" { "filename" : "\u0061", "size": 7, "other": [{}], "type": "VIDEO" } "#,
        ] {
            assert_eq!(parsed(json), Ok(head("a")));
        }
    }

    #[test]
    fn lone_surrogates_stand_as_they_were_written() {
        for (name, json) in [
            (r"a\udc80/\udcff.txt", r#"{"type": "UNKNOWN", "size": 7, "filename": "a\udc80/\uDCFF.txt"}"#),
            (r"\ud800é", r#"{"type": "UNKNOWN", "size": 7, "filename": "\ud800\u00e9"}"#),
            ("\u{1f600}", r#"{"type": "UNKNOWN", "size": 7, "filename": "\ud83d\ude00"}"#),
            ("a", r#"{"type": "\udc80", "size": 7, "filename": "a", "\ud800": ["\udc80"], "\ud800": 1}"#),
        ] {
            assert_eq!(parsed(json), Ok(head(name)), "{json}");
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for json in [
            "",
            "[]",
            r#"["TEXT", 1, ""]"#,
            "null",
            r#"{"type": "TEXT", "size": 1}"#,
            r#"{"size": 1, "filename": ""}"#,
            r#"{"type": 1, "size": 1, "filename": ""}"#,
            r#"{"type": "TEXT", "size": 1, "filename": null}"#,
            r#"{"type": "TEXT", "size": true, "filename": ""}"#,
            r#"{"type": "TEXT", "size": 1e3, "filename": ""}"#,
            r#"{"type": "TEXT", "size": -0, "filename": ""}"#,
            r#"{"type": "TEXT", "size": 1, "size": 2, "filename": ""}"#,
            r#"{"type": "TEXT", "size": 1, "\u0073ize": 1, "filename": ""}"#,
            r#"{"type": "TEXT", "size": 1, "filename": "\ud80"}"#,
            r#"{"type": "TEXT", "size": 1, "filename": "", "\ud800": 1"#,
            r#"{"type": "TEXT", "size": 1, "filename": ""} x"#,
        ] {
            assert_eq!(parsed(json), Err(Code::InvalidHeader), "{json}");
        }
        let deep = ["[".repeat(64), "]".repeat(64)].concat();
        let json = format!(r#"{{"type": "TEXT", "size": 1, "filename": "", "x": {deep}}}"#);
        assert_eq!(parsed(&json), Err(Code::InvalidHeader));
        assert_eq!(parse(b"{\xff}").unwrap_err().to_string(), "invalid-header: not UTF-8 at byte 1");
    }

    #[test]
    fn only_headers_that_fit_are_sent() {
        let format = JsonFormat::new();
        let rest = r#"{"type": "UNKNOWN", "size": 7, "filename": ""}"#.len();
        for (char, len) in [("a", 1), ("é", 6), ("\u{1f600}", 12)] {
            let most = (MAX_HEADER - rest) / len;
            assert_eq!(format.check_head(&head(&char.repeat(most))), Ok(()));
            assert_eq!(format.check_head(&head(&char.repeat(most + 1))), Err(Code::HeaderTooLarge));
        }
        let mut out = BytesMut::new();
        format.encode_head(&head(&"a".repeat(MAX_HEADER - rest)), &mut out);
        let lens: Vec<_> = (0..4).map(|n| format.missing(&BytesMut::from(out.get(..n).unwrap()))).collect();
        assert_eq!(lens, [4, 3, 2, 1]);
        assert!(format.decode_head(&mut out).unwrap().is_some());
    }
}
