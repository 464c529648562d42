//! How the program ends: 0 done, 1 failed, 2 bad usage or no good key. One line on stderr says what
//! went wrong and what to do.

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use heartwire_core::escape::escape;

use crate::log;

/// What a subcommand comes to.
pub type Outcome<T = ()> = Result<T, Failure>;

/// Why the program did not do what it was asked.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    code: u8,
    /// What and what to do; `None` where there is nobody to tell.
    message: Option<String>,
}

impl Failure {
    /// It failed: exit code 1.
    pub fn failed(message: impl Display) -> Self {
        Self { code: 1, message: Some(message.to_string()) }
    }

    /// It was asked for something that can't be, or there is no good key: exit code 2.
    pub fn usage(message: impl Display) -> Self {
        Self { code: 2, message: Some(message.to_string()) }
    }

    /// Writing to stdout failed. When nobody reads it any more (`| head`), that is no failure.
    pub fn stdout(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self { code: 0, message: None },
            _ => Self::failed(format_args!("can't write to stdout: {error}")),
        }
    }
}

/// Says what went wrong, if something did.
pub fn code(outcome: Outcome) -> ExitCode {
    let Err(Failure { code, message }) = outcome else { return ExitCode::SUCCESS };
    if let Some(message) = message {
        // a message may quote what a peer sent
        log::say(escape(&message));
    }
    ExitCode::from(code)
}
