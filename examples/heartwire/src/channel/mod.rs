//! `channel`: messages of any size up to 4 GiB, both ways over one connection.

mod exchange;
mod listen;
mod name;
mod send;
mod source;

use clap::Subcommand;

use crate::exit::Outcome;

/// Messages of any size up to 4 GiB, both ways over one connection
#[derive(Debug, Subcommand)]
pub enum Command {
    Listen(listen::Args),
    Send(send::Args),
}

pub fn run(command: Command) -> Outcome {
    match command {
        Command::Listen(args) => listen::run(args),
        Command::Send(args) => send::run(args),
    }
}
