//! From bytes to a header, strictly.

use alloc::borrow::Cow;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Chunk, Features, FrameType, Header, Hello, Kind, PeerLimits};
use crate::config::MAX_WIRE_INTEGER;
use crate::error::{Code, Error};
use crate::message::{App, ContentType};
use crate::wire::json;

/// The most features a side may announce.
const MAX_FEATURES: usize = 32;
/// The most bytes that the names of these features may take together.
const MAX_FEATURES_LEN: usize = 512;
/// How much of a key or a value an error quotes, in characters.
const QUOTED: usize = 40;

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
    pub(in crate::wire::envelope) fn claims(bytes: &[u8], frame_type: FrameType) -> bool {
        let raw = core::str::from_utf8(bytes).ok().and_then(|text| Raw::read(text).ok());
        raw.and_then(|raw| required("type", raw.kind, string).ok())
            .is_some_and(|name| name == frame_type.name())
    }

    /// Checks the code in the prefix against the type in the header.
    ///
    /// # Errors
    ///
    /// `unknown-type` or `type-mismatch`.
    pub(in crate::wire::envelope) fn check_type_code(&self, code: u16) -> Result<(), Error> {
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
    pub(in crate::wire::envelope) fn check_content(&self, content: &[u8]) -> Result<(), Error> {
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
