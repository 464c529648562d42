//! Logs, and what else is to be said, on stderr.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Log more; the environment variable RUST_LOG goes before it
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

/// Writes logs from here on: `usual` and above, DEBUG with `-v`, what `RUST_LOG` says if it is set.
pub fn start(args: &Args, usual: LevelFilter) {
    let level = if args.verbose { LevelFilter::DEBUG } else { usual };
    // an empty or wrong RUST_LOG is as good as none: logs are no reason not to run
    let filter = std::env::var("RUST_LOG")
        .ok()
        .filter(|filter| !filter.trim().is_empty())
        .and_then(|filter| EnvFilter::try_new(filter).ok())
        .unwrap_or_else(|| EnvFilter::default().add_directive(level.into()));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty()))
        .with_writer(io::stderr)
        // where a line can't be written, no other about it can: trying that would panic
        .log_internal_errors(false)
        .init();
}

/// Says this on stderr, whatever is logged. What a peer chose must be escaped already.
pub fn say(what: impl Display) {
    // stderr may be closed, which is no reason to panic
    let _ = writeln!(io::stderr(), "heartwire: {what}");
}
