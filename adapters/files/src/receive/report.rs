//! What a sender is told of what was not received.

use std::fmt::{Display, Write};

use heartwire_core::wire::body::Whole;
use heartwire_core::wire::json_header::Head;

/// The longest that is sent, in bytes, but for the last line.
const LONGEST: usize = 16 * 1024;
/// How much of a name, or of what happened, is said, in characters.
const SHOWN: usize = 300;

/// A line for each that was not received.
#[derive(Debug, Default)]
pub(super) struct Report {
    lines: String,
    /// How many are not in it.
    more: u64,
}

impl Report {
    /// This one was not received.
    pub(super) fn add(&mut self, name: &str, why: impl Display) {
        if self.lines.len() > LONGEST {
            self.more += 1;
            return;
        }
        let why = why.to_string();
        let (name, why) = (on_a_line(name), on_a_line(&why));
        // Writing to a string does not fail.
        let _ = writeln!(self.lines, "{name}: {why}");
    }

    /// Everything that came after that was not received either.
    pub(super) fn end(&mut self) {
        self.add("what was sent after that", "not received");
    }

    /// A text for the sender, if there is something to tell.
    pub(super) fn take(mut self) -> Option<Whole<Head>> {
        if self.lines.is_empty() {
            return None;
        }
        if self.more > 0 {
            let _ = writeln!(self.lines, "and {} more", self.more);
        }
        let body = bytes::Bytes::from(self.lines);
        Some(Whole { head: Head::text(body.len() as u64), body })
    }
}

/// What there is of it for a line. Not escaped: whoever shows it does that, with whatever a receiver may say.
fn on_a_line(text: &str) -> String {
    let mut line: String =
        text.chars().take(SHOWN).map(|char| if char == '\n' { '␊' } else { char }).collect();
    if text.chars().nth(SHOWN).is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(report: Report) -> String {
        let text = report.take().unwrap();
        assert_eq!((text.head.size, &*text.head.filename), (text.body.len() as u64, ""));
        String::from_utf8(text.body.to_vec()).unwrap()
    }

    #[test]
    fn each_has_a_line_as_its_sender_called_it() {
        let mut report = Report::default();
        report.add("a\\b\n\u{202e}c", "it has a backslash in it");
        report.add("a text", "too long");
        assert_eq!(said(report), "a\\b␊\u{202e}c: it has a backslash in it\na text: too long\n");
        assert_eq!(Report::default().take(), None);
    }

    #[test]
    fn of_many_and_of_long_ones_it_says_so_much() {
        let mut report = Report::default();
        for _ in 0..10_000 {
            report.add(&"ä".repeat(SHOWN + 1), "no");
        }
        let said = said(report);
        assert!(said.len() < LONGEST + 4 * SHOWN, "{}", said.len());
        assert!(said.starts_with(&format!("{}…: no\n", "ä".repeat(SHOWN))));
        let lines = said.lines().count() - 1;
        assert!(said.ends_with(&format!("and {} more\n", 10_000 - lines)), "{said}");
    }
}
