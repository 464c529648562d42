//! `chat`: messages over sessions, a server and a client.

mod connect;
mod endings;
mod hub;
mod input;
mod output;
mod serve;
mod terminal;

use std::future::Future;

use crate::exit::{Failure, Outcome};
use clap::Subcommand;

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

/// Runs this on a runtime. What still runs when it is done is left behind: the program ends then.
fn block_on(work: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format_args!("can't start the runtime: {error}")))?;
    let outcome = runtime.block_on(work);
    runtime.shutdown_background();
    outcome
}
