//! Protocol 4: lines of UTF-8.
//!
//! ```
//! use bytes::BytesMut;
//! use heartwire_core::wire::codec::Codec;
//! use heartwire_core::wire::lines::{Line, Lines, Settings};
//!
//! let mut codec = Lines::with_settings(Settings::default());
//! let mut rx = BytesMut::from("one\r\ntwo");
//! assert_eq!(codec.decode(&mut rx)?, Some(Line::new("one").unwrap()));
//! assert_eq!(codec.decode(&mut rx)?, None);
//! assert_eq!(codec.finish(&mut rx)?, Some(Line::new("two").unwrap()));
//! # Ok::<(), heartwire_core::error::Error>(())
//! ```

use alloc::format;
use core::convert::Infallible;
use core::fmt;

use bytes::{Buf, Bytes, BytesMut};

use super::codec::Codec;
use crate::buf::{TransmitQueue, take_content};
use crate::error::{Code, Error};
use crate::role::Role;
use crate::seed::Seed;

/// A line: UTF-8 without a newline, and without the ending that it has on the wire.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Line(Bytes);

impl Line {
    /// The line with this text.
    ///
    /// # Errors
    ///
    /// [`LineError`]: it is not UTF-8, or it has a newline in it.
    pub fn new(text: impl Into<Bytes>) -> Result<Self, LineError> {
        let text = text.into();
        if let Err(error) = core::str::from_utf8(&text) {
            return Err(LineError::NotUtf8 { at: error.valid_up_to() });
        }
        match memchr::memchr(b'\n', &text) {
            Some(at) => Err(LineError::Newline { at }),
            None => Ok(Self(text)),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // It was checked when it was made.
        core::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The text's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl AsRef<str> for Line {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

/// Why bytes are no line. Positions are in bytes, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LineError {
    /// Not UTF-8.
    NotUtf8 {
        /// Where.
        at: usize,
    },
    /// There is a newline in it: these are several lines.
    Newline {
        /// Where.
        at: usize,
    },
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 { at } => write!(f, "not UTF-8 at byte {at}"),
            Self::Newline { at } => write!(f, "a newline at byte {at}"),
        }
    }
}

impl core::error::Error for LineError {}

/// The limit of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    limit: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { limit: 64 * 1024 }
    }
}

impl Settings {
    /// Lines may have so many bytes, without their ending: 64 KiB by default.
    #[must_use]
    pub const fn with_limit(limit: usize) -> Self {
        Self { limit }
    }
}

/// Lines off a stream, and onto one.
///
/// A line ends with `\n`; one `\r` before it is dropped. What follows the last `\n` at the end of the stream is
/// a line, unless it is empty.
#[derive(Debug)]
pub struct Lines {
    settings: Settings,
    /// How much of what waits is known to have no newline: it is not searched again.
    searched: usize,
}

impl Lines {
    /// A codec at the beginning of a stream.
    #[must_use]
    pub const fn with_settings(settings: Settings) -> Self {
        Self { settings, searched: 0 }
    }

    fn check_len(&self, len: usize) -> Result<(), Error> {
        let limit = self.settings.limit;
        if len > limit {
            // Not by how much: that would depend on how the line was split on its way.
            let detail = format!("a line of more than {limit} bytes");
            return Err(Error::new(Code::LineTooLong, detail));
        }
        Ok(())
    }

    /// The line of `len` bytes at the front of `rx`, which is taken off.
    fn take(&mut self, rx: &mut BytesMut, len: usize) -> Result<Line, Error> {
        self.check_len(len)?;
        let text = rx.get(..len).unwrap_or_default();
        if let Err(error) = core::str::from_utf8(text) {
            let detail = format!("a line that is not UTF-8 at byte {}", error.valid_up_to());
            return Err(Error::new(Code::InvalidUtf8, detail));
        }
        self.searched = 0;
        Ok(Line(take_content(rx, 0, len)))
    }
}

impl Codec for Lines {
    type Settings = Settings;
    type Item = Line;
    type Message = Line;
    type Head = Infallible;

    fn new(settings: &Settings, _: Role, _: &Seed) -> Self {
        Self::with_settings(*settings)
    }

    fn decode(&mut self, rx: &mut BytesMut) -> Result<Option<Line>, Error> {
        let fresh = rx.get(self.searched..).unwrap_or_default();
        let Some(newline) = memchr::memchr(b'\n', fresh) else {
            self.searched = rx.len();
            // A `\r` at the end may be part of the ending.
            let ending = usize::from(rx.last() == Some(&b'\r'));
            self.check_len(rx.len().saturating_sub(ending))?;
            return Ok(None);
        };
        let end = self.searched.saturating_add(newline);
        let text = rx.get(..end).unwrap_or_default();
        let len = text.strip_suffix(b"\r").unwrap_or(text).len();
        let line = self.take(rx, len)?;
        let ending = end.saturating_sub(len).saturating_add(1);
        rx.advance(ending.min(rx.len()));
        Ok(Some(line))
    }

    fn finish(&mut self, rx: &mut BytesMut) -> Result<Option<Line>, Error> {
        if rx.is_empty() {
            return Ok(None);
        }
        let len = rx.len();
        self.take(rx, len).map(Some)
    }

    fn missing(&self, rx: &BytesMut) -> usize {
        if rx.is_empty() {
            return 0;
        }
        // Its end may be the next byte, or that of the longest line there may be.
        self.settings.limit.saturating_sub(rx.len()).saturating_add(1)
    }

    fn item_len(line: &Line) -> usize {
        line.0.len()
    }

    fn message_len(line: &Line) -> usize {
        line.0.len()
    }

    fn head_len_in_memory(head: &Infallible) -> usize {
        match *head {}
    }

    fn body_len(head: &Infallible) -> u64 {
        match *head {}
    }

    fn check(&self, line: &Line) -> Result<(), Code> {
        self.check_len(line.0.len()).map_err(|error| error.code())
    }

    fn check_head(&self, head: &Infallible) -> Result<(), Code> {
        match *head {}
    }

    fn encode(&mut self, line: Line, tx: &mut TransmitQueue) -> Result<(), Error> {
        // One `\r` before the newline is dropped by who reads it: a line that ends with one keeps it so.
        let ending: &[u8] = if line.0.last() == Some(&b'\r') { b"\r\n" } else { b"\n" };
        tx.push(line.0);
        tx.append(|out| out.extend_from_slice(ending));
        Ok(())
    }

    fn encode_head(&mut self, head: Infallible, _: &mut TransmitQueue) {
        match head {}
    }
}
