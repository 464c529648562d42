//! `heartwire` shows and serves the heartwire session protocol, for people and scripts.

mod chat;
mod cli;
mod demo;
mod duration;
mod exit;
mod inspect;
mod keys;
mod log;
mod signals;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    log::start(&cli.log, cli.command.usual_log());
    exit::code(cli.command.run())
}
