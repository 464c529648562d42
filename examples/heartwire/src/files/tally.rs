//! What was received by all connections together, for the end.

use std::fmt::Write;
use std::time::Duration;

use heartwire_files::Stored;

use crate::log::count;

/// How many that were not stored are named.
const NAMED: usize = 20;

/// What was received so far.
#[derive(Debug, Default)]
pub struct Tally {
    files: u64,
    bytes: u64,
    texts: u64,
    skipped: u64,
    refused: u64,
    cut: u64,
    /// The first of those that were not stored, and why; escaped.
    named: Vec<String>,
}

impl Tally {
    /// A file is there.
    pub fn stored(&mut self, stored: &Stored) {
        self.files += 1;
        self.bytes += stored.size;
    }

    /// A text came.
    pub fn text(&mut self) {
        self.texts += 1;
    }

    /// A file was passed over, for the reason in this line, which is escaped.
    pub fn skipped(&mut self, line: String) {
        self.skipped += 1;
        self.name(line);
    }

    /// A file or a text was refused.
    pub fn refused(&mut self, line: String) {
        self.refused += 1;
        self.name(line);
    }

    /// A file was cut.
    pub fn cut(&mut self, line: String) {
        self.cut += 1;
        self.name(line);
    }

    fn name(&mut self, line: String) {
        if self.named.len() < NAMED {
            self.named.push(line);
        }
    }

    /// What it comes to after this time: lines for people.
    pub fn lines(&self, took: Duration) -> Vec<String> {
        let Self { files, bytes, texts, skipped, refused, cut, named } = self;
        let mut first = format!(
            "received {}, {} in {:.1}s",
            count(*files, "file"),
            count(*bytes, "byte"),
            took.as_secs_f64()
        );
        // writing to a string does not fail
        if *texts > 0 {
            let _ = write!(first, ", {}", count(*texts, "text"));
        }
        for (number, what) in [(skipped, "skipped"), (refused, "refused"), (cut, "cut")] {
            if *number > 0 {
                let _ = write!(first, ", {number} {what}");
            }
        }
        let mut lines = vec![first];
        lines.extend(named.iter().cloned());
        let more = skipped + refused + cut - named.len() as u64;
        if more > 0 {
            lines.push(format!("and {more} more"));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use heartwire_files::{How, Name};

    use super::*;

    #[test]
    fn the_summary_says_what_there_was_and_nothing_else() {
        let mut tally = Tally::default();
        let took = Duration::from_millis(1_540);
        assert_eq!(tally.lines(took), ["received 0 files, 0 bytes in 1.5s"]);
        let name = Name::parse("a").unwrap();
        tally.stored(&Stored { name, size: 1, how: How::New });
        tally.text();
        assert_eq!(tally.lines(took), ["received 1 file, 1 byte in 1.5s, 1 text"]);
        tally.skipped("skipped: b".into());
        tally.refused("refused: ../c: no".into());
        tally.cut("cut: d: gone".into());
        assert_eq!(
            tally.lines(took),
            [
                "received 1 file, 1 byte in 1.5s, 1 text, 1 skipped, 1 refused, 1 cut",
                "skipped: b",
                "refused: ../c: no",
                "cut: d: gone",
            ]
        );
    }

    #[test]
    fn of_many_the_first_are_named() {
        let mut tally = Tally::default();
        for number in 0..NAMED {
            tally.refused(format!("refused: {number}"));
        }
        assert_eq!(tally.lines(Duration::ZERO).len(), 1 + NAMED);
        for number in NAMED..NAMED + 3 {
            tally.cut(format!("cut: {number}"));
        }
        let lines = tally.lines(Duration::ZERO);
        assert_eq!(lines.len(), 1 + NAMED + 1);
        assert_eq!((&*lines[NAMED], &*lines[NAMED + 1]), ("refused: 19", "and 3 more"));
    }
}
