//! `inspect`: captured bytes, one JSON object per frame. Its output is for machines and exact; nothing is escaped
//! for terminals but what JSON escapes.
//!
//! What all formats share stands here; what a frame is, in a file for each.

mod bodies;
mod envelope;
mod lines;
mod sealed;

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use clap::ValueEnum;
use heartwire_core::error::{Code, Error};
use heartwire_core::key::{Key, Keys};
use heartwire_core::wire::json_header::JsonFormat;
use heartwire_core::wire::length_prefixed::Format as LengthFormat;
use heartwire_core::wire::sealed::SecretKey;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::exit::{Failure, Outcome};
use crate::{hex, keys};
use bodies::Bodies;
use envelope::Envelope;
use lines::Lines;
use sealed::Sealed;

/// How much is read at a time.
const PIECE: usize = 64 * 1024;

/// Decode captured bytes into one JSON object per frame
///
/// Reads a file or stdin and writes one line of JSON for each frame, packet, message or line, as soon as it is there whole. At the first frame
/// that is refused, the last line is {"error": "CODE"} and the exit code is 1; stderr says what was met. Input that
/// ends within a frame is `truncated`.
///
/// The bytes are those of one direction of one connection, from its beginning.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What the bytes are
    #[arg(long)]
    format: Format,

    /// The key, in hexadecimal digits: for the envelope any key, however weak; for sealed packets 64 digits
    ///
    /// Others can see it while the program runs. The other formats have no key.
    #[arg(long, value_name = "HEX", conflicts_with = "key_file")]
    key_hex: Option<String>,

    #[command(flatten)]
    files: keys::Files,

    /// The most bytes that a content, a ciphertext, a message or a line may have
    ///
    /// Never more than the format allows. Without it: envelope 10 MiB, sealed packets 16 MiB, lines 64 KiB, and as
    /// much as there can be of what comes with its length in front: what does not fit into memory is kept in a
    /// temporary file until its end has come.
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
    /// Files and texts with JSON headers
    JsonHeader,
    /// Packets sealed with a key of 32 bytes
    SealedPacket,
    /// Messages with their length in front
    LengthPrefixed,
    /// Lines of text
    Lines,
}

/// A format's frames, one by one.
trait Frames {
    /// What one of them is called in an error.
    fn unit(&self) -> &'static str {
        "frame"
    }

    /// Takes the next frame off the front of `rx` and writes its line. False: more bytes are needed; those of the
    /// frame that were taken already are kept here.
    fn next(&mut self, rx: &mut BytesMut, out: &mut dyn Write) -> Result<bool, Halt>;

    /// The input has ended, and this is left of it: writes the line of what its end makes whole, and refuses what
    /// it cuts short.
    fn finish(&mut self, rx: &mut BytesMut, out: &mut dyn Write) -> Result<(), Halt>;
}

/// Why it does not go on.
#[derive(Debug)]
enum Halt {
    /// A frame is refused.
    Refused(Error),
    /// Something is wrong on this side.
    Failed(Failure),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

pub fn run(args: &Args) -> Outcome {
    let mut frames: Box<dyn Frames> = match args.format {
        Format::Envelope => Box::new(Envelope::new(args.session_keys()?, args.limit)),
        Format::SealedPacket => Box::new(Sealed::new(args.sealed_key()?, args.limit)),
        Format::JsonHeader => Box::new(Bodies::new(JsonFormat::new(), args.no_key()?)),
        Format::LengthPrefixed => Box::new(Bodies::new(LengthFormat::default(), args.no_key()?)),
        Format::Lines => Box::new(Lines::new(args.no_key()?)),
    };
    let (name, input) = args.open()?;
    inspect(&name, frames.as_mut(), input, BufWriter::new(io::stdout().lock()))
}

impl Args {
    /// The keys of sessions.
    fn session_keys(&self) -> Outcome<Keys> {
        match &self.key_hex {
            Some(digits) => Ok(Keys::new(key_from_hex(digits)?)),
            None => self.files.keys(true, "give --key-hex HEX or --key-file FILE, or set HEARTWIRE_KEY"),
        }
    }

