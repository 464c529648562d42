//! What a frame says of itself, typed.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::fmt::Write as _;

use bytes::Bytes;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::decode::FrameLimits;
use super::encode::Sink;
use crate::config::MAX_WIRE_INTEGER;
use crate::error::{Code, Error};
use crate::message::{App, ContentType};
use crate::wire::json;

/// The most features a side may announce.
const MAX_FEATURES: usize = 32;
/// The most bytes that the names of these features may take together.
const MAX_FEATURES_LEN: usize = 512;
/// The longest session id, in bytes.
const MAX_SESSION_ID_LEN: usize = 128;
/// How much of a key or a value an error quotes, in characters.
const QUOTED: usize = 40;

/// A frame that passed every check of the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it says of itself.
    pub header: Header,
    /// Its content.
    pub content: Bytes,
}

/// The header of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The type, with the keys that belong to it.
    pub kind: Kind,
    /// What the content is.
    pub content_type: ContentType,
    /// The session, unless null or absent.
    pub session_id: Option<Arc<str>>,
}

/// The type of a frame, with the keys that belong to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The server speaks first.
    SessionInit(Hello),
    /// The client answers.
    SessionAck(Hello),
    /// A ping or a pong; the content says which.
    Heartbeat {
        /// Links a pong to its ping.
        seq: Option<u64>,
    },
    /// A message, whole.
    Message {
        /// The application's entries.
        app: App,
    },
    /// A part of a message.
    Chunk(Chunk),
    /// The end, for a reason.
    Error {
        /// The code, where the peer gives one.
        code: Option<Box<str>>,
    },
    /// The end, in order.
    Disconnect,
}

/// What a side says of itself in the handshake.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Hello {
    /// What it accepts; none: a peer without features.
    pub features: Option<Features>,
    /// The most it takes.
    pub limits: PeerLimits,
}

/// The features a side accepts, unknown ones included.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Features(pub Vec<String>);

impl Features {
    /// Chunked messages.
    pub const CHUNK: &'static str = "chunk";

    /// Whether chunks are accepted.
    #[must_use]
    pub fn chunk(&self) -> bool {
        self.0.iter().any(|feature| feature == Self::CHUNK)
    }
}

/// The most a side takes; sending above it is refused at the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerLimits {
    /// The largest message, in bytes.
    pub message: u64,
    /// Messages begun and not ended.
    pub unfinished: u64,
}

impl PeerLimits {
    /// Whether a side with these limits and features is sent large messages in chunks.
    #[must_use]
    pub fn takes_chunks(&self, features: Option<&Features>) -> bool {
        self.unfinished > 0 && features.is_some_and(Features::chunk)
    }

    /// The largest message, in bytes, that can be sent to a side with these limits and features: without
    /// chunks it has to fit one frame.
    #[must_use]
    pub fn longest_message(&self, features: Option<&Features>) -> u64 {
        if self.takes_chunks(features) {
            self.message
        } else {
            self.message.min(FrameLimits::PROTOCOL.content as u64)
        }
    }
}

impl Default for PeerLimits {
    fn default() -> Self {
        Self { message: 64 * 1024 * 1024, unfinished: 8 }
    }
}

/// The keys of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Which message it is part of, from 1.
    pub message_id: u64,
    /// Which part it is, from 0.
    pub index: u64,
    /// Whether it ends the message.
    pub last: bool,
    /// Whether the message is given up. Only with `last`.
    pub aborted: bool,
    /// On index 0, the size of the whole message where it is known.
    pub total_size: Option<u64>,
    /// On index 0, the application's entries.
    pub app: App,
}

/// The types of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameType {
    /// Code 1.
    SessionInit,
    /// Code 2.
    SessionAck,
    /// Code 3.
    Heartbeat,
    /// Code 4.
    Message,
    /// Code 5.
    Chunk,
    /// Code 6.
    Error,
    /// Code 7.
    Disconnect,
}

impl FrameType {
    /// Every type, in the order of the codes.
    pub const ALL: [Self; 7] = [
        Self::SessionInit,
        Self::SessionAck,
        Self::Heartbeat,
        Self::Message,
        Self::Chunk,
        Self::Error,
        Self::Disconnect,
    ];

