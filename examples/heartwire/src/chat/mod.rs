//! `chat`: messages over sessions, a server and a client.

mod connect;
mod endings;
mod hub;
mod input;
mod output;
mod serve;
mod terminal;

use std::future::Future;

use clap::Subcommand;
use heartwire_tokio::Sender;

use crate::exit::{Failure, Outcome};

/// The largest message to a peer that takes no chunks, in bytes.
const WHOLE_LIMIT: u64 = 10 * 1024 * 1024;

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

/// The most bytes that the other side takes in a message.
fn longest_message(session: &Sender) -> u64 {
    let established = session.established();
    match &established.features {
        Some(features) if features.chunk() => established.limits.message,
        _ => established.limits.message.min(WHOLE_LIMIT),
    }
}
