//! Lines.

use std::io::Write;

use bytes::BytesMut;
use heartwire_core::wire::codec::Codec;
use heartwire_core::wire::lines::{self, Settings};
use serde::Serialize;

use super::{Frames, Halt, write_line};
use crate::exit::Outcome;

/// Memory is bounded by one line.
pub struct Lines(lines::Lines);

impl Lines {
    /// Lines of at most `limit` bytes; without one, of as many as the protocol usually has.
    pub fn new(limit: Option<u64>) -> Self {
        let settings = limit.map_or_else(Settings::default, |limit| {
            Settings::with_limit(usize::try_from(limit).unwrap_or(usize::MAX))
        });
        Self(lines::Lines::with_settings(settings))
    }
}

impl Frames for Lines {
    fn unit(&self) -> &'static str {
        "line"
    }

    fn next(&mut self, rx: &mut BytesMut, out: &mut dyn Write) -> Result<bool, Halt> {
        let Some(line) = self.0.decode(rx)? else { return Ok(false) };
        show(&line, out)?;
        Ok(true)
    }

    fn finish(&mut self, rx: &mut BytesMut, out: &mut dyn Write) -> Result<(), Halt> {
        if let Some(line) = self.0.finish(rx)? {
            show(&line, out)?;
        }
        Ok(())
    }
}

fn show(line: &lines::Line, out: &mut dyn Write) -> Outcome {
    #[derive(Serialize)]
    struct Shown<'a> {
        line: &'a str,
    }
    write_line(out, &Shown { line: line.as_str() })
}