    /// The type of this name in the header.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// The type of this code in the prefix, unless it is 0 or beyond the last.
    #[must_use]
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.code() == code)
    }

    /// The code in the prefix.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::SessionInit => 1,
            Self::SessionAck => 2,
            Self::Heartbeat => 3,
            Self::Message => 4,
            Self::Chunk => 5,
            Self::Error => 6,
            Self::Disconnect => 7,
        }
    }

    /// The name in the header.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SessionInit => "session_init",
            Self::SessionAck => "session_ack",
            Self::Heartbeat => "heartbeat",
            Self::Message => "message",
            Self::Chunk => "chunk",
            Self::Error => "error",
            Self::Disconnect => "disconnect",
        }
    }
}

impl Kind {
    /// Which type it is.
    #[must_use]
    pub const fn frame_type(&self) -> FrameType {
        match self {
            Self::SessionInit(_) => FrameType::SessionInit,
            Self::SessionAck(_) => FrameType::SessionAck,
            Self::Heartbeat { .. } => FrameType::Heartbeat,
            Self::Message { .. } => FrameType::Message,
            Self::Chunk(_) => FrameType::Chunk,
            Self::Error { .. } => FrameType::Error,
            Self::Disconnect => FrameType::Disconnect,
        }
    }
}

/// Whether a session may be called this: 1 to 128 printable ASCII characters, the space included.
///
/// ```
/// use heartwire_core::wire::envelope::is_valid_session_id;
///
/// assert!(is_valid_session_id("f5b16522-4a58-4791-9f6a-f1d8303e61cd"));
/// assert!(!is_valid_session_id(""));
/// assert!(!is_valid_session_id("line\nfeed"));
/// ```
#[must_use]
pub fn is_valid_session_id(id: &str) -> bool {
    (1..=MAX_SESSION_ID_LEN).contains(&id.len()) && id.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

// From bytes to a header.

impl Header {
    /// The header that these bytes are, strictly.
    ///
    /// # Errors
    ///
    /// `invalid-header` or `unknown-type`, in this order.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let text = core::str::from_utf8(bytes)
            .map_err(|error| invalid(format!("the header is not UTF-8 from byte {}", error.valid_up_to())))?;
        // Before the grammar, which would let white space around the object pass. The MAC joins
        // header and content without their lengths: white space at the border would belong to either.
        for (end, met, expected) in [("first", bytes.first(), b'{'), ("last", bytes.last(), b'}')] {
            match met {
                None => return Err(invalid("the header is empty, not a JSON object")),
                Some(met) if *met == expected => {}
                Some(met) => {
                    return Err(invalid(format!(
                        "the {end} byte of the header is {met:#04x}, not {expected:#04x}: not a bare JSON object"
                    )));
                }
            }
        }
        json::check(text, json::MAX_DEPTH)?;
        let raw = Raw::read(text).map_err(|error| invalid(format!("the header is refused: {error}")))?;

        let name = required("type", raw.kind, string)?;
        let content_type = ContentType::new(&required("content_type", raw.content_type, string)?)?;
        let session_id = match raw.session_id {
            None => None,
            Some(value) if value.get() == "null" => None,
            Some(value) => Some(string("session_id", value)?.into()),
        };
        let Some(frame_type) = FrameType::from_name(&name) else {
            return Err(Error::new(Code::UnknownType, format!("there is no type {}", quote(&name))));
        };
        Ok(Self { kind: raw.kind(frame_type)?, content_type, session_id })
    }

    /// Whether these bytes, which are no header as they should be, are one of this type all the same.
    pub(super) fn claims(bytes: &[u8], frame_type: FrameType) -> bool {
        let raw = core::str::from_utf8(bytes).ok().and_then(|text| Raw::read(text).ok());
        raw.and_then(|raw| required("type", raw.kind, string).ok())
            .is_some_and(|name| name == frame_type.name())
    }

    /// Checks the code in the prefix against the type in the header.
    ///
    /// # Errors
    ///
    /// `unknown-type` or `type-mismatch`.
    pub(super) fn check_type_code(&self, code: u16) -> Result<(), Error> {
        let ours = self.kind.frame_type();
        if code == 0 || code == ours.code() {
            return Ok(());
        }
        Err(match FrameType::from_code(code) {
            Some(other) => Error::new(
                Code::TypeMismatch,
                format!("the prefix says {} (code {code}), the header says {}", other.name(), ours.name()),
            ),
            None => Error::new(Code::UnknownType, format!("there is no type of code {code}, only 1 to 7")),
        })
    }

    /// Checks that there is a content where there has to be one.
    ///
    /// # Errors
    ///
    /// `empty-content`.
    pub(super) fn check_content(&self, content: &[u8]) -> Result<(), Error> {
        match &self.kind {
            Kind::Chunk(Chunk { last: true, .. }) => Ok(()),
            kind if content.is_empty() => Err(Error::new(
                Code::EmptyContent,
                format!(
                    "a frame of type {} without content: only a chunk with last has none",
                    kind.frame_type().name()
                ),
            )),
            _ => Ok(()),
        }
    }
}

