//! From a header to bytes, in the one spelling that existing programs write.

use core::fmt;
use core::fmt::Write as _;

use super::{Chunk, Features, Header, Hello, Kind, PeerLimits};
use crate::config::MAX_WIRE_INTEGER;
use crate::message::App;
use crate::wire::envelope::encode::{CLOSE, Sink};

impl Header {
    /// Writes everything but the brace that closes the object, so that a key may follow. In the
    /// style of existing programs: spaces after `:` and `,`, and nothing but ASCII.
    pub(in crate::wire::envelope) fn write_open(&self, out: &mut impl Sink) {
        out.put(b"{\"type\": \"");
        out.put(self.kind.frame_type().name().as_bytes());
        out.put(b"\", \"content_type\": ");
        put_string(out, &self.content_type);
        out.put(b", \"session_id\": ");
        match &self.session_id {
            Some(id) => put_string(out, id),
            None => out.put(b"null"),
        }
        match &self.kind {
            Kind::SessionInit(hello) | Kind::SessionAck(hello) => hello.write(out),
            Kind::Heartbeat { seq } => put_integer(out, "seq", *seq),
            Kind::Message { app } => put_app(out, app),
            Kind::Chunk(chunk) => chunk.write(out),
            Kind::Error { code: Some(code) } => {
                out.put(b", \"code\": ");
                put_string(out, code);
            }
            Kind::Error { code: None } | Kind::Disconnect => {}
        }
    }
}

impl Header {
    /// The header that carries on from this one when nothing comes between: the next heartbeat, or the next
    /// chunk of the message.
    pub(in crate::wire::envelope) fn successor(&self) -> Option<Self> {
        let after = |number: u64| Some(number.saturating_add(1)).filter(|next| *next <= MAX_WIRE_INTEGER);
        let kind = match &self.kind {
            Kind::Heartbeat { seq: None } => Kind::Heartbeat { seq: None },
            Kind::Heartbeat { seq: Some(seq) } => Kind::Heartbeat { seq: Some(after(*seq)?) },
            Kind::Chunk(chunk) if !chunk.last => {
                let index = after(chunk.index)?;
                Kind::Chunk(Chunk { index, total_size: None, app: App::NONE, ..*chunk })
            }
            _ => return None,
        };
        Some(Self { kind, content_type: self.content_type.clone(), session_id: self.session_id.clone() })
    }

    /// This header, if these bytes are how it is written; that of a chunk may be the last of its message.
    pub(in crate::wire::envelope) fn spelled_as(mut self, bytes: &[u8]) -> Option<Self> {
        if self.is_spelled(bytes) {
            return Some(self);
        }
        match &mut self.kind {
            Kind::Chunk(chunk) => chunk.last = true,
            _ => return None,
        }
        self.is_spelled(bytes).then_some(self)
    }

    fn is_spelled(&self, bytes: &[u8]) -> bool {
        let mut rest = Some(bytes);
        self.write_open(&mut Compare(&mut rest));
        rest == Some(CLOSE)
    }
}

/// Takes what is written off the front of bytes, as long as it is the same.
struct Compare<'a, 'b>(&'a mut Option<&'b [u8]>);

impl Sink for Compare<'_, '_> {
    fn put(&mut self, bytes: &[u8]) {
        *self.0 = self.0.and_then(|rest| rest.strip_prefix(bytes));
    }
}

impl Hello {
    fn write(&self, out: &mut impl Sink) {
        if let Some(Features(names)) = &self.features {
            out.put(b", \"features\": [");
            for (at, name) in names.iter().enumerate() {
                if at > 0 {
                    out.put(b", ");
                }
                put_string(out, name);
            }
            out.put(b"]");
        } else if self.limits == PeerLimits::default() {
            // As existing programs say it.
            return;
        }
        let PeerLimits { message, unfinished } = self.limits;
        put_format(
            out,
            format_args!(", \"limits\": {{\"message\": {message}, \"unfinished\": {unfinished}}}"),
        );
    }
}

impl Chunk {
    fn write(&self, out: &mut impl Sink) {
        put_integer(out, "message_id", Some(self.message_id));
        put_integer(out, "index", Some(self.index));
        out.put(if self.last { b", \"last\": true" } else { b", \"last\": false" });
        if self.aborted {
            out.put(b", \"aborted\": true");
        }
        if self.index == 0 {
            put_integer(out, "total_size", self.total_size);
            put_app(out, &self.app);
        }
    }
}

fn put_integer(out: &mut impl Sink, key: &str, value: Option<u64>) {
    if let Some(value) = value {
        out.put(b", \"");
        out.put(key.as_bytes());
        out.put(b"\": ");
        out.put(itoa::Buffer::new().format(value).as_bytes());
    }
}

fn put_app(out: &mut impl Sink, app: &App) {
    if let Some(json) = app.as_json() {
        out.put(b", \"app\": ");
        out.put(json.as_bytes());
    }
}

fn put_format(out: &mut impl Sink, arguments: fmt::Arguments<'_>) {
    struct Adapter<'a, S>(&'a mut S);

    impl<S: Sink> fmt::Write for Adapter<'_, S> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.put(text.as_bytes());
            Ok(())
        }
    }

    // Neither a sink nor a number can fail to be written.
    let _ = Adapter(out).write_fmt(arguments);
}

/// A JSON string in ASCII: the only spelling that existing programs write, to the byte.
pub(super) fn put_string(out: &mut impl Sink, text: &str) {
    out.put(b"\"");
    let mut rest = text;
    while !rest.is_empty() {
        let plain =
            rest.bytes().position(|byte| !matches!(byte, b' '..=b'~') || matches!(byte, b'"' | b'\\'));
        let (run, tail) = plain.and_then(|at| rest.split_at_checked(at)).unwrap_or((rest, ""));
        out.put(run.as_bytes());
        let mut tail = tail.chars();
        if let Some(special) = tail.next() {
            put_escaped(out, special);
        }
        rest = tail.as_str();
    }
    out.put(b"\"");
}

fn put_escaped(out: &mut impl Sink, special: char) {
    match special {
        '"' => out.put(b"\\\""),
        '\\' => out.put(b"\\\\"),
        '\n' => out.put(b"\\n"),
        '\r' => out.put(b"\\r"),
        '\t' => out.put(b"\\t"),
        '\u{8}' => out.put(b"\\b"),
        '\u{c}' => out.put(b"\\f"),
        other => {
            for unit in other.encode_utf16(&mut [0; 2]) {
                put_format(out, format_args!("\\u{unit:04x}"));
            }
        }
    }
}
