//! `inspect`: captured bytes, one JSON object per frame. Its output is for machines and exact; nothing is escaped
//! for terminals but what JSON escapes.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use clap::ValueEnum;
use heartwire_core::error::{Code, Error};
use heartwire_core::key::{Key, Keys};
use heartwire_core::wire::envelope::{CrcHmac, Decoder, Frame, FrameLimits, Hello, Kind};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::exit::{Failure, Outcome};
use crate::keys;

/// How much is read at a time.
const PIECE: usize = 64 * 1024;

/// Decode captured bytes into one JSON object per frame
///
/// Reads a file or stdin and writes one line of JSON for each frame, as soon as it is there whole. At the first frame
/// that is refused, the last line is {"error": "CODE"} and the exit code is 1; stderr says what was met. Input that
/// ends within a frame is `truncated`.
///
/// The bytes are those of one direction of one connection, from its beginning.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What the bytes are
    #[arg(long)]
    format: Format,

    /// The key, in hexadecimal digits; any key, however weak
    #[arg(long, value_name = "HEX", conflicts_with = "key_file")]
    key_hex: Option<String>,

    #[command(flatten)]
    files: keys::Files,

    /// The most bytes a frame's content may have; never more than the format allows
    #[arg(long, value_name = "BYTES")]
    limit: Option<u64>,

    /// The file to read; without it, or with `-`, stdin
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Frames of the session protocol, version 1
    Envelope,
}

pub fn run(args: &Args) -> Outcome {
    let keys = match &args.key_hex {
        Some(hex) => Keys::new(key_from_hex(hex)?),
        None => args.files.keys(true, "give --key-hex HEX or --key-file FILE, or set HEARTWIRE_KEY")?,
    };
    let (name, input): (_, Box<dyn Read>) = match &args.file {
        Some(path) if path != Path::new("-") => {
            let name = path.display().to_string();
            let file = File::open(path).map_err(|error| cannot_read(&name, &error))?;
            (name, Box::new(file))
        }
        _ => ("the input".into(), Box::new(io::stdin().lock())),
    };
    let out = BufWriter::new(io::stdout().lock());
    match args.format {
        Format::Envelope => {
            let asked = args.limit.and_then(|limit| usize::try_from(limit).ok());
            let most = FrameLimits::PROTOCOL;
            let content = asked.map_or(most.content, |limit| limit.min(most.content));
            envelope(&name, keys, FrameLimits { content, ..most }, input, out)
        }
    }
}

/// Any key in hexadecimal digits.
fn key_from_hex(hex: &str) -> Outcome<Key> {
    let digits: Option<Vec<u8>> =
        hex.chars().map(|char| char.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let pairs = digits.filter(|digits| digits.len() % 2 == 0).ok_or_else(|| {
        Failure::usage(
            "--key-hex: not an even number of hexadecimal digits; write two for each byte, like 6b6579",
        )
    })?;
    let bytes: Vec<u8> = pairs.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    Key::new_allow_weak(&bytes)
        .map_err(|weak| Failure::usage(format_args!("--key-hex: {weak}; give at least one byte")))
}

/// Decodes in pieces. Memory is bounded by one frame: the buffer grows by what has arrived.
fn envelope(
    name: &str,
    keys: Keys,
    limits: FrameLimits,
    mut input: impl Read,
    mut out: impl Write,
) -> Outcome {
    let mut protection = CrcHmac::new(keys);
    let mut decoder = Decoder::new();
    let mut rx = BytesMut::new();
    let mut piece = vec![0; PIECE];
    let mut at = Place { name, frame: 1, byte: 0 };
    loop {
        loop {
            let waiting = rx.len();
            match decoder.decode(&mut protection, &mut rx, limits) {
                Ok(Some(frame)) => {
                    write_line(&mut out, &Line::of(&frame)?)?;
                    at.frame += 1;
                    at.byte += (waiting - rx.len()) as u64;
                }
                Ok(None) => break,
                Err(error) => return refused(&mut out, &at, &error),
            }
        }
        // whoever reads along gets every whole frame before we wait for more
        out.flush().map_err(|error| Failure::stdout(&error))?;
        let n = match input.read(&mut piece) {
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(cannot_read(name, &error)),
        };
        if n == 0 {
            return decoder.finish(&rx).or_else(|error| refused(&mut out, &at, &error));
        }
        rx.extend_from_slice(&piece[..n]);
    }
}

/// Where a frame begins.
struct Place<'a> {
    /// The file's name, or what stands for it.
    name: &'a str,
    /// From 1.
    frame: u64,
    /// From the beginning of the capture.
    byte: u64,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: frame {}, which begins at byte {}", self.name, self.frame, self.byte)
    }
}

fn refused(out: &mut impl Write, at: &Place<'_>, error: &Error) -> Outcome {
    #[derive(Serialize)]
    struct Refused {
        error: &'static str,
    }
    write_line(out, &Refused { error: error.code().as_str() })?;
    out.flush().map_err(|error| Failure::stdout(&error))?;
    Err(Failure::failed(format_args!("{at}: {error}; {}", todo(error.code()))))
}