/// The values of heartwire's own keys, as they were written: a key is typed only if it belongs to
/// the type of its frame.
#[derive(Default)]
struct Raw<'a> {
    kind: Option<&'a RawValue>,
    content_type: Option<&'a RawValue>,
    session_id: Option<&'a RawValue>,
    features: Option<&'a RawValue>,
    limits: Option<&'a RawValue>,
    seq: Option<&'a RawValue>,
    app: Option<&'a RawValue>,
    message_id: Option<&'a RawValue>,
    index: Option<&'a RawValue>,
    last: Option<&'a RawValue>,
    aborted: Option<&'a RawValue>,
    total_size: Option<&'a RawValue>,
    code: Option<&'a RawValue>,
    /// Never read; here so that a padded frame is not one with unknown keys, which are remembered.
    pad: Option<&'a RawValue>,
}

impl<'a> Raw<'a> {
    /// The values in this JSON object, in which no key stands twice.
    fn read(text: &'a str) -> Result<Self, serde_json::Error> {
        let mut json = serde_json::Deserializer::from_str(text);
        let raw = json.deserialize_map(RawVisitor)?;
        json.end()?;
        Ok(raw)
    }

    fn slot(&mut self, key: &str) -> Option<&mut Option<&'a RawValue>> {
        Some(match key {
            "type" => &mut self.kind,
            "content_type" => &mut self.content_type,
            "session_id" => &mut self.session_id,
            "features" => &mut self.features,
            "limits" => &mut self.limits,
            "seq" => &mut self.seq,
            "app" => &mut self.app,
            "message_id" => &mut self.message_id,
            "index" => &mut self.index,
            "last" => &mut self.last,
            "aborted" => &mut self.aborted,
            "total_size" => &mut self.total_size,
            "code" => &mut self.code,
            "pad" => &mut self.pad,
            _ => return None,
        })
    }

    /// The keys that belong to this type.
    fn kind(&self, frame_type: FrameType) -> Result<Kind, Error> {
        Ok(match frame_type {
            FrameType::SessionInit => Kind::SessionInit(self.hello()?),
            FrameType::SessionAck => Kind::SessionAck(self.hello()?),
            FrameType::Heartbeat => Kind::Heartbeat { seq: optional("seq", self.seq, integer)? },
            FrameType::Message => Kind::Message { app: self.app()? },
            FrameType::Chunk => Kind::Chunk(self.chunk()?),
            // Whatever stands there, what the peer has to say must not be lost over it.
            FrameType::Error => {
                let code = self.code.and_then(|code| string("code", code).ok());
                Kind::Error { code: code.map(|code| code.into_owned().into()) }
            }
            FrameType::Disconnect => Kind::Disconnect,
        })
    }

    fn hello(&self) -> Result<Hello, Error> {
        Ok(Hello {
            features: optional("features", self.features, features)?,
            limits: optional("limits", self.limits, limits)?.unwrap_or_default(),
        })
    }

    fn app(&self) -> Result<App, Error> {
        Ok(optional("app", self.app, |_, value| App::from_json(value.get()))?.unwrap_or_default())
    }

    fn chunk(&self) -> Result<Chunk, Error> {
        let message_id = required("message_id", self.message_id, integer)?;
        if message_id == 0 {
            return Err(invalid("the header key message_id is 0; messages are counted from 1"));
        }
        let index = required("index", self.index, integer)?;
        let last = required("last", self.last, boolean)?;
        let aborted = optional("aborted", self.aborted, boolean)?.unwrap_or(false);
        if aborted && !last {
            return Err(invalid("the header key aborted is true in a chunk that is not the last"));
        }
        let (total_size, app) = match index {
            0 => (optional("total_size", self.total_size, integer)?, self.app()?),
            _ => (None, App::NONE),
        };
        Ok(Chunk { message_id, index, last, aborted, total_size, app })
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut raw = Raw::default();
        let mut unknown = BTreeSet::new();
        while let Some(Text(key)) = map.next_key()? {
            let fresh = match raw.slot(&key) {
                Some(slot) => slot.replace(map.next_value()?).is_none(),
                None => {
                    map.next_value::<IgnoredAny>()?;
                    unknown.insert(key.clone())
                }
            };
            if !fresh {
                return Err(de::Error::custom(format_args!("the key {} is there twice", quote(&key))));
            }
        }
        Ok(raw)
    }
}

