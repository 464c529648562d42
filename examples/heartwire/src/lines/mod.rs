//! `lines`: lines of text that go to everybody.

mod connect;
mod serve;

use clap::Subcommand;
use clap::builder::RangedU64ValueParser;
use heartwire_tokio::Why;
use heartwire_tokio::connection::Sender;
use heartwire_tokio::connection::lines::{Line, Lines, Settings};

use crate::exit::Outcome;
use crate::hub::Member;

/// The most that an option with bytes may say.
const MOST: u64 = 1024 * 1024 * 1024;

/// Lines of text that go to everybody
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

/// What both sides say about lines.
// No group: clap names one after the type, and those of two `Args` would clash.
#[derive(Debug, clap::Args)]
#[group(skip)]
struct LineArgs {
    /// The most bytes that a line may have, without its ending
    #[arg(long, value_name = "BYTES", value_parser = bytes(), default_value_t = 64 * 1024)]
    limit: usize,
}

impl LineArgs {
    fn settings(&self) -> Settings {
        Settings::with_limit(self.limit)
    }
}

impl Member for Sender<Lines> {
    type Message = Line;

    fn queue(&self, line: &Line) -> Result<(), Why> {
        self.try_send(line.clone()).map(drop).map_err(|back| back.why)
    }
}

/// Reads a number of bytes.
fn bytes() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=MOST)
}
