//! What is said at the end of a session, and what a peer's last words mean.

use alloc::string::{String, ToString};
use bytes::Bytes;

use crate::error::{Code, Error};

/// The longest reason or sentence that is sent, and kept of what a peer sent, in bytes.
const MAX_TEXT: usize = 1024;
/// The longest sentence that stands in place of a `session_init`, in bytes: the whole frame has 1,024.
const SHORT_TEXT: usize = 512;

/// The content of a `disconnect`.
pub(crate) fn disconnect_content(reason: &str) -> Bytes {
    let reason = serde_json::to_string(cut(reason)).unwrap_or_else(|_| "\"\"".into());
    Bytes::from(alloc::format!("{{\"message\": \"Disconnecting\", \"reason\": {reason}}}"))
}

/// The reason in the content of a peer's `disconnect`; the content itself if it has none.
pub(crate) fn disconnect_reason(content: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Goodbye {
        reason: String,
    }
    match serde_json::from_slice::<Goodbye>(content) {
        Ok(goodbye) => cut(&goodbye.reason).to_string(),
        Err(_) => text(content),
    }
}

/// The content of an `error` frame.
pub(crate) fn error_content(error: &Error) -> Bytes {
    Bytes::from(alloc::format!("{}: {}", error.code(), cut(error.detail())))
}

/// The same error with a sentence that fits a first frame.
pub(crate) fn short_error(error: &Error) -> Error {
    Error::new(error.code(), cut_to(error.detail(), SHORT_TEXT).to_string())
}

/// The code and the sentence of a peer's `error` frame.
pub(crate) fn peer_error(code: Option<&str>, content: &[u8]) -> (Code, String) {
    let text = text(content);
    let (before, after) = text.split_once(": ").unwrap_or((&text, ""));
    let known = code.or(Some(before)).and_then(Code::parse);
    match known {
        Some(code) if before == code.as_str() => (code, after.to_string()),
        Some(code) => (code, text),
        None => (Code::PeerError, text),
    }
}

/// Content as text, what is not UTF-8 replaced, cut to a length that can be kept.
fn text(content: &[u8]) -> String {
    let head = content.get(..MAX_TEXT).unwrap_or(content);
    cut(&String::from_utf8_lossy(head)).to_string()
}

/// The text up to `MAX_TEXT` bytes, whole characters only.
fn cut(text: &str) -> &str {
    cut_to(text, MAX_TEXT)
}

/// The text up to `most` bytes, whole characters only.
fn cut_to(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goodbyes_are_those_of_existing_programs() {
        let content = disconnect_content("Server shutting down");
        assert_eq!(content, r#"{"message": "Disconnecting", "reason": "Server shutting down"}"#);
        assert_eq!(disconnect_reason(&content), "Server shutting down");
        assert_eq!(disconnect_reason(b"bye"), "bye");
        assert_eq!(disconnect_reason(&disconnect_content("a \"b\"\n")), "a \"b\"\n");
    }

    #[test]
    fn what_a_peer_reports() {
        let content = error_content(&Error::new(Code::MacMismatch, "another key"));
        assert_eq!(content, "mac-mismatch: another key");
        assert_eq!(peer_error(Some("mac-mismatch"), &content), (Code::MacMismatch, "another key".into()));
        assert_eq!(peer_error(None, &content), (Code::MacMismatch, "another key".into()));
        assert_eq!(peer_error(None, b"bad request"), (Code::PeerError, "bad request".into()));
        assert_eq!(peer_error(Some("new-code"), b"x"), (Code::PeerError, "x".into()));
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let long = "é".repeat(2000);
        assert_eq!(cut(&long).len(), 1024);
        assert_eq!(cut(&alloc::format!("a{long}")).len(), 1023);
        assert!(peer_error(None, long.as_bytes()).1.len() <= 1024);
    }
}
