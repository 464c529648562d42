//! The command line as a whole. Each subcommand's own options stand with it.

use clap::{Parser, Subcommand};
use tracing_subscriber::filter::LevelFilter;

use crate::exit::Outcome;
use crate::{chat, demo, inspect, log};

/// Shows and serves the heartwire session protocol
///
/// heartwire turns a connection into a session: a handshake that proves a shared key, messages in order, heartbeats
/// that notice a dead peer, and an ending that says why.
///
/// Results are written to stdout, logs to stderr. Exit code 0: done; 1: failed, stderr says why; 2: bad usage, or a
/// missing or weak key.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    pub log: log::Args,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Demo(demo::Args),
    #[command(subcommand)]
    Chat(chat::Command),
    Inspect(inspect::Args),
}

impl Command {
    /// What is logged unless something else is asked for. The demo's timeline says it all already.
    pub fn usual_log(&self) -> LevelFilter {
        match self {
            Self::Demo(_) => LevelFilter::WARN,
            _ => LevelFilter::INFO,
        }
    }

    pub fn run(self) -> Outcome {
        match self {
            Self::Demo(args) => demo::run(&args),
            Self::Chat(command) => chat::run(command),
            Self::Inspect(args) => inspect::run(&args),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
