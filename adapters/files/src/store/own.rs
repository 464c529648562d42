//! The names of the store's own files: `.NAME.0123456789abcdef.part` and `.NAME.0123456789abcdef.undo`.

use crate::name::{MAX_PART, cut};

/// What there is of a file that is being received.
pub(crate) const PART: &str = "part";
/// How long a file was to which is being appended.
pub(crate) const UNDO: &str = "undo";
/// How many digits stand in one.
const DIGITS: usize = 16;

/// The name of such a file for `name`, which is cut where that would be too long.
pub(crate) fn name(name: &str, number: u64, extension: &str) -> String {
    let name = cut(name, MAX_PART - ".".len() - ".".len() - DIGITS - ".".len() - extension.len());
    format!(".{name}.{number:016x}.{extension}")
}

/// Whether `part` is the name of such a file. One function decides what is removed as a leftover, and which names
/// peers can't give: nothing received may ever be taken for a leftover.
pub(crate) fn is_own(part: &str) -> bool {
    number(part, PART).or_else(|| number(part, UNDO)).is_some()
}

/// The number in the name of such a file.
pub(crate) fn number(part: &str, extension: &str) -> Option<u64> {
    let rest = part.strip_prefix('.')?.strip_suffix(extension)?.strip_suffix('.')?;
    let (name, digits) = rest.rsplit_once('.')?;
    let strict = digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    if name.is_empty() || digits.len() != DIGITS || !strict {
        return None;
    }
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_names_are_known_and_others_are_not() {
        for extension in [PART, UNDO] {
            for long in ["x", "data.csv", &"x".repeat(255), &"ü".repeat(127), &"你".repeat(85)] {
                let own = name(long, 0xfe, extension);
                assert!(own.len() <= MAX_PART, "{}", own.len());
                assert!(is_own(&own), "{own}");
                assert_eq!(number(&own, extension), Some(0xfe));
            }
        }
        assert_eq!(name("a.b", 1, PART), ".a.b.0000000000000001.part");
        for other in [
            "x.0123456789abcdef.part",
            "..0123456789abcdef.part",
            ".0123456789abcdef.part",
            ".x.0123456789abcde.part",
            ".x.0123456789abcdef0.part",
            ".x.0123456789ABCDEF.part",
            ".x.0123456789abcdeg.part",
            ".x.+123456789abcdef.part",
            ".x.0123456789abcdef.PART",
            ".x.0123456789abcdef.part2",
            ".x.0123456789abcdef.part.gz",
            ".x.0123456789abcdefpart",
            ".x.0123456789abcdef",
            ".part",
            "",
        ] {
            assert!(!is_own(other), "{other}");
        }
    }
}
