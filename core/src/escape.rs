//! What peers sent, made safe for people's terminals and logs.
//!
//! A peer chooses the bytes of content types, session ids, reasons and error sentences. Written to
//! a terminal as they are, they could move the cursor, reverse the text around them, or pass for
//! log lines of their own. Escaped, they stay on one line and show what they are:
//!
//! * control characters: `\n`, `\r`, `\t`, `\u{1b}`
//! * the backslash: `\\`, so that nothing can pass for an escape
//! * bidirectional controls, line and paragraph separators, tags, blank fillers and other characters
//!   that are not seen: `\u{202e}`
//! * joiners and variation selectors, which Persian, Indic scripts and emoji need, only where
//!   they do nothing for the text: after ASCII, at the start, or after another of their kind
//! * bytes that are not UTF-8: `\xff`
//!
//! Text in every script is otherwise unchanged. Machine-readable output is not for this module: it
//! stays exact.

use core::fmt::{self, Write};

/// Shows text with everything dangerous escaped. Allocates nothing.
///
/// ```
/// use heartwire_core::escape::escape;
///
/// assert_eq!(escape("naïve, 你好\u{1b}[2J\n").to_string(), r"naïve, 你好\u{1b}[2J\n");
/// assert_eq!(escape("a long sentence").limit(6).to_string(), "a long…");
/// ```
#[must_use]
pub fn escape(text: &str) -> Escaped<'_> {
    escape_bytes(text.as_bytes())
}

/// Shows bytes as text with everything dangerous escaped, and what is not UTF-8 as `\xff`.
/// Allocates nothing.
///
/// ```
/// use heartwire_core::escape::escape_bytes;
///
/// assert_eq!(escape_bytes(b"ok\xff\x07").to_string(), r"ok\xff\u{7}");
/// ```
#[must_use]
pub fn escape_bytes(bytes: &[u8]) -> Escaped<'_> {
    Escaped { bytes, limit: usize::MAX }
}

/// Text that is escaped as it is shown; see [`escape`] and [`escape_bytes`].
#[derive(Clone, Copy)]
pub struct Escaped<'a> {
    bytes: &'a [u8],
    limit: usize,
}

