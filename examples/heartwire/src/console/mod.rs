//! What a client reads and prints: lines of a file, of stdin, or edited where people type; and what arrives.

mod input;
mod output;
mod terminal;

use std::fmt::Display;
use std::io::{self, IsTerminal};

use tokio::sync::mpsc;

pub use input::{Input, Rules, Source};
pub use output::{Output, Shown};
use terminal::Terminal;

use crate::exit::Outcome;
use crate::log::say;

/// A client's input and output.
pub struct Console {
    /// What was read, one ahead of what was taken; closed at the end of input.
    pub lines: mpsc::Receiver<Input>,
    pub output: Output,
    /// Where people type; to be dropped when nothing more is printed.
    pub terminal: Option<Terminal>,
}

impl Console {
    /// Reads lines of the file; without one, of stdin, edited where people type. They are greeted.
    pub fn open(file: Option<Source>, rules: Rules, greeting: impl Display) -> Outcome<Self> {
        if let Some(file) = file {
            return Ok(Self { lines: file.lines(rules), output: Output::start(None), terminal: None });
        }
        // people get an editor; everything else is lines
        if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
            return Ok(Self { lines: input::stdin(rules), output: Output::start(None), terminal: None });
        }
        say(greeting);
        let (terminal, lines, above) = Terminal::start(rules)?;
        Ok(Self { lines, output: Output::start(Some(above)), terminal: Some(terminal) })
    }
}