    /// The key of sealed packets.
    fn sealed_key(&self) -> Outcome<SecretKey> {
        let key = match (&self.key_hex, self.files.key_file.as_slice()) {
            (Some(digits), _) => {
                let mut key = Zeroizing::new([0; 32]);
                hex::read(digits.as_bytes(), key.as_mut_slice()).ok_or_else(|| {
                    Failure::usage("--key-hex: not 64 hexadecimal digits, which a key of sealed packets has")
                })?;
                key
            }
            (None, [file]) => keys::sealed::read(file)?,
            (None, []) => return Err(Failure::usage("no key; give --key-hex HEX or --key-file FILE")),
            (None, _) => return Err(Failure::usage("sealed packets have one key; give one --key-file")),
        };
        Ok(SecretKey::new(*key))
    }

    /// The limit, of a format that has no key.
    fn no_key(&self) -> Outcome<Option<u64>> {
        if self.key_hex.is_some() || !self.files.key_file.is_empty() {
            return Err(Failure::usage("this format has no key; leave --key-hex and --key-file out"));
        }
        Ok(self.limit)
    }

    /// The input, and what it is called in errors.
    fn open(&self) -> Outcome<(String, Box<dyn Read>)> {
        match &self.file {
            Some(path) if path != Path::new("-") => {
                let name = path.display().to_string();
                let file = File::open(path).map_err(|error| cannot_read(&name, &error))?;
                Ok((name, Box::new(file)))
            }
            _ => Ok(("the input".into(), Box::new(io::stdin().lock()))),
        }
    }
}

/// Any key in hexadecimal digits.
fn key_from_hex(digits: &str) -> Outcome<Key> {
    let mut bytes = Zeroizing::new(vec![0; digits.len() / 2]);
    hex::read(digits.as_bytes(), &mut bytes).ok_or_else(|| {
        Failure::usage(
            "--key-hex: not an even number of hexadecimal digits; write two for each byte, like 6b6579",
        )
    })?;
    Key::new_allow_weak(&bytes)
        .map_err(|weak| Failure::usage(format_args!("--key-hex: {weak}; give at least one byte")))
}

/// Decodes in pieces: the buffer grows by what has arrived, as far as the format leaves it there.
fn inspect(name: &str, frames: &mut dyn Frames, mut input: impl Read, mut out: impl Write) -> Outcome {
    let mut rx = BytesMut::new();
    let mut piece = vec![0; PIECE];
    let mut at = Place { name, unit: frames.unit(), number: 1, byte: 0 };
    let mut taken = 0;
    loop {
        loop {
            let waiting = rx.len();
            let whole = frames.next(&mut rx, &mut out).or_else(|why| halt(&mut out, &at, why))?;
            taken += (waiting - rx.len()) as u64;
            if !whole {
                break;
            }
            at.number += 1;
            at.byte = taken;
        }
        // whoever reads along gets every whole frame before we wait for more
        flush(&mut out)?;
        let n = match input.read(&mut piece) {
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(cannot_read(name, &error)),
        };
        if n == 0 {
            frames.finish(&mut rx, &mut out).or_else(|why| halt(&mut out, &at, why))?;
            return flush(&mut out);
        }
        rx.extend_from_slice(&piece[..n]);
    }
}

/// Where a frame begins.
struct Place<'a> {
    /// The file's name, or what stands for it.
    name: &'a str,
    /// What a frame is called.
    unit: &'static str,
    /// From 1.
    number: u64,
    /// From the beginning of the capture.
    byte: u64,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, unit, number, byte } = self;
        write!(f, "{name}: {unit} {number}, which begins at byte {byte}")
    }
}

/// A refused frame is the last line.
fn halt<T>(out: &mut impl Write, at: &Place<'_>, why: Halt) -> Outcome<T> {
    #[derive(Serialize)]
    struct Refused {
        error: &'static str,
    }
    let error = match why {
        Halt::Refused(error) => error,
        Halt::Failed(failure) => return Err(failure),
    };
    write_line(out, &Refused { error: error.code().as_str() })?;
    flush(out)?;
    Err(Failure::failed(format_args!("{at}: {error}; {}", todo(error.code()))))
}

