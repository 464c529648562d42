//! Durations as people write them: `200ms`, `5s`, `2m`.

use std::fmt;
use std::time::Duration;

/// The longest duration: a year. A longer one is a mistake, and the clock would not reach its end.
pub const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The duration that `text` says; for clap's `value_parser`.
pub fn parse(text: &str) -> Result<Duration, String> {
    let say =
        || format!("`{text}` is no duration; write a whole number and ms, s or m, like 200ms, 5s or 2m");
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(say)?;
    let (number, unit) = text.split_at(digits);
    let unit: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return Err(say()),
    };
    if number.is_empty() {
        return Err(say());
    }
    // a number with too many digits is too long, too
    let millis = number.parse().ok().and_then(|number: u64| number.checked_mul(unit));
    millis.map(Duration::from_millis).filter(|duration| *duration <= LONGEST).ok_or_else(|| {
        format!("`{text}` is too long; write at most {} (a year), like 200ms, 5s or 2m", show(LONGEST))
    })
}

/// Shows a duration the way [`parse`] reads it, in the largest unit that holds it exactly; what is
/// below a millisecond is left out.
pub fn show(duration: Duration) -> impl fmt::Display {
    struct Shown(u128);
    impl fmt::Display for Shown {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match self.0 {
                0 => f.write_str("0s"),
                ms if ms % 60_000 == 0 => write!(f, "{}m", ms / 60_000),
                ms if ms % 1_000 == 0 => write!(f, "{}s", ms / 1_000),
                ms => write!(f, "{ms}ms"),
            }
        }
    }
    Shown(duration.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, millis, shown) in [
            ("200ms", 200, "200ms"),
            ("5s", 5_000, "5s"),
            ("2m", 120_000, "2m"),
            ("90s", 90_000, "90s"),
            ("1500ms", 1_500, "1500ms"),
            ("60s", 60_000, "1m"),
            ("0s", 0, "0s"),
        ] {
            let duration = parse(text).unwrap();
            assert_eq!(duration, Duration::from_millis(millis));
            assert_eq!(show(duration).to_string(), shown);
            assert_eq!(parse(shown).unwrap(), duration);
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_what_to_write() {
        for text in ["", "5", "s", "ms", "-5s", "+5s", "1.5s", "5 s", "5S", "5h", "5sec", " 5s"] {
            assert!(parse(text).unwrap_err().contains("like 200ms, 5s or 2m"), "{text}");
        }
    }

    #[test]
    fn what_is_longer_than_a_year_is_refused_with_the_range() {
        assert_eq!(parse("525600m").unwrap(), LONGEST);
        assert_eq!(parse("31536000s").unwrap(), LONGEST);
        for text in [
            "525601m",
            "31536001s",
            "31536000001ms",
            "18446744073709551615ms",
            "18446744073709551615s",
            "18446744073709551615m",
            "99999999999999999999s",
        ] {
            assert!(parse(text).unwrap_err().contains("at most 525600m (a year)"), "{text}");
        }
    }
}
