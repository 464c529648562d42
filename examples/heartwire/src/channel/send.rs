//! `channel send`: sends files as messages.

use std::path::PathBuf;
use std::time::Duration;

use heartwire_core::escape::escape;
use heartwire_core::protocol::Cut;
use heartwire_tokio::connection::length_prefixed::{Format, LengthPrefixed};
use heartwire_tokio::{Address, Code, ConnectionOptions};

use super::exchange::{self, Exchange, Finish, Over};
use super::name::Name;
use super::source;
use super::source::Source;
use crate::connecting::{Connector, Times};
use crate::endings::{Expected, link_over, no_link};
use crate::exit::{Failure, Outcome};
use crate::log::say;
use crate::stop::Stop;
use crate::{printing, runtime, tls};

/// What is to listen at the address.
const CHANNEL: Expected = Expected { link: "channel", server: "heartwire channel listen" };

/// Send files as messages, one after another over one connection
///
/// Each file is one message. What comes back is hashed, and printed as `received N bytes sha256 HEX`. When everything
/// is sent, the stream to the peer is ended, and messages are received until the peer ends its own. Logs go to stderr.
///
/// All files are opened and measured before connecting. What is no regular file (a pipe, - for stdin) is copied into a
/// temporary one first, in TMPDIR, since the length of a message comes before it; a regular file as stdin is sent from
/// its position on. A file that shrinks while it is sent ends the connection; of one that grows, what was measured is
/// sent.
///
/// Exit code 0: everything was sent, and the peer ended its stream after a whole message; 1: not so, and stderr says
/// which file was sent how far.
///
/// SIGTERM or SIGINT ends the stream to the peer within the grace and exits with 0; stderr says what was cut. A second
/// one exits at once with 1.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the peer listens: tcp://HOST:PORT, tls://HOST:PORT or unix://PATH
    #[arg(value_name = "ADDR")]
    address: Address,

    #[command(flatten)]
    tls: tls::client::Args,

    /// What to send, up to 4 GiB - 1 bytes each; - for stdin
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// The largest message that is received, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = u32::MAX)]
    limit: u32,

    #[command(flatten)]
    times: Times,
}

pub fn run(args: Args) -> Outcome {
    let options = args.times.connection(Format::with_limit(args.limit), exchange::config())?;
    let connector = Connector::new(&args.address, &args.tls)?;
    let sources = source::open_all(&args.files)?;
    runtime::block_on(send(args.address, connector, options, sources, args.times.grace))
}

async fn send(
    address: Address,
    connector: Connector,
    options: ConnectionOptions<LengthPrefixed>,
    sources: Vec<Source>,
    grace: Duration,
) -> Outcome {
    let mut stop = Stop::within(grace)?;
    let connection = tokio::select! {
        connected = connector.connect(&options) =>
            connected.map_err(|error| no_link(CHANNEL, &address, &error))?,
        () = stop.asked() => {
            say("stopped by a signal: nothing was sent");
            return Ok(());
        }
    };
    let (results, printed) = printing::start();
    let name = Name::of_sender(&address);
    let exchange = Exchange { name, sources: sources.into(), results, finish: Finish::First };
    let sender = connection.sender().clone();
    // beside the driver, where it wakes and is woken at little cost
    let exchange = tokio::spawn(exchange.run(connection));
    let over = stop.sent(exchange, || sender.start_close(), || sender.cut(Cut::Aborted)).await?;
    let Some(over) = over else {
        say("stopped by a signal while nobody reads stdout");
        return Ok(());
    };
    let stopped = stop.was_asked();
    stop.at_most(sender.closed()).await?;
    // what was received is told however it ended
    let printed = printed.finish().await;
    outcome(&address, over, stopped).and(printed)
}

/// What it comes to.
fn outcome(address: &Address, over: Over, stopped: bool) -> Outcome {
    let Over { ended, broken, cut } = over;
    if let Some(broken) = broken {
        return Err(Failure::failed(broken));
    }
    if cut.is_empty() && (stopped || ended.is_orderly()) {
        return Ok(());
    }
    if stopped {
        say(format_args!("stopped by a signal{}", escape(&cut)));
        return Ok(());
    }
    let todo = match ended.code {
        Code::MessageTooLarge => "a larger --limit takes it",
        Code::TooSlow => "the peer does not read; try again when it does, or with a longer --timeout",
        _ => return Err(link_over(CHANNEL, address, &ended, cut)),
    };
    let (code, detail) = (ended.code, &ended.detail);
    Err(Failure::failed(format_args!("the channel with {address} is over{cut}: {code}: {detail}; {todo}")))
}
