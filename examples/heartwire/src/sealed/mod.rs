//! `sealed`: sealed packets: encrypted requests and answers, under a key that both sides share.

mod exec;
mod forward;
mod group;
mod serve;

use clap::Subcommand;
use heartwire_tokio::connection::sealed::{SecretKey, Settings, TAG_LEN};

use crate::exit::Outcome;
use crate::keys;

/// Sealed packets: encrypted requests and answers, under a key that both sides share
#[derive(Debug, Subcommand)]
pub enum Command {
    Serve(serve::Args),
    Forward(forward::Args),
}

pub fn run(command: Command) -> Outcome {
    match command {
        Command::Serve(args) => serve::run(args),
        Command::Forward(args) => forward::run(args),
    }
}

/// The options of both sides.
// No group: clap names one after the type, and those of two `Args` would clash.
#[derive(Debug, clap::Args)]
#[group(skip)]
struct Packets {
    #[command(flatten)]
    key: keys::sealed::Args,

    /// The largest ciphertext that is taken and sent, in bytes: 16 more than what is sealed
    #[arg(
        long,
        value_name = "BYTES",
        value_parser = clap::value_parser!(u32).range(TAG_LEN as i64..),
        default_value_t = 16 * 1024 * 1024
    )]
    limit: u32,
}

impl Packets {
    /// What a connection is made with. The only copy of the key that stays.
    fn settings(&self) -> Outcome<Settings> {
        let key = self.key.key()?;
        Ok(Settings::new(SecretKey::new(*key)).limit(self.limit))
    }

    /// The most bytes that can be sealed.
    fn longest(&self) -> usize {
        usize::try_from(self.limit).unwrap_or(usize::MAX).saturating_sub(TAG_LEN)
    }
}
