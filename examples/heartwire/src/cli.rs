//! The command line as a whole. Each subcommand's own options stand with it.

use clap::{Parser, Subcommand};
use tracing_subscriber::filter::LevelFilter;

use crate::exit::Outcome;
use crate::{channel, chat, demo, files, inspect, keygen, lines, log, sealed};

/// Sessions and four other protocols over connections, for people and scripts
///
/// heartwire turns a connection into a session: a handshake that proves a shared key, messages in order, heartbeats
/// that notice a dead peer, and an ending that says why (chat). It speaks four other protocols, too: it sends files and
/// folders that arrive whole or not at all (files), sealed packets, lines, and messages with their length in front
/// (channel). It decodes captured bytes of any of them (inspect).
///
/// Results are written to stdout, logs to stderr. Exit code 0: done; 1: failed, stderr says why; 2: bad usage, or a
/// missing, unreadable or weak key.
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
    #[command(subcommand)]
    Files(files::Command),
    #[command(subcommand)]
    Sealed(sealed::Command),
    #[command(subcommand)]
    Lines(lines::Command),
    #[command(subcommand)]
    Channel(channel::Command),
    Inspect(inspect::Args),
    Keygen(keygen::Args),
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
            Self::Files(command) => files::run(command),
            Self::Sealed(command) => sealed::run(command),
            Self::Lines(command) => lines::run(command),
            Self::Channel(command) => channel::run(command),
            Self::Inspect(args) => inspect::run(&args),
            Self::Keygen(args) => keygen::run(&args),
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
