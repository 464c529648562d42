//! `files`: files and folders, into a folder.

mod progress;
mod receive;
mod send;
mod tally;

use clap::Subcommand;
use heartwire_core::escape::{Escaped, escape};

use crate::exit::Outcome;

/// The most characters of a name, or of what happened to it, in a line.
const SHOWN: usize = 300;

/// Files and folders, into a folder
#[derive(Debug, Subcommand)]
pub enum Command {
    Receive(receive::Args),
    Send(send::Args),
}

pub fn run(command: Command) -> Outcome {
    match command {
        Command::Receive(args) => receive::run(args),
        Command::Send(args) => send::run(args),
    }
}

/// What somebody else chose, for a line of a log.
fn shown(text: &str) -> Escaped<'_> {
    escape(text).limit(SHOWN)
}
