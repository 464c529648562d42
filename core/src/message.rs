//! What applications exchange: a content, its type, and entries of the application's own.

use alloc::string::String;
use alloc::sync::Arc;
use bytes::Bytes;
use core::fmt;
use core::ops::Deref;

use crate::error::{Code, Error};

/// The most bytes of JSON that [`App`] entries may take.
pub const MAX_APP_LEN: usize = 8 * 1024;
/// How deep [`App`] entries may nest, the object itself included: the header around them is one level.
pub const MAX_APP_DEPTH: usize = crate::wire::json::MAX_DEPTH - 1;

/// A message, whole.
///
/// ```
/// use heartwire_core::message::{ContentType, Message};
///
/// let message = Message::text("hello");
/// assert_eq!(message.content_type, ContentType::TEXT);
/// assert_eq!(&message.content[..], b"hello");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What the content is.
    pub content_type: ContentType,
    /// The content.
    pub content: Bytes,
    /// The application's own entries.
    pub app: App,
}

impl Message {
    /// A message of this type and content, without entries.
    pub fn new(content_type: ContentType, content: impl Into<Bytes>) -> Self {
        Self { content_type, content: content.into(), app: App::NONE }
    }

    /// Text, as `text/plain; charset=utf-8`.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(ContentType::TEXT, text.into())
    }

    /// Bytes, as `application/octet-stream`.
    pub fn binary(content: impl Into<Bytes>) -> Self {
        Self::new(ContentType::BINARY, content)
    }

    /// The content as text, if it is UTF-8, whatever its type says.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        core::str::from_utf8(&self.content).ok()
    }

    /// The same message with these entries.
    #[must_use]
    pub fn with_app(mut self, app: App) -> Self {
        self.app = app;
        self
    }
}

/// A content type: text that is not empty. Cloning one does not allocate.
#[derive(Clone)]
pub struct ContentType(Text);

#[derive(Clone)]
enum Text {
    Static(&'static str),
    Shared(Arc<str>),
}

impl ContentType {
    /// `text/plain; charset=utf-8`
    pub const TEXT: Self = Self(Text::Static("text/plain; charset=utf-8"));
    /// `application/octet-stream`
    pub const BINARY: Self = Self(Text::Static("application/octet-stream"));
    /// `application/json`
    pub const JSON: Self = Self(Text::Static("application/json"));
    /// `text/plain`
    pub const PLAIN: Self = Self(Text::Static("text/plain"));

    /// This content type.
    ///
    /// # Errors
    ///
    /// [`Code::InvalidHeader`] if it is empty.
    pub fn new(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Err(Error::new(Code::InvalidHeader, "the content type is empty"));
        }
        Ok([Self::TEXT, Self::BINARY, Self::JSON, Self::PLAIN]
            .into_iter()
            .find(|known| known.as_str() == text)
            .unwrap_or_else(|| Self(Text::Shared(text.into()))))
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Static(text) => text,
            Text::Shared(text) => text,
        }
    }
}

impl Deref for ContentType {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq for ContentType {
    fn eq(&self, other: &Self) -> bool {
        // Mostly it is one of the known ones, or a copy of the same.
        core::ptr::eq(self.as_str(), other.as_str()) || self.as_str() == other.as_str()
    }
}

impl Eq for ContentType {}

impl fmt::Debug for ContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Display for ContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Entries of the application's own, carried in the header of a message: one JSON object of at most
/// [`MAX_APP_LEN`] bytes, kept as it was written.
///
/// ```
/// use heartwire_core::message::App;
///
/// let app = App::from_json(r#"{"room": "a"}"#)?;
/// assert_eq!(app.as_json(), Some(r#"{"room": "a"}"#));
/// assert!(App::from_json("[1]").is_err());
/// # Ok::<(), heartwire_core::error::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct App(Option<Arc<str>>);

impl App {
    /// No entries.
    pub const NONE: Self = Self(None);

    /// The entries of this JSON object.
    ///
    /// # Errors
    ///
    /// [`Code::InvalidHeader`] if it is not an object, is over [`MAX_APP_LEN`] bytes, nests deeper
    /// than [`MAX_APP_DEPTH`], or is not the strict JSON that headers are made of.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        let json = json.trim_matches([' ', '\t', '\r', '\n']);
        if json.len() > MAX_APP_LEN {
            return Err(Error::new(
                Code::InvalidHeader,
                alloc::format!("app entries of {} bytes are over the limit of {MAX_APP_LEN}", json.len()),
            ));
        }
        if !json.starts_with('{') {
            return Err(Error::new(Code::InvalidHeader, "app entries are not a JSON object"));
        }
        crate::wire::json::check(json, MAX_APP_DEPTH)?;
        serde_json::from_str::<&serde_json::value::RawValue>(json).map_err(|error| {
            Error::new(Code::InvalidHeader, alloc::format!("app entries are not JSON: {error}"))
        })?;
        Ok(Self(Some(json.into())))
    }

    /// The JSON object, if there is one.
    #[must_use]
    pub fn as_json(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_json().unwrap_or("none"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn app_entries_are_an_object_within_bounds() {
        for bad in ["", "null", "[]", "\"x\"", "{", "{}{}", r#"{"a": "\ud800"}"#, "{\"a\": NaN}"] {
            assert!(App::from_json(bad).is_err(), "{bad}");
        }
        let fits = ["{\"a\": \"", &"x".repeat(MAX_APP_LEN - 9), "\"}"].concat();
        assert!(App::from_json(&fits).is_ok());
        let over = ["{\"a\": \"", &"x".repeat(MAX_APP_LEN - 8), "\"}"].concat();
        assert!(App::from_json(&over).unwrap_err().to_string().contains("8193 bytes"));
        assert_eq!(App::from_json(" {} ").unwrap().as_json(), Some("{}"));
    }
}
