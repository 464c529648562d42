//! Lines that a newcomer can read: when, who, what.

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use heartwire_core::escape::escape;

pub(super) type Failed = Box<dyn std::error::Error + Send + Sync>;

pub(super) struct Timeline {
    start: Instant,
    /// What is to happen next, for the error if it does not.
    awaited: Mutex<String>,
}

impl Timeline {
    pub(super) fn start() -> Self {
        say(
            "heartwire demo: sessions and other protocols over loopback. Each line is an event that arrived.",
        );
        Self { start: Instant::now(), awaited: Mutex::new("the beginning".into()) }
    }

    /// A heading: what is to be seen next.
    pub(super) fn heading(&self, text: &str) {
        say(format_args!("\n{text}"));
        self.expect(text);
    }

    /// What is awaited from here on.
    pub(super) fn expect(&self, text: &str) {
        *self.awaited.lock().unwrap_or_else(PoisonError::into_inner) = format!("\"{text}\"");
    }

    pub(super) fn awaited(&self) -> String {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Something happened. What peers sent is escaped here.
    pub(super) fn event(&self, who: &str, what: impl Display) {
        let at = self.start.elapsed().as_secs_f64();
        say(format_args!("  {at:7.3}s  {who:<8} {}", escape(&what.to_string()).limit(150)));
    }

    pub(super) fn finish(&self) {
        say(format_args!("\nAll of it arrived, in {:.1} s.", self.start.elapsed().as_secs_f64()));
    }
}

/// One line. Nobody may be reading any more (`| head`): that is no reason to fail.
fn say(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Fails unless `held`.
pub(super) fn ensure(held: bool, what: impl Display) -> Result<(), Failed> {
    if held { Ok(()) } else { Err(what.to_string().into()) }
}