/// What may help.
fn todo(code: Code) -> &'static str {
    match code {
        Code::MacMismatch => "try another --key-hex or --key-file",
        Code::BadMagic => "is this one direction of one connection, from its beginning?",
        Code::UnsupportedVersion => "only version 1 is decoded: check what was captured",
        Code::ContentTooLarge => "if it may be that large, give a larger --limit",
        Code::Truncated => "was the capture cut short? capture up to the end of the connection",
        Code::HeaderCrcMismatch | Code::ContentCrcMismatch => {
            "check that the capture is complete and was not changed"
        }
        _ => "check the program that sent it",
    }
}

fn cannot_read(name: &str, error: &io::Error) -> Failure {
    let todo = match error.kind() {
        io::ErrorKind::NotFound => "check the file's name",
        io::ErrorKind::PermissionDenied => "check who may read it",
        io::ErrorKind::IsADirectory => "give a file, not a directory",
        _ => "check that it is a file which can be read",
    };
    Failure::failed(format_args!("{name}: can't read it: {error}; {todo}"))
}

fn write_line(out: &mut impl Write, line: &impl Serialize) -> Outcome {
    serde_json::to_writer(&mut *out, line)
        .map_err(io::Error::from)
        .and_then(|()| out.write_all(b"\n"))
        .map_err(|error| Failure::stdout(&error))
}

/// A frame as a JSON object: the keys of every frame, then those of its type.
#[derive(Serialize)]
struct Line<'a> {
    r#type: &'static str,
    content_type: &'a str,
    session_id: Option<&'a str>,
    content_hex: Hex<'a>,
    #[serde(flatten)]
    own: Own<'a>,
}

/// The keys that belong to a type, where the frame has them.
#[derive(Default, Serialize)]
struct Own<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    features: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<Limits>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aborted: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<Box<RawValue>>,
}

#[derive(Serialize)]
struct Limits {
    message: u64,
    unfinished: u64,
}

impl<'a> Line<'a> {
    fn of(frame: &'a Frame) -> Outcome<Self> {
        let header = &frame.header;
        let own = match &header.kind {
            Kind::SessionInit(hello) | Kind::SessionAck(hello) => Own::of_hello(hello),
            Kind::Heartbeat { seq } => Own { seq: *seq, ..Own::default() },
            Kind::Message { app } => Own { app: raw(app.as_json())?, ..Own::default() },
            Kind::Chunk(chunk) => Own {
                message_id: Some(chunk.message_id),
                index: Some(chunk.index),
                last: Some(chunk.last),
                aborted: chunk.aborted.then_some(true),
                total_size: chunk.total_size,
                app: raw(chunk.app.as_json())?,
                ..Own::default()
            },
            Kind::Error { code } => Own { code: code.as_deref(), ..Own::default() },
            Kind::Disconnect => Own::default(),
        };
        Ok(Self {
            r#type: header.kind.frame_type().name(),
            content_type: header.content_type.as_str(),
            session_id: header.session_id.as_deref(),
            content_hex: Hex(&frame.content),
            own,
        })
    }
}

impl<'a> Own<'a> {
    /// A peer without features has neither key; one with features has limits, if only the defaults.
    fn of_hello(hello: &'a Hello) -> Self {
        let Some(features) = &hello.features else { return Self::default() };
        let limits = Limits { message: hello.limits.message, unfinished: hello.limits.unfinished };
        Self { features: Some(&features.0), limits: Some(limits), ..Self::default() }
    }
}

/// JSON as it was written, on one line.
fn raw(json: Option<&str>) -> Outcome<Option<Box<RawValue>>> {
    let Some(json) = json else { return Ok(None) };
    let raw = RawValue::from_string(one_line(json));
    raw.map(Some).map_err(|error| Failure::failed(format_args!("app entries can't be written: {error}")))
}

/// JSON without the white space between its tokens. Numbers and repeated keys stay as they are.
fn one_line(json: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    json.chars()
        .filter(|char| {
            if in_string {
                in_string = escaped || *char != '"';
                escaped = !escaped && *char == '\\';
                return true;
            }
            in_string = *char == '"';
            !matches!(char, ' ' | '\t' | '\r' | '\n')
        })
        .collect()
}

/// Bytes in hexadecimal digits, written without holding them all.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 512];
        for bytes in self.0.chunks(digits.len() / 2) {
            for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
                let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
                pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
            }
            f.write_str(std::str::from_utf8(&digits[..bytes.len() * 2]).map_err(|_| fmt::Error)?)?;
        }
        Ok(())
    }
}

impl Serialize for Hex<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn app_entries_are_written_on_one_line_and_otherwise_as_they_are() {
        assert_eq!(
            one_line("{\n\t\"a b\": 1e400,\r\n \"\\\" \\\\\" : [ \"x\\n y\" ] }"),
            r#"{"a b":1e400,"\" \\":["x\n y"]}"#
        );
    }

    #[test]
    fn hex_is_lower_case_and_whole() {
        let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let expected: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(Hex(&bytes).to_string(), expected);
    }

    #[test]
    fn keys_in_hex_are_any_bytes() {
        assert!(key_from_hex("6B").is_ok());
        for bad in ["", "6", "6g", "0x6b", "6b ", "+1", "é"] {
            assert!(key_from_hex(bad).is_err(), "{bad}");
        }
    }
}
