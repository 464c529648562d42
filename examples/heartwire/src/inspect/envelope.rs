//! Frames of the session protocol, version 1.

use std::io::Write;

use bytes::BytesMut;
use heartwire_core::key::Keys;
use heartwire_core::wire::envelope::{CrcHmac, Decoder, Frame, FrameLimits, Hello, Kind};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Frames, Halt, write_line};
use crate::exit::{Failure, Outcome};
use crate::hex::Hex;

/// Memory is bounded by one frame, of which everything is checked before any of it is shown.
pub struct Envelope {
    protection: CrcHmac,
    decoder: Decoder<CrcHmac>,
    limits: FrameLimits,
}

impl Envelope {
    /// Frames that one of these keys authenticates, with contents of at most `limit` bytes.
    pub fn new(keys: Keys, limit: Option<u64>) -> Self {
        let asked = limit.and_then(|limit| usize::try_from(limit).ok());
        let most = FrameLimits::PROTOCOL;
        let content = asked.map_or(most.content, |limit| limit.min(most.content));
        Self {
            protection: CrcHmac::new(keys),
            decoder: Decoder::new(),
            limits: FrameLimits { content, ..most },
        }
    }
}

impl Frames for Envelope {
    fn next(&mut self, rx: &mut BytesMut, out: &mut dyn Write) -> Result<bool, Halt> {
        let Some(frame) = self.decoder.decode(&mut self.protection, rx, self.limits)? else {
            return Ok(false);
        };
        write_line(out, &Line::of(&frame)?)?;
        Ok(true)
    }

    fn finish(&mut self, rx: &mut BytesMut, _: &mut dyn Write) -> Result<(), Halt> {
        Ok(self.decoder.finish(rx)?)
    }
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
}
