//! What headers ask beyond JSON's grammar: bounded nesting, and no lone surrogates, or none that are left.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use core::fmt::Write;

use crate::error::{Code, Error};

/// How deep a header may nest, itself included.
pub const MAX_DEPTH: usize = 64;
/// The length of an escape sequence of four digits, in bytes.
const ESCAPE_LEN: usize = 6;

/// Checks nesting and surrogates of JSON text, whose grammar is checked elsewhere.
///
/// Both are held wherever they stand: in keys, in values, and in values that nobody reads.
///
/// ```
/// use heartwire_core::wire::json::check;
///
/// assert!(check(r#"{"a": [1, "\ud83d\ude00"]}"#, 2).is_ok());
/// assert!(check(r#"{"a": [[1]]}"#, 2).is_err());
/// assert!(check(r#"{"a": "\ud83d"}"#, 2).is_err());
/// ```
///
/// # Errors
///
/// `invalid-header`, saying which and at which byte.
pub fn check(text: &str, max_depth: usize) -> Result<(), Error> {
    let mut depth = 0_usize;
    let mut bytes = Bytes { rest: text.as_bytes(), len: text.len() };
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => check_string(&mut bytes)?,
            b'{' | b'[' => {
                depth = depth.saturating_add(1);
                if depth > max_depth {
                    return Err(Error::new(
                        Code::InvalidHeader,
                        format!("JSON nests deeper than {max_depth} at byte {}", bytes.last_at()),
                    ));
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Has lone surrogates stand as the text of their escape sequences: six characters each, a backslash among them.
///
/// ```
/// use heartwire_core::wire::json::escape_lone_surrogates;
///
/// assert_eq!(escape_lone_surrogates(r#"{"a": "x\uDC80"}"#), r#"{"a": "x\\udc80"}"#);
/// ```
#[must_use]
pub fn escape_lone_surrogates(text: &str) -> Cow<'_, str> {
    let mut bytes = Bytes { rest: text.as_bytes(), len: text.len() };
    let (mut escaped, mut copied) = (String::new(), 0_usize);
    while let Some(byte) = bytes.next() {
        // None stands outside of a string, or the grammar refuses it.
        if byte != b'\\' {
            continue;
        }
        let at = bytes.last_at();
        if let Some(unit) = bytes.take_escaped() {
            escaped.push_str(text.get(copied..at).unwrap_or_default());
            // Writing to a string does not fail.
            let _ = write!(escaped, "\\\\u{unit:04x}");
            copied = at.saturating_add(ESCAPE_LEN);
        }
    }
    if copied == 0 {
        return text.into();
    }
    escaped.push_str(text.get(copied..).unwrap_or_default());
    escaped.into()
}

/// Goes to the end of a string whose opening quote was taken.
fn check_string(bytes: &mut Bytes<'_>) -> Result<(), Error> {
    while let Some(byte) = bytes.next() {
        if byte == b'"' {
            break;
        }
        if byte != b'\\' {
            continue;
        }
        let at = bytes.last_at();
        if let Some(unit) = bytes.take_escaped() {
            return Err(Error::new(
                Code::InvalidHeader,
                format!("a lone surrogate \\u{unit:04x} at byte {at}"),
            ));
        }
    }
    Ok(())
}

/// The bytes of a text, and how far they were read.
#[derive(Clone)]
struct Bytes<'a> {
    rest: &'a [u8],
    len: usize,
}

impl Bytes<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// Where the byte that was read last stands.
    fn last_at(&self) -> usize {
        self.len.saturating_sub(self.rest.len()).saturating_sub(1)
    }

    /// Four hexadecimal digits. Anything else is left where it is, for the grammar to refuse.
    fn hex4(&mut self) -> Option<u16> {
        let (digits, rest) = self.rest.split_first_chunk::<4>()?;
        let mut unit = 0_u16;
        for digit in digits {
            let value = char::from(*digit).to_digit(16).and_then(|value| u16::try_from(value).ok())?;
            unit = (unit << 4) | value;
        }
        self.rest = rest;
        Some(unit)
    }

    /// Takes what follows a backslash, which may be a quote. Gives a lone surrogate, if it is one.
    fn take_escaped(&mut self) -> Option<u16> {
        if self.next() != Some(b'u') {
            return None;
        }
        let unit = self.hex4()?;
        let lone = match unit {
            0xD800..=0xDBFF => !self.take_low_surrogate(),
            0xDC00..=0xDFFF => true,
            _ => false,
        };
        lone.then_some(unit)
    }

    /// Takes the second half of a surrogate pair, if that is what follows.
    fn take_low_surrogate(&mut self) -> bool {
        let mut ahead = self.clone();
        if ahead.next() != Some(b'\\') || ahead.next() != Some(b'u') {
            return false;
        }
        let Some(0xDC00..=0xDFFF) = ahead.hex4() else { return false };
        *self = ahead;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn nesting_is_counted_from_the_top_object_and_bounded() {
        let nested = |depth: usize| ["[".repeat(depth), "]".repeat(depth)].concat();
        assert_eq!(check(&nested(64), 64), Ok(()));
        let error = check(&nested(65), 64).unwrap_err();
        assert_eq!(error.code(), Code::InvalidHeader);
        assert_eq!(error.to_string(), "invalid-header: JSON nests deeper than 64 at byte 64");
        assert_eq!(check(r#"{"a": {}, "b": {}, "c": [{}]}"#, 3), Ok(()));
        assert!(check(r#"{"a": {}, "b": {}, "c": [{}]}"#, 2).is_err());
        assert!(check("{}", 0).is_err());
    }

    #[test]
    fn brackets_in_strings_are_text() {
        assert_eq!(check(r#"{"[[[[": "{{{{\"[[[[\\"}"#, 1), Ok(()));
        assert!(check(r#"{"\\": [[]]}"#, 2).is_err());
    }

    #[test]
    fn lone_surrogates_are_refused_wherever_they_stand() {
        for bad in [
            r#"{"a": "\ud800"}"#,
            r#"{"\ud800": 1}"#,
            r#"{"a": [{"b": "\udc00"}]}"#,
            r#"{"a": "\udfff\ud800"}"#,
            r#"{"a": "\ud800\ud800\udc00"}"#,
            r#"{"a": "\ud800x\udc00"}"#,
            r#"{"a": "\ud800\n\udc00"}"#,
            r#"{"a": "\uD800A"}"#,
            r#"{"a": "\\\ud800"}"#,
        ] {
            assert_eq!(check(bad, 64).unwrap_err().code(), Code::InvalidHeader, "{bad}");
        }
        let error = check(r#"{"a": "x\uDBFFy"}"#, 64).unwrap_err();
        assert_eq!(error.detail(), "a lone surrogate \\udbff at byte 8");
    }

    #[test]
    fn pairs_and_escaped_backslashes_are_no_lone_surrogates() {
        for good in [
            r#"{"a": "\ud800\udc00"}"#,
            r#"{"a": "\uDBFF\uDFFF"}"#,
            r#"{"a": "\\ud800"}"#,
            r#"{"a": "\ud7ff\ue000"}"#,
        ] {
            assert_eq!(check(good, 64), Ok(()), "{good}");
        }
    }

    #[test]
    fn lone_surrogates_are_escaped_and_nothing_else_is() {
        for (text, escaped) in [
            (r#"{"a": "\udc80"}"#, r#"{"a": "\\udc80"}"#),
            (r#"{"é\uD800é": "\uDFFF\uD800x"}"#, r#"{"é\\ud800é": "\\udfff\\ud800x"}"#),
            (r#"["\ud800\ud83d\ude00\\\udc00"]"#, r#"["\\ud800\ud83d\ude00\\\\udc00"]"#),
        ] {
            assert_eq!(escape_lone_surrogates(text), escaped);
            // What is escaped is escaped once.
            assert_eq!(escape_lone_surrogates(escaped), escaped);
        }
        let none = escape_lone_surrogates(r#"{"a": "\ud83d\ude00\\udc80"}"#);
        assert!(matches!(none, Cow::Borrowed(_)), "{none}");
    }

    #[test]
    fn text_that_is_not_json_does_no_harm() {
        for text in
            ["", "\"", "\"\\", "\"\\u", "\"\\ud8", "\"\\ud800\\", "}}}]]]", "\"\\uzzzz\"", "\u{1f600}"]
        {
            let _ = check(&escape_lone_surrogates(text), 64);
            let _ = check(text, 64);
        }
    }
}
