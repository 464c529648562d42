//! `chat serve`: a server that returns what it gets, or sends it to all others.

use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use heartwire_core::escape::escape;
use heartwire_tokio::{Address, Code, Config, Ended, Limits, Message, Options, Sender, Session, Why};

use crate::exit::{Failure, Outcome};
use crate::hub::{Hub, Member};
use crate::serving::Listen;
use crate::{duration, keys, runtime, serving, tls};

/// How much of what a peer chose is shown in a log line, in characters.
const SHOWN: usize = 100;
/// What may wait for a peer in broadcast mode before it counts as too slow, in bytes.
const BROADCAST_OUTPUT: usize = 16 * 1024 * 1024;

/// Serve chat sessions
///
/// Prints `listening on ADDRESS` on stdout for every address, once connections are accepted. Logs go to stderr.
///
/// SIGTERM or SIGINT tells the peers, waits until their sessions have ended, at most for the grace, and exits with 0; a
/// second one exits at once with 1.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to listen: tcp://HOST:PORT, tls://HOST:PORT or unix://PATH; repeatable
    #[arg(long, value_name = "ADDR", default_value = "tcp://127.0.0.1:9999")]
    listen: Vec<Address>,

    #[command(flatten)]
    tls: tls::server::Args,

    /// What becomes of a message
    #[arg(long, value_enum, default_value_t = Mode::Echo)]
    mode: Mode,

    /// The time between heartbeats
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "5s")]
    heartbeat: Duration,

    /// How long a peer may be silent; longer than the heartbeat
    #[arg(
        long,
        visible_alias = "timeout",
        value_name = "TIME",
        value_parser = duration::parse,
        default_value = "30s"
    )]
    idle_timeout: Duration,

    /// How long a handshake may take
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "10s")]
    handshake_timeout: Duration,

    /// The most sessions at once; who comes then is told so
    #[arg(
        long,
        visible_alias = "max-connections",
        value_name = "N",
        default_value_t = Limits::default().max_sessions()
    )]
    max_sessions: usize,

    /// How long a stop may take before what is left is cut
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "3s")]
    grace: Duration,

    #[command(flatten)]
    keys: keys::Args,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// It goes back to who sent it
    Echo,
    /// It goes to all others; who reads too slowly is told `too-slow` and dropped
    Broadcast,
}

pub fn run(args: Args) -> Outcome {
    let options = options(&args)?;
    let listen = Listen::on(args.listen, &args.tls)?;
    runtime::block_on(serve(listen, args.mode, options))
}

fn options(args: &Args) -> Outcome<Options> {
    let keys = args.keys.keys()?;
    let mut config = Config::builder()
        .heartbeat_interval(args.heartbeat)
        .silence_timeout(args.idle_timeout)
        .handshake_timeout(args.handshake_timeout);
    if args.mode == Mode::Broadcast {
        config = config.queued_output(BROADCAST_OUTPUT);
    }
    for (option, time) in [
        ("--heartbeat", args.heartbeat),
        ("--idle-timeout", args.idle_timeout),
        ("--handshake-timeout", args.handshake_timeout),
    ] {
        serving::check_time(option, time)?;
    }
    if args.idle_timeout <= args.heartbeat {
        return Err(Failure::usage(format_args!(
            "--idle-timeout ({}) must be longer than --heartbeat ({}), or healthy peers are cut",
            duration::show(args.idle_timeout),
            duration::show(args.heartbeat)
        )));
    }
    let config = config.build().map_err(Failure::usage)?;
    let limits = serving::limits("--max-sessions", args.max_sessions)?;
    Ok(Options::new(keys).config(config).limits(limits).grace(args.grace))
}

async fn serve(listen: Listen, mode: Mode, options: Options) -> Outcome {
    match mode {
        Mode::Echo => serving::serve(listen, options, echo).await,
        Mode::Broadcast => {
            let hub = Arc::new(Hub::default());
            serving::serve(listen, options, move |session| broadcast(session, Arc::clone(&hub))).await
        }
    }
}

async fn echo(mut session: Session) {
    say_connected(&session);
    let ended = loop {
        let message = match session.recv_message().await {
            Ok(message) => message,
            Err(ended) => break ended,
        };
        say_received(&session, &message);
        if let Err(refused) = session.send(message).await
            && let Why::Never(code) = refused.why
        {
            // Better no session than one in which a message is missing.
            let detail = cannot_return(code, &refused.command, session.established().longest_message());
            session.fail(code, detail);
        }
    };
    say_closed(&session, &ended);
}

/// Why a message can't go back to who sent it, `limit` being the most bytes he takes. That is nobody's
/// fault: what may be sent and what may be returned is not the same.
fn cannot_return(code: Code, message: &Message, limit: u64) -> String {
    let len = message.content.len();
    match code {
        Code::HeaderTooLarge => {
            let content_type = message.content_type.len();
            match message.app.as_json().map_or(0, str::len) {
                0 => format!("the content type is too long to be sent back: {content_type} bytes"),
                app => format!(
                    "the content type and the app entries are too long to be sent back: {content_type} and {app} bytes"
                ),
            }
        }
        Code::MessageTooLarge => {
            format!("the message can't be sent back: its {len} bytes are more than the {limit} that you take")
        }
        Code::EmptyContent => {
            "the message can't be sent back: it is empty, which only peers with the feature `chunk` take"
                .into()
        }
        code => format!("the message of {len} bytes can't be sent back: {code}"),
    }
}

impl Member for Sender {
    type Message = Message;

    /// For whom as much waits as may is full, even where the session would let a small message past a large one
    /// that waits.
    fn queue(&self, message: &Message) -> Result<(), Why> {
        if self.queued_bytes() >= BROADCAST_OUTPUT && !self.is_closing() {
            return Err(Why::Full);
        }
        self.try_send(message.clone()).map(drop).map_err(|back| back.why)
    }
}

async fn broadcast(mut session: Session, hub: Arc<Hub<Sender>>) {
    // who reads that somebody is connected may count on him hearing what is sent
    let place = hub.join(session.sender().clone());
    say_connected(&session);
    let ended = loop {
        let message = match session.recv_message().await {
            Ok(message) => message,
            Err(ended) => break ended,
        };
        say_received(&session, &message);
        for (other, why) in place.send_to_others(&message) {
            match why {
                Why::Full => {
                    tracing::warn!("session {}: too slow, dropped", other.id());
                    let detail = format!("{BROADCAST_OUTPUT} bytes or more waited for you to read them");
                    other.fail(Code::TooSlow, detail);
                }
                why => tracing::warn!("session {}: a message was not passed on: {why}", other.id()),
            }
        }
    };
    drop(place);
    say_closed(&session, &ended);
}

// Session ids are the server's own; everything else in these lines may be the peer's choice.

fn say_connected(session: &Sender) {
    let peer = serving::peer(session.peer_address());
    let features = if session.established().features.is_some() { "" } else { " (a peer without features)" };
    tracing::info!("session {}: connected: {peer}{features}", session.id());
}

fn say_received(session: &Sender, message: &Message) {
    let content_type = escape(&message.content_type).limit(SHOWN);
    tracing::info!("session {}: received {} bytes, {content_type}", session.id(), message.content.len());
}

fn say_closed(session: &Sender, ended: &Ended) {
    tracing::info!("session {}: closed: {}", session.id(), serving::ending(ended));
}
