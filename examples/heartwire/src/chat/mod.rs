//! `chat`: messages over sessions, a server and a client.

mod connect;
mod reconnect;
mod serve;
mod shown;

use clap::Subcommand;

use crate::exit::Outcome;

/// Exchange messages over sessions
#[derive(Debug, Subcommand)]
pub enum Command {
    Serve(serve::Args),
    Connect(connect::Args),
}

pub fn run(command: Command) -> Outcome {
    match command {
        Command::Serve(args) => serve::run(args),
        Command::Connect(args) => connect::run(args),
    }
}
