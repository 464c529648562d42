//! Messages behind a header in JSON, as the existing programs that transfer files send and receive them.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{beginning, pieces, refused, whole};

/// What existing senders read of a file and write at once, in bytes.
pub const PIECE: usize = 64 * 1024;
/// The most that a header has, in bytes.
pub const HEADER_LIMIT: u32 = 64 * 1024;

/// What stands before a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// `TEXT`, `CSV`, `IMAGE`, `UNKNOWN`, or what else the sender says.
    pub kind: String,
    /// How many bytes follow.
    pub size: u64,
    /// Where a receiver keeps it; empty for texts.
    pub filename: String,
}

impl Header {
    /// A header of these three.
    #[must_use]
    pub fn new(kind: &str, size: u64, filename: &str) -> Self {
        Self { kind: kind.into(), size, filename: filename.into() }
    }

    /// As existing senders write it.
    #[must_use]
    pub fn json(&self) -> String {
        let (kind, filename) = (dumps(&self.kind), dumps(&self.filename));
        format!(r#"{{"type": {kind}, "size": {}, "filename": {filename}}}"#, self.size)
    }

    /// The same behind its length: all that stands before the payload.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        head(self.json().as_bytes())
    }
}

/// Any header behind its length.
#[must_use]
pub fn head(header: &[u8]) -> Vec<u8> {
    let len = u32::try_from(header.len()).expect("no test has such a header");
    head_claiming(len, header)
}

/// Any header behind any length.
#[must_use]
pub fn head_claiming(len: u32, header: &[u8]) -> Vec<u8> {
    [&len.to_be_bytes(), header].concat()
}

/// A whole message.
#[must_use]
pub fn message(kind: &str, filename: &str, payload: &[u8]) -> Vec<u8> {
    [&Header::new(kind, payload.len() as u64, filename).bytes(), payload].concat()
}

/// A string as Python's `json.dumps` writes it: everything but printable ASCII is escaped.
#[must_use]
pub fn dumps(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str(r#"\""#),
            '\\' => out.push_str(r"\\"),
            '\n' => out.push_str(r"\n"),
            '\r' => out.push_str(r"\r"),
            '\t' => out.push_str(r"\t"),
            '\u{8}' => out.push_str(r"\b"),
            '\u{c}' => out.push_str(r"\f"),
            ' '..='~' => out.push(c),
            _ => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!(r"\u{unit:04x}"))),
        }
    }
    out.push('"');
    out
}

/// The type that existing senders give a file of this name.
#[must_use]
pub fn kind_of(filename: &str) -> &'static str {
    let extension = Path::new(filename).extension().and_then(|extension| extension.to_str()).unwrap_or("");
    match extension.to_ascii_lowercase().as_str() {
        "txt" | "md" | "log" | "json" | "xml" => "TEXT",
        "csv" => "CSV",
        "jpg" | "jpeg" | "png" | "bmp" | "gif" | "tiff" | "webp" => "IMAGE",
        _ => "UNKNOWN",
    }
}

/// Sends a message as existing senders do: its length, its header and its payload in writes of their own.
///
/// # Errors
///
/// Writing failed.
pub fn write(to: &mut impl Write, kind: &str, filename: &str, payload: &[u8]) -> io::Result<()> {
    write_from(to, &Header::new(kind, payload.len() as u64, filename), &mut &payload[..])
}

/// The same with a payload that is read in pieces.
///
/// # Errors
///
/// Reading or writing failed, or there was less to read (`truncated`).
pub fn write_from(to: &mut impl Write, header: &Header, payload: &mut impl Read) -> io::Result<()> {
    let head = header.bytes();
    let (len, json) = head.split_at(4);
    to.write_all(len)?;
    to.write_all(json)?;
    to.flush()?;
    pieces(payload, header.size, PIECE, |piece| to.write_all(piece))?;
    to.flush()
}

/// A text, which has no file name.
///
/// # Errors
///
/// Writing failed.
pub fn send_text(to: &mut impl Write, text: &str) -> io::Result<()> {
    write(to, "TEXT", "", text.as_bytes())
}

/// A file, under this name and with the type that its extension says.
///
/// # Errors
///
/// Reading or writing failed.
pub fn send_file(to: &mut impl Write, path: &Path, filename: &str) -> io::Result<()> {
    let mut file = File::open(path)?;
    let header = Header::new(kind_of(filename), file.metadata()?.len(), filename);
    write_from(to, &header, &mut file)
}