/// Text that stays where it is unless it has escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Text(text.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Text(String::from(text).into()))
    }
}

/// The limits of a peer. Others than these two are ignored; one that stands twice is refused.
#[derive(serde::Deserialize)]
struct RawLimits<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    message: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    unfinished: Option<&'a RawValue>,
}

/// A key that is there, be it null: null is not the same as no key.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

fn required<'a, T>(
    key: &'static str,
    value: Option<&'a RawValue>,
    read: impl FnOnce(&'static str, &'a RawValue) -> Result<T, Error>,
) -> Result<T, Error> {
    optional(key, value, read)?.ok_or_else(|| invalid(format!("the header key {key} is missing")))
}

fn optional<'a, T>(
    key: &'static str,
    value: Option<&'a RawValue>,
    read: impl FnOnce(&'static str, &'a RawValue) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    value.map(|value| read(key, value)).transpose()
}

fn string<'a>(key: &'static str, value: &'a RawValue) -> Result<Cow<'a, str>, Error> {
    match serde_json::from_str(value.get()) {
        Ok(Text(text)) => Ok(text),
        Err(_) => Err(wrong(key, value, "a string")),
    }
}

fn boolean(key: &'static str, value: &RawValue) -> Result<bool, Error> {
    match value.get() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(wrong(key, value, "true or false")),
    }
}

fn integer(key: &'static str, value: &RawValue) -> Result<u64, Error> {
    let text = value.get();
    // Digits alone: `1.0` and `1e3` are other ways to write integers that programs don't agree on.
    let number = if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None };
    number
        .filter(|number| *number <= MAX_WIRE_INTEGER)
        .ok_or_else(|| wrong(key, value, "an integer from 0 to 9007199254740991"))
}

fn features(key: &'static str, value: &RawValue) -> Result<Features, Error> {
    let Ok(names) = serde_json::from_str::<Vec<String>>(value.get()) else {
        return Err(wrong(key, value, "a list of strings"));
    };
    let len = names.iter().fold(0_usize, |len, name| len.saturating_add(name.len()));
    if names.len() > MAX_FEATURES || len > MAX_FEATURES_LEN {
        let count = names.len();
        return Err(invalid(format!(
            "{count} features of {len} bytes are over the limit of {MAX_FEATURES} features of {MAX_FEATURES_LEN} bytes in all"
        )));
    }
    Ok(Features(names))
}

fn limits(key: &'static str, value: &RawValue) -> Result<PeerLimits, Error> {
    // A list of two would do for the derived code.
    if !value.get().starts_with('{') {
        return Err(wrong(key, value, "an object"));
    }
    let raw: RawLimits<'_> = serde_json::from_str(value.get())
        .map_err(|error| invalid(format!("the header key {key} is refused: {error}")))?;
    let default = PeerLimits::default();
    Ok(PeerLimits {
        message: optional("limits.message", raw.message, integer)?.unwrap_or(default.message),
        unfinished: optional("limits.unfinished", raw.unfinished, integer)?.unwrap_or(default.unfinished),
    })
}

fn invalid(detail: impl Into<Cow<'static, str>>) -> Error {
    Error::new(Code::InvalidHeader, detail)
}

fn wrong(key: &str, value: &RawValue, expected: &str) -> Error {
    invalid(format!("the header key {key} is {}, not {expected}", quote(value.get())))
}

/// A peer's text for an error: enough of it to be recognised, on one line.
fn quote(text: &str) -> String {
    let cut = text.char_indices().nth(QUOTED).and_then(|(at, _)| text.get(..at));
    match cut {
        Some(cut) => format!("`{}…`", cut.escape_debug()),
        None => format!("`{}`", text.escape_debug()),
    }
}

// From a header to bytes.

impl Header {
    /// Writes everything but the brace that closes the object, so that a key may follow. In the
    /// style of existing programs: spaces after `:` and `,`, and nothing but ASCII.
    pub(super) fn write_open(&self, out: &mut impl Sink) {
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
        put_format(out, format_args!(", \"last\": {}", self.last));
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
        put_format(out, format_args!(", \"{key}\": {value}"));
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
fn put_string(out: &mut impl Sink, text: &str) {
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

#[cfg(test)]
mod tests;
