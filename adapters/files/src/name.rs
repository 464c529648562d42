//! Names that peers give: checked before anything is opened.

use std::fmt;

use heartwire_core::escape::escape;

use crate::store::own;

/// The longest part of a name, in bytes: what file systems take.
pub const MAX_PART: usize = 255;
/// The longest name, in bytes: with the folder before it, it is to stay one that programs can open.
pub const MAX_NAME: usize = 2048;
/// The most folders in a name.
pub const MAX_FOLDERS: usize = 64;

/// The name of a file below a folder: one or more parts with `/` between them, none of which leads elsewhere, can't be
/// seen, or is one of a [`Store`](crate::Store)'s own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    /// Checks a name as it came.
    ///
    /// ```
    /// use heartwire_files::{BadName, Name};
    ///
    /// assert!(Name::parse("run 1/data.csv").is_ok());
    /// assert_eq!(Name::parse("../secret"), Err(BadName::Leaves));
    /// ```
    ///
    /// # Errors
    ///
    /// What is wrong with it; one thing, where it is several.
    pub fn parse(name: &str) -> Result<Self, BadName> {
        check(name)?;
        Ok(Self(name.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The folders, outermost first, and the name in the last of them.
    #[must_use]
    pub fn split(&self) -> (Vec<&str>, &str) {
        let mut parts: Vec<_> = self.0.split('/').collect();
        let last = parts.pop().unwrap_or_default();
        (parts, last)
    }

    /// The `number`th name beside this one, `name (1).txt`, cut where it would be too long. None if there's no room
    /// for the number.
    pub(crate) fn beside(&self, number: u32) -> Option<Self> {
        let (folders, last) =
            self.0.rsplit_once('/').map_or(("", &*self.0), |(folders, last)| (folders, last));
        let above = if folders.is_empty() { 0 } else { folders.len() + 1 };
        let room = MAX_PART.min(MAX_NAME - above);
        let number = format!(" ({number})");
        let (stem, extension) = match last.rfind('.') {
            // A dot in front is no extension, and what fills the name by itself is none either.
            Some(at) if at > 0 && last.len() - at + number.len() < room => last.split_at(at),
            _ => (last, ""),
        };
        let stem = cut(stem, room.checked_sub(number.len() + extension.len())?);
        if stem.is_empty() {
            return None;
        }
        let between = if folders.is_empty() { "" } else { "/" };
        Some(Self(format!("{folders}{between}{stem}{number}{extension}")))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadName {
    /// There is none.
    Empty,
    /// It begins with `/`.
    Absolute,
    /// It begins with the letter of a drive, `C:`. That is refused on every system, as is the next.
    Drive,
    /// It has a backslash in it.
    Backslash,
    /// It has `..` for a part.
    Leaves,
    /// It has `.` for a part.
    Dot,
    /// It has nothing between two `/`, or behind the last.
    EmptyPart,
    /// It has a control character in it.
    Control,
    /// It has characters in it that are not seen, or that change the order of what is seen.
    Hidden,
    /// A part of it is longer than [`MAX_PART`].
    LongPart,
    /// It is longer than [`MAX_NAME`].
    Long,
    /// It has more folders than [`MAX_FOLDERS`].
    Deep,
    /// A part of it looks like one of the store's temporary files, which are removed when a receiver starts.
    Reserved,
    /// It is not one for Windows, and this is: a device's name, or with characters that no name there has.
    Windows,
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("it has no name"),
            Self::Absolute => f.write_str("it does not stay below the folder (`/` in front)"),
            Self::Drive => f.write_str("it begins with the letter of a drive"),
            Self::Backslash => f.write_str("it has a backslash in it; folders are separated by `/`"),
            Self::Leaves => f.write_str("it leads out of the folder (`..`)"),
            Self::Dot => f.write_str("a part of it is `.`, which is no name"),
            Self::EmptyPart => f.write_str("a part of it is empty (`//`, or `/` at the end)"),
            Self::Control => f.write_str("it has control characters in it"),
            Self::Hidden => f.write_str("it has characters in it that are not seen or turn the text around"),
            Self::LongPart => write!(f, "a part of it is longer than {MAX_PART} bytes"),
            Self::Long => write!(f, "it is longer than {MAX_NAME} bytes"),
            Self::Deep => write!(f, "it has more than {MAX_FOLDERS} folders"),
            Self::Reserved => f.write_str("it looks like a temporary file of the receiver"),
            Self::Windows => f.write_str("Windows has no such names"),
        }
    }
}

impl std::error::Error for BadName {}

fn check(name: &str) -> Result<(), BadName> {
    let bytes = name.as_bytes();
    match bytes {
        [] => return Err(BadName::Empty),
        _ if bytes.len() > MAX_NAME => return Err(BadName::Long),
        [b'/', ..] => return Err(BadName::Absolute),
        [letter, b':', ..] if letter.is_ascii_alphabetic() => return Err(BadName::Drive),
        _ => {}
    }
    if name.contains('\\') {
        return Err(BadName::Backslash);
    }
    if name.contains(char::is_control) {
        return Err(BadName::Control);
    }
    // What is left that would have to be escaped to be shown.
    if escape(name).to_string() != name {
        return Err(BadName::Hidden);
    }
    for part in name.split('/') {
        match part {
            "" => return Err(BadName::EmptyPart),
            ".." => return Err(BadName::Leaves),
            "." => return Err(BadName::Dot),
            _ if part.len() > MAX_PART => return Err(BadName::LongPart),
            // FAT, exFAT and Windows' shares leave off what stands at the end.
            _ if own::is_own(part.trim_end_matches(['.', ' '])) => return Err(BadName::Reserved),
            _ if cfg!(windows) && !is_for_windows(part) => return Err(BadName::Windows),
            _ => {}
        }
    }
    if name.split('/').count() > MAX_FOLDERS + 1 {
        return Err(BadName::Deep);
    }
    Ok(())
}

/// Whether Windows makes of this part what it says.
fn is_for_windows(part: &str) -> bool {
    if part.contains([':', '<', '>', '"', '|', '?', '*']) || part.ends_with(['.', ' ']) {
        return false;
    }
    // A device is one with any extension, and with spaces before it.
    let stem = part.split('.').next().unwrap_or(part).trim_end_matches(' ').to_ascii_uppercase();
    let numbered = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    let device = matches!(&*stem, "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$")
        || numbered.is_some_and(|number| {
            let mut chars = number.chars();
            matches!((chars.next(), chars.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
        });
    !device
}

/// The longest beginning of `text` that has at most `len` bytes, and whole characters.
pub(crate) fn cut(text: &str, mut len: usize) -> &str {
    if len >= text.len() {
        return text;
    }
    while !text.is_char_boundary(len) {
        len -= 1;
    }
    &text[..len]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_bad_name_is_refused_for_what_it_is() {
        let long_part = format!("a/{}", "x".repeat(MAX_PART + 1));
        let long_umlauts = "ü".repeat(128);
        let long = format!("{}x", "ab/".repeat(MAX_NAME / 3 + 1));
        let deep = format!("{}x", "d/".repeat(MAX_FOLDERS + 1));
        for (name, why) in [
            ("", BadName::Empty),
            ("/etc/passwd", BadName::Absolute),
            ("/", BadName::Absolute),
            ("//server/share", BadName::Absolute),
            ("C:", BadName::Drive),
            ("C:/x", BadName::Drive),
            ("z:x", BadName::Drive),
            (r"C:\x", BadName::Drive),
            (r"a\b", BadName::Backslash),
            (r"..\..\x", BadName::Backslash),
            ("..", BadName::Leaves),
            ("../x", BadName::Leaves),
            ("a/../x", BadName::Leaves),
            ("a/..", BadName::Leaves),
            (".", BadName::Dot),
            ("./x", BadName::Dot),
            ("a/./x", BadName::Dot),
            ("a//x", BadName::EmptyPart),
            ("a/", BadName::EmptyPart),
            ("a\0b", BadName::Control),
            ("a\nb", BadName::Control),
            ("a\u{1b}[2J", BadName::Control),
            ("a\u{7f}", BadName::Control),
            ("a\u{85}", BadName::Control),
            ("a\u{9b}31m", BadName::Control),
            ("abc\u{202e}txt.exe", BadName::Hidden),
            ("a\u{2066}b", BadName::Hidden),
            ("ad\u{200b}min", BadName::Hidden),
            ("a\u{ad}b", BadName::Hidden),
            ("a\u{2028}b", BadName::Hidden),
            ("\u{feff}a", BadName::Hidden),
            ("x\u{e0041}", BadName::Hidden),
            ("ad\u{200d}min", BadName::Hidden),
            ("a/\u{200c}", BadName::Hidden),
            ("م\u{200c}\u{200c}م", BadName::Hidden),
            (&long_part, BadName::LongPart),
            (&long_umlauts, BadName::LongPart),
            (&long, BadName::Long),
            (&deep, BadName::Deep),
            (".x.0123456789abcdef.part", BadName::Reserved),
            ("a/.data.csv.0123456789abcdef.undo", BadName::Reserved),
            (".x.0123456789abcdef.part/a", BadName::Reserved),
            (".x.0123456789abcdef.part.", BadName::Reserved),
            (".x.0123456789abcdef.undo. .", BadName::Reserved),
        ] {
            assert_eq!(Name::parse(name), Err(why), "{name:?}");
            assert!(!why.to_string().ends_with('.'), "{why}");
        }
    }

    #[test]
    fn names_of_every_script_are_taken() {
        let longest_part = format!("a/{}", "x".repeat(MAX_PART));
        let longest = format!("{}{}/y", format!("{}/", "x".repeat(MAX_PART)).repeat(7), "x".repeat(254));
        assert_eq!(longest.len(), MAX_NAME);
        let deepest = format!("{}x", "d/".repeat(MAX_FOLDERS));
        for name in [
            "a",
            ".hidden",
            "...",
            "..a/b..",
            "a b/c:d",
            "run 1/data (1).csv",
            "naïve, 你好.txt",
            "می\u{200c}خواهم",
            "👩\u{200d}👩\u{200d}👧.png",
            "🏳\u{fe0f}\u{200d}🌈",
            "葛\u{e0100}",
            ".x.0123456789abcde.part",
            &longest_part,
            &longest,
            &deepest,
        ] {
            if cfg!(windows) && !name.split('/').all(is_for_windows) {
                continue;
            }
            assert_eq!(Name::parse(name).map(|name| name.to_string()).as_deref(), Ok(name));
        }
        assert_eq!(Name::parse("a/b/c").unwrap().split(), (vec!["a", "b"], "c"));
        assert_eq!(Name::parse("c").unwrap().split(), (vec![], "c"));
    }

    #[test]
    fn what_windows_takes_for_something_else_is_known() {
        for part in [
            "CON",
            "con.txt",
            "Nul",
            "aux .x",
            "COM1",
            "lpt9.log",
            "COM²",
            "a:b",
            "file:stream",
            "a.",
            "a ",
            "a?",
            "conin$",
        ] {
            assert!(!is_for_windows(part), "{part:?}");
        }
        for part in ["console", "com", "com10", "null", ".con", "a.nul", "a b", "lptx"] {
            assert!(is_for_windows(part), "{part:?}");
        }
    }

    /// All short names over an alphabet of what names are refused for.
    #[test]
    fn what_is_taken_stays_below_and_is_taken_again() {
        let alphabet = ["a", ".", "/", "\\", ":", "\n", "\u{202e}", "ü", "\u{200d}", " "];
        let mut taken = 0;
        for number in 0..alphabet.len().pow(5) {
            let mut rest = number;
            let mut name = String::new();
            while rest > 0 {
                name.push_str(alphabet[rest % alphabet.len()]);
                rest /= alphabet.len();
            }
            let Ok(parsed) = Name::parse(&name) else { continue };
            taken += 1;
            let (mut parts, last) = parsed.split();
            parts.push(last);
            for part in &parts {
                assert!(!matches!(*part, "" | "." | ".."), "{name:?}");
                assert!(!part.contains(['\\', '\n', '\u{202e}', '/']), "{name:?}");
            }
            assert_eq!(parts.join("/"), name);
            assert_eq!(Name::parse(parsed.as_str()), Ok(parsed.clone()));
            assert!(Name::parse(parsed.beside(1).unwrap().as_str()).is_ok(), "{name:?}");
            let joined = std::path::Path::new("/folder").join(&name);
            assert!(joined.components().count() == parts.len() + 2, "{name:?}");
        }
        assert!(taken > 1000, "{taken}");
    }

    #[test]
    fn numbers_stand_before_the_last_extension_and_fit() {
        let beside =
            |name: &str, number| Name::parse(name).unwrap().beside(number).map(|name| name.to_string());
        for (name, other) in [
            ("name.txt", "name (1).txt"),
            ("a.b/name", "a.b/name (1)"),
            ("a/x.tar.gz", "a/x.tar (1).gz"),
            (".bashrc", ".bashrc (1)"),
            ("a.", "a (1)."),
        ] {
            if cfg!(windows) && name.ends_with('.') {
                continue;
            }
            assert_eq!(beside(name, 1).as_deref(), Some(other));
        }
        let other = beside(&format!("{}.txt", "ü".repeat(125)), 10).unwrap();
        assert_eq!(other, format!("{} (10).txt", "ü".repeat(123)));
        let other = beside(&format!("x.{}", "y".repeat(253)), 1).unwrap();
        assert_eq!(other, format!("x.{} (1)", "y".repeat(249)));
        // no room for a number
        let full = format!("{}{}/x", "abc/".repeat(63), "f".repeat(200));
        assert!(beside(&full, 1).is_some());
        let part = "p".repeat(MAX_PART);
        let full = format!("{}/x", [&*part; 8].join("/"));
        assert_eq!(full.len(), MAX_NAME + 1);
        let full = format!("{}/x", [&*part; 8].join("/").split_at(1).1);
        assert_eq!((full.len(), beside(&full, 1)), (MAX_NAME, None));
    }
}
