//! `heartwire` shows and serves the heartwire session protocol, for people and scripts.

mod channel;
mod chat;
mod cli;
mod connecting;
mod console;
mod demo;
mod duration;
mod endings;
mod exit;
mod files;
mod hex;
mod hub;
mod inspect;
mod keygen;
mod keys;
mod lines;
mod log;
mod printing;
mod runtime;
mod sealed;
mod serving;
mod signals;
mod stop;
mod tls;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    log::start(&cli.log, cli.command.usual_log());
    exit::code(cli.command.run())
}
