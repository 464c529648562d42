//! Line editing where people type: what arrives is printed above the line.

use std::io;

use rustyline::config::{Behavior, Configurer};
use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Config, Editor, ExternalPrinter};
use tokio::sync::mpsc;

use super::input::{Input, Rules, in_thread};
use super::output::Above;
use crate::exit::{Failure, Outcome};

/// A terminal in which lines are edited. Dropped, the terminal has its mode back, even if a line
/// is still being edited: the program may end at any time.
pub struct Terminal {
    #[cfg(unix)]
    mode: Option<rustix::termios::Termios>,
}

impl Terminal {
    /// Reads lines. Gives them, and how to print above them.
    pub fn start(rules: Rules) -> Outcome<(Self, mpsc::Receiver<Input>, Above)> {
        let failed = |error: ReadlineError| {
            Failure::failed(format_args!("the terminal can't be used: {error}; use a pipe"))
        };
        let terminal = Self {
            #[cfg(unix)]
            mode: rustix::termios::tcgetattr(io::stdin()).ok(),
        };
        let config = Config::builder().behavior(Behavior::Stdio).build();
        let mut editor = Editor::<(), _>::with_history(config, MemHistory::new()).map_err(failed)?;
        // a mode that the guard could not take back
        editor.enable_bracketed_paste(false);
        let mut printer = editor.create_external_printer().map_err(failed)?;
        let above: Above = Box::new(move |text| printer.print(text).map_err(io::Error::other));
        let lines = in_thread(move |to| {
            for number in 1.. {
                let input = match editor.readline("> ") {
                    Ok(line) if rules.skips(&line) => continue,
                    Ok(line) => match rules.refuse(&line) {
                        Some(why) => Input::Refused(format!("a line is {why}")),
                        None => {
                            let _ = editor.add_history_entry(line.as_str());
                            Input::Line(number, line)
                        }
                    },
                    // Ctrl-C and Ctrl-D leave, as a signal and the end of input do
                    Err(ReadlineError::Interrupted | ReadlineError::Eof) => return,
                    Err(error) => {
                        Input::Failed(Failure::failed(format_args!("the terminal can't be read: {error}")))
                    }
                };
                to.send(input);
                if to.is_closed() {
                    return;
                }
            }
        });
        Ok((terminal, lines, above))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(mode) = &self.mode {
            let _ = rustix::termios::tcsetattr(io::stdin(), rustix::termios::OptionalActions::Now, mode);
        }
    }
}