/// What stands before the next payload, which is to be read next.
///
/// # Errors
///
/// Reading failed, or the header is refused.
pub fn read_head(from: &mut impl Read) -> io::Result<Option<Header>> {
    let Some(len) = beginning(from)?.map(u32::from_be_bytes) else { return Ok(None) };
    if len > HEADER_LIMIT {
        return Err(refused("header-too-large"));
    }
    let json = whole(from, len.into(), PIECE)?;
    let invalid = || refused("invalid-header");
    let json = String::from_utf8(json).map_err(|_| invalid())?;
    let value: Value = serde_json::from_str(&without_lone_surrogates(&json)).map_err(|_| invalid())?;
    let text = |key: &str| value[key].as_str().ok_or_else(invalid);
    let size = value["size"].as_u64().ok_or_else(invalid)?;
    Ok(Some(Header::new(text("type")?, size, text("filename")?)))
}

/// The same JSON with a second backslash before each lone surrogate, which Python takes, and serde does not.
fn without_lone_surrogates(json: &str) -> String {
    let unit = |at: usize| {
        let digits = json.get(at..)?.strip_prefix(r"\u")?.get(..4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    let (mut out, mut at) = (String::new(), 0);
    while let Some(char) = json[at..].chars().next() {
        let len = match (unit(at), unit(at + 6)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
            (Some(lone @ 0xD800..=0xDFFF), _) => {
                out.push_str(&format!(r"\\u{lone:04x}"));
                at += 6;
                continue;
            }
            _ if char == '\\' => 1 + json[at + 1..].chars().next().map_or(0, char::len_utf8),
            _ => char.len_utf8(),
        };
        out.push_str(&json[at..at + len]);
        at += len;
    }
    out
}

/// The next message, its payload held whole.
///
/// # Errors
///
/// Reading failed, or the message is refused.
pub fn read(from: &mut impl Read) -> io::Result<Option<(Header, Vec<u8>)>> {
    let Some(header) = read_head(from)? else { return Ok(None) };
    let payload = whole(from, header.size, PIECE)?;
    Ok(Some((header, payload)))
}

/// The next message, its payload handed on in pieces.
///
/// # Errors
///
/// Reading failed, the message is refused, or what `take` says.
pub fn read_pieces(
    from: &mut impl Read,
    take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<Option<Header>> {
    let Some(header) = read_head(from)? else { return Ok(None) };
    pieces(from, header.size, PIECE, take)?;
    Ok(Some(header))
}

/// Keeps the next message as existing receivers do: under its name below that folder, CSV behind what is there
/// already. Gives where it is; a text is not kept. It trusts the name, as they do.
///
/// # Errors
///
/// Reading or writing failed, or the message is refused.
pub fn save(from: &mut impl Read, folder: &Path) -> io::Result<Option<(Header, Option<PathBuf>)>> {
    let Some(header) = read_head(from)? else { return Ok(None) };
    if header.filename.is_empty() {
        pieces(from, header.size, PIECE, |_| Ok(()))?;
        return Ok(Some((header, None)));
    }
    let path = folder.join(&header.filename);
    std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
    let appends = header.kind == "CSV";
    let mut file =
        OpenOptions::new().create(true).write(true).append(appends).truncate(!appends).open(&path)?;
    pieces(from, header.size, PIECE, |piece| file.write_all(piece))?;
    Ok(Some((header, Some(path))))
}

#[cfg(test)]
mod tests {
    use super::super::content::{Content, bytes};
    use super::super::streams::every_way;
    use super::{
        Header, dumps, head, kind_of, message, read, read_head, read_pieces, save, send_file, send_text,
    };
    use super::{write, write_from};
    use crate::vectors;

    #[test]
    fn vectors_are_written_to_the_byte() {
        let mut written = 0;
        for case in vectors::json_header().accept {
            let (kind, filename, payload) = (&case.kind, &case.filename, &case.payload_hex.0);
            // what no existing sender writes
            if case.name == "extra keys" {
                continue;
            }
            assert_eq!(message(kind, filename, payload), case.bytes_hex.0, "{}", case.name);
            let mut bytes = Vec::new();
            write(&mut bytes, kind, filename, payload).unwrap();
            assert_eq!(bytes, case.bytes_hex.0, "{}", case.name);
            written += 1;
        }
        assert!(written >= 7, "only {written} were compared");
    }

    #[test]
    fn vectors_are_read() {
        for case in vectors::json_header().accept {
            let met = every_way(&case.bytes_hex.0, |mut stream| {
                let first = read(&mut stream)?;
                assert_eq!(read(&mut stream)?, None, "{}", case.name);
                Ok(first)
            });
            let header = Header::new(&case.kind, case.size, &case.filename);
            assert_eq!(met.unwrap(), Some((header, case.payload_hex.0)), "{}", case.name);
        }
        for case in vectors::json_header().reject {
            let code = every_way(&case.bytes_hex.0, |mut stream| read(&mut stream)).expect_err(&case.name);
            assert_eq!(code, case.error, "{}", case.name);
        }
    }

    #[test]
    fn several_follow_one_another_and_large_ones_in_pieces() {
        const LEN: usize = 3 * 1024 * 1024 + 5;
        let mut stream = Vec::new();
        send_text(&mut stream, "first").unwrap();
        write_from(&mut stream, &Header::new("UNKNOWN", LEN as u64, "a"), &mut Content::new(LEN as u64))
            .unwrap();
        send_text(&mut stream, "").unwrap();
        let (mut stream, mut met) = (&stream[..], Vec::new());
        assert_eq!(read(&mut stream).unwrap().unwrap().1, b"first");
        let header = read_pieces(&mut stream, |piece| {
            met.extend_from_slice(piece);
            Ok(())
        });
        assert_eq!(header.unwrap().unwrap().size, LEN as u64);
        assert!(met == bytes(LEN), "the content is another");
        assert_eq!(read(&mut stream).unwrap().unwrap().1, b"");
        assert_eq!(read(&mut stream).unwrap(), None);
    }

    #[test]
    fn less_than_was_promised_is_said_by_the_writer() {
        let header = Header::new("TEXT", 5, "");
        assert_eq!(
            write_from(&mut Vec::new(), &header, &mut &b"four"[..]).unwrap_err().to_string(),
            "truncated"
        );
    }

    #[test]
    fn any_header_can_be_made() {
        let mut bytes = &head(br#"{"filename":"x","size":7,"type":"OTHER"}"#)[..];
        assert_eq!(read_head(&mut bytes).unwrap(), Some(Header::new("OTHER", 7, "x")));
    }

    #[test]
    fn names_that_are_not_utf8_are_read() {
        let json =
            br#"{"type": "\ud83d\ude00", "size": 0, "filename": "\udc80\\\uDCFF\\udc80", "\ud800": 1}"#;
        let header = read_head(&mut &head(json)[..]).unwrap();
        assert_eq!(header, Some(Header::new("\u{1f600}", 0, r"\udc80\\udcff\udc80")));
    }

    /// As Python 3 writes them.
    #[test]
    fn strings_are_escaped_as_python_escapes_them() {
        assert_eq!(dumps("a/b \\ \"~"), r#""a/b \\ \"~""#);
        assert_eq!(dumps("\n\r\t\u{8}\u{c}\0\u{1f}\u{7f}"), r#""\n\r\t\b\f\u0000\u001f\u007f""#);
        assert_eq!(dumps("é ✓ \u{1f600}"), r#""\u00e9 \u2713 \ud83d\ude00""#);
    }

    #[test]
    fn extensions_say_the_type() {
        let names = ["a.txt", "b.CSV", "c/d.Tiff", "e", "f.bin", ".csv", "g.tar.md"];
        let kinds = ["TEXT", "CSV", "IMAGE", "UNKNOWN", "UNKNOWN", "UNKNOWN", "TEXT"];
        assert_eq!(names.map(kind_of), kinds);
    }

    #[test]
    fn files_are_kept_as_existing_receivers_keep_them() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source");
        std::fs::write(&source, "1,2\n").unwrap();
        let mut stream = Vec::new();
        send_file(&mut stream, &source, "run/sub/data.csv").unwrap();
        send_file(&mut stream, &source, "run/sub/data.csv").unwrap();
        send_file(&mut stream, &source, "run/data.txt").unwrap();
        send_file(&mut stream, &source, "run/data.txt").unwrap();
        send_text(&mut stream, "not kept").unwrap();
        let (mut stream, target) = (&stream[..], folder.path().join("target"));
        let mut kept = 0;
        while let Some((_, path)) = save(&mut stream, &target).unwrap() {
            kept += usize::from(path.is_some());
        }
        assert_eq!(kept, 4);
        assert_eq!(std::fs::read_to_string(target.join("run/sub/data.csv")).unwrap(), "1,2\n1,2\n");
        assert_eq!(std::fs::read_to_string(target.join("run/data.txt")).unwrap(), "1,2\n");
    }
}
