//! `channel listen`: receives messages, and hashes them as they come.

use std::path::PathBuf;
use std::sync::Arc;

use heartwire_tokio::connection::Connection;
use heartwire_tokio::connection::length_prefixed::{Format, LengthPrefixed};
use heartwire_tokio::{Address, ConnectionOptions};

use super::exchange::{self, Exchange, Finish};
use super::name::Name;
use super::source;
use super::source::Source;
use crate::exit::Outcome;
use crate::serving::Listen;
use crate::{printing, runtime, serving, tls};

/// Receive messages of any size, and print their length and hash
///
/// Prints `listening on ADDRESS` on stdout for every address, once connections are accepted; then, for every message
/// that arrives on any connection, `received N bytes sha256 HEX`. Messages are not held: they are hashed as they come,
/// in little memory. Logs go to stderr.
///
/// A connection goes on until its peer ends it, and everything that --send names was sent. A message that is cut or
/// larger than --limit ends its connection.
///
/// SIGTERM or SIGINT ends the stream to each peer, waits until the connections have ended, at most for the grace, and
/// exits with 0; stderr says what was cut. A second one exits at once with 1.
///
/// When stdout can't be written it ends at once: with 0 if nobody reads it any more, else with 1.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to listen: tcp://HOST:PORT, tls://HOST:PORT or unix://PATH; repeatable
    #[arg(long, value_name = "ADDR", default_value = "tcp://127.0.0.1:9020")]
    listen: Vec<Address>,

    #[command(flatten)]
    tls: tls::server::Args,

    /// Send this file to everyone who connects, - for stdin; repeatable, in order. What is no regular file is kept in
    /// a temporary one (in TMPDIR), and all are measured at the start
    #[arg(long, value_name = "FILE")]
    send: Vec<PathBuf>,

    /// The largest message that is received, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = u32::MAX)]
    limit: u32,

    #[command(flatten)]
    serving: serving::Args,
}

pub fn run(args: Args) -> Outcome {
    let listen = Listen::on(args.listen, &args.tls)?;
    let options = args.serving.connections_with(Format::with_limit(args.limit), exchange::config())?;
    let sources = source::open_all(&args.send)?;
    runtime::block_on(self::listen(listen, options, sources.into()))
}

async fn listen(
    listen: Listen,
    options: ConnectionOptions<LengthPrefixed>,
    sources: Arc<[Source]>,
) -> Outcome {
    let (results, mut printed) = printing::start();
    let handler = move |connection: Connection<LengthPrefixed>| {
        let name = Name::of_listener(connection.endpoints());
        let (sources, results) = (Arc::clone(&sources), results.clone());
        let exchange = Exchange { name, sources, results, finish: Finish::Last };
        async move { drop(exchange.run(connection).await) }
    };
    tokio::select! {
        served = serving::serve(listen, options, handler) => served?,
        // what is received could not be told
        failure = printed.failed() => return Err(failure),
    }
    printed.finish().await
}