/// What may help.
fn todo(code: Code) -> &'static str {
    match code {
        Code::MacMismatch | Code::DecryptionFailed => "try another --key-hex or --key-file",
        Code::BadNonceLength
        | Code::CiphertextTooShort
        | Code::InvalidHeader
        | Code::HeaderTooLarge
        | Code::InvalidUtf8
        | Code::BadMagic => "is this one direction of one connection, from its beginning?",
        Code::UnsupportedVersion => "only version 1 is decoded: check what was captured",
        Code::CiphertextTooLarge | Code::MessageTooLarge | Code::LineTooLong | Code::ContentTooLarge => {
            "if it may be that large, give a larger --limit"
        }
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

fn write_line(mut out: &mut dyn Write, line: &impl Serialize) -> Outcome {
    serde_json::to_writer(&mut out, line)
        .map_err(io::Error::from)
        .and_then(|()| out.write_all(b"\n"))
        .map_err(|error| Failure::stdout(&error))
}

fn flush(out: &mut impl Write) -> Outcome {
    out.flush().map_err(|error| Failure::stdout(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_in_hex_are_any_bytes() {
        assert!(key_from_hex("6B").is_ok());
        for bad in ["", "6", "6g", "0x6b", "6b ", "+1", "é"] {
            assert!(key_from_hex(bad).is_err(), "{bad}");
        }
    }

    /// Frames of a length and as many bytes, which are kept here as they come, and a last one of what is left.
    #[derive(Default)]
    struct Kept {
        /// How long it is, and what is there of it.
        frame: Option<(u8, Vec<u8>)>,
    }

    impl Frames for Kept {
        fn unit(&self) -> &'static str {
            "thing"
        }

        fn next(&mut self, rx: &mut BytesMut, out: &mut dyn Write) -> Result<bool, Halt> {
            if self.frame.is_none() {
                if rx.is_empty() {
                    return Ok(false);
                }
                self.frame = Some((rx.split_to(1)[0], Vec::new()));
            }
            let (len, mut held) = self.frame.take().unwrap();
            let n = rx.len().min(usize::from(len) - held.len());
            held.extend_from_slice(&rx.split_to(n));
            if held.contains(&b'!') {
                return Err(Error::new(Code::EmptyContent, "a bad byte").into());
            }
            if held.len() < usize::from(len) {
                self.frame = Some((len, held));
                return Ok(false);
            }
            write_line(out, &String::from_utf8(held).unwrap())?;
            Ok(true)
        }

        fn finish(&mut self, _: &mut BytesMut, out: &mut dyn Write) -> Result<(), Halt> {
            match self.frame.take() {
                Some((_, held)) if held.is_empty() => {
                    Err(Error::new(Code::Truncated, "nothing of it").into())
                }
                Some((_, held)) => Ok(write_line(out, &String::from_utf8(held).unwrap())?),
                None => Ok(()),
            }
        }
    }

    /// One byte at a time.
    struct Trickle<'a>(&'a [u8]);

    impl Read for Trickle<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let most = into.len().min(1);
            self.0.read(&mut into[..most])
        }
    }

    #[test]
    fn a_format_may_keep_what_it_took_and_places_are_where_frames_begin() {
        for (stream, lines, said) in [
            (&b"\x02ab\0\x03cde"[..], "\"ab\"\n\"\"\n\"cde\"\n", None),
            (b"\x02ab\x09cde", "\"ab\"\n\"cde\"\n", None),
            (b"", "", None),
            (
                b"\x02ab\x09cd!e",
                "\"ab\"\n{\"error\":\"empty-content\"}\n",
                Some("f: thing 2, which begins at byte 3: empty-content"),
            ),
            (
                b"\x02ab\0\x09",
                "\"ab\"\n\"\"\n{\"error\":\"truncated\"}\n",
                Some("f: thing 3, which begins at byte 4: truncated"),
            ),
        ] {
            let trickle: Box<dyn Read> = Box::new(Trickle(stream));
            for input in [trickle, Box::new(stream)] {
                let mut out = Vec::new();
                let outcome = inspect("f", &mut Kept::default(), input, &mut out);
                assert_eq!(String::from_utf8(out).unwrap(), lines);
                match (outcome, said) {
                    (Ok(()), None) => {}
                    (Err(failure), Some(said)) => {
                        assert!(format!("{failure:?}").contains(said), "{failure:?}")
                    }
                    (outcome, _) => panic!("{stream:?}: {outcome:?}"),
                }
            }
        }
    }
}