impl Escaped<'_> {
    /// The same, cut to `limit` characters as they are shown, with a `…` after them if something is missing. An
    /// escape is never cut in two.
    #[must_use]
    pub fn limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.limit;
        let mut before = None;
        for chunk in self.bytes.utf8_chunks() {
            for char in chunk.valid().chars() {
                let shown = Shown::of(char, before);
                let Some(rest) = left.checked_sub(shown.width()) else {
                    return f.write_char('…');
                };
                left = rest;
                shown.write(f)?;
                before = Some(char);
            }
            for &byte in chunk.invalid() {
                let Some(rest) = left.checked_sub(4) else {
                    return f.write_char('…');
                };
                left = rest;
                write!(f, "\\x{byte:02x}")?;
                before = None;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// How one character is shown.
enum Shown {
    Itself(char),
    Short(char),
    Number(char),
}

impl Shown {
    fn of(char: char, before: Option<char>) -> Self {
        match char {
            '\n' => Self::Short('n'),
            '\r' => Self::Short('r'),
            '\t' => Self::Short('t'),
            '\\' => Self::Short('\\'),
            ' '..='~' => Self::Itself(char),
            _ if char.is_control() || is_dangerous(char) => Self::Number(char),
            _ if is_joiner(char) && !may_be_joined(char, before) => Self::Number(char),
            _ => Self::Itself(char),
        }
    }

    fn width(&self) -> usize {
        match self {
            Self::Itself(_) => 1,
            Self::Short(_) => 2,
            Self::Number(char) => char.escape_unicode().len(),
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Itself(char) => f.write_char(char),
            Self::Short(char) => {
                f.write_char('\\')?;
                f.write_char(char)
            }
            Self::Number(char) => char.escape_unicode().try_for_each(|c| f.write_char(c)),
        }
    }
}

/// Characters that are not seen themselves, and change or hide what is around them.
fn is_dangerous(char: char) -> bool {
    matches!(char,
        // soft hyphen, combining grapheme joiner
        '\u{ad}' | '\u{34f}'
        // the Arabic letter mark, left-to-right and right-to-left marks
        | '\u{61c}' | '\u{200e}' | '\u{200f}'
        // fillers and vowels that are shown as nothing
        | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}' | '\u{ffa0}'
        | '\u{180e}'
        // zero width space
        | '\u{200b}'
        // line and paragraph separators; embeddings and overrides
        | '\u{2028}'..='\u{202e}'
        // word joiner, invisible operators, isolates, deprecated format characters
        | '\u{2060}'..='\u{206f}'
        // byte order mark, interlinear annotations
        | '\u{feff}' | '\u{fff0}'..='\u{fffb}'
        // format characters of shorthand and music
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        // tags: a whole hidden alphabet; and what is reserved among the invisible
        | '\u{e0000}'..='\u{e00ff}' | '\u{e01f0}'..='\u{e0fff}')
}

/// Characters that are not seen either, and that writing needs: zero width joiner and non-joiner, variation selectors.
fn is_joiner(char: char) -> bool {
    matches!(char,
        '\u{200c}' | '\u{200d}' | '\u{180b}'..='\u{180d}' | '\u{180f}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// Whether a joiner has something to do after `before`. A run of them has not: runs carry hidden
/// text. An emoji's selector may stand before its joiner.
fn may_be_joined(char: char, before: Option<char>) -> bool {
    match before {
        Some('\u{fe0f}') => char == '\u{200d}',
        // the bases of keycap emoji
        Some('0'..='9' | '#' | '*') => char == '\u{fe0f}',
        Some(before) => {
            !before.is_ascii() && !before.is_control() && !is_joiner(before) && !is_dangerous(before)
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::{String, ToString};
    use std::vec::Vec;

    #[test]
    fn what_moves_a_terminal_is_written_out() {
        for (text, shown) in [
            ("\n\r\t\\", r"\n\r\t\\"),
            ("\u{0}\u{1b}[31m\u{7f}", r"\u{0}\u{1b}[31m\u{7f}"),
            ("\u{85}\u{9b}31m", r"\u{85}\u{9b}31m"),
            ("abc\u{202e}txt.exe", r"abc\u{202e}txt.exe"),
            ("\u{61c}\u{200e}\u{200f}\u{2066}\u{2069}", r"\u{61c}\u{200e}\u{200f}\u{2066}\u{2069}"),
            ("\u{2028}\u{2029}", r"\u{2028}\u{2029}"),
            ("ad\u{200b}min\u{feff}\u{ad}", r"ad\u{200b}min\u{feff}\u{ad}"),
            ("x\u{e0041}\u{e007f}", r"x\u{e0041}\u{e007f}"),
            (r"\u{1b}", r"\\u{1b}"),
        ] {
            assert_eq!(escape(text).to_string(), shown, "{text:?}");
        }
    }

    #[test]
    fn every_control_bidirectional_and_separating_character_is_escaped() {
        let must = (0..0x20)
            .chain(0x7f..0xa0)
            .chain([0x61c, 0x200b, 0x200e, 0x200f, 0x2028, 0x2029, 0xfeff])
            .chain(0x202a..=0x202e)
            .chain(0x2066..=0x2069);
        for char in must.filter_map(char::from_u32) {
            for around in ["", "a", "你"] {
                let shown = escape(&[around, &char.to_string(), around].concat()).to_string();
                assert!(!shown.contains(char), "{:x}", u32::from(char));
                assert!(shown.contains('\\'), "{:x}", u32::from(char));
            }
        }
    }

    #[test]
    fn text_in_every_script_is_unchanged() {
        for text in [
            "plain ASCII ~ \"quotes\" 'too'",
            "Grüße, naïve, Ærø",
            "cafe\u{301}",
            "你好，世界",
            "こんにちは",
            "안녕하세요",
            "Привет",
            "שלום",
            "مرحبا",
            "می\u{200c}خواهم",        // Persian needs the non-joiner
            "क्\u{200d}ष",             // Hindi needs the joiner
            "👩\u{200d}👩\u{200d}👧", // a family
            "🏳\u{fe0f}\u{200d}🌈",    // a selector, then a joiner
            "1\u{fe0f}\u{20e3}",      // a keycap
            "葛\u{e0100}",            // an ideographic variant
            "no\u{a0}break",
            "\u{fffd}",
        ] {
            assert_eq!(escape(text).to_string(), text);
        }
    }

    #[test]
    fn joiners_that_join_nothing_are_written_out() {
        assert_eq!(escape("ad\u{200d}min").to_string(), r"ad\u{200d}min");
        assert_eq!(escape("\u{200c}").to_string(), r"\u{200c}");
        assert_eq!(escape("م\u{200c}\u{200c}م").to_string(), "م\u{200c}\\u{200c}م");
        // bytes hidden in variation selectors behind one emoji
        let hidden = "😀\u{fe01}\u{e0101}\u{e0102}\u{fe0f}";
        assert_eq!(escape(hidden).to_string(), "😀\u{fe01}\\u{e0101}\\u{e0102}\\u{fe0f}");
        assert_eq!(escape("\u{202e}\u{200d}").to_string(), r"\u{202e}\u{200d}");
    }

    #[test]
    fn bytes_that_are_not_text_are_numbers() {
        assert_eq!(escape_bytes(b"\xff\xc3").to_string(), r"\xff\xc3");
        assert_eq!(escape_bytes("ü".as_bytes()).to_string(), "ü");
        // a surrogate and an overlong newline
        assert_eq!(escape_bytes(b"\xed\xa0\x80").to_string(), r"\xed\xa0\x80");
        assert_eq!(escape_bytes(b"\xc0\x8a").to_string(), r"\xc0\x8a");
        assert_eq!(escape_bytes(b"").to_string(), "");
    }

    #[test]
    fn a_limit_counts_what_is_shown_and_cuts_no_escape() {
        assert_eq!(escape("hello").limit(5).to_string(), "hello");
        assert_eq!(escape("hello!").limit(5).to_string(), "hello…");
        assert_eq!(escape("你好吗").limit(2).to_string(), "你好…");
        assert_eq!(escape("ab\u{1b}c").limit(7).to_string(), "ab…");
        assert_eq!(escape("ab\u{1b}c").limit(8).to_string(), "ab\\u{1b}…");
        assert_eq!(escape_bytes(b"ab\xffc").limit(5).to_string(), "ab…");
        assert_eq!(escape("a\nb").limit(2).to_string(), "a…");
        assert_eq!(escape("a\nb").limit(3).to_string(), "a\\n…");
        assert_eq!(escape("").limit(0).to_string(), "");
        assert_eq!(escape("a").limit(0).to_string(), "…");
    }

    #[test]
    fn what_is_shown_can_be_read_back() {
        // every pair of characters that escapes are made of, or that are escaped
        let alphabet: Vec<&[u8]> =
            ["\\", "n", "x", "f", "u", "{", "1", "b", "}", "\n", "\u{1b}", "\u{202e}", "ü", "\u{200d}", "م"]
                .iter()
                .map(|text| text.as_bytes())
                .chain([b"\xff".as_slice(), b"\xc3"])
                .collect();
        for a in &alphabet {
            for b in &alphabet {
                for c in &alphabet {
                    let bytes = [*a, b, c].concat();
                    let shown = escape_bytes(&bytes).to_string();
                    assert_eq!(unescape(&shown), bytes, "{shown}");
                }
            }
        }
    }

    fn unescape(shown: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let mut chars = shown.chars();
        let mut put = |char: char| {
            let mut room = [0; 4];
            out.extend_from_slice(char.encode_utf8(&mut room).as_bytes());
        };
        let mut raw = Vec::new();
        while let Some(char) = chars.next() {
            if char != '\\' {
                put(char);
                continue;
            }
            match chars.next().unwrap() {
                'n' => put('\n'),
                '\\' => put('\\'),
                'u' => {
                    let digits: String = chars.by_ref().skip(1).take_while(|c| *c != '}').collect();
                    put(char::from_u32(u32::from_str_radix(&digits, 16).unwrap()).unwrap());
                }
                'x' => {
                    let digits: String = chars.by_ref().take(2).collect();
                    // a private character stands for the byte until the end
                    let byte = u8::from_str_radix(&digits, 16).unwrap();
                    put('\u{f0000}');
                    raw.push(byte);
                }
                other => panic!("not an escape: {other}"),
            }
        }
        let mark = "\u{f0000}".as_bytes();
        for byte in raw {
            let at = out.windows(4).position(|window| window == mark).unwrap();
            out.splice(at..at + 4, [byte]);
        }
        out
    }
}
