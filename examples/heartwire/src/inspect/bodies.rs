//! Heads with bodies: files with JSON headers, messages with a length in front.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Read, Seek, Write};

use bytes::BytesMut;
use heartwire_core::error::{Code, Error};
use heartwire_core::wire::body::{Bodied, BodyHead, HeadFormat, Part};
use heartwire_core::wire::codec::Codec;
use heartwire_core::wire::{json_header, length_prefixed};
use serde::ser::{Serialize, SerializeStruct, Serializer};
use tempfile::SpooledTempFile;

use super::{Frames, Halt, write_line};
use crate::exit::{Failure, Outcome};
use crate::hex::Hex;

/// How much of a body is kept in memory; beyond that it waits for its end in a temporary file.
const IN_MEMORY: usize = 4 * 1024 * 1024;

/// What is shown of a head.
pub trait ShownHead: BodyHead {
    /// What a message is called in an error.
    const UNIT: &'static str;
    /// How many fields there are.
    const FIELDS: usize;

    fn fields<S: SerializeStruct>(&self, object: &mut S) -> Result<(), S::Error>;
}

impl ShownHead for length_prefixed::Head {
    const UNIT: &'static str = "message";
    const FIELDS: usize = 0;

    fn fields<S: SerializeStruct>(&self, _: &mut S) -> Result<(), S::Error> {
        Ok(())
    }
}

impl ShownHead for json_header::Head {
    const UNIT: &'static str = "file";
    const FIELDS: usize = 3;

    fn fields<S: SerializeStruct>(&self, object: &mut S) -> Result<(), S::Error> {
        object.serialize_field("type", self.kind.as_str())?;
        object.serialize_field("size", &self.size)?;
        object.serialize_field("filename", &self.filename)
    }
}

/// Memory is bounded, however long a body is: a line is written when all of it has come.
pub struct Bodies<F: HeadFormat> {
    codec: Bodied<F>,
    limit: u64,
    /// The message that has begun, and what has come of its body.
    begun: Option<(F::Head, SpooledTempFile)>,
}

impl<F: HeadFormat<Head: ShownHead>> Bodies<F> {
    /// Messages with bodies of at most `limit` bytes; without one, of as many as the protocol has.
    pub fn new(format: F, limit: Option<u64>) -> Self {
        Self { codec: Bodied::with_format(format), limit: limit.unwrap_or(u64::MAX), begun: None }
    }

    fn add(&mut self, part: Part<F::Head>, out: &mut dyn Write) -> Result<bool, Halt> {
        match part {
            Part::Head(head) if head.size() > self.limit => {
                let (size, limit) = (head.size(), self.limit);
                let detail = format!("a body of {size} bytes; at most {limit} are taken");
                return Err(Error::new(Code::MessageTooLarge, detail).into());
            }
            Part::Head(head) => self.begun = Some((head, SpooledTempFile::new(IN_MEMORY))),
            Part::Piece(piece) => {
                if let Some((_, body)) = &mut self.begun {
                    body.write_all(&piece).map_err(cannot_spool)?;
                }
            }
            Part::End => {
                if let Some((head, body)) = self.begun.take() {
                    show(&head, body, out)?;
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

impl<F: HeadFormat<Head: ShownHead>> Frames for Bodies<F> {
    fn unit(&self) -> &'static str {
        F::Head::UNIT
    }

    fn next(&mut self, rx: &mut BytesMut, out: &mut dyn Write) -> Result<bool, Halt> {
        while let Some(part) = self.codec.decode(rx)? {
            if self.add(part, out)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn finish(&mut self, rx: &mut BytesMut, _: &mut dyn Write) -> Result<(), Halt> {
        self.codec.finish(rx)?;
        Ok(())
    }
}

fn cannot_spool(error: io::Error) -> Failure {
    let folder = std::env::temp_dir();
    Failure::failed(format_args!(
        "{}: can't keep a body there until its end has come: {error}; make room, or set TMPDIR to a folder that has some",
        folder.display()
    ))
}

fn show(head: &impl ShownHead, mut body: SpooledTempFile, out: &mut dyn Write) -> Outcome {
    body.rewind().map_err(cannot_spool)?;
    let body = Digits { body: RefCell::new(body), failed: RefCell::new(None) };
    let written = write_line(out, &Shown { head, body: &body });
    match body.failed.into_inner() {
        Some(error) => Err(cannot_spool(error)),
        None => written,
    }
}

struct Shown<'a, H> {
    head: &'a H,
    body: &'a Digits,
}

impl<H: ShownHead> Serialize for Shown<'_, H> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Shown", H::FIELDS + 1)?;
        self.head.fields(&mut object)?;
        object.serialize_field("payload_hex", self.body)?;
        object.end()
    }
}

/// A body in hexadecimal digits, read as they are written.
struct Digits {
    body: RefCell<SpooledTempFile>,
    failed: RefCell<Option<io::Error>>,
}

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut piece = vec![0; 64 * 1024];
        loop {
            match self.body.borrow_mut().read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(n) => Hex(&piece[..n]).fmt(f)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    *self.failed.borrow_mut() = Some(error);
                    return Err(fmt::Error);
                }
            }
        }
    }
}

impl Serialize for Digits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
